#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "holdfast/identity/principal.h"
#include "holdfast/kube/request_attributes.h"

namespace holdfast::request {

/// The reads that the API server refused (403), in its words: who asks again while the link is down
/// is told the same, and not that nothing is known. In memory, bounded, for all threads.
class Denials {
 public:
  struct Denial {
    std::string message;                         ///< the API server's
    std::chrono::system_clock::time_point at{};  ///< when it said so
  };

  /// `era`: of the store (cache::Store::era); what was said in another one counts no more.
  void denied(const identity::PrincipalId& principal, const kube::RequestAttributes& attributes,
              std::uint64_t era, Denial denial);
  /// It was answered since.
  void allowed(const identity::PrincipalId& principal, const kube::RequestAttributes& attributes);
  [[nodiscard]] std::optional<Denial> find(const identity::PrincipalId& principal,
                                           const kube::RequestAttributes& attributes,
                                           std::uint64_t era) const;

 private:
  static constexpr std::size_t kMax = 1024;
  static constexpr std::size_t kMaxBytes = 2048;  ///< of a question, or a message; longer: not kept

  struct Entry {
    Denial denial;
    std::uint64_t era = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;  ///< by who asked what
  std::atomic<std::size_t> size_{0};                   ///< of `entries_`
};

}  // namespace holdfast::request
