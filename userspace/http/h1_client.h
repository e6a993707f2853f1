#pragma once

#include <memory>

#include "holdfast/http/client.h"
#include "http/children.h"
#include "http/h1_parser.h"
#include "http/h1_wire.h"

namespace holdfast::http {

/// One request at a time; reused while both sides agree where each message ends.
class H1Client final : public ClientConnection, public std::enable_shared_from_this<H1Client> {
 public:
  H1Client(std::shared_ptr<Transport> transport, ClientLimits limits);

  Task<> run() override;
  Task<Result<std::unique_ptr<ClientStream>>> open(RequestHead head, bool end) override;
  Task<Result<std::chrono::nanoseconds>> ping(std::chrono::milliseconds timeout) override;
  // Servers close idle ones as they like; one that ends under a request is a surprise.
  bool going_away() const override { return !(busy_ && wire_.ended_by_peer()); }
  bool usable() const override { return !busy_ && !wire_.ended() && wire_.empty(); }
  std::size_t active() const override { return busy_ ? 1 : 0; }
  SteadyClock::time_point last_received() const override { return wire_.last_received(); }
  Upload upload() const override { return transport_->upload(); }
  void close() override { wire_.close(); }

 private:
  friend class H1ClientStream;

  std::shared_ptr<Transport> transport_;
  ClientLimits limits_;
  H1Wire wire_;
  bool busy_ = false;
};

}  // namespace holdfast::http
