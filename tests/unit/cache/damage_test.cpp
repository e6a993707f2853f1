#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <future>
#include <thread>

#include "cache/engine.h"
#include "cache/kv.h"
#include "unit/cache/failing_kv.h"
#include "unit/cache/store_fixture.h"

namespace holdfast::cache {
namespace {

using kube::EventType;

class DamageTest : public StoreTest {
 protected:
  [[nodiscard]] std::filesystem::path rows() const { return directory_.path() / "store"; }
  [[nodiscard]] std::filesystem::path aside() const { return directory_.path() / "store.corrupt"; }

  /// Changes one byte of every value whose row is of that kind.
  int damage(char row) {
    store_.reset();
    auto kv = Kv::open_disk(rows(), budget_).value();
    std::vector<std::pair<std::string, std::string>> changed;
    for (auto at = kv->scan(std::string(1, row), nullptr); at->valid(); at->next()) {
      std::string value{at->value()};
      value[value.size() / 2] ^= 1;
      changed.emplace_back(at->key(), value);
    }
    for (const auto& [key, value] : changed)
      EXPECT_TRUE(kv->write({{key, std::string_view{value}}}, true));
    kv.reset();
    open();
    return static_cast<int>(changed.size());
  }

  /// A store over a disk that is full whenever `full_` says so.
  void open_failing() {
    store_.reset();
    auto key = load_store_key(directory_.path(), "auto").value();
    auto disk = std::make_unique<FailingKv>(Kv::open_disk(rows(), budget_).value(), full_);
    kv_ = disk.get();
    store_ = open_store(options(), clock_, std::move(disk), Kv::open_memory().value(), key,
                        LossMark::open(directory_.path() / "lost-writes").value())
                 .value();
  }
  std::shared_ptr<std::atomic<bool>> full_ = std::make_shared<std::atomic<bool>>(false);
  FailingKv* kv_ = nullptr;  // of `open_failing`
};

TEST_F(DamageTest, WhatIsTakenAwayStaysAwayAfterAPowerCut) {
  open_failing();
  ASSERT_TRUE(record_get(query("a", "one"), {"a", "one", 5}));
  const auto synced = [&](const std::function<void()>& change) {
    std::promise<void> done;
    const int before = kv_->syncs;
    change();
    // One more task behind it, which asks for no sync itself.
    store_->record_list(query("z"), "", {})->finish([&](bool) { done.set_value(); });
    done.get_future().wait();
    return kv_->syncs > before;
  };
  EXPECT_FALSE(synced([&] { record_get_unseen(query("a", "two"), {"a", "two", 6}); }));
  EXPECT_TRUE(synced([&] { store_->record_not_found(query("a", "one"), "{}", {}); }));
  EXPECT_TRUE(synced([&] { store_->purge(query("a", "two")); }));
  EXPECT_TRUE(synced([&] { store_->forget_resource(principal(1), query().gvr); }));
  EXPECT_TRUE(synced([&] {
    ASSERT_TRUE(store_->credentials().erase({}));
    store_->credentials().sync();
  }));
}

TEST_F(DamageTest, ADamagedObjectIsNotServedNorItsList) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}, {"a", "two", 6}}));
  ASSERT_TRUE(record_get(query("b", "x"), {"b", "x", 7}));
  ASSERT_EQ(damage('B'), 3);
  const auto answer = list(query("a"));
  ASSERT_TRUE(answer.snapshot);
  kube::Object object;
  const auto next = answer.snapshot->next(object);
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, make_error_code(Errc::kCorrupt));
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  EXPECT_EQ(get(query("b", "x")).outcome, Outcome::kMiss);
  EXPECT_EQ(store_->stats().corrupt_records, 2u);
  ASSERT_TRUE(record_list(query("a"), 12, {{"a", "one", 11}}));
  EXPECT_EQ(items(query("a")), Strings{"a/one@11"});
  ASSERT_TRUE(record_get(query("b", "x"), {"b", "x", 8}));
  EXPECT_EQ(get(query("b", "x")).outcome, Outcome::kHit);
}

TEST_F(DamageTest, ADamagedMemberBreaksItsList) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  ASSERT_EQ(damage('M'), 1);
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kBroken);
  EXPECT_GT(store_->stats().corrupt_records, 0u);
}

TEST_F(DamageTest, AMissingMemberBreaksItsList) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}, {"a", "two", 5}}));
  store_.reset();
  {
    auto kv = Kv::open_disk(rows(), budget_).value();
    const std::string key{kv->scan("M", nullptr)->key()};
    ASSERT_TRUE(kv->write({{key, std::nullopt}}, true));
  }
  open();
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
}

TEST_F(DamageTest, ADamagedListIsForgotten) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  ASSERT_EQ(damage('C'), 1);
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
  store_->drain();
  EXPECT_EQ(store_->stats().objects, 0u);
  ASSERT_EQ(damage('G'), 0);
}

TEST_F(DamageTest, AStoreThatDoesNotOpenIsSetAside) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  for (int round = 0; round < 2; ++round) {
    store_.reset();
    std::ofstream{rows() / "CURRENT"} << "nonsense";
    open();
    EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
    EXPECT_TRUE(std::filesystem::exists(aside()));
    ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  }
  open();
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
}

TEST_F(DamageTest, AStoreInUseIsLeftAlone) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  EXPECT_FALSE(Store::open(options(), clock_));
  EXPECT_FALSE(std::filesystem::exists(aside()));
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
}

TEST_F(DamageTest, AFullDiskNeverServesTheOldNorLosesTheRest) {
  open_failing();
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_list(query("b"), 10, {{"b", "two", 5}}));
  ASSERT_TRUE(record_get(query("c", "x"), {"c", "x", 7}));
  auto watch = store_->record_watch(query("a"), {.from = 10}, {});
  *full_ = true;
  EXPECT_FALSE(send(*watch, make_event(EventType::kModified, {"a", "one", 11})));
  EXPECT_FALSE(record_get(query("c", "x"), {"c", "x", 12}));
  EXPECT_FALSE(record_list(query("d"), 12, {{"d", "new", 9}}));
  // What went on without us is not served; the rest is.
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  EXPECT_EQ(get(query("c", "x")).outcome, Outcome::kMiss);
  EXPECT_EQ(list(query("d")).outcome, Outcome::kMiss);
  EXPECT_EQ(items(query("b")), Strings{"b/two@5"});
  EXPECT_GE(store_->stats().write_errors, 3u);
  EXPECT_EQ(store_->floor(principal(1), query().gvr), 12u);
  // Space returns.
  *full_ = false;
  ASSERT_TRUE(record_list(query("d"), 13, {{"d", "new", 9}}));
  EXPECT_EQ(items(query("d")), Strings{"d/new@9"});
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  ASSERT_TRUE(record_list(query("a"), 14, {{"a", "one", 11}}));
  EXPECT_EQ(items(query("a")), Strings{"a/one@11"});
  watch.reset();
  open();
  EXPECT_EQ(items(query("a")), Strings{"a/one@11"});
  EXPECT_EQ(items(query("b")), Strings{"b/two@5"});
  EXPECT_EQ(get(query("c", "x")).outcome, Outcome::kMiss);
}

TEST_F(DamageTest, ADiskThatHangsFillsNoMemory) {
  open_failing();
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  kv_->hangs = true;
  // What must not be lost is always accepted, whatever waits: up to a bound.
  for (std::size_t i = 0; i < 3 * Writer::kMaxTasks; ++i)
    store_->record_not_found(query("b", "n" + std::to_string(i)), "{}", {});
  store_->purge(query("a"));  // one of those that had no room
  EXPECT_NE(list(query("a")).outcome, Outcome::kHit);
  kv_->hangs = false;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  while (!record_list(query("c"), 11, {{"c", "one", 5}}) &&
         std::chrono::steady_clock::now() < limit) {
  }
  EXPECT_EQ(items(query("c")), Strings{"c/one@5"});
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
  EXPECT_EQ(get(query("b", "n1")).outcome, Outcome::kMiss);
  ASSERT_TRUE(record_list(query("a"), 11, {{"a", "one", 5}}));
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
}

TEST_F(DamageTest, LossesOnAFullDiskTakeNoMoreThanSomeMemory) {
  open_failing();
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_get(query("b", "kept"), {"b", "kept", 7}));
  *full_ = true;
  for (int i = 0; i < 10'000; ++i)
    record_get_unseen(query("b", "n" + std::to_string(i)), {"b", "n" + std::to_string(i), 8});
  store_->drain();
  // Too many to know which: none of the single objects counts, lists do.
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
  EXPECT_EQ(get(query("b", "kept")).outcome, Outcome::kMiss);
  *full_ = false;
  ASSERT_TRUE(record_get(query("b", "later"), {"b", "later", 9}));
  EXPECT_EQ(get(query("b", "kept")).outcome, Outcome::kMiss);
  ASSERT_TRUE(record_get(query("b", "kept"), {"b", "kept", 7}));
  EXPECT_EQ(get(query("b", "kept")).outcome, Outcome::kHit);
  open();
  EXPECT_EQ(get(query("b", "n1")).outcome, Outcome::kMiss);
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
}

TEST_F(DamageTest, TheSameShownAgainNeedsNoWrite) {
  open_failing();
  ASSERT_TRUE(record_get(query("a", "one"), {"a", "one", 5}));
  *full_ = true;
  EXPECT_TRUE(record_get(query("a", "one"), {"a", "one", 5}));
  EXPECT_EQ(store_->stats().write_errors, 0u);
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kHit);
  // What is new does; after that was lost, so does the same.
  EXPECT_FALSE(record_get(query("a", "one"), {"a", "one", 6}));
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kMiss);
  *full_ = false;
  EXPECT_TRUE(record_get(query("a", "one"), {"a", "one", 6}));
  EXPECT_EQ(get(query("a", "one")).object.meta.resource_version, 6u);
}

TEST_F(DamageTest, AStopOnAFullDiskIsRemembered) {
  open_failing();
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  auto watch = store_->record_watch(query("a"), {.from = 10}, {});
  *full_ = true;
  EXPECT_FALSE(send(*watch, make_event(EventType::kModified, {"a", "one", 11})));
  watch.reset();
  open();
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  ASSERT_TRUE(record_list(query("a"), 12, {{"a", "one", 11}}));
  open();
  EXPECT_EQ(items(query("a")), Strings{"a/one@11"});
}

/// Lists of one generation each: every item carries the list's own number.
std::vector<Item> generation(int number) {
  std::vector<Item> out;
  for (int i = 0; i < 300; ++i)
    out.push_back({"a", "o" + std::to_string(i), static_cast<kube::ResourceVersion>(number)});
  return out;
}

/// What a process of its own does to a store: a fork would lack RocksDB's threads. The directory
/// comes in the environment; the parent starts this test by name.
class DamageChild : public StoreTest {
 protected:
  void SetUp() override {
    const char* directory = ::getenv("HOLDFAST_CACHE_TEST_STORE");
    if (directory == nullptr) GTEST_SKIP() << "runs as another test's child";
    auto options = this->options();
    options.directory = directory;
    store_ = Store::open(options, clock_).value();
  }
};

TEST_F(DamageChild, DISABLED_FillsUpToALimit) {
  ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  const rlimit limit{200'000, 200'000};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  for (int i = 0; i < 40; ++i)
    record_list(query("n" + std::to_string(i)), 10,
                {{"n", "big", 5, "web", std::string(50'000, static_cast<char>('a' + i % 26))}});
  EXPECT_GT(store_->stats().write_errors, 0u);
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
}

TEST_F(DamageChild, DISABLED_WritesUntilItIsKilled) {
  const auto start = static_cast<int>(store_->floor(principal(1), query().gvr)) + 1;
  for (int i = start;; ++i) {
    record_list(query("a"), static_cast<kube::ResourceVersion>(i), generation(i));
    if (i == start + 1) std::ofstream{::getenv("HOLDFAST_CACHE_TEST_READY")} << 'x';
  }
}

pid_t start_child(const std::string& test, const std::filesystem::path& store,
                  const std::filesystem::path& scratch, const std::filesystem::path& ready) {
  const std::string filter = "--gtest_filter=DamageChild.DISABLED_" + test;
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::setenv("HOLDFAST_CACHE_TEST_STORE", store.c_str(), 1);
  ::setenv("HOLDFAST_CACHE_TEST_READY", ready.c_str(), 1);
  ::setenv("TMPDIR", scratch.c_str(), 1);  // what it cannot remove, killed, the parent does
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::execl("/proc/self/exe", "cache_test", filter.c_str(), "--gtest_also_run_disabled_tests",
          nullptr);
  ::_exit(127);
}

TEST_F(DamageTest, AFileSizeLimitIsSurvived) {
  TemporaryDirectory scratch;
  store_.reset();
  const pid_t child = start_child("FillsUpToALimit", directory_.path(), scratch.path(), "");
  ASSERT_GT(child, 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  open();
  ASSERT_TRUE(record_list(query("z"), 10, {{"z", "one", 5}}));
  EXPECT_EQ(items(query("z")), Strings{"z/one@5"});
}

TEST_F(DamageTest, AKillLeavesWholeLists) {
  TemporaryDirectory signals;
  for (int round = 0; round < 5; ++round) {
    store_.reset();
    const auto ready = signals.path() / std::to_string(round);
    ASSERT_EQ(::mkfifo(ready.c_str(), 0600), 0);
    const pid_t child =
        start_child("WritesUntilItIsKilled", directory_.path(), signals.path(), ready);
    ASSERT_GT(child, 0);
    std::ifstream{ready}.get();  // two lists are through
    ::usleep(static_cast<useconds_t>(3'000 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    open();
    store_->drain();
    const auto answer = list(query("a"));
    ASSERT_EQ(answer.outcome, Outcome::kHit);
    ASSERT_EQ(answer.snapshot->size(), 300u);
    const auto version = std::to_string(answer.snapshot->resource_version());
    for (const auto& item : items(answer)) EXPECT_TRUE(item.ends_with("@" + version)) << item;
    EXPECT_EQ(store_->stats().objects, 300u);
  }
}

TEST_F(DamageTest, ReadersAndTheWriterDoNotDisturbEachOther) {
  ASSERT_TRUE(record_list(query("a"), 1, generation(1)));
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0}, lists{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i)
    readers.emplace_back([&] {
      while (!stop) {
        const auto answer = list(query("a"));
        if (!answer.snapshot) {
          if (answer.outcome == Outcome::kBroken) ++torn;
          continue;
        }
        const auto version = "@" + std::to_string(answer.snapshot->resource_version());
        const auto shown = items(answer);
        if (shown.size() != 300 || !std::all_of(shown.begin(), shown.end(), [&](const auto& item) {
              return item.ends_with(version);
            }))
          ++torn;
        ++lists;
        const auto one = get(query("a", "o7"));
        if (one.outcome == Outcome::kAbsent) ++torn;
      }
    });
  for (int i = 2; i < 30; ++i)
    ASSERT_TRUE(record_list(query("a"), static_cast<kube::ResourceVersion>(i), generation(i)));
  stop = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(torn, 0);
  EXPECT_GT(lists, 0);
}

}  // namespace
}  // namespace holdfast::cache
