#include "request/access_reviews.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "request/own_call.h"
#include "request/request.h"

namespace holdfast::request {
namespace {

using nlohmann::json;

constexpr const char* kPath = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

// Servers that do not know the selectors yet (before 1.31) answer as if there were none: more
// strictly.
std::string review_body(const kube::RequestAttributes& attributes, kube::Verb verb) {
  json resource{{"verb", kube::to_string(verb)},
                {"group", attributes.gvr.group},
                {"version", attributes.gvr.version},
                {"resource", attributes.gvr.resource}};
  const auto set = [&resource](const char* name, const std::string& value) {
    if (!value.empty()) resource[name] = value;
  };
  set("subresource", attributes.subresource);
  set("namespace", attributes.ns);
  set("name", attributes.name);
  const auto& options = attributes.options;
  if (!options.field_selector.empty()) {
    resource["fieldSelector"] = {{"rawSelector", options.field_selector}};
  }
  if (!options.label_selector.empty()) {
    resource["labelSelector"] = {{"rawSelector", options.label_selector}};
  }
  const json review{{"kind", "SelfSubjectAccessReview"},
                    {"apiVersion", "authorization.k8s.io/v1"},
                    {"spec", {{"resourceAttributes", resource}}}};
  return review.dump(-1, ' ', false, json::error_handler_t::replace);
}

Access read_verdict(const std::optional<OwnAnswer>& answer) {
  if (!answer || answer->status / 100 != 2) return Access::kUnknown;
  const auto review = json::parse(answer->body, nullptr, false);
  if (!review.is_object() || !review.contains("status")) return Access::kUnknown;
  const auto& status = review["status"];
  if (!status.is_object() || !status.contains("allowed") || !status["allowed"].is_boolean()) {
    return Access::kUnknown;
  }
  return status["allowed"].get<bool>() ? Access::kAllowed : Access::kDenied;
}

}  // namespace

Task<AccessReviews::Reviewed> AccessReviews::review(std::shared_ptr<Request> request,
                                                    kube::Verb verb, SteadyClock::duration ttl) {
  auto body = review_body(request->attributes, verb);
  const auto who = registry_.hash(request->credential);
  std::string key{reinterpret_cast<const char*>(who.bytes.data()), who.bytes.size()};
  key.append(request->attributes.impersonation).append("\n").append(body);
  auto& slot = verdicts_[key];
  const auto now = SteadyClock::now();
  const bool stale = slot && !slot->pending && now - slot->at >= ttl;
  if (!slot || stale) {
    slot = std::make_shared<Verdict>(executor_);
    slot->at = now;
    nursery_.spawn("access review", ask(request, std::move(body), slot));
  }
  const auto verdict = slot;
  make_room();
  while (verdict->pending) co_await verdict->done.wait();
  const Reviewed reviewed{.access = verdict->access, .at = verdict->at};
  co_return reviewed;
}

Task<> AccessReviews::ask(std::shared_ptr<Request> request, std::string body,
                          std::shared_ptr<Verdict> verdict) {
  // Whatever happens, those who wait are told. What is not known is asked for again.
  struct End {
    std::shared_ptr<Verdict> verdict;
    ~End() {
      if (verdict->access == Access::kUnknown) verdict->at = {};
      verdict->pending = false;
      verdict->done.notify_all();
    }
  };
  const End end{verdict};
  OwnCall call{.credential = request->credential,
               .client = request->client,
               .method = "POST",
               .target = kPath,
               .body = std::move(body)};
  for (const auto& [name, value] : request->head().headers) {
    if (name.starts_with("impersonate-")) call.headers.emplace_back(name, value);
  }
  const auto answer = co_await make_own_call(executor_, pool_, std::move(call));
  verdict->access = read_verdict(answer);
}

void AccessReviews::make_room() {
  if (verdicts_.size() <= kMaxVerdicts) return;
  // Half of them at once: those that were asked for longest ago.
  std::vector<SteadyClock::time_point> times;
  times.reserve(verdicts_.size());
  for (const auto& [key, verdict] : verdicts_) times.push_back(verdict->at);
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::ranges::nth_element(times, middle);
  const auto limit = *middle;
  std::erase_if(verdicts_, [limit](const auto& item) { return item.second->at <= limit; });
}

}  // namespace holdfast::request
