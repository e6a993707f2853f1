#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/tls/spliced_client.h"

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
  /// How many are written down, the most recently used ones: each of the others costs one failed
  /// handshake after a restart.
  static constexpr std::size_t kKept = 256;

  explicit SpliceMemory(const Clock& clock, std::size_t capacity = kCapacity)
      : clock_{clock}, capacity_{capacity} {}

  /// Why this client is to be spliced now. Nothing: terminate. When its time has passed, one caller
  /// gets nothing and is the re-test.
  std::optional<Reason> lookup(const ClientKey& client);
  /// The same for one who only looks: no re-test, no recent use.
  [[nodiscard]] bool is_spliced(const ClientKey& client) const;
  /// Splice from now on: 10 min at first, twice as long after each failed re-test, 24 h at most.
  /// `certificate`: the fingerprint of the one whose key is missing, if that is the reason.
  void failed(const ClientKey& client, Reason reason, std::string certificate = {});
  /// Forgets the client, if this was its re-test.
  void succeeded(const ClientKey& client);
  /// The key of some certificates is here now: forgets the clients that presented them.
  void forget_certificates(const std::function<bool(const std::string& fingerprint)>& held);

  [[nodiscard]] std::size_t size() const;
  /// Those that are spliced now, the most recently used first.
  [[nodiscard]] std::vector<SplicedClient> spliced() const;
  /// What a restart needs to know (see `restore`), if that changed since the last call.
  std::optional<std::string> changes();
  /// Takes up what `changes` gave to an earlier run, even if the wall clock was set meanwhile: no
  /// pause grows longer than it was. What can't be understood is left out. Before the first client.
  void restore(const std::string& kept);

 private:
  struct Entry {
    Reason reason;
    std::string certificate;
    std::chrono::steady_clock::duration pause;
    std::chrono::steady_clock::time_point until;
    bool on_trial = false;
    std::list<ClientKey>::iterator age;
  };
  using Entries = std::map<ClientKey, Entry>;

  void touch(Entry& entry);
  void add(const ClientKey& client, Entry entry);
  Entries::iterator erase(Entries::iterator it);

  const Clock& clock_;
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  Entries entries_;
  std::list<ClientKey> ages_;  ///< most recently used first
  bool changed_ = false;
};

}  // namespace holdfast::tls
