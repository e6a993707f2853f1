#include "writes/token_replays.h"

#include <gtest/gtest.h>

namespace holdfast::writes {
namespace {

using cache::Residence;

class FakeClock final : public Clock {
 public:
  std::chrono::steady_clock::time_point now() const override { return {}; }
  std::chrono::system_clock::time_point wall() const override { return wall_; }
  void set(std::int64_t seconds) { wall_ = std::chrono::system_clock::from_time_t(seconds); }

 private:
  std::chrono::system_clock::time_point wall_{std::chrono::seconds{1'800'000'000}};
};

class FakeDisk final : public identity::CredentialStore {
 public:
  Result<void> put(const identity::CredentialHash& key, std::string_view record) override {
    rows[key] = record;
    return {};
  }
  std::optional<std::string> get(const identity::CredentialHash& key) override {
    const auto it = rows.find(key);
    return it == rows.end() ? std::nullopt : std::optional{it->second};
  }
  Result<void> erase(const identity::CredentialHash& key) override {
    rows.erase(key);
    return {};
  }
  Result<void> put_named(std::string_view name, std::string_view value) override {
    named[std::string{name}] = value;
    return {};
  }
  std::optional<std::string> get_named(std::string_view name) override {
    const auto it = named.find(std::string{name});
    return it == named.end() ? std::nullopt : std::optional{it->second};
  }
  std::map<identity::CredentialHash, std::string> rows;
  std::map<std::string, std::string> named;
};

class TokenReplaysTest : public testing::Test {
 protected:
  static TokenAnswer answer(std::string body, std::int64_t expires = 1'900'000'000) {
    return {.body = std::move(body), .expires = expires};
  }
  identity::CredentialHash name(const std::string& uid, const std::string& account = "app",
                                std::uint8_t principal = 1) {
    return replays().name({{principal}}, "web", account, {.uid = uid});
  }
  TokenReplays& replays() {
    if (!replays_) replays_.emplace("key", disk_, clock_);
    return *replays_;
  }
  void restart() { replays_.reset(); }

  FakeDisk disk_;
  FakeClock clock_;
  std::optional<TokenReplays> replays_;
};

TEST_F(TokenReplaysTest, OnlyTheSameRequestOfTheSameKubelet) {
  replays().keep(name("u-1"), answer("one"), Residence::kMemory);
  EXPECT_EQ(replays().find(name("u-1"), Residence::kMemory)->body, "one");
  EXPECT_FALSE(replays().find(name("u-2"), Residence::kMemory));
  EXPECT_FALSE(replays().find(name("u-1", "other"), Residence::kMemory));
  EXPECT_FALSE(replays().find(name("u-1", "app", 2), Residence::kMemory));
}

TEST_F(TokenReplaysTest, TheLastAnswerCountsUntilItIsRefusedOrExpires) {
  replays().keep(name("u-1"), answer("one"), Residence::kDisk);
  replays().keep(name("u-1"), answer("two", 1'800'000'100), Residence::kDisk);
  EXPECT_EQ(replays().find(name("u-1"), Residence::kDisk)->body, "two");
  clock_.set(1'800'000'100);
  EXPECT_FALSE(replays().find(name("u-1"), Residence::kDisk));
  EXPECT_TRUE(disk_.rows.empty());
  replays().keep(name("u-1"), answer("three"), Residence::kDisk);
  replays().forget(name("u-1"));
  EXPECT_FALSE(replays().find(name("u-1"), Residence::kDisk));
  EXPECT_TRUE(disk_.rows.empty());
}

TEST_F(TokenReplaysTest, NothingIsOnDiskUnlessItMay) {
  replays().keep(name("u-1"), answer("secret"), Residence::kMemory);
  EXPECT_TRUE(disk_.rows.empty());
  EXPECT_TRUE(disk_.named.empty());
  restart();
  EXPECT_FALSE(replays().find(name("u-1"), Residence::kMemory));
}

TEST_F(TokenReplaysTest, WhatMayBeOnDiskSurvivesARestart) {
  replays().keep(name("u-1"), answer("one"), Residence::kDisk);
  restart();
  EXPECT_EQ(replays().find(name("u-1"), Residence::kDisk)->body, "one");
}

TEST_F(TokenReplaysTest, WhatMayNoLongerBeOnDiskGoes) {
  replays().keep(name("u-1"), answer("one"), Residence::kDisk);
  restart();
  EXPECT_FALSE(replays().find(name("u-1"), Residence::kMemory));
  EXPECT_TRUE(disk_.rows.empty());
}

TEST_F(TokenReplaysTest, ADamagedRecordIsNone) {
  replays().keep(name("u-1"), answer("one"), Residence::kDisk);
  disk_.rows.begin()->second = "?";
  restart();
  EXPECT_FALSE(replays().find(name("u-1"), Residence::kDisk));
}

TEST_F(TokenReplaysTest, TheOldestMakeRoom) {
  for (std::size_t i = 0; i <= TokenReplays::kCapacity; ++i) {
    replays().keep(name(std::to_string(i)), answer("x"), Residence::kDisk);
  }
  EXPECT_EQ(disk_.rows.size(), TokenReplays::kCapacity);
  EXPECT_FALSE(replays().find(name("0"), Residence::kDisk));
  EXPECT_TRUE(replays().find(name("1"), Residence::kDisk));
}

TEST_F(TokenReplaysTest, BytesAreBoundedToo) {
  const std::string large(TokenReplays::kBytes / 2, 'x');
  for (const char* uid : {"1", "2", "3"}) {
    replays().keep(name(uid), answer(large), Residence::kMemory);
  }
  EXPECT_FALSE(replays().find(name("1"), Residence::kMemory));
  EXPECT_TRUE(replays().find(name("3"), Residence::kMemory));
}

}  // namespace
}  // namespace holdfast::writes
