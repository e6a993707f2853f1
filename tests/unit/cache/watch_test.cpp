#include "unit/cache/store_fixture.h"

namespace holdfast::cache {
namespace {

using kube::EventType;

class WatchTest : public StoreTest {};

TEST_F(WatchTest, EventsAdvanceTheList) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}, {"a", "two", 6}}));
  auto watch = store_->record_watch(query("a"), {.from = 10}, {});
  ASSERT_TRUE(send(*watch, make_event(EventType::kAdded, {"a", "three", 11})));
  ASSERT_TRUE(send(*watch, make_event(EventType::kModified, {"a", "one", 12})));
  ASSERT_TRUE(send(*watch, make_event(EventType::kDeleted, {"a", "two", 13})));
  EXPECT_EQ(items(query("a")), (Strings{"a/one@12", "a/three@11"}));
  EXPECT_EQ(list(query("a")).snapshot->resource_version(), 13u);
  ASSERT_TRUE(send(*watch, make_bookmark(40)));
  EXPECT_EQ(list(query("a")).snapshot->resource_version(), 40u);
  EXPECT_EQ(store_->floor(principal(1), query().gvr), 40u);
  open();
  EXPECT_EQ(items(query("a")), (Strings{"a/one@12", "a/three@11"}));
}

TEST_F(WatchTest, OldEventsAreIgnored) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  auto watch = store_->record_watch(query("a"), {.from = 4}, {});
  ASSERT_TRUE(send(*watch, make_event(EventType::kDeleted, {"a", "gone", 4})));
  ASSERT_TRUE(send(*watch, make_event(EventType::kAdded, {"a", "one", 5})));
  EXPECT_EQ(list(query("a")).snapshot->resource_version(), 10u);
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
}

TEST_F(WatchTest, TwoWatchesOfOneListAgree) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  auto first = store_->record_watch(query("a"), {.from = 10}, {});
  auto second = store_->record_watch(query("a"), {.from = 10}, {});
  ASSERT_TRUE(send(*first, make_event(EventType::kAdded, {"a", "two", 11})));
  ASSERT_TRUE(send(*first, make_event(EventType::kDeleted, {"a", "two", 12})));
  ASSERT_TRUE(send(*second, make_event(EventType::kAdded, {"a", "two", 11})));
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
  ASSERT_TRUE(send(*second, make_event(EventType::kDeleted, {"a", "two", 12})));
  ASSERT_TRUE(send(*second, make_event(EventType::kModified, {"a", "one", 13})));
  EXPECT_EQ(items(query("a")), Strings{"a/one@13"});
}

TEST_F(WatchTest, AGapHoldsTheListBack) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}, {"a", "two", 6}}));
  auto watch = store_->record_watch(query("a"), {.from = 20}, {});
  ASSERT_TRUE(send(*watch, make_event(EventType::kModified, {"a", "one", 21})));
  // What came or went between 10 and 20 is in no event: a kubelet would kill what the list lacks.
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  EXPECT_EQ(get(query("a", "two")).outcome, Outcome::kBroken);
  EXPECT_EQ(get(query("a", "three")).outcome, Outcome::kBroken);
  ASSERT_TRUE(send(*watch, make_bookmark(30)));
  // Nor is a list from before (resourceVersion=0) as new as what was shown, nor is a restart.
  ASSERT_TRUE(record_list(query("a"), 25, {{"a", "one", 21}}));
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  watch.reset();
  open();
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  // A list as new as the watch closes the gap.
  watch = store_->record_watch(query("a"), {.from = 30}, {});
  ASSERT_TRUE(record_list(query("a"), 32, {{"a", "one", 21}}));
  ASSERT_TRUE(send(*watch, make_event(EventType::kAdded, {"a", "three", 33})));
  EXPECT_EQ(list(query("a")).snapshot->resource_version(), 33u);
}

TEST_F(WatchTest, AWatchAheadOfTheListHoldsItBackAtOnce) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_list(query("b"), 10, {{"b", "one", 5}}));
  auto watch = store_->record_watch(query("a"), {.from = 20}, {});
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  EXPECT_EQ(items(query("b")), Strings{"b/one@5"});
  // A wider list that is as new says the same.
  ASSERT_TRUE(record_list(query(), 20, {{"a", "two", 15}, {"b", "one", 5}}));
  EXPECT_EQ(items(query("a")), Strings{"a/two@15"});
}

TEST_F(WatchTest, AnotherClientsWatchClosesTheGap) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  auto follower = store_->record_watch(query("a"), {.from = 10}, {});
  auto ahead = store_->record_watch(query("a"), {.from = 20}, {});
  ASSERT_TRUE(send(*ahead, make_event(EventType::kModified, {"a", "one", 22})));
  ASSERT_TRUE(send(*follower, make_event(EventType::kAdded, {"a", "two", 15})));
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  ASSERT_TRUE(send(*follower, make_event(EventType::kModified, {"a", "one", 22})));
  EXPECT_EQ(items(query("a")), (Strings{"a/one@22", "a/two@15"}));
  ASSERT_TRUE(send(*ahead, make_event(EventType::kDeleted, {"a", "two", 23})));
  EXPECT_EQ(items(query("a")), Strings{"a/one@22"});
}

TEST_F(WatchTest, AGapIsClosedByWhatLiesBetween) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  ASSERT_EQ(store_->followed(query("a")), 10u);
  EXPECT_EQ(store_->followed(query("b")), 0u);
  auto watch = store_->record_watch(query("a"), {.from = 10, .shown = 20}, {});
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  ASSERT_TRUE(send(*watch, make_event(EventType::kAdded, {"a", "two", 15})));
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  ASSERT_TRUE(send(*watch, make_bookmark(20)));
  EXPECT_EQ(items(query("a")), (Strings{"a/one@5", "a/two@15"}));
}

TEST_F(WatchTest, OrdinaryWatchesHoldNothingBack) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  auto watch = store_->record_watch(query("a"), {.from = 10}, {});
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
  ASSERT_TRUE(send(*watch, make_event(EventType::kAdded, {"a", "two", 15})));
  ASSERT_TRUE(send(*watch, make_bookmark(18)));
  auto older = store_->record_watch(query("a"), {.from = 12}, {});
  EXPECT_EQ(items(query("a")), (Strings{"a/one@5", "a/two@15"}));
  ASSERT_TRUE(send(*older, make_event(EventType::kAdded, {"a", "two", 15})));
  ASSERT_TRUE(record_list(query("a"), 14, {{"a", "one", 5}}));  // resourceVersion=0 may be late
  EXPECT_EQ(items(query("a")), (Strings{"a/one@5", "a/two@15"}));
  watch.reset();
  older.reset();
  open();
  watch = store_->record_watch(query("a"), {.from = 18}, {});
  EXPECT_EQ(items(query("a")), (Strings{"a/one@5", "a/two@15"}));
  ASSERT_TRUE(send(*watch, make_event(EventType::kDeleted, {"a", "one", 20})));
  EXPECT_EQ(items(query("a")), Strings{"a/two@15"});
}

TEST_F(WatchTest, AnOwnDeleteIsHealedByTheListsOwnWatch) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}, {"a", "two", 6}}));
  auto watch = store_->record_watch(query("a"), {.from = 10}, {});
  // Answered with the object as it went, which proves nothing; at the revision of the deletion.
  store_->record_unseen_write(query("a", "one"), 15);
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  ASSERT_TRUE(send(*watch, make_event(EventType::kModified, {"a", "two", 12})));
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  ASSERT_TRUE(send(*watch, make_event(EventType::kDeleted, {"a", "one", 15})));
  EXPECT_EQ(items(query("a")), Strings{"a/two@12"});
  // The event came first: nothing to wait for.
  store_->record_unseen_write(query("a", "one"), 15);
  EXPECT_EQ(items(query("a")), Strings{"a/two@12"});
}

TEST_F(WatchTest, AWriteOfUnknownVersionIsHealedByWhatTheWatchSaysNext) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  auto watch = store_->record_watch(query("a"), {.from = 10}, {});
  store_->record_unseen_write(query("a", "one"), 0);  // an eviction
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kBroken);
  ASSERT_TRUE(send(*watch, make_bookmark(20)));
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
}

TEST_F(WatchTest, AWatchFromNowhereIsFollowedFromItsFirstBookmark) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  auto watch = store_->record_watch(query("a"), {.from = 0}, {});
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
  ASSERT_TRUE(send(*watch, make_event(EventType::kAdded, {"a", "two", 15})));
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  ASSERT_TRUE(send(*watch, make_bookmark(20)));
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  ASSERT_TRUE(record_list(query("a"), 25, {{"a", "two", 15}}));
  ASSERT_TRUE(send(*watch, make_event(EventType::kDeleted, {"a", "two", 26})));
  EXPECT_EQ(items(query("a")), Strings{});
}

TEST_F(WatchTest, InitialEventsAreAList) {
  auto watch = store_->record_watch(query("a"), {.initial_events = true}, {});
  ASSERT_TRUE(send(*watch, make_event(EventType::kAdded, {"a", "two", 6})));
  ASSERT_TRUE(send(*watch, make_event(EventType::kAdded, {"a", "one", 5})));
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
  ASSERT_TRUE(send(*watch, make_bookmark(9, true)));
  const auto answer = list(query("a"));
  ASSERT_EQ(answer.outcome, Outcome::kHit);
  EXPECT_EQ(answer.snapshot->meta().type.kind, "ConfigMapList");
  EXPECT_EQ(answer.snapshot->resource_version(), 9u);
  EXPECT_EQ(items(answer), (Strings{"a/one@5", "a/two@6"}));
  ASSERT_TRUE(send(*watch, make_event(EventType::kDeleted, {"a", "one", 12})));
  EXPECT_EQ(items(query("a")), Strings{"a/two@6"});
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kAbsent);
}

TEST_F(WatchTest, InitialEventsCutShortAreNothing) {
  ASSERT_TRUE(record_list(query("b"), 3, {{"b", "x", 2}}));
  {
    auto watch = store_->record_watch(query("b"), {.initial_events = true}, {});
    ASSERT_TRUE(send(*watch, make_event(EventType::kAdded, {"b", "two", 6})));
  }
  store_->drain();
  EXPECT_EQ(items(query("b")), Strings{"b/x@2"});
  EXPECT_EQ(store_->stats().objects, 1u);
}

TEST_F(WatchTest, OtherListsOfThatPrincipalFollow) {
  ASSERT_TRUE(record_list(query(), 10, {{"a", "one", 5}, {"a", "two", 6}}));
  ASSERT_TRUE(record_list(selected("app=web", "a"), 11, {{"a", "one", 5}, {"a", "two", 6}}));
  ASSERT_TRUE(record_get(query("a", "two"), {"a", "two", 6}));
  ASSERT_TRUE(record_list(query("a"), 12, {{"a", "one", 5}, {"a", "two", 6}}));
  auto watch = store_->record_watch(query("a"), {.from = 12}, {});
  ASSERT_TRUE(send(*watch, make_event(EventType::kModified, {"a", "one", 15, "db"})));
  ASSERT_TRUE(send(*watch, make_event(EventType::kDeleted, {"a", "two", 16})));
  EXPECT_EQ(items(query()), Strings{"a/one@15"});
  EXPECT_EQ(items(selected("app=web", "a")), Strings{});
  EXPECT_EQ(get(query("a", "two")).outcome, Outcome::kAbsent);
}

TEST_F(WatchTest, WhatWasDeletedIsServedAgainOnceItsOwnWatchShowsIt) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}, {"a", "two", 6}}));
  auto watch = store_->record_watch(query("a"), {.from = 10}, {});
  const auto late_delete = [&] {
    store_->record_delete(query("a", "one"));
    store_->drain();
    EXPECT_EQ(items(query("a")), Strings{"a/two@6"});
  };
  late_delete();
  // Another one of that name, made meanwhile.
  ASSERT_TRUE(send(*watch, make_event(EventType::kModified, {"a", "one", 15})));
  EXPECT_EQ(items(query("a")), (Strings{"a/one@15", "a/two@6"}));
  late_delete();
  EXPECT_TRUE(store_->base(query("a"), 15)) << "its watch knows nothing of that yet";
  // A list of the API server's that has it still, unchanged.
  watch->difference({}, 20, {});
  store_->drain();
  EXPECT_EQ(items(query("a")), (Strings{"a/one@15", "a/two@6"}));
  late_delete();
  ASSERT_TRUE(send(*watch, make_event(EventType::kDeleted, {"a", "one", 25})));
  EXPECT_EQ(items(query("a")), Strings{"a/two@6"});
  EXPECT_EQ(store_->base(query("a"), 25)->size(), 1u);
}

TEST_F(WatchTest, OutOfASelectorsSightIsNotDeleted) {
  ASSERT_TRUE(record_list(query(), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_list(selected("app=web"), 10, {{"a", "one", 5}}));
  auto watch = store_->record_watch(selected("app=web"), {.from = 10}, {});
  ASSERT_TRUE(send(*watch, make_event(EventType::kDeleted, {"a", "one", 15})));
  EXPECT_EQ(items(selected("app=web")), Strings{});
  // Changed or gone: the unselected list doesn't know until it hears itself.
  EXPECT_EQ(list(query()).outcome, Outcome::kBroken);
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kBroken);
  auto own = store_->record_watch(query(), {.from = 10}, {});
  ASSERT_TRUE(send(*own, make_event(EventType::kModified, {"a", "one", 15, "db"})));
  EXPECT_EQ(items(query()), Strings{"a/one@15"});
}

TEST_F(WatchTest, ANewListBringsOthersUpToDate) {
  ASSERT_TRUE(record_list(query(), 10, {{"a", "one", 5}, {"a", "two", 6}, {"b", "x", 7}}));
  ASSERT_TRUE(record_list(query("a"), 20, {{"a", "one", 15}}));
  EXPECT_EQ(items(query()), (Strings{"a/one@15", "b/x@7"}));
  // And an older one is brought up to what was seen.
  ASSERT_TRUE(record_list(selected("app=web"), 12, {{"a", "one", 5}, {"a", "two", 6}}));
  EXPECT_EQ(items(selected("app=web")), Strings{"a/one@15"});
}

TEST_F(WatchTest, EventsOfOneClientsWatchDoNotReachAnotherPrincipal) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_list(query("a", "", 2), 10, {{"a", "one", 5}}));
  auto watch = store_->record_watch(query("a"), {.from = 10}, {});
  ASSERT_TRUE(send(*watch, make_event(EventType::kModified, {"a", "one", 15})));
  EXPECT_EQ(items(query("a", "", 2)), Strings{"a/one@5"});
  EXPECT_EQ(get(query("a", "one", 2)).object.meta.resource_version, 5u);
}

TEST_F(WatchTest, AFullQueueBreaksTheList) {
  queue_bytes_ = 20'000;
  open();
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  auto watch =
      store_->record_watch(query("a"), {.from = 10}, {.durability = Durability::kWriteThrough});
  EXPECT_FALSE(send(
      *watch, make_event(EventType::kModified, {"a", "one", 11, "web", std::string(30'000, 'z')})));
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kBroken);
  EXPECT_GT(store_->stats().dropped_records, 0u);
  open();
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  ASSERT_TRUE(record_list(query("a"), 12, {{"a", "one", 11}}));
  EXPECT_EQ(items(query("a")), Strings{"a/one@11"});
}

TEST_F(WatchTest, AnswersThatFindNoPlaceInTheQueueEndWhatTheyWouldReplace) {
  queue_bytes_ = 20'000;
  open();
  const std::string large(30'000, 'z');
  const auto show = [&](const std::unique_ptr<Recorder>& recorder, const std::string& body) {
    bool stored = true;
    recorder->feed(Slice::copy(body));
    recorder->finish([&](bool ok) { stored = ok; });
    store_->drain();
    EXPECT_FALSE(stored);
  };
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_get(query("a", "two"), {"a", "two", 6}));
  ASSERT_TRUE(record_list(query("b"), 10, {{"b", "one", 5}}));
  show(store_->record_list(query("a"), "", {}), json_list(20, {{"a", "one", 15, "web", large}}));
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  EXPECT_NE(get(query("a", "two")).outcome, Outcome::kHit);
  EXPECT_EQ(items(query("b")), Strings{"b/one@5"});

  ASSERT_TRUE(record_get(query("b", "one"), {"b", "one", 5}));
  auto watch = store_->record_watch(query("b"), {.from = 10}, {});
  show(store_->record_get(query("b", "one"), {}), json_object({"b", "one", 15, "web", large}));
  EXPECT_EQ(get(query("b", "one")).outcome, Outcome::kBroken);
  EXPECT_EQ(list(query("b")).outcome, Outcome::kBroken);
  ASSERT_TRUE(send(*watch, make_event(EventType::kModified, {"b", "one", 15})));
  EXPECT_EQ(items(query("b")), Strings{"b/one@15"});

  store_->record_document(principal(1), "/apis", {.body = Slice::own("{}")}, {});
  EXPECT_TRUE(store_->document(principal(1), "/apis"));
  store_->record_document(principal(1), "/apis", {.body = Slice::own(std::string{large})}, {});
  EXPECT_FALSE(store_->document(principal(1), "/apis"));
}

TEST_F(WatchTest, ARecorderMayOutliveItsStore) {
  auto watch = store_->record_watch(query("a"), {.from = 10}, {});
  auto recorder = store_->record_list(query("a"), "", {});
  store_.reset();
  int refused = 0;
  const auto on_done = [&](bool stored) { refused += stored ? 0 : 1; };
  watch->event(make_event(EventType::kAdded, {"a", "one", 11}), on_done);
  recorder->feed(Slice::own("{"));
  recorder->finish(on_done);
  EXPECT_EQ(refused, 2);
}

TEST_F(WatchTest, AListThatDoesNotFitTheQueueIsNotStored) {
  queue_bytes_ = 500;
  open();
  EXPECT_FALSE(record_list(query("a"), 10, {{"a", "one", 5, "web", std::string(3000, 'z')}}));
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
  EXPECT_EQ(store_->stats().dropped_records, 1u);
}

}  // namespace
}  // namespace holdfast::cache
