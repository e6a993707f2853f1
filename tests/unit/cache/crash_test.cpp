#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <set>

#include "cache/key_command.h"
#include "unit/cache/store_fixture.h"

namespace holdfast::cache {
namespace {

using kube::EventType;

/// The history that every process of these tests writes: version V changes object V % 50, and every
/// third time it is deleted.
constexpr int kObjects = 50;
Item item_at(kube::ResourceVersion version) {
  return {"b", "o" + std::to_string(100 + version % kObjects), version, "web",
          "text of " + std::to_string(version)};
}
bool deletes(kube::ResourceVersion version) {
  return version / kObjects % 3 == 2;
}
std::vector<Item> state_at(kube::ResourceVersion version) {
  std::map<std::string, Item> state;
  // An object's last change counts, and each changes once in so many versions.
  for (auto v = version > kObjects ? version - kObjects + 1 : 1; v <= version; ++v) {
    const auto item = item_at(v);
    if (deletes(v)) {
      state.erase(item.name);
    } else {
      state[item.name] = item;
    }
  }
  std::vector<Item> out;
  for (auto& [name, item] : state) out.push_back(item);
  return out;
}
Strings names_of(const std::vector<Item>& state) {
  Strings out;
  for (const auto& item : state)
    out.push_back(item.ns + "/" + item.name + "@" + std::to_string(item.version));
  return out;
}

/// Writes the history to `store` from where it stands, as lists and as events of a watch.
class History {
 public:
  explicit History(Store& store, Query query) : store_{store}, query_{std::move(query)} {}

  void list(kube::ResourceVersion version) {
    watch_.reset();
    const auto recorder = store_.record_list(query_, "", options_);
    recorder->feed(Slice::own(json_list(version, state_at(version))));
    recorder->finish({});
    watch_ = store_.record_watch(query_, {.from = version}, options_);
  }
  void event(kube::ResourceVersion version) {
    // A real DELETED event carries the deletion's version.
    watch_->event(
        make_event(deletes(version) ? EventType::kDeleted : EventType::kAdded, item_at(version)),
        {});
  }

 private:
  Store& store_;
  const Query query_;
  const RecordOptions options_{.durability = Durability::kWriteThrough, .node_component = true};
  std::unique_ptr<WatchRecorder> watch_;
};

class CrashTest : public StoreTest {
 protected:
  [[nodiscard]] std::filesystem::path rows() const { return directory_.path() / "store"; }

  void write_history(kube::ResourceVersion from, kube::ResourceVersion to) {
    History history{*store_, query("b")};
    history.list(from);
    for (auto v = from + 1; v <= to; ++v) history.event(v);
    store_->drain();
  }
  std::vector<std::filesystem::path> files(std::string_view extension) const {
    std::vector<std::filesystem::path> out;
    for (const auto& entry : std::filesystem::directory_iterator{rows()})
      if (entry.path().extension() == extension || entry.path().filename() == extension)
        out.push_back(entry.path());
    return out;
  }
  static void damage(const std::filesystem::path& file, std::uintmax_t at) {
    std::fstream bytes{file, std::ios::in | std::ios::out | std::ios::binary};
    bytes.seekp(static_cast<std::streamoff>(at));
    bytes.write("\xde\xad\xbe\xef", 4);
  }
  /// Whatever is served is a state that was reached, and the store works on.
  void expect_sound(kube::ResourceVersion newest) {
    // An answer keeps its store: it goes before that is opened again.
    if (const auto answer = list(query("b")); answer.snapshot) {
      const auto version = answer.snapshot->resource_version();
      EXPECT_LE(version, newest);
      const auto shown = items(answer);
      // A damaged record ends the answer: the client sees an error, never a shorter list.
      const bool broke_off = !shown.empty() && shown.back().starts_with("error");
      if (!broke_off) {
        EXPECT_EQ(shown, names_of(state_at(version)));
      }
    }
    write_history(newest + 1, newest + 5);
    EXPECT_EQ(items(query("b")), names_of(state_at(newest + 5)));
    open();
    EXPECT_EQ(items(query("b")), names_of(state_at(newest + 5)));
  }
};

TEST_F(CrashTest, DamagedFilesAreSurvived) {
  const auto fill = [&] {
    store_.reset();
    std::filesystem::remove_all(rows());
    open();
    write_history(1, 300);
    open();  // some of it becomes tables
    write_history(301, 400);
    store_.reset();
  };
  for (const char* kind : {".sst", ".log"}) {
    for (int part = 0; part < 8; ++part) {
      fill();
      for (const auto& file : files(kind))
        damage(file, std::filesystem::file_size(file) * static_cast<std::uintmax_t>(part) / 8);
      open();
      SCOPED_TRACE(std::string{kind} + " " + std::to_string(part));
      if (std::string_view{kind} == ".log") {
        EXPECT_GT(store_->stats().corrupt_records, 0u) << "it says so";
      }
      expect_sound(400);
    }
  }
}

TEST_F(CrashTest, FilesThatAreCutShortOrGoneAreSurvived) {
  for (const std::string kind : {"MANIFEST", "CURRENT", ".sst", ".log", "OPTIONS", "IDENTITY"}) {
    for (const bool gone : {false, true}) {
      store_.reset();
      std::filesystem::remove_all(rows());
      open();
      write_history(1, 200);
      store_.reset();
      for (const auto& entry : std::filesystem::directory_iterator{rows()}) {
        const auto name = entry.path().filename().string();
        if (!name.starts_with(kind) && entry.path().extension() != kind) continue;
        if (gone) {
          std::filesystem::remove(entry.path());
        } else {
          std::filesystem::resize_file(entry.path(), entry.file_size() / 2);
        }
      }
      open();
      SCOPED_TRACE(kind + (gone ? " gone" : " cut"));
      expect_sound(200);
    }
  }
}

TEST_F(CrashTest, KeysThatAreNotTheStoresMeanAFreshOne) {
  const auto key = directory_.path() / "cache.key";
  const Strings contents{"", "short", std::string(32, 'o'), std::string(40, 'l')};
  for (const auto& content : contents) {
    ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
    store_.reset();
    std::ofstream{key, std::ios::trunc} << content;
    open();
    EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss) << content;
    ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
    open();
    EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
  }
}

TEST_F(CrashTest, AStoreInMemoryIsAStore) {
  store_ = Store::open_in_memory(options(), clock_).value();
  EXPECT_FALSE(store_->stats().persistent);
  write_history(1, 60);
  EXPECT_EQ(items(query("b")), names_of(state_at(60)));
  ASSERT_TRUE(store_->credentials().put_named("jwks", "keys"));
  EXPECT_EQ(store_->credentials().get_named("jwks"), "keys");
  ASSERT_TRUE(store_->bind_cluster("ca uid"));
  EXPECT_EQ(store_->hmac_key().size(), 32u);
}

TEST_F(CrashTest, ADirectoryThatCannotBeMadeIsNoBadOption) {
  store_.reset();
  auto elsewhere = options();
  elsewhere.directory = directory_.path() / "cache.key" / "below-a-file";
  const auto failed = Store::open(elsewhere, clock_);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().code, make_error_code(Errc::kInvalidArgument));
  EXPECT_NE(failed.error().code, make_error_code(Errc::kUnsupported));
}

/// What the process does that is killed; the parent starts this test by name.
class CrashChild : public StoreTest {
 protected:
  void SetUp() override {
    const char* directory = ::getenv("HOLDFAST_CACHE_TEST_STORE");
    if (directory == nullptr) GTEST_SKIP() << "runs as another test's child";
    auto options = this->options();
    options.directory = directory;
    store_ = Store::open(options, clock_).value();
  }
};

TEST_F(CrashChild, DISABLED_WritesHistoryUntilItIsKilled) {
  auto version = store_->floor(principal(1), query().gvr) + 1;
  std::mt19937 random{static_cast<unsigned>(::getpid())};
  History history{*store_, query("b")};
  for (int step = 0;; ++step) {
    history.list(version);
    // Single objects and lists of others between them: batches of every size.
    for (auto until = version + random() % 60; version < until;) {
      history.event(++version);
      if (random() % 8 == 0)
        record_get_unseen(query("c", "x" + std::to_string(random() % 9)), {"c", "x", version});
      if (random() % 20 == 0) store_->drain();
    }
    ++version;
    if (step == 2) std::ofstream{::getenv("HOLDFAST_CACHE_TEST_READY")} << 'x';
  }
}

TEST_F(CrashTest, WhateverAKillLeavesWasReached) {
  const int rounds = ::getenv("HOLDFAST_LONG") != nullptr ? 300 : 20;
  TemporaryDirectory signals;
  std::mt19937 random{7};
  kube::ResourceVersion before = 0;
  std::set<kube::ResourceVersion> served;
  for (int round = 0; round < rounds; ++round) {
    store_.reset();
    const auto ready = signals.path() / std::to_string(round);
    ASSERT_EQ(::mkfifo(ready.c_str(), 0600), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::setenv("HOLDFAST_CACHE_TEST_STORE", directory_.path().c_str(), 1);
      ::setenv("HOLDFAST_CACHE_TEST_READY", ready.c_str(), 1);
      ::setenv("TMPDIR", signals.path().c_str(), 1);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::execl("/proc/self/exe", "cache_test",
              "--gtest_filter=CrashChild.DISABLED_WritesHistoryUntilItIsKilled",
              "--gtest_also_run_disabled_tests", nullptr);
      ::_exit(127);
    }
    ASSERT_GT(child, 0);
    std::ifstream{ready}.get();
    ::usleep(static_cast<useconds_t>(random() % 40'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
    open();
    const auto answer = list(query("b"));
    ASSERT_EQ(answer.outcome, Outcome::kHit) << round;
    const auto version = answer.snapshot->resource_version();
    EXPECT_GE(version, before) << "what was served goes back";
    EXPECT_EQ(items(answer), names_of(state_at(version)));
    EXPECT_EQ(store_->floor(principal(1), query().gvr), version);
    EXPECT_FALSE(std::filesystem::exists(directory_.path() / "store.corrupt"));
    before = version;
    served.insert(version);
  }
  EXPECT_GT(served.size(), static_cast<std::size_t>(rounds) / 2);
}

TEST(KeyCommand, TakesWhatAProgramPrints) {
  using namespace std::chrono_literals;
  const std::string key = "0123456789abcdef0123456789abcdef";
  EXPECT_EQ(key_from_command("printf " + key, 10s).value(), key);
  EXPECT_EQ(
      key_from_command("printf " + key + " | od -An -v -tx1 | tr -d ' \\n'; echo", 10s).value(),
      key);
  EXPECT_EQ(key_from_command("printf " + key + " | base64", 10s).value(), key);
  // No error says what was printed.
  for (const char* bad : {"echo hush-hush", "echo hush-hush; exit 3", "echo hush-hush >&2; exit 1",
                          "yes hush-hush", "true", "/no/such/program-hush"}) {
    const auto failed = key_from_command(bad, 10s);
    ASSERT_FALSE(failed) << bad;
    EXPECT_EQ(failed.error().to_string().find("hush"), std::string::npos);
    EXPECT_NE(failed.error().code, make_error_code(Errc::kInvalidArgument));
  }
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(key_from_command("sleep 60 & sleep 60", 200ms).error().code,
            make_error_code(Errc::kTimeout));
  EXPECT_LT(std::chrono::steady_clock::now() - began, 30s);
}

TEST_F(CrashTest, ACommandsKeySealsTheStore) {
  store_.reset();
  std::filesystem::remove(directory_.path() / "cache.key");
  key_source_ = "command:printf %s 0123456789abcdef0123456789abcdef";
  open();
  EXPECT_FALSE(std::filesystem::exists(directory_.path() / "cache.key"));
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  open();
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
  key_source_ = "command:printf %s another9abcdef0123456789abcdef12";
  open();
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
}

}  // namespace
}  // namespace holdfast::cache
