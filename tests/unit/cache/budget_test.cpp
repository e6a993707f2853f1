#include "cache/kv.h"
#include "unit/cache/store_fixture.h"

namespace holdfast::cache {
namespace {

class BudgetTest : public StoreTest {
 protected:
  /// Rows of three big objects fit, of four they don't.
  static constexpr std::uint64_t kBudget = 455'000;
  [[nodiscard]] std::uint64_t live() const { return Kv::live_share(budget_); }
  std::string big(char c) { return std::string(40'000, c); }
  bool record_big(const std::string& ns, char c, RecordOptions options = {}) {
    clock_.advance(std::chrono::seconds{1});
    return record_list(query(ns), 10, {{ns, "big", 5, "web", big(c)}}, "", "", options);
  }
};

TEST_F(BudgetTest, TheLeastRecentlyUsedGoFirst) {
  budget_ = kBudget;
  open();
  ASSERT_TRUE(record_big("a", 'a', {.node_component = true}));
  ASSERT_TRUE(record_big("b", 'b'));
  ASSERT_TRUE(record_big("c", 'c'));
  clock_.advance(std::chrono::seconds{1});
  EXPECT_EQ(list(query("b")).outcome, Outcome::kHit);  // used
  ASSERT_TRUE(record_big("d", 'd'));
  store_->drain();
  EXPECT_EQ(list(query("c")).outcome, Outcome::kMiss);
  EXPECT_EQ(list(query("a")).outcome, Outcome::kHit);
  EXPECT_EQ(list(query("b")).outcome, Outcome::kHit);
  EXPECT_EQ(list(query("d")).outcome, Outcome::kHit);
  EXPECT_EQ(store_->stats().evictions, 1u);
  EXPECT_LE(store_->stats().disk_bytes, live());
}

TEST_F(BudgetTest, BeingShownAgainIsUse) {
  budget_ = kBudget;
  open();
  ASSERT_TRUE(record_big("a", 'a'));
  ASSERT_TRUE(record_big("b", 'b'));
  ASSERT_TRUE(record_big("c", 'c'));
  ASSERT_TRUE(record_big("a", 'a'));
  auto watch = store_->record_watch(query("b"), {.from = 10}, {});
  clock_.advance(std::chrono::seconds{1});
  ASSERT_TRUE(send(*watch, make_bookmark(11)));
  ASSERT_TRUE(record_big("d", 'd'));
  store_->drain();
  EXPECT_EQ(list(query("a")).outcome, Outcome::kHit);
  EXPECT_EQ(list(query("b")).outcome, Outcome::kHit);
  EXPECT_EQ(list(query("c")).outcome, Outcome::kMiss);
}

TEST_F(BudgetTest, WhatOthersShareStays) {
  budget_ = kBudget;
  open();
  clock_.advance(std::chrono::seconds{1});
  ASSERT_TRUE(record_list(query("a", "", 2), 10, {{"a", "big", 5, "web", big('a')}}));
  ASSERT_TRUE(record_big("a", 'a'));
  ASSERT_TRUE(record_big("b", 'b'));
  ASSERT_TRUE(record_big("c", 'c'));
  EXPECT_EQ(list(query("a", "", 2)).outcome, Outcome::kHit);
  ASSERT_TRUE(record_big("d", 'd'));
  store_->drain();
  // The principal that was idle longest is gone, the body it shared is not.
  EXPECT_EQ(items(query("d")), Strings{"d/big@5"});
  EXPECT_LE(store_->stats().disk_bytes, live());
}

TEST_F(BudgetTest, AListLargerThanTheBudgetIsGivenUp) {
  budget_ = kBudget;
  open();
  ASSERT_TRUE(record_big("a", 'a'));
  std::vector<Item> many;
  for (int i = 0; i < 10; ++i) many.push_back({"z", "o" + std::to_string(i), 5, "web", big('z')});
  EXPECT_FALSE(record_list(query("z"), 10, many));
  store_->drain();
  EXPECT_EQ(list(query("z")).outcome, Outcome::kMiss);
  EXPECT_LE(store_->stats().disk_bytes, live());
}

TEST_F(BudgetTest, GetsAndDocumentsCountToo) {
  budget_ = kBudget;
  open();
  for (int i = 0; i < 10; ++i) {
    clock_.advance(std::chrono::seconds{1});
    const auto name = "o" + std::to_string(i);
    record_get(query("a", name, static_cast<std::uint8_t>(i)),
               {"a", name, 5, "web", big(static_cast<char>('a' + i))});
  }
  store_->drain();
  EXPECT_LE(store_->stats().disk_bytes, live());
  EXPECT_EQ(get(query("a", "o0", 0)).outcome, Outcome::kMiss);
  EXPECT_EQ(get(query("a", "o9", 9)).outcome, Outcome::kHit);
}

TEST_F(BudgetTest, ASmallerBudgetTakesEffect) {
  ASSERT_TRUE(record_big("a", 'a'));
  ASSERT_TRUE(record_big("b", 'b'));
  store_->set_budget(182'000);
  store_->drain();
  store_->drain();
  EXPECT_LE(store_->stats().disk_bytes, Kv::live_share(182'000));
  EXPECT_EQ(list(query("b")).outcome, Outcome::kHit);
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
}

TEST_F(BudgetTest, AccountsReturnToZero) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(record_big("a", 'a'));
    ASSERT_TRUE(record_get(query("a", "x"), {"a", "x", 5}));
    auto watch = store_->record_watch(query("a"), {.from = 10}, {});
    send(*watch, make_event(kube::EventType::kModified, {"a", "big", 11}));
    send(*watch, make_event(kube::EventType::kDeleted, {"a", "big", 12}));
    watch.reset();
    store_->record_document(principal(1), "/apis", {.body = Slice::own("{}")}, {});
    Query all;
    all.principal = principal(1);
    store_->purge(all);
    store_->drain();
    EXPECT_EQ(store_->stats().disk_bytes, 0u);
    EXPECT_EQ(store_->stats().objects, 0u);
    EXPECT_EQ(store_->stats().collections, 0u);
  }
}

TEST_F(BudgetTest, UseIsRememberedAcrossARestart) {
  budget_ = kBudget;
  open();
  ASSERT_TRUE(record_big("a", 'a'));
  ASSERT_TRUE(record_big("b", 'b'));
  ASSERT_TRUE(record_big("c", 'c'));
  clock_.advance(std::chrono::seconds{1});
  EXPECT_EQ(list(query("a")).outcome, Outcome::kHit);
  open();
  ASSERT_TRUE(record_big("d", 'd'));
  store_->drain();
  EXPECT_EQ(list(query("a")).outcome, Outcome::kHit);
  EXPECT_EQ(list(query("b")).outcome, Outcome::kMiss);
}

}  // namespace
}  // namespace holdfast::cache
