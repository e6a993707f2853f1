#include "upstream/api_client.h"

#include <fstream>
#include <utility>

#include "holdfast/base/deadline.h"

namespace holdfast::upstream {
namespace {

std::string token_of(const ApiAccess& access) {
  if (access.token_file.empty()) return access.token;
  std::ifstream file{access.token_file};
  std::string token;
  file >> token;
  return token;
}

/// A line longer than this is no event of the objects that we watch.
constexpr std::size_t kMaxLine = 4 << 20;

}  // namespace

/// One request on a connection of its own; closes it on every way out.
struct ApiClient::Exchange {
  Exchange(Executor executor, std::shared_ptr<http::ClientConnection> made,
           std::chrono::seconds limit)
      : connection{std::move(made)}, deadline{executor, limit, [this] {
                                                late = true;
                                                connection->close();
                                              }} {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() {
    stream.reset();
    connection->close();
  }
  [[nodiscard]] Error error(const Error& met) const {
    return late ? make_error(Errc::kTimeout, what + " took too long") : met;
  }

  std::string what;
  bool late = false;
  std::shared_ptr<http::ClientConnection> connection;
  std::unique_ptr<http::ClientStream> stream;
  Deadline deadline;
  unsigned status = 0;
};

ApiClient::ApiClient(std::vector<Server> servers, std::unique_ptr<Dialer> dialer, Nursery& nursery)
    : servers_{std::move(servers)}, dialer_{std::move(dialer)}, nursery_{nursery} {}

Task<Result<std::unique_ptr<ApiClient::Exchange>>> ApiClient::begin(ApiAccess access,
                                                                    ApiRequest request,
                                                                    std::chrono::seconds limit) {
  Error last = make_error(Errc::kUnavailable, "no API server is known");
  for (const auto& server : servers_) {
    auto dialed = co_await dialer_->dial(server, access.identity, Dialer::Protocol::kAny);
    if (!dialed) {
      last = dialed.error();
      continue;
    }
    auto exchange = std::make_unique<Exchange>(
        nursery_.executor(), dialer_->connection(std::move(*dialed), http::ClientLimits{}), limit);
    exchange->what = request.method + " " + request.path;
    nursery_.spawn("own request", exchange->connection->run());

    http::RequestHead head{
        .method = request.method, .target = request.path, .authority = server.authority()};
    head.headers.add("accept", "application/json");
    head.headers.add("user-agent", "holdfast");
    if (const auto token = token_of(access); !token.empty()) {
      head.headers.add("authorization", "Bearer " + token);
    }
    if (!request.body.empty()) {
      head.headers.add("content-type", "application/json");
      head.headers.add("content-length", std::to_string(request.body.size()));
    }
    auto stream = co_await exchange->connection->open(std::move(head), request.body.empty());
    if (!stream) co_return exchange->error(stream.error());
    exchange->stream = std::move(*stream);
    if (!request.body.empty()) {
      auto written = co_await exchange->stream->write(Slice::own(std::move(request.body)), true);
      if (!written) co_return exchange->error(written.error());
    }
    const auto response = co_await exchange->stream->response();
    if (!response) co_return exchange->error(response.error());
    exchange->status = response->status;
    co_return exchange;
  }
  co_return last;
}

Task<Result<ApiResponse>> ApiClient::call(ApiAccess access, ApiRequest request) {
  auto begun = co_await begin(std::move(access), std::move(request), kTimeout);
  if (!begun) co_return begun.error();
  const auto exchange = std::move(*begun);
  ApiResponse response{.status = exchange->status, .body = {}};
  while (true) {
    const auto piece = co_await exchange->stream->read();
    if (!piece) co_return exchange->error(piece.error());
    if (piece->empty()) co_return response;
    if (response.body.size() + piece->size() > kMaxBody) {
      co_return make_error(Errc::kTooLarge, exchange->what);
    }
    response.body += piece->view();
  }
}

Task<Result<std::unique_ptr<ApiStream>>> ApiClient::stream(ApiAccess access, ApiRequest request,
                                                           std::chrono::seconds limit) {
  class Lines final : public ApiStream {
   public:
    explicit Lines(std::unique_ptr<Exchange> exchange) : exchange_{std::move(exchange)} {}

    Task<Result<std::optional<std::string>>> next_line() override {
      while (true) {
        if (const auto end = buffer_.find('\n'); end != std::string::npos) {
          auto line = buffer_.substr(0, end);
          buffer_.erase(0, end + 1);
          co_return std::optional{std::move(line)};
        }
        if (buffer_.size() > kMaxLine) co_return make_error(Errc::kTooLarge, exchange_->what);
        const auto piece = co_await exchange_->stream->read();
        if (!piece) co_return exchange_->error(piece.error());
        if (piece->empty()) co_return std::optional<std::string>{};
        buffer_ += piece->view();
      }
    }

   private:
    std::unique_ptr<Exchange> exchange_;
    std::string buffer_;
  };

  auto begun = co_await begin(std::move(access), std::move(request), limit);
  if (!begun) co_return begun.error();
  if ((*begun)->status != 200) {
    co_return make_error(Errc::kRefused,
                         (*begun)->what + " was answered with " + std::to_string((*begun)->status));
  }
  co_return std::unique_ptr<ApiStream>{std::make_unique<Lines>(std::move(*begun))};
}

}  // namespace holdfast::upstream
