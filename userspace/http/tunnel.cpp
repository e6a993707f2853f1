#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include "holdfast/base/deadline.h"
#include "holdfast/base/nursery.h"
#include "holdfast/http/transport.h"
#include "http/children.h"

namespace holdfast::http {
namespace {

// Adds what it copied to `*total`, which outlives it: the tunnel joins its children.
Task<> copy(std::shared_ptr<Transport> from, std::shared_ptr<Transport> to, std::size_t* total) {
  for (;;) {
    auto bytes = co_await from->read();
    if (!bytes) break;
    if (bytes->empty()) {
      // Half-close: the other direction may have a lot to say still.
      const auto ended = co_await to->shutdown();
      if (!ended) break;
      co_return;
    }
    const std::size_t size = bytes->size();
    const auto written = co_await to->write(std::move(*bytes));
    if (!written) break;
    *total += size;
  }
  from->close();
  to->close();
}

constexpr std::chrono::seconds kHangUp{1};

}  // namespace

Task<> hang_up(std::shared_ptr<Transport> transport) {
  const Deadline deadline{transport->executor(), kHangUp, [transport] { transport->close(); }};
  (void)co_await transport->shutdown();
  while (true) {
    const auto bytes = co_await transport->read();
    if (!bytes || bytes->empty()) break;
  }
  transport->close();
}

Task<TunnelTotals> tunnel(std::shared_ptr<Transport> client, std::shared_ptr<Transport> server) {
  TunnelTotals totals;
  bool cancelled = false;
  {
    Nursery nursery{client->executor()};
    nursery.spawn("tunnel", copy(server, client, &totals.to_client));
    try {
      co_await copy(client, server, &totals.to_server);
      co_await nursery.join();
    } catch (const boost::system::system_error&) {
      cancelled = true;
    }
    // The child must be joined even so: forget the cancellation until it is.
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    cancelled = cancelled || state.cancelled() != boost::asio::cancellation_type::none;
    co_await boost::asio::this_coro::reset_cancellation_state();
    if (cancelled) {
      client->close();
      server->close();
    }
    co_await nursery.join();
  }
  client->close();
  server->close();
  if (cancelled) throw_cancelled();
  co_return totals;
}

}  // namespace holdfast::http
