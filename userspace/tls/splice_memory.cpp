#include "tls/splice_memory.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace holdfast::tls {
namespace {

using nlohmann::json;
using Seconds = std::chrono::seconds;

// Those that outlive a restart: what is wrong with a certificate of ours is found out anew.
constexpr Reason kLasting[] = {Reason::kHandshakeFailed, Reason::kUnknownClientCert};

std::optional<Reason> reason_of(const std::string& text) {
  for (const auto reason : kLasting) {
    if (to_string(reason) == text) return reason;
  }
  return std::nullopt;
}

std::string text_of(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string{};
}

std::int64_t number_of(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_number_integer() ? it->get<std::int64_t>() : 0;
}

}  // namespace

void SpliceMemory::touch(Entry& entry) {
  ages_.splice(ages_.begin(), ages_, entry.age);
}

void SpliceMemory::add(const ClientKey& client, Entry entry) {
  if (entries_.size() >= capacity_) erase(entries_.find(ages_.back()));
  ages_.push_front(client);
  entry.age = ages_.begin();
  entries_.emplace(client, std::move(entry));
  changed_ = true;
}

SpliceMemory::Entries::iterator SpliceMemory::erase(Entries::iterator it) {
  ages_.erase(it->second.age);
  changed_ = true;
  return entries_.erase(it);
}

std::optional<Reason> SpliceMemory::lookup(const ClientKey& client) {
  const std::scoped_lock lock{mutex_};
  const auto it = entries_.find(client);
  if (it == entries_.end()) return std::nullopt;
  auto& entry = it->second;
  touch(entry);
  if (clock_.now() < entry.until) return entry.reason;
  entry.on_trial = true;
  entry.until = clock_.now() + kTrial;
  return std::nullopt;
}

bool SpliceMemory::is_spliced(const ClientKey& client) const {
  const std::scoped_lock lock{mutex_};
  const auto it = entries_.find(client);
  return it != entries_.end() && clock_.now() < it->second.until;
}

void SpliceMemory::failed(const ClientKey& client, Reason reason, std::string certificate) {
  const std::scoped_lock lock{mutex_};
  const auto now = clock_.now();
  auto it = entries_.find(client);
  if (it == entries_.end()) {
    add(client, {.reason = reason,
                 .certificate = std::move(certificate),
                 .pause = kFirst,
                 .until = now + kFirst,
                 .on_trial = false,
                 .age = {}});
    return;
  }
  auto& entry = it->second;
  touch(entry);
  changed_ = changed_ || entry.reason != reason || entry.certificate != certificate;
  entry.reason = reason;
  entry.certificate = std::move(certificate);
  // Connections that were under way together fail together: only a failed re-test counts twice.
  if (!entry.on_trial) return;
  entry.on_trial = false;
  entry.pause = std::min<std::chrono::steady_clock::duration>(entry.pause * 2, kLongest);
  entry.until = now + entry.pause;
  changed_ = true;
}

void SpliceMemory::succeeded(const ClientKey& client) {
  const std::scoped_lock lock{mutex_};
  const auto it = entries_.find(client);
  // A handshake that began before the failure says nothing about it: only a re-test forgives.
  if (it == entries_.end() || !it->second.on_trial) return;
  erase(it);
}

void SpliceMemory::forget_certificates(
    const std::function<bool(const std::string& fingerprint)>& held) {
  const std::scoped_lock lock{mutex_};
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto& certificate = it->second.certificate;
    it = !certificate.empty() && held(certificate) ? erase(it) : std::next(it);
  }
}

std::size_t SpliceMemory::size() const {
  const std::scoped_lock lock{mutex_};
  return entries_.size();
}

std::vector<SplicedClient> SpliceMemory::spliced() const {
  const std::scoped_lock lock{mutex_};
  const auto now = clock_.now();
  std::vector<SplicedClient> out;
  for (const auto& client : ages_) {
    const auto& entry = entries_.at(client);
    if (now >= entry.until) continue;
    const auto left = std::chrono::ceil<Seconds>(entry.until - now);
    out.push_back({.client = client,
                   .reason = entry.reason,
                   .certificate = entry.certificate,
                   .until = clock_.wall() + left});
  }
  return out;
}

std::optional<std::string> SpliceMemory::changes() {
  const std::scoped_lock lock{mutex_};
  if (!changed_) return std::nullopt;
  changed_ = false;
  auto list = json::array();
  for (const auto& client : ages_) {
    if (list.size() >= kKept) break;
    const auto& entry = entries_.at(client);
    // Of a process that was gone too soon nothing is known that would mean something later.
    const bool lasting = std::ranges::find(kLasting, entry.reason) != std::end(kLasting);
    if (client.executable.empty() || !lasting) continue;
    const auto until = clock_.wall() + std::chrono::ceil<Seconds>(entry.until - clock_.now());
    list.push_back({{"workload", client.workload},
                    {"executable", client.executable},
                    {"target", client.target.to_string()},
                    {"reason", to_string(entry.reason)},
                    {"certificate", entry.certificate},
                    {"pause", std::chrono::ceil<Seconds>(entry.pause).count()},
                    {"until", std::chrono::system_clock::to_time_t(until)}});
  }
  // Paths are bytes, and need not be UTF-8.
  return list.dump(-1, ' ', false, json::error_handler_t::replace);
}

void SpliceMemory::restore(const std::string& kept) {
  const auto list = json::parse(kept, nullptr, false);
  if (!list.is_array()) return;
  const std::scoped_lock lock{mutex_};
  const auto now = clock_.now();
  // The last one that is added is the most recently used one.
  for (auto it = list.rbegin(); it != list.rend(); ++it) {
    if (!it->is_object()) continue;
    const auto target = Endpoint::parse(text_of(*it, "target"));
    const auto reason = reason_of(text_of(*it, "reason"));
    ClientKey client{.workload = text_of(*it, "workload"),
                     .executable = text_of(*it, "executable"),
                     .target = target ? *target : Endpoint{}};
    if (!target || !reason || client.executable.empty() || entries_.contains(client)) continue;
    const auto pause = std::clamp<Seconds>(Seconds{number_of(*it, "pause")}, kFirst, kLongest);
    const auto until = std::chrono::system_clock::from_time_t(number_of(*it, "until"));
    const auto left = std::chrono::duration_cast<Seconds>(until - clock_.wall());
    add(client, {.reason = *reason,
                 .certificate = text_of(*it, "certificate"),
                 .pause = pause,
                 .until = now + std::clamp<Seconds>(left, Seconds{0}, pause),
                 .on_trial = false,
                 .age = {}});
  }
  changed_ = false;
}

}  // namespace holdfast::tls
