#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/nursery.h"
#include "holdfast/base/task.h"
#include "holdfast/upstream/dialer.h"

namespace holdfast::upstream {

/// What a request of our own is made with.
struct ApiAccess {
  Identity identity;       ///< a client certificate, or null
  std::string token;       ///< sent when there is no file
  std::string token_file;  ///< read at each request: the kubelet rotates it
};

struct ApiRequest {
  std::string method = "GET";
  std::string path;  ///< with its query
  std::string body;  ///< JSON; empty: none
};

struct ApiResponse {
  unsigned status = 0;
  std::string body;
};

/// An answer that is read line by line: a watch.
class ApiStream {
 public:
  virtual ~ApiStream() = default;
  /// The next line; nothing at the answer's end. kReset or kTimeout when it was cut short.
  virtual Task<Result<std::optional<std::string>>> next_line() = 0;
};

/// Requests of our own, never a client's: few and small, so each has a connection of its own and a
/// deadline. Servers are tried in turn; what was sent is never sent again. On one io_context.
class ApiClient {
 public:
  static constexpr std::chrono::seconds kTimeout{10};
  static constexpr std::size_t kMaxBody = 16 << 20;  ///< bytes

  /// `nursery` runs the connections.
  ApiClient(std::vector<Server> servers, std::unique_ptr<Dialer> dialer, Nursery& nursery);

  /// Any answer is one, whatever its status. kTooLarge, kTimeout, or why no server was reached.
  Task<Result<ApiResponse>> call(ApiAccess access, ApiRequest request);
  /// As `call`, for an answer of status 200 that ends after `limit` at the latest; kRefused when
  /// it has another status.
  Task<Result<std::unique_ptr<ApiStream>>> stream(ApiAccess access, ApiRequest request,
                                                  std::chrono::seconds limit);

 private:
  struct Exchange;
  Task<Result<std::unique_ptr<Exchange>>> begin(ApiAccess access, ApiRequest request,
                                                std::chrono::seconds limit);

  std::vector<Server> servers_;
  std::unique_ptr<Dialer> dialer_;
  Nursery& nursery_;
};

}  // namespace holdfast::upstream
