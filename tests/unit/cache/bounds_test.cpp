#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "cache/kv.h"
#include "cache/shelf.h"
#include "unit/cache/store_fixture.h"

namespace holdfast::cache {
namespace {

// A sanitizer makes it several times as slow.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr bool kMeasuresMemory = !kSanitized;  // what is freed stays in quarantine

/// The run that is labelled `long` takes a million of everything.
std::size_t many() {
  return ::getenv("HOLDFAST_LONG") != nullptr ? 1'000'000 : kSanitized ? 5'000 : 20'000;
}

std::uint64_t resident_bytes() {
  std::ifstream statm{"/proc/self/statm"};
  std::uint64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// As `du` counts.
std::uint64_t bytes_in(const std::filesystem::path& directory) {
  std::uint64_t out = 0;
  std::error_code gone;
  auto at = std::filesystem::recursive_directory_iterator{directory, gone};
  for (; !gone && at != std::filesystem::recursive_directory_iterator{}; at.increment(gone)) {
    struct stat info {};
    if (::lstat(at->path().c_str(), &info) == 0 && S_ISREG(info.st_mode))
      out += static_cast<std::uint64_t>(info.st_blocks) * 512;
  }
  return out;
}

class BoundsTest : public StoreTest {
 protected:
  /// The most that the directory takes while `fill` runs.
  template <class F>
  std::uint64_t most_while(F fill) {
    std::atomic<std::uint64_t> most{0};
    std::atomic<bool> done{false};
    std::thread sampler{[&] {
      while (!done) {
        most = std::max<std::uint64_t>(most, bytes_in(directory_.path()));
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
      }
    }};
    fill();
    done = true;
    sampler.join();
    return std::max<std::uint64_t>(most, bytes_in(directory_.path()));
  }

  /// Lists that replace each other, single objects and events: `total` bytes, unlike each other.
  void churn(std::uint64_t total) {
    std::uint64_t written = 0;
    for (int round = 0; written < total; ++round) {
      clock_.advance(std::chrono::seconds{1});
      const auto ns = "n" + std::to_string(round % 40);
      const auto version = static_cast<kube::ResourceVersion>(100 * (round + 1));
      std::vector<Item> list;
      for (int i = 0; i < 10; ++i)
        list.push_back({ns, "o" + std::to_string(i), version, "web",
                        std::to_string(version) + std::string(30'000, static_cast<char>('a' + i))});
      const auto recorder = store_->record_list(query(ns), "", {});
      recorder->feed(Slice::own(json_list(version, list)));
      recorder->finish({});
      const auto watch = store_->record_watch(query(ns), {.from = version}, {});
      list[0].version = version + 1;
      list[0].text += "!";
      watch->event(make_event(kube::EventType::kModified, list[0]), {});
      for (int i = 0; i < 20; ++i) {
        const auto name = "g" + std::to_string(round) + "-" + std::to_string(i);
        record_get_unseen(query(ns, name, 2), {ns, name, version, "web", std::string(2'000, 'x')});
      }
      written += 11 * 30'000 + 20 * 2'000;
      if (round % 16 == 0) store_->drain();
    }
    store_->drain();
  }
};

TEST_F(BoundsTest, TheDirectoryNeverExceedsTheBudget) {
  std::vector<std::uint64_t> budgets{16u << 20};
  if (!kSanitized) budgets.push_back(40u << 20);
  if (::getenv("HOLDFAST_LONG") != nullptr) budgets.push_back(256u << 20);
  for (const auto budget : budgets) {
    store_.reset();
    std::filesystem::remove_all(directory_.path() / "store");
    budget_ = budget;
    open();
    const auto most = most_while([&] { churn((kSanitized ? 3 : 10) * budget); });
    EXPECT_LE(most, budget);
    EXPECT_GT(most, budget / 3) << "the budget should be used";
    EXPECT_GT(store_->stats().evictions, 0u);
    // What compactions can't keep up with is given up and counted. Afterwards all is well again.
    const auto after = query("after" + std::to_string(budget), "", 3);
    ASSERT_TRUE(record_list(after, 1'000'000'000, {{after.ns, "one", 999'999'999}}));
    EXPECT_EQ(items(after), Strings{after.ns + "/one@999999999"});
    RecordProperty("most_of_" + std::to_string(budget >> 20), std::to_string(most));
  }
}

TEST_F(BoundsTest, ASmallerBudgetShrinksTheDirectory) {
  budget_ = 40u << 20;
  open();
  churn(budget_ * 2);
  store_->set_budget(16u << 20);
  store_->drain();
  EXPECT_LE(bytes_in(directory_.path()), 16u << 20);
  EXPECT_LE(most_while([&] { churn(kSanitized ? 24u << 20 : 64u << 20); }), 16u << 20);
}

TEST_F(BoundsTest, AnotherClustersFilesGoAtOnce) {
  budget_ = 40u << 20;
  open();
  ASSERT_TRUE(store_->bind_cluster("ca uid-1"));
  churn(budget_);
  ASSERT_TRUE(store_->bind_cluster("ca uid-2"));
  EXPECT_LE(most_while([&] { churn(2 * budget_); }), budget_);
}

TEST_F(BoundsTest, AMillionSelectorsTakeNoMoreThanAFew) {
  ASSERT_TRUE(record_list(query("kept", "", 7), 10, {{"kept", "one", 5}}, "", "",
                          {.node_component = true}));
  std::uint64_t early = 0;
  for (std::size_t i = 0; i < many(); ++i) {
    const auto recorder = store_->record_list(selected("app=x" + std::to_string(i)), "", {});
    recorder->feed(Slice::own(json_list(i + 1, {})));
    recorder->finish({});
    if (i % 1000 != 0) continue;
    store_->drain();
    clock_.advance(std::chrono::seconds{1});
    ASSERT_LE(store_->stats().collections, Shelf::kMaxOfGroup + 1);
    if (i == many() / 2) early = resident_bytes();
  }
  store_->drain();
  // The newest of them is there, the oldest is not; nor is anybody else's lost for it.
  EXPECT_EQ(list(selected("app=x" + std::to_string(many() - 1))).outcome, Outcome::kHit);
  EXPECT_EQ(list(selected("app=x0")).outcome, Outcome::kMiss);
  EXPECT_EQ(list(query("kept", "", 7)).outcome, Outcome::kHit);
  if (kMeasuresMemory) {
    EXPECT_LT(resident_bytes(), early + (24u << 20));
  }
}

TEST_F(BoundsTest, AMillionResourcesAndPrincipalsTakeNoMoreThanAFew) {
  ASSERT_TRUE(record_list(query("kept", "", 7), 10, {{"kept", "one", 5}}, "", "",
                          {.node_component = true}));
  std::uint64_t early = 0;
  for (std::size_t i = 0; i < many(); ++i) {
    auto other = query("a");
    other.principal.bytes[1] = static_cast<std::uint8_t>(i);
    other.principal.bytes[2] = static_cast<std::uint8_t>(i >> 8);
    other.principal.bytes[3] = static_cast<std::uint8_t>(i >> 16);
    other.gvr.resource = "r" + std::to_string(i % 7);
    const auto recorder = store_->record_list(other, "", {});
    recorder->feed(Slice::own(json_list(10, {})));
    recorder->finish({});
    if (i % 1000 != 0) continue;
    store_->drain();
    clock_.advance(std::chrono::seconds{1});
    ASSERT_LE(store_->stats().collections, Shelf::kMaxCollections + 1000);
    if (i == many() / 2) early = resident_bytes();
  }
  store_->drain();
  EXPECT_EQ(list(query("kept", "", 7)).outcome, Outcome::kHit);
  if (kMeasuresMemory) {
    EXPECT_LT(resident_bytes(), early + (24u << 20));
  }
}

TEST_F(BoundsTest, AMillionNamesTakeNoMoreThanAFew) {
  budget_ = Kv::kMinBudget;
  open();
  std::uint64_t early = 0;
  const auto most = most_while([&] {
    for (std::size_t i = 0; i < many(); ++i) {
      store_->record_not_found(query("a", "n" + std::to_string(i)),
                               R"({"kind":"Status","code":404,"reason":"NotFound"})", {});
      if (i % 1000 != 0) continue;
      store_->drain();
      if (i == many() / 2) early = resident_bytes();
    }
    store_->drain();
  });
  EXPECT_LE(most, budget_);
  EXPECT_LE(store_->stats().disk_bytes, Kv::live_share(budget_));
  if (kMeasuresMemory) {
    EXPECT_LT(resident_bytes(), early + (24u << 20));
  }
}

}  // namespace
}  // namespace holdfast::cache
