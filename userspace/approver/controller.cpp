#include "approver/controller.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "holdfast/telemetry/log.h"
#include "holdfast/telemetry/time_text.h"

namespace holdfast::approver {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kRequests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
constexpr std::string_view kOfSigner =
    "fieldSelector=spec.signerName%3Dkubernetes.io%2Fkubelet-serving";
constexpr auto kPass = 30s;  // between two looks at everything that is pending
constexpr auto kRetryMin = 1s, kRetryMax = 30s;

Error unexpected(const upstream::ApiResponse& response, const std::string& what) {
  return make_error(Errc::kRefused, what + " was answered with " + std::to_string(response.status));
}

/// As the API writes metav1.Time: RFC 3339 without a fraction.
std::string now_text() {
  auto text = telemetry::to_rfc3339(std::chrono::system_clock::now());
  return text.substr(0, text.find('.')) + "Z";
}

}  // namespace

// Requests are named before they are awaited: g++ 12 destroys an aggregate twice that is made
// inside an awaited expression.
Task<> Controller::run(Executor executor) {
  Timer timer{executor};
  std::chrono::seconds retry = kRetryMin;
  while (true) {
    auto version = co_await list(executor);
    if (version) {
      complaint_.settled();
      retry = kRetryMin;
      const auto until = SteadyClock::now() + kPass;
      co_await follow(std::move(*version));
      timer.expires_at(std::min(until, SteadyClock::now() + kRetryMin));
    } else {
      complain("the requests can't be listed", version.error());
      timer.expires_after(retry);
      retry = std::min<std::chrono::seconds>(2 * retry, kRetryMax);
    }
    co_await timer.async_wait(use_task);
  }
}

void Controller::refresh_names() {
  parts_.policy.names = configured_;
  parts_.policy.names.add(parts_.mirror.names(std::chrono::system_clock::now()));
}

Task<Result<std::string>> Controller::list(Executor executor) {
  const auto path = std::string{kRequests} + "?" + std::string{kOfSigner};
  upstream::ApiRequest get{.path = path};
  const auto response = co_await parts_.client->call(parts_.access, std::move(get));
  if (!response) co_return response.error();
  if (response->status != 200) co_return unexpected(*response, path);
  auto requests = parse_requests(response->body);
  if (!requests) co_return requests.error();

  std::set<std::string> there;
  for (const auto& item : requests->items) there.insert(item.request.uid);
  std::erase_if(told_, [&](const auto& told) { return !there.contains(told.first); });

  std::erase_if(requests->items, [](const auto& item) { return item.request.settled; });
  // Without anybody who asks there is no need to know.
  if (!requests->items.empty() || configured_ == parts_.policy.names) {
    co_await parts_.mirror.look(executor, parts_.client.get(), parts_.access);
  }
  refresh_names();
  for (auto& item : requests->items) co_await judge(std::move(item));
  co_return std::move(requests->resource_version);
}

Task<> Controller::follow(std::string resource_version) {
  const auto path = std::string{kRequests} + "?watch=1&" + std::string{kOfSigner} +
                    "&timeoutSeconds=" + std::to_string(kPass.count()) +
                    "&resourceVersion=" + resource_version;
  upstream::ApiRequest get{.path = path};
  const auto stream = co_await parts_.client->stream(parts_.access, std::move(get),
                                                     kPass + upstream::ApiClient::kTimeout);
  // Whatever ends a watch: the next list tells all that it would have told.
  if (!stream) co_return;
  while (true) {
    const auto line = co_await (*stream)->next_line();
    if (!line || !*line) co_return;
    auto event = parse_event(**line);
    if (!event || event->type == "ERROR") co_return;
    if (!event->object || event->type == "DELETED") continue;
    if (!event->object->request.settled) co_await judge(std::move(*event->object));
  }
}

Task<> Controller::judge(RequestObject object) {
  const auto why = co_await objection(object.request);
  if (!why) co_return;
  if (why->empty()) {
    co_await approve(std::move(object));
  } else {
    leave_alone(object.request, *why);
  }
}

// Nothing: it can't be told now.
Task<std::optional<std::string>> Controller::objection(SigningRequest request) {
  // Parsing what a stranger wrote comes before asking for its node, so that nobody can make the
  // approver ask for much.
  if (auto why = objection_to(request, parts_.policy); !why.empty()) co_return why;
  const auto path = "/api/v1/nodes/" + node_of(request);
  upstream::ApiRequest get{.path = path};
  const auto response = co_await parts_.client->call(parts_.access, std::move(get));
  if (!response) {
    complain("a node can't be looked up", response.error());
    co_return std::nullopt;
  }
  if (response->status == 404) co_return "there is no node of that name";
  if (response->status != 200) {
    complain("a node can't be looked up", unexpected(*response, path));
    co_return std::nullopt;
  }
  const auto labels = parse_node_labels(response->body);
  if (!labels) {
    complain("a node can't be looked up", labels.error());
    co_return std::nullopt;
  }
  co_return objection_to_node(*labels, parts_.policy);
}

Task<> Controller::approve(RequestObject object) {
  upstream::ApiRequest request{
      .method = "PUT",
      .path = std::string{kRequests} + "/" + object.request.name + "/approval",
      .body = approval_of(object, now_text())};
  const auto what = request.method + " " + request.path;
  const auto response = co_await parts_.client->call(parts_.access, std::move(request));
  if (!response) {
    complain("a request can't be approved", response.error());
  } else if (response->status == 200) {
    telemetry::log(spdlog::level::info, "approved",
                   {{"request", object.request.name},
                    {"node", node_of(object.request)},
                    {"seconds", object.request.expiration_seconds}});
  } else if (response->status != 409 && response->status != 404) {
    // Changed or gone meanwhile is no failure: what is there now is looked at when its turn comes.
    complain("a request can't be approved", unexpected(*response, what));
  }
}

void Controller::leave_alone(const SigningRequest& request, const std::string& why) {
  auto& told = told_[request.uid];
  if (std::exchange(told, why) == why) return;
  telemetry::log(spdlog::level::info, "left alone",
                 {{"request", request.name}, {"requester", request.username}, {"why", why}});
}

void Controller::complain(const std::string& what, const Error& error) {
  if (complaint_.is_new(what + error.to_string())) {
    telemetry::log(spdlog::level::warn, what, {{"error", error.to_string()}});
  }
}

}  // namespace holdfast::approver
