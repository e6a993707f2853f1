#pragma once

#include "holdfast/base/endpoint.h"
#include "holdfast/base/result.h"

namespace holdfast::kernel {

/// An address on `lo` of the current network namespace, there for as long as this object lives.
/// One that someone else put there is left there afterwards; one that an earlier agent left behind
/// is not. Move-only.
class ListenerAddress {
 public:
  /// Adds `address` (its port does not matter) with a full-length prefix. For a loopback address
  /// there is nothing to do. Needs CAP_NET_ADMIN; fails with the kernel's error, such as
  /// permission_denied for IPv6 where it is switched off.
  static Result<ListenerAddress> add(const Endpoint& address);
  ListenerAddress(ListenerAddress&& other) noexcept;
  ListenerAddress& operator=(ListenerAddress&& other) noexcept;
  ListenerAddress(const ListenerAddress&) = delete;
  ListenerAddress& operator=(const ListenerAddress&) = delete;
  ~ListenerAddress();

  /// False when it is someone else's, and stays.
  [[nodiscard]] bool added() const noexcept { return added_; }

 private:
  ListenerAddress(const Endpoint& address, bool added) : address_{address}, added_{added} {}
  void remove() noexcept;
  Endpoint address_;
  bool added_ = false;
};

}  // namespace holdfast::kernel
