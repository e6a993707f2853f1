#include <future>

#include "unit/cache/store_fixture.h"

namespace holdfast::cache {
namespace {

using kube::EventType;

class ClusterTest : public StoreTest {
 protected:
  ClusterVerdict confirm(const std::string& cluster, kube::ResourceVersion current) {
    return confirm(cluster, current, store_->reached());
  }
  ClusterVerdict confirm(const std::string& cluster, kube::ResourceVersion current,
                         kube::ResourceVersion reached) {
    std::promise<ClusterVerdict> verdict;
    store_->confirm_cluster({.cluster = cluster, .reached = reached, .current = current},
                            [&](ClusterVerdict v) { verdict.set_value(v); });
    return verdict.get_future().get();
  }
  Outcome known() { return list(query("a")).outcome; }
  void fill(kube::ResourceVersion version = 10) {
    ASSERT_TRUE(record_list(query("a"), version, {{"a", "one", 5}}));
    ASSERT_TRUE(record_get(query("a", "two"), {"a", "two", 6}));
    store_->record_document(principal(1), "/apis", {.body = Slice::own("{}")}, {});
    ASSERT_TRUE(store_->credentials().put_named("jwks", "keys"));
    store_->drain();
  }
  void expect_nothing_shown() {
    EXPECT_EQ(known(), Outcome::kMiss);
    EXPECT_EQ(get(query("a", "two")).outcome, Outcome::kMiss);
    EXPECT_FALSE(store_->document(principal(1), "/apis"));
    EXPECT_EQ(store_->floor(principal(1), query().gvr), 0u);
    EXPECT_EQ(store_->stats().disk_bytes, 0u);
  }
};

TEST_F(ClusterTest, AUidThatBecomesKnownChangesNothing) {
  ASSERT_TRUE(store_->bind_cluster("ca"));
  fill();
  const auto era = store_->era();
  EXPECT_EQ(confirm("ca uid-1", 12), ClusterVerdict::kSame);
  // Nor does one that may not be read any more, and the bound one stays in force.
  EXPECT_EQ(confirm("ca", 13), ClusterVerdict::kSame);
  EXPECT_EQ(known(), Outcome::kHit);
  EXPECT_EQ(store_->era(), era);
  open();
  EXPECT_EQ(confirm("ca uid-2", 14), ClusterVerdict::kOther);
  EXPECT_EQ(known(), Outcome::kMiss);
}

TEST_F(ClusterTest, ACaIsRenewedByWayOfABundle) {
  ASSERT_TRUE(store_->bind_cluster("old uid"));
  fill();
  EXPECT_EQ(confirm("old,new uid", 12), ClusterVerdict::kSame);
  EXPECT_EQ(confirm("new uid", 13), ClusterVerdict::kSame);
  EXPECT_EQ(known(), Outcome::kHit);
  EXPECT_EQ(confirm("another uid", 14), ClusterVerdict::kOther);
  EXPECT_EQ(known(), Outcome::kMiss);
}

TEST_F(ClusterTest, AnotherCaIsAnotherClusterBeforeAnybodyIsAsked) {
  ASSERT_TRUE(store_->bind_cluster("ca-1 uid"));
  fill();
  open();
  ASSERT_TRUE(store_->bind_cluster("ca-2"));
  expect_nothing_shown();
  EXPECT_EQ(store_->credentials().get_named("jwks"), std::nullopt);
}

TEST_F(ClusterTest, WhatWasRecordedForNobodyIsOfUnknownOrigin) {
  fill();
  EXPECT_EQ(confirm("ca uid", 12), ClusterVerdict::kOther);
  expect_nothing_shown();
}

TEST_F(ClusterTest, VersionsThatRanBackwardsEndWhatWasShown) {
  ASSERT_TRUE(store_->bind_cluster("ca uid"));
  fill();
  EXPECT_EQ(confirm("ca uid", 100), ClusterVerdict::kSame);
  EXPECT_EQ(store_->reached(), 100u);
  const auto era = store_->era();
  EXPECT_EQ(confirm("ca uid", 99), ClusterVerdict::kRestored);
  EXPECT_NE(store_->era(), era);
  expect_nothing_shown();
  EXPECT_EQ(store_->credentials().get_named("jwks"), "keys");
  // From here on it is as ever, and lower versions than before are recorded.
  fill(50);
  EXPECT_EQ(confirm("ca uid", 99), ClusterVerdict::kSame);
  open();
  EXPECT_EQ(known(), Outcome::kHit);
  EXPECT_EQ(store_->reached(), 99u);
  EXPECT_EQ(confirm("ca uid", 100), ClusterVerdict::kSame);
}

TEST_F(ClusterTest, TheHighestVersionSeenOutlivesARestart) {
  ASSERT_TRUE(store_->bind_cluster("ca uid"));
  EXPECT_EQ(confirm("ca uid", 100), ClusterVerdict::kSame);
  fill();
  open();
  EXPECT_EQ(confirm("ca uid", 60), ClusterVerdict::kRestored);
  expect_nothing_shown();
}

TEST_F(ClusterTest, WhatClientsSawCountsToo) {
  ASSERT_TRUE(store_->bind_cluster("ca uid"));
  EXPECT_EQ(confirm("ca uid", 20), ClusterVerdict::kSame);
  fill(70);
  // The snapshot is younger than the last time we asked, but older than what was shown.
  EXPECT_EQ(confirm("ca uid", 60), ClusterVerdict::kRestored);
  expect_nothing_shown();
}

TEST_F(ClusterTest, WhatIsShownWhileTheServerIsAskedIsNoProof) {
  ASSERT_TRUE(store_->bind_cluster("ca uid"));
  const auto before = store_->reached();
  fill(70);
  EXPECT_EQ(confirm("ca uid", 60, before), ClusterVerdict::kSame);
  EXPECT_EQ(known(), Outcome::kHit);
}

TEST_F(ClusterTest, VersionsOfOtherStoragesDoNotCount) {
  ASSERT_TRUE(store_->bind_cluster("ca uid"));
  EXPECT_EQ(confirm("ca uid", 100), ClusterVerdict::kSame);
  for (const auto& gvr : {kube::GroupVersionResource{"metrics.k8s.io", "v1beta1", "nodes"},
                          kube::GroupVersionResource{"example.com", "v1", "things"},
                          kube::GroupVersionResource{"", "v1", "events"}}) {
    auto other = query("a");
    other.gvr = gvr;
    ASSERT_TRUE(record_list(other, 5000, {{"a", "one", 4000}}));
  }
  fill(90);
  EXPECT_EQ(confirm("ca uid", 101), ClusterVerdict::kSame);
  EXPECT_EQ(known(), Outcome::kHit);
}

TEST_F(ClusterTest, AResourceInAnEtcdOfItsOwnIsFoundOutOnce) {
  ASSERT_TRUE(store_->bind_cluster("ca uid"));
  EXPECT_EQ(confirm("ca uid", 100), ClusterVerdict::kSame);
  auto leases = query("a");
  leases.gvr = {"", "v1", "pods"};
  ASSERT_TRUE(record_list(leases, 5000, {{"a", "one", 4000}}));
  EXPECT_EQ(confirm("ca uid", 101), ClusterVerdict::kRestored);
  ASSERT_TRUE(record_list(leases, 5001, {{"a", "one", 4000}}));
  fill(90);
  open();
  EXPECT_EQ(confirm("ca uid", 102), ClusterVerdict::kSame);
  EXPECT_EQ(known(), Outcome::kHit);
  // The others still count.
  fill(200);
  EXPECT_EQ(confirm("ca uid", 103), ClusterVerdict::kRestored);
}

TEST_F(ClusterTest, WhatBeganInAnotherEraIsNotRecorded) {
  ASSERT_TRUE(store_->bind_cluster("ca uid-1"));
  fill();
  auto begun = store_->record_list(query("a"), "", {});
  begun->feed(Slice::own(R"({"kind":"ConfigMapList","apiVersion":"v1","metadata":{)"));
  auto waiting = store_->record_get(query("a", "two"), {});
  auto watch = store_->record_watch(query("a"), {.from = 10}, {});
  ASSERT_TRUE(record_list(query("b"), 10, {{"b", "one", 5}}, "", "more"));
  auto initial = store_->record_watch(query("c"), {.from = 0, .initial_events = true}, {});
  ASSERT_TRUE(send(*initial, make_event(EventType::kAdded, {"c", "one", 5})));

  EXPECT_EQ(confirm("ca uid-2", 12), ClusterVerdict::kOther);
  begun->feed(Slice::own(R"("resourceVersion":"11"},"items":[]})"));
  bool stored = true;
  begun->finish([&](bool ok) { stored = ok; });
  store_->drain();
  EXPECT_FALSE(stored);
  EXPECT_FALSE(feed(*waiting, json_object({"a", "two", 7})));
  EXPECT_FALSE(send(*watch, make_event(EventType::kAdded, {"a", "three", 11})));
  EXPECT_FALSE(record_list(query("b"), 10, {{"b", "two", 6}}, "more"));
  EXPECT_FALSE(send(*initial, make_bookmark(12, true)));
  expect_nothing_shown();
  EXPECT_EQ(list(query("b")).outcome, Outcome::kMiss);
  EXPECT_EQ(list(query("c")).outcome, Outcome::kMiss);

  // An old watch ends after a new one began: the new one's list is followed all the same.
  ASSERT_TRUE(record_list(query("a"), 20, {{"a", "one", 15}}));
  auto fresh = store_->record_watch(query("a"), {.from = 20}, {});
  watch.reset();
  ASSERT_TRUE(send(*fresh, make_event(EventType::kAdded, {"a", "four", 21})));
  EXPECT_EQ(items(query("a")), (Strings{"a/four@21", "a/one@15"}));
}

}  // namespace
}  // namespace holdfast::cache
