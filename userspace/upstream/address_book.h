#pragma once

#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/event.h"
#include "holdfast/base/result.h"
#include "holdfast/base/task.h"

namespace holdfast::upstream {

/// The addresses of servers by name, as last resolved: the name server is often behind the same
/// link. Lives on one io_context.
class AddressBook {
 public:
  using Answer = std::function<void(boost::system::error_code, std::vector<Endpoint>)>;
  /// Resolves a name and calls back on the io_context. It can't be interrupted (getaddrinfo), and
  /// may take as long as it likes.
  using Lookup = std::function<void(const std::string& host, std::uint16_t port, Answer)>;

  AddressBook(Executor executor, Lookup lookup) : executor_{executor}, lookup_{std::move(lookup)} {}
  /// With the system's resolver.
  static std::shared_ptr<AddressBook> create(Executor executor);

  /// Waits for a fresh answer at most `limit`, then takes the last one. An error when there was
  /// none yet.
  Task<Result<std::vector<Endpoint>>> find(std::string host, std::uint16_t port,
                                           std::chrono::milliseconds limit);

 private:
  struct Name {
    explicit Name(Executor executor) : answered{executor} {}
    std::vector<Endpoint> known;
    boost::system::error_code failure;
    bool asked = false;  ///< one question at a time: they would queue behind one that hangs
    Event answered;
  };
  static void ask(const Lookup& lookup, const std::string& host, std::uint16_t port,
                  std::shared_ptr<Name> name);

  const Executor executor_;
  const Lookup lookup_;
  std::map<std::pair<std::string, std::uint16_t>, std::shared_ptr<Name>> names_;
};

}  // namespace holdfast::upstream
