#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <stdexcept>
#include <string>
#include <utility>

namespace holdfast {

/// What went wrong: a code for programs and, where a person will read it, a sentence that says
/// which thing failed and what to do.
struct Error {
  boost::system::error_code code;
  std::string message;

  Error() = default;
  Error(boost::system::error_code c, std::string m = {}) : code{c}, message{std::move(m)} {}
  /// The current `errno` with a sentence of context.
  static Error from_errno(std::string context);
  /// "message: code's own text", or whichever of the two is there.
  [[nodiscard]] std::string to_string() const;
};

/// Failures that have no errno of their own.
enum class Errc {
  kInvalidArgument = 1,  ///< malformed input; the message names the place
  kNotFound,
  kExists,
  kUnsupported,  ///< the kernel, the peer or the build lacks it
  kTimeout,      ///< a deadline passed
  kClosed,       ///< the peer ended the stream or connection in order
  kReset,        ///< the peer aborted it
  kProtocol,     ///< the peer broke the protocol
  kTooLarge,     ///< a limit was met
  kUnavailable,  ///< cannot be answered now: link down, queue full
  kRefused,      ///< the peer or a rule said no
  kCorrupt,      ///< stored data failed its check
  kCancelled,    ///< the caller gave up; not an error to report
};

const boost::system::error_category& holdfast_category() noexcept;
boost::system::error_code make_error_code(Errc e) noexcept;

inline Error make_error(Errc e, std::string message = {}) {
  return Error{make_error_code(e), std::move(message)};
}

/// What every fallible call returns; see boost::system::result.
template <class T = void>
using Result = boost::system::result<T, Error>;

/// Called by `Result::value()` when there is none.
[[noreturn]] void throw_exception_from_error(const Error& e, const boost::source_location& where);

}  // namespace holdfast

template <>
struct boost::system::is_error_code_enum<holdfast::Errc> : std::true_type {};
