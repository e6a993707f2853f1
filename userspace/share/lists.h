#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/event.h"
#include "holdfast/cache/query.h"

namespace holdfast::share {

/// A LIST on its way, for others that ask for the same. Thread-safe.
class ListUnderWay {
 public:
  /// It is whole, and was recorded as the answer to `query`; empty: nobody else can have it.
  void done(std::optional<cache::Query> query);
  [[nodiscard]] bool is_done() const;
  [[nodiscard]] std::optional<cache::Query> query() const;
  /// Notified (on its own executor) when it is done.
  void tell(Executor executor, std::weak_ptr<Event> event);

 private:
  mutable std::mutex mutex_;
  bool done_ = false;
  std::optional<cache::Query> query_;
  std::vector<std::pair<Executor, std::weak_ptr<Event>>> waiting_;
};

class Lists;

/// The one whose request goes upstream. Without `done` the others are told to go themselves.
class ListLead {
 public:
  ListLead(Lists& lists, std::string key, std::shared_ptr<ListUnderWay> list);
  ListLead(const ListLead&) = delete;
  ListLead& operator=(const ListLead&) = delete;
  ~ListLead();
  void done(cache::Query query);

 private:
  Lists& lists_;
  std::string key_;
  std::shared_ptr<ListUnderWay> list_;
};

/// The lists of this process that are under way, by what they ask for. Thread-safe.
class Lists {
 public:
  /// Null: `under_way` is another one's.
  std::unique_ptr<ListLead> lead(const std::string& key, std::shared_ptr<ListUnderWay>& under_way);

 private:
  friend class ListLead;
  void remove(const std::string& key, const ListUnderWay* list);

  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<ListUnderWay>> lists_;
};

}  // namespace holdfast::share
