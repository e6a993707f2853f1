#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "holdfast/http/message.h"
#include "holdfast/identity/credential.h"
#include "holdfast/upstream/identity.h"

namespace holdfast::writes {

/// An Event that waits for the link, with everything that sending it takes.
struct KeptEvent {
  http::RequestHead head;  ///< as it goes upstream, the client's credential in it
  std::string body;
  identity::Credential credential;
  upstream::Identity identity;  ///< the client certificate that it came under; null: none
  unsigned tries = 0;
  [[nodiscard]] std::size_t cost() const;  ///< bytes
};

/// The Events of all clients in one order, bounded: the oldest make room. Each belongs to an owner,
/// the credential that it was made with, and lives no longer than the last connection of it.
/// Thread-safe: Events come from all I/O threads, and only while the link is down.
class EventQueue {
 public:
  using Owner = identity::CredentialHash;
  /// Expired when the client's connection has ended.
  using Alive = std::weak_ptr<const void>;
  struct Limits {
    std::size_t count = 1000, bytes = 2 * 1024 * 1024;
  };

  explicit EventQueue(Limits limits) : limits_{limits} {}
  EventQueue() : EventQueue{Limits{}} {}

  enum class Kept : std::uint8_t { kNo, kYes, kFirst };
  /// kNo: larger than everything that may be kept. kFirst: nobody sends for this owner yet; the
  /// caller does from now on.
  Kept keep(const Owner& owner, Alive client, KeptEvent event);
  /// False when every connection of the owner that Events came over has ended.
  [[nodiscard]] bool alive(const Owner& owner);
  /// The owner's oldest; empty when there is none: then nobody sends for the owner any more.
  std::optional<KeptEvent> next(const Owner& owner);
  /// It could not be sent yet: the owner's oldest again.
  void give_back(const Owner& owner, KeptEvent event);
  /// Drops what the owner has; nobody sends for it any more. Returns how many.
  std::size_t forget(const Owner& owner);

  struct Stats {
    std::size_t count = 0, bytes = 0;
    std::uint64_t dropped = 0;  ///< for want of room, or of an owner
  };
  [[nodiscard]] Stats stats();

 private:
  struct Item {
    Owner owner;
    KeptEvent event;
  };
  void make_room();

  const Limits limits_;
  std::mutex mutex_;
  std::deque<Item> items_;
  std::map<Owner, std::vector<Alive>> senders_;  // owners somebody sends for
  Stats stats_;
};

}  // namespace holdfast::writes
