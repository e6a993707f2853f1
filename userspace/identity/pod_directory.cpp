#include <algorithm>
#include <deque>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>

#include "holdfast/identity/process.h"

namespace holdfast::identity {
namespace {

class PodDirectoryImpl final : public PodDirectory {
 public:
  explicit PodDirectoryImpl(std::size_t capacity) : capacity_{std::max<std::size_t>(capacity, 1)} {}

  void learn(std::string_view uid, PodName name) override {
    if (uid.empty()) return;
    std::scoped_lock lock{mutex_};
    const auto [it, is_new] = names_.insert_or_assign(std::string{uid}, std::move(name));
    if (!is_new) return;
    order_.push_back(it->first);
    if (order_.size() > capacity_) {
      names_.erase(order_.front());
      order_.pop_front();
    }
  }

  std::optional<PodName> find(std::string_view uid) const override {
    std::shared_lock lock{mutex_};
    const auto it = names_.find(std::string{uid});
    if (it == names_.end()) return std::nullopt;
    return it->second;
  }

 private:
  const std::size_t capacity_;
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, PodName> names_;
  std::deque<std::string> order_;  ///< oldest first: pods come and go
};

}  // namespace

std::unique_ptr<PodDirectory> PodDirectory::create(std::size_t capacity) {
  return std::make_unique<PodDirectoryImpl>(capacity);
}

}  // namespace holdfast::identity
