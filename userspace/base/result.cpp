#include "holdfast/base/result.h"

#include <cerrno>

namespace holdfast {
namespace {

class HoldfastCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "holdfast"; }
  std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::kInvalidArgument:
        return "invalid argument";
      case Errc::kNotFound:
        return "not found";
      case Errc::kExists:
        return "already exists";
      case Errc::kUnsupported:
        return "not supported";
      case Errc::kTimeout:
        return "timed out";
      case Errc::kClosed:
        return "closed by the peer";
      case Errc::kReset:
        return "reset by the peer";
      case Errc::kProtocol:
        return "protocol error";
      case Errc::kTooLarge:
        return "too large";
      case Errc::kUnavailable:
        return "unavailable";
      case Errc::kRefused:
        return "refused";
      case Errc::kCorrupt:
        return "corrupt";
      case Errc::kCancelled:
        return "cancelled";
    }
    return "unknown error";
  }
};

}  // namespace

const boost::system::error_category& holdfast_category() noexcept {
  static const HoldfastCategory category;
  return category;
}

boost::system::error_code make_error_code(Errc e) noexcept {
  return {static_cast<int>(e), holdfast_category()};
}

Error Error::from_errno(std::string context) {
  return Error{boost::system::error_code{errno, boost::system::system_category()},
               std::move(context)};
}

std::string Error::to_string() const {
  if (message.empty()) return code.message();
  // The category's own words only repeat what the sentence says.
  if (!code || code.category() == holdfast_category()) return message;
  return message + ": " + code.message();
}

void throw_exception_from_error(const Error& e, const boost::source_location& where) {
  throw std::runtime_error{e.to_string() + " (" + where.to_string() + ")"};
}

}  // namespace holdfast
