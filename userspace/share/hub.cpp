#include "share/hub.h"

#include <algorithm>

#include <boost/asio/post.hpp>
#include <utility>

namespace holdfast::share {

namespace {

std::size_t bytes_of(const HubBatch& batch) {
  std::size_t out = sizeof(HubBatch);
  for (const auto& event : batch.events) {
    out += sizeof(event) + event.frame.size() + event.object.body.size();
  }
  return out;
}

}  // namespace

HubReader::HubReader(Executor executor)
    : changed_{std::make_shared<Event>(executor)}, inbox_{std::make_shared<Inbox>(executor)} {
  inbox_->changed = changed_;
}

HubBatchPtr HubReader::next() {
  const std::lock_guard lock{inbox_->mutex};
  if (inbox_->batches.empty()) return nullptr;
  auto batch = std::move(inbox_->batches.front());
  inbox_->batches.pop_front();
  inbox_->bytes -= batch->bytes;
  return batch;
}

bool HubReader::ended() const {
  const std::lock_guard lock{inbox_->mutex};
  return inbox_->ended && inbox_->batches.empty();
}

Task<> HubReader::wait(SteadyClock::duration limit) {
  {
    const std::lock_guard lock{inbox_->mutex};
    if (!inbox_->batches.empty() || inbox_->ended) co_return;
  }
  // What wakes it is posted to this thread: nothing gets lost in between.
  co_await changed_->wait_for(limit);
}

void HubReader::Inbox::put(HubBatchPtr batch) {
  const std::lock_guard lock{mutex};
  if (ended) return;
  bytes += batch->bytes;
  // A reader that is too slow has what is there, and is told that there is no more.
  if (bytes > kBacklog && !batches.empty()) {
    bytes -= batch->bytes;
    ended = true;
  } else {
    batches.push_back(std::move(batch));
  }
  wake();
}

void HubReader::Inbox::end() {
  const std::lock_guard lock{mutex};
  ended = true;
  wake();
}

void HubReader::Inbox::wake() {
  if (std::exchange(waking, true)) return;
  boost::asio::post(executor, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    {
      const std::lock_guard guard{self->mutex};
      self->waking = false;
    }
    if (const auto event = self->changed.lock()) event->notify_all();
  });
}

void Hub::opened(cache::Query query) {
  const std::lock_guard lock{mutex_};
  query_ = std::move(query);
  for (const auto& weak : inboxes_) {
    const auto inbox = weak.lock();
    if (!inbox) continue;
    const std::lock_guard guard{inbox->mutex};
    inbox->wake();
  }
}

void Hub::publish(HubBatch published) {
  published.bytes = bytes_of(published);
  const auto batch = std::make_shared<const HubBatch>(std::move(published));
  const std::lock_guard lock{mutex_};
  if (closed_) return;
  std::erase_if(inboxes_, [](const auto& weak) { return weak.expired(); });
  for (const auto& weak : inboxes_) {
    if (const auto inbox = weak.lock()) inbox->put(batch);
  }
  const auto now = SteadyClock::now();
  if (batch->base) {
    // Who is between its two ends can't take it.
    window_.clear();
    window_bytes_ = 0;
    window_begin_ = batch->end;
    difference_until_ = now + kDifferenceKept;
    if (batch->bytes <= HubReader::kBacklog) window_.push_back(batch);
    return;
  }
  window_bytes_ += batch->bytes;
  window_.push_back(batch);
  const bool differs = window_.front()->base.has_value();
  if (differs && (window_bytes_ > kWindow || now >= difference_until_)) window_.pop_front();
  while (window_bytes_ > kWindow) {
    window_bytes_ -= window_.front()->bytes;
    window_begin_ = std::max(window_begin_, window_.front()->end);
    window_.pop_front();
  }
}

void Hub::close() {
  const std::lock_guard lock{mutex_};
  closed_ = true;
  for (const auto& weak : inboxes_) {
    if (const auto inbox = weak.lock()) inbox->end();
  }
  inboxes_.clear();
  window_.clear();
}

bool Hub::covers(kube::ResourceVersion from) const {
  const std::lock_guard lock{mutex_};
  return covers_locked(from);
}

bool Hub::covers_locked(kube::ResourceVersion from) const {
  if (closed_) return false;
  return from >= window_begin_ || (!window_.empty() && window_.front()->base == from);
}

bool Hub::followed() const {
  const std::scoped_lock lock{mutex_};
  return std::ranges::any_of(inboxes_, [](const auto& weak) { return !weak.expired(); });
}

std::unique_ptr<HubReader> Hub::join(Executor executor, kube::ResourceVersion from) {
  const std::lock_guard lock{mutex_};
  if (!covers_locked(from)) return nullptr;
  auto reader = std::make_unique<HubReader>(std::move(executor));
  for (const auto& batch : window_) {
    if (batch->base ? *batch->base == from : batch->end > from) reader->inbox_->put(batch);
  }
  inboxes_.push_back(reader->inbox_);
  return reader;
}

std::optional<cache::Query> Hub::query() const {
  const std::lock_guard lock{mutex_};
  return query_;
}

HubLead::HubLead(Hubs& hubs, std::string key, std::shared_ptr<Hub> hub)
    : hubs_{hubs}, key_{std::move(key)}, hub_{std::move(hub)} {}

HubLead::~HubLead() {
  // First out of the way, so that the first one who is told can lead.
  hubs_.remove(key_, hub_.get());
  hub_->close();
}

std::shared_ptr<Hub> Hubs::find(const std::string& key) const {
  const std::lock_guard lock{mutex_};
  const auto it = hubs_.find(key);
  return it == hubs_.end() ? nullptr : it->second;
}

std::unique_ptr<HubLead> Hubs::lead(std::string key, kube::ResourceVersion from) {
  const std::lock_guard lock{mutex_};
  auto& slot = hubs_[key];
  if (slot) return nullptr;
  slot = std::make_shared<Hub>(from);
  return std::make_unique<HubLead>(*this, std::move(key), slot);
}

void Hubs::remove(const std::string& key, const Hub* hub) {
  const std::lock_guard lock{mutex_};
  const auto it = hubs_.find(key);
  if (it != hubs_.end() && it->second.get() == hub) hubs_.erase(it);
}

}  // namespace holdfast::share
