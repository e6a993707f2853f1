#include "writes/event_queue.h"

#include <algorithm>

namespace holdfast::writes {

std::size_t KeptEvent::cost() const {
  std::size_t bytes = sizeof(KeptEvent) + body.size() + head.target.size();
  for (const auto& [name, value] : head.headers) bytes += name.size() + value.size();
  return bytes + credential.token.size();
}

EventQueue::Kept EventQueue::keep(const Owner& owner, Alive client, KeptEvent event) {
  const std::lock_guard lock{mutex_};
  const auto cost = event.cost();
  if (cost > limits_.bytes || limits_.count == 0) return Kept::kNo;
  stats_.bytes += cost;
  ++stats_.count;
  items_.push_back({owner, std::move(event)});
  make_room();
  const auto [it, first] = senders_.try_emplace(owner);
  auto& clients = it->second;
  std::erase_if(clients, [](const Alive& each) { return each.expired(); });
  const bool known = std::ranges::any_of(clients, [&client](const Alive& each) {
    return !each.owner_before(client) && !client.owner_before(each);
  });
  if (!known) clients.push_back(std::move(client));
  return first ? Kept::kFirst : Kept::kYes;
}

void EventQueue::make_room() {
  while (stats_.count > limits_.count || stats_.bytes > limits_.bytes) {
    stats_.bytes -= items_.front().event.cost();
    --stats_.count;
    ++stats_.dropped;
    items_.pop_front();
  }
}

bool EventQueue::alive(const Owner& owner) {
  const std::lock_guard lock{mutex_};
  const auto it = senders_.find(owner);
  return it != senders_.end() &&
         std::ranges::any_of(it->second, [](const Alive& each) { return !each.expired(); });
}

std::optional<KeptEvent> EventQueue::next(const Owner& owner) {
  const std::lock_guard lock{mutex_};
  const auto it = std::ranges::find(items_, owner, &Item::owner);
  if (it == items_.end()) {
    senders_.erase(owner);
    return std::nullopt;
  }
  auto event = std::move(it->event);
  items_.erase(it);
  stats_.bytes -= event.cost();
  --stats_.count;
  return event;
}

void EventQueue::give_back(const Owner& owner, KeptEvent event) {
  const std::lock_guard lock{mutex_};
  stats_.bytes += event.cost();
  ++stats_.count;
  items_.push_front({owner, std::move(event)});
  make_room();
}

std::size_t EventQueue::forget(const Owner& owner) {
  const std::lock_guard lock{mutex_};
  std::size_t count = 0;
  std::erase_if(items_, [&](const Item& item) {
    if (item.owner != owner) return false;
    stats_.bytes -= item.event.cost();
    ++count;
    return true;
  });
  stats_.count -= count;
  stats_.dropped += count;
  senders_.erase(owner);
  return count;
}

EventQueue::Stats EventQueue::stats() {
  const std::lock_guard lock{mutex_};
  return stats_;
}

}  // namespace holdfast::writes
