#include "request/principal_resolver.h"

#include <spdlog/spdlog.h>

#include <array>
#include <utility>

#include "request/request.h"

namespace holdfast::request {
namespace {

constexpr std::chrono::seconds kAskAgain{60};
constexpr std::chrono::seconds kAskAgainSoon{1};  // after no answer: others wait in vain meanwhile
constexpr std::size_t kMaxUnnamed = 1024;

// Newest first; a server that lacks one answers 404.
constexpr std::array<std::string_view, 2> kReviewPaths{
    "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    "/apis/authentication.k8s.io/v1beta1/selfsubjectreviews"};

std::string review_body(std::string_view path) {
  auto body = identity::self_subject_review_body();
  if (path.find("v1beta1") == std::string_view::npos) return body;
  constexpr std::string_view kV1 = "authentication.k8s.io/v1";
  const auto at = body.find(kV1);
  if (at != std::string::npos) body.insert(at + kV1.size(), "beta1");
  return body;
}

struct FlagGuard {
  bool& flag;
  explicit FlagGuard(bool& f) : flag{f} { flag = true; }
  FlagGuard(const FlagGuard&) = delete;
  FlagGuard& operator=(const FlagGuard&) = delete;
  ~FlagGuard() { flag = false; }
};

}  // namespace

PrincipalResolver::PrincipalResolver(Executor executor, identity::Registry& registry,
                                     upstream::Pool& pool, Nursery& nursery)
    : executor_{executor}, registry_{registry}, pool_{pool}, nursery_{nursery} {}

void PrincipalResolver::start(const Request& request) {
  const auto& credential = request.credential;
  if (credential.kind == identity::Credential::Kind::kAnonymous) return;
  if (registry_.find(credential)) return;
  const auto key = registry_.hash(credential);
  if (asked_in_vain(key)) return;
  auto& slot = pending_[key];
  if (slot) return;
  slot = std::make_shared<Pending>(executor_);
  nursery_.spawn("principal review", review(credential, request.client, slot));
}

Task<std::optional<identity::Principal>> PrincipalResolver::resolve(
    std::shared_ptr<Request> request, SteadyClock::duration limit) {
  const auto& credential = request->credential;
  start(*request);
  if (const auto it = pending_.find(registry_.hash(credential)); it != pending_.end()) {
    const auto pending = it->second;
    const auto deadline = SteadyClock::now() + limit;
    while (!pending->ended) {
      const auto left = deadline - SteadyClock::now();
      if (left <= left.zero()) break;
      co_await pending->done.wait_for(left);
    }
  }
  auto principal = registry_.find(credential);
  if (!principal) co_return std::nullopt;
  co_return identity::with_impersonation(std::move(*principal), request->attributes.impersonation);
}

Task<> PrincipalResolver::review(identity::Credential credential, std::shared_ptr<Client> client,
                                 std::shared_ptr<Pending> pending) {
  // Whatever happens, those who wait are told, and the next request may ask again.
  struct End {
    PrincipalResolver& self;
    identity::CredentialHash key;
    std::shared_ptr<Pending> pending;
    ~End() {
      pending->ended = true;
      pending->done.notify_all();
      self.pending_.erase(key);
    }
  };
  const End end{*this, registry_.hash(credential), std::move(pending)};
  auto named = co_await ask(credential, client);
  if (!named.principal) {
    const auto now = SteadyClock::now();
    const SteadyClock::duration pause = named.answered ? kAskAgain : kAskAgainSoon;
    std::erase_if(unnamed_, [now](const auto& item) { return item.second <= now; });
    if (unnamed_.size() < kMaxUnnamed) unnamed_[end.key] = now + pause;
    co_return;
  }
  registry_.learn(credential, std::move(*named.principal));
  if (registry_.wants_jwks() && !fetching_jwks_) {
    nursery_.spawn("jwks", fetch_jwks(credential, client));
  }
}

bool PrincipalResolver::asked_in_vain(const identity::CredentialHash& key) {
  const auto it = unnamed_.find(key);
  if (it == unnamed_.end()) return false;
  if (SteadyClock::now() < it->second) return true;
  unnamed_.erase(it);
  return false;
}

Task<PrincipalResolver::Named> PrincipalResolver::ask(identity::Credential credential,
                                                      std::shared_ptr<Client> client) {
  Named named;
  for (const auto path : kReviewPaths) {
    const auto answer =
        co_await call(credential, client, "POST", std::string{path}, review_body(path));
    if (!answer) co_return Named{};
    named.answered = true;
    if (answer->status == 404) continue;
    if (answer->status == 401) registry_.refused(credential);
    if (answer->status != 200 && answer->status != 201) co_return named;
    auto principal = identity::parse_self_subject_review(answer->body);
    if (principal) {
      named.principal = std::move(*principal);
    } else {
      spdlog::warn("the API server's SelfSubjectReview can't be read: {}",
                   principal.error().to_string());
    }
    co_return named;
  }
  // The 404s were given to an authenticated caller: an unknown token gets 401 before any routing.
  const auto claims = identity::read_claims(credential.token);
  if (!claims) co_return named;
  if (auto principal = identity::principal_of_claims(*claims)) {
    named.principal = std::move(*principal);
  }
  co_return named;
}

Task<std::optional<OwnAnswer>> PrincipalResolver::call(identity::Credential credential,
                                                       std::shared_ptr<Client> client,
                                                       std::string method, std::string target,
                                                       std::string body) {
  // The key set has a media type of its own (RFC 7517 §8.5), and the API server insists on it.
  OwnCall call{.credential = std::move(credential),
               .client = std::move(client),
               .method = std::move(method),
               .target = std::move(target),
               .body = std::move(body),
               .accept = "application/json, application/jwk-set+json"};
  co_return co_await make_own_call(executor_, pool_, std::move(call));
}

Task<> PrincipalResolver::fetch_jwks(identity::Credential credential,
                                     std::shared_ptr<Client> client) {
  const FlagGuard guard{fetching_jwks_};
  const auto answer = co_await call(credential, client, "GET", "/openid/v1/jwks", {});
  // Readable by service accounts only; a node's 403 is no news.
  if (!answer || answer->status != 200) co_return;
  if (auto stored = registry_.set_jwks(answer->body); !stored) {
    spdlog::warn("the API server's JWKS can't be read: {}", stored.error().to_string());
  }
}

}  // namespace holdfast::request
