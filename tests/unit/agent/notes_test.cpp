#include "agent/notes.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <vector>

namespace holdfast::agent {
namespace {

/// A disk that stands still until it is told to go on.
class SlowStore final : public identity::CredentialStore {
 public:
  Result<void> put(const identity::CredentialHash&, std::string_view) override { return {}; }
  std::optional<std::string> get(const identity::CredentialHash&) override { return std::nullopt; }
  Result<void> erase(const identity::CredentialHash&) override { return {}; }
  Result<void> put_named(std::string_view name, std::string_view value) override {
    std::unique_lock lock{mutex_};
    ++started_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return going_; });
    written.push_back(std::string{name} + "=" + std::string{value});
    return {};
  }
  std::optional<std::string> get_named(std::string_view) override { return std::nullopt; }

  void wait_started() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return started_ > 0; });
  }
  void go() {
    const std::scoped_lock lock{mutex_};
    going_ = true;
    changed_.notify_all();
  }
  std::vector<std::string> written;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int started_ = 0;
  bool going_ = false;
};

TEST(NotesTest, NobodyWaitsForTheDiskAndNothingIsLost) {
  SlowStore store;
  {
    Notes notes{store};
    notes.keep("a", "1");
    store.wait_started();
    notes.keep("b", "1");  // returns, though the disk does not
    notes.keep("b", "2");
    notes.keep("a", "2");
    EXPECT_TRUE(store.written.empty());
    store.go();
  }
  EXPECT_EQ(store.written, (std::vector<std::string>{"a=1", "a=2", "b=2"}));
}

}  // namespace
}  // namespace holdfast::agent
