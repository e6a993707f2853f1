#include "request/own_call.h"

#include "holdfast/base/deadline.h"

namespace holdfast::request {
namespace {

constexpr std::chrono::seconds kCallLimit{5};
constexpr std::size_t kMaxBody = 1 << 20;  // bytes; a review and a JWKS have a few KiB

}  // namespace

Task<std::optional<OwnAnswer>> make_own_call(Executor executor, upstream::Pool& pool,
                                             OwnCall call) {
  http::RequestHead head{.method = std::move(call.method),
                         .target = std::move(call.target),
                         .authority = "kubernetes.default.svc"};
  head.headers.add("accept", call.accept);
  if (!call.credential.token.empty()) {
    head.headers.add("authorization", "Bearer " + call.credential.token);
  }
  for (auto& [name, value] : call.headers) head.headers.add(name, value);
  const bool has_body = !call.body.empty();
  if (has_body) {
    head.headers.add("content-type", "application/json");
    head.headers.add("content-length", std::to_string(call.body.size()));
  }
  auto stream =
      co_await pool.open(call.client->identity, std::move(head), !has_body, call.client->sticky);
  if (!stream) co_return std::nullopt;
  const Deadline deadline{executor, kCallLimit, [&stream] { (*stream)->cancel(); }};
  if (has_body) {
    const auto sent = co_await (*stream)->write(Slice::own(std::move(call.body)), true);
    if (!sent) co_return std::nullopt;
  }
  auto response = co_await (*stream)->response();
  if (!response) co_return std::nullopt;
  OwnAnswer answer{.status = response->status, .body = {}};
  while (true) {
    auto piece = co_await (*stream)->read();
    if (!piece) co_return std::nullopt;
    if (piece->empty()) break;
    if (answer.body.size() + piece->size() > kMaxBody) co_return std::nullopt;
    answer.body += piece->view();
  }
  co_return answer;
}

}  // namespace holdfast::request
