#pragma once

#include <chrono>
#include <map>
#include <string>

#include "tls/certificate.h"
#include "tls/names.h"

namespace holdfast::tls {

/// The names on the real API servers' certificates, as they were seen one after the other: behind
/// one address there are often several servers whose certificates differ.
class SeenNames {
 public:
  /// A name that no server has shown for so long is forgotten.
  static constexpr std::chrono::hours kForgotten{24};

  void add(const Names& names, WallTime now) {
    for (const auto& name : names.dns) dns_[name] = now;
    for (const auto& address : names.addresses) addresses_[address] = now;
  }
  [[nodiscard]] Names names(WallTime now) {
    const auto forgotten = [&](const auto& entry) { return now - entry.second > kForgotten; };
    std::erase_if(dns_, forgotten);
    std::erase_if(addresses_, forgotten);
    Names all;
    for (const auto& [name, when] : dns_) all.dns.insert(name);
    for (const auto& [address, when] : addresses_) all.addresses.insert(address);
    return all;
  }

 private:
  std::map<std::string, WallTime> dns_;
  std::map<Endpoint, WallTime> addresses_;
};

}  // namespace holdfast::tls
