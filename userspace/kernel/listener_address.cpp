#include "holdfast/kernel/listener_address.h"

#include <utility>

#include "kernel/netlink.h"

namespace holdfast::kernel {

Result<ListenerAddress> ListenerAddress::add(const Endpoint& address) {
  if (address.is_loopback()) return ListenerAddress{address, false};
  const auto done = add_loopback_address(address);
  if (done) return ListenerAddress{address, true};
  if (done.error().code != boost::system::errc::file_exists) return done.error();
  // Left behind by an agent that was killed: then it is ours to remove.
  const auto marked = is_marked_loopback_address(address);
  return ListenerAddress{address, marked && *marked};
}

ListenerAddress::ListenerAddress(ListenerAddress&& other) noexcept
    : address_{other.address_}, added_{std::exchange(other.added_, false)} {}

ListenerAddress& ListenerAddress::operator=(ListenerAddress&& other) noexcept {
  if (this != &other) {
    remove();
    address_ = other.address_;
    added_ = std::exchange(other.added_, false);
  }
  return *this;
}

ListenerAddress::~ListenerAddress() {
  remove();
}

void ListenerAddress::remove() noexcept {
  // Gone already is as good as removed.
  if (std::exchange(added_, false)) (void)remove_loopback_address(address_);
}

}  // namespace holdfast::kernel
