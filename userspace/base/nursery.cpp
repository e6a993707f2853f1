#include "holdfast/base/nursery.h"

#include <spdlog/spdlog.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/system/system_error.hpp>
#include <cassert>
#include <exception>

#include "holdfast/base/child.h"

namespace holdfast {
namespace {

void report(const std::string& name, const std::exception_ptr& failure) {
  if (!failure) return;
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& e) {
    if (e.code() != boost::asio::error::operation_aborted) {
      spdlog::error("{} ended: {}", name, e.what());
    }
  } catch (const std::exception& e) {
    spdlog::error("{} ended: {}", name, e.what());
  }
}

}  // namespace

Nursery::~Nursery() {
  assert(children_.empty());
}

void Nursery::spawn(std::string name, Task<> child) {
  const auto it = children_.emplace(children_.end());
  auto done = [this, it, name = std::move(name)](std::exception_ptr failure) {
    report(name, failure);
    children_.erase(it);
    if (children_.empty()) idle_.notify_all();
  };
  boost::asio::co_spawn(executor_, as_child(std::move(child)),
                        boost::asio::bind_cancellation_slot(it->slot(), std::move(done)));
}

void Nursery::cancel() {
  // Emitting may end a child at once and so erase its node: step on first.
  for (auto it = children_.begin(); it != children_.end();) {
    auto current = it++;
    current->emit(boost::asio::cancellation_type::terminal);
  }
}

Task<> Nursery::join() {
  while (!children_.empty()) co_await idle_.wait();
}

}  // namespace holdfast
