#include "share/lists.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace holdfast::share {

void ListUnderWay::done(std::optional<cache::Query> query) {
  const std::lock_guard lock{mutex_};
  if (std::exchange(done_, true)) return;
  query_ = std::move(query);
  for (auto& [executor, weak] : std::exchange(waiting_, {})) {
    boost::asio::post(executor, [weak = std::move(weak)] {
      if (const auto event = weak.lock()) event->notify_all();
    });
  }
}

bool ListUnderWay::is_done() const {
  const std::lock_guard lock{mutex_};
  return done_;
}

std::optional<cache::Query> ListUnderWay::query() const {
  const std::lock_guard lock{mutex_};
  return query_;
}

void ListUnderWay::tell(Executor executor, std::weak_ptr<Event> event) {
  const std::lock_guard lock{mutex_};
  if (!done_) waiting_.emplace_back(std::move(executor), std::move(event));
}

ListLead::ListLead(Lists& lists, std::string key, std::shared_ptr<ListUnderWay> list)
    : lists_{lists}, key_{std::move(key)}, list_{std::move(list)} {}

ListLead::~ListLead() {
  lists_.remove(key_, list_.get());
  list_->done(std::nullopt);
}

void ListLead::done(cache::Query query) {
  list_->done(std::move(query));
}

std::unique_ptr<ListLead> Lists::lead(const std::string& key,
                                      std::shared_ptr<ListUnderWay>& under_way) {
  const std::lock_guard lock{mutex_};
  auto& slot = lists_[key];
  if (slot) {
    under_way = slot;
    return nullptr;
  }
  slot = std::make_shared<ListUnderWay>();
  return std::make_unique<ListLead>(*this, key, slot);
}

void Lists::remove(const std::string& key, const ListUnderWay* list) {
  const std::lock_guard lock{mutex_};
  const auto it = lists_.find(key);
  if (it != lists_.end() && it->second.get() == list) lists_.erase(it);
}

}  // namespace holdfast::share
