#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <map>
#include <mutex>
#include <optional>

#include "holdfast/base/clock.h"
#include "holdfast/tls/terminator.h"

namespace holdfast::tls {

/// Remembers the clients that did not like our certificate, so that they get the real server.
/// Thread-safe and bounded: the client that was looked up longest ago is forgotten first.
class SpliceMemory {
 public:
  static constexpr std::chrono::minutes kFirst{10};
  static constexpr std::chrono::hours kLongest{24};
  /// While one connection re-tests, others stay spliced for this long, in case it never reports.
  static constexpr std::chrono::seconds kTrial{30};
  static constexpr std::size_t kCapacity = 10'000;

  explicit SpliceMemory(const Clock& clock, std::size_t capacity = kCapacity)
      : clock_{clock}, capacity_{capacity} {}

  /// Why this client is to be spliced now. Nothing: terminate. When its time has passed, one caller
  /// gets nothing and is the re-test.
  std::optional<Reason> lookup(const ClientKey& client);
  /// Splice from now on: 10 min at first, twice as long after each failed re-test, 24 h at most.
  void failed(const ClientKey& client, Reason reason);
  /// Forgets the client, if this was its re-test.
  void succeeded(const ClientKey& client);
  [[nodiscard]] std::size_t size() const;

 private:
  struct Entry {
    Reason reason;
    std::chrono::steady_clock::duration pause;
    std::chrono::steady_clock::time_point until;
    bool on_trial = false;
    std::list<ClientKey>::iterator age;
  };

  void touch(Entry& entry);

  const Clock& clock_;
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::map<ClientKey, Entry> entries_;
  std::list<ClientKey> ages_;  ///< most recently used first
};

}  // namespace holdfast::tls
