#include "holdfast/base/child.h"

#include <boost/asio/this_coro.hpp>
#include <exception>
#include <utility>

namespace holdfast {

Task<> as_child(Task<> work) {
  std::exception_ptr failure;
  try {
    co_await std::move(work);
  } catch (...) {
    failure = std::current_exception();
  }
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace holdfast
