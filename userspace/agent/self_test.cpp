#include "agent/self_test.h"

#include <chrono>

#include "agent/tls_probe.h"
#include "holdfast/base/deadline.h"

namespace holdfast::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kTimeout = 1000ms;

Task<Result<void>> once(Executor executor, Endpoint listener, std::string path,
                        std::uint32_t mark) {
  auto stream = co_await connect_unverified(executor, listener, mark, kTimeout);
  if (!stream) co_return stream.error();
  const Deadline deadline{executor, kTimeout, [late = *stream] { late->close(); }};
  const std::string request =
      "GET " + path + " HTTP/1.1\r\nHost: holdfast\r\nConnection: close\r\n\r\n";
  if (auto sent = co_await (*stream)->write(Slice::copy(request)); !sent) co_return sent.error();
  std::string answer;
  constexpr std::string_view kExpected = "HTTP/1.1 200";
  while (answer.size() < kExpected.size()) {
    auto piece = co_await (*stream)->read();
    if (!piece) co_return piece.error();
    if (piece->empty()) break;
    answer += piece->view();
  }
  (*stream)->close();
  if (!answer.starts_with(kExpected)) {
    co_return make_error(Errc::kProtocol, "our own listener answered something else");
  }
  co_return Result<void>{};
}

}  // namespace

Task<> run_self_test(Executor executor, Endpoint listener, std::string path, Health& health,
                     std::uint32_t mark) {
  Timer pause{executor};
  while (true) {
    const auto result = co_await once(executor, listener, path, mark);
    if (result) {
      health.self_test_passed(SteadyClock::now());
    } else {
      health.self_test_failed(result.error().to_string());
    }
    pause.expires_after(1s);
    co_await pause.async_wait(use_task);
  }
}

}  // namespace holdfast::agent
