#include "http/children.h"

#include <spdlog/spdlog.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/system/system_error.hpp>
#include <exception>

#include "holdfast/base/child.h"

namespace holdfast::http {
namespace {

void report(const std::exception_ptr& failure) {
  if (!failure) return;
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& e) {
    if (e.code() != boost::asio::error::operation_aborted) {
      log_failure(e.what());
    }
  } catch (const std::exception& e) {
    log_failure(e.what());
  }
}

}  // namespace

void Children::spawn(Task<> child, std::shared_ptr<void> keep,
                     boost::asio::cancellation_slot slot) {
  ++size_;
  auto done = [this, keep = std::move(keep)](std::exception_ptr failure) {
    report(failure);
    if (--size_ == 0) idle_.notify_all();
  };
  boost::asio::co_spawn(executor_, as_child(std::move(child)),
                        boost::asio::bind_cancellation_slot(slot, std::move(done)));
}

Task<> Children::join() {
  while (size_ > 0) co_await idle_.wait();
}

void log_failure(const char* what) {
  spdlog::error("http: a handler failed: {}", what);
}

void throw_cancelled() {
  throw boost::system::system_error{boost::asio::error::operation_aborted};
}

}  // namespace holdfast::http
