#include "unit/cache/store_fixture.h"

namespace holdfast::cache {
namespace {

class ObjectTest : public StoreTest {};

TEST_F(ObjectTest, ServesWhatWasGot) {
  ASSERT_TRUE(record_get(query("a", "one"), {"a", "one", 5}));
  const auto answer = get(query("a", "one"));
  ASSERT_EQ(answer.outcome, Outcome::kHit);
  EXPECT_EQ(answer.object.meta.resource_version, 5u);
  EXPECT_EQ(answer.object.type.kind, "ConfigMap");
  EXPECT_EQ(
      kube::render_object(kube::Encoding::kJson, answer.object.type, answer.object.body.view()),
      json_object({"a", "one", 5}) + "\n");
  EXPECT_EQ(get(query("a", "two")).outcome, Outcome::kMiss);
}

TEST_F(ObjectTest, AGetIsNotPartOfAList) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_get(query("b", "two"), {"b", "two", 7}));
  ASSERT_TRUE(record_get(query("a", "later"), {"a", "later", 12}));
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
  EXPECT_EQ(list(query("b")).outcome, Outcome::kMiss);
  EXPECT_EQ(get(query("a", "later")).outcome, Outcome::kHit);
}

TEST_F(ObjectTest, ANamespaceIsInNone) {
  auto all = query();
  all.gvr.resource = "namespaces";
  auto one = all;
  one.ns = one.name = "kube-system";  // as RequestInfo says it
  ASSERT_TRUE(record_list(all, 10, {{"", "kube-system", 5}, {"", "default", 4}}));
  EXPECT_EQ(get(one).outcome, Outcome::kDerived);
  ASSERT_TRUE(record_get(one, {"", "kube-system", 12}));
  EXPECT_EQ(items(all), (Strings{"/default@4", "/kube-system@12"}));
}

TEST_F(ObjectTest, AListNarrowedToOneNameKnowsItsAbsence) {
  auto named = query("a", "opt");
  named.field_selector = "metadata.name=opt";
  ASSERT_TRUE(record_list(named, 10, {}));
  EXPECT_EQ(get(query("a", "opt")).outcome, Outcome::kAbsent);
  EXPECT_EQ(get(query("a", "other")).outcome, Outcome::kMiss);
  EXPECT_EQ(items(named), Strings{});
}

TEST_F(ObjectTest, AnotherThingUnderThatNameIsNotStored) {
  EXPECT_FALSE(record_get(query("a", "one"), {"a", "two", 5}));
  EXPECT_FALSE(feed(*store_->record_get(query("a", "one"), {}), "<html>"));
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kMiss);
}

TEST_F(ObjectTest, AnObjectOfAListIsDerivedAndItsAbsenceIsKnown) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  const auto found = get(query("a", "one"));
  EXPECT_EQ(found.outcome, Outcome::kDerived);
  EXPECT_EQ(found.as_of, 10u);
  EXPECT_EQ(found.object.type.kind, "ConfigMap");
  const auto absent = get(query("a", "two"));
  EXPECT_EQ(absent.outcome, Outcome::kAbsent);
  EXPECT_EQ(absent.as_of, 10u);
  EXPECT_EQ(get(query("b", "one")).outcome, Outcome::kMiss);
}

TEST_F(ObjectTest, AbsenceFromASelectedListSaysNothing) {
  ASSERT_TRUE(record_list(selected("app=web", "a"), 10, {{"a", "one", 5}}));
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kDerived);
  EXPECT_EQ(get(query("a", "two")).outcome, Outcome::kMiss);
}

TEST_F(ObjectTest, ANewerGetUpdatesEveryListThatHoldsIt) {
  ASSERT_TRUE(record_list(query(), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_list(query("a"), 11, {{"a", "one", 5}}));
  ASSERT_TRUE(record_list(selected("app=web"), 12, {{"a", "one", 5, "web"}}));
  ASSERT_TRUE(record_get(query("a", "one"), {"a", "one", 20, "db"}));
  EXPECT_EQ(items(query()), Strings{"a/one@20"});
  EXPECT_EQ(items(query("a")), Strings{"a/one@20"});
  EXPECT_EQ(items(selected("app=web")), Strings{});
  EXPECT_EQ(list(query()).snapshot->resource_version(), 10u);
}

TEST_F(ObjectTest, AListThatCannotFollowWaitsForItsOwn) {
  auto by_field = query("a");
  by_field.field_selector = "status.phase=Running";
  ASSERT_TRUE(record_list(by_field, 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_get(query("a", "one"), {"a", "one", 20}));
  EXPECT_EQ(list(by_field).outcome, Outcome::kBroken);
  auto watch = store_->record_watch(by_field, {.from = 10}, {});
  ASSERT_TRUE(send(*watch, make_event(kube::EventType::kModified, {"a", "one", 20})));
  EXPECT_EQ(items(by_field), Strings{"a/one@20"});
}

TEST_F(ObjectTest, APodStaysOnItsNode) {
  auto pods = query();
  pods.gvr.resource = "pods";
  pods.field_selector = "spec.nodeName=n1";
  ASSERT_TRUE(record_list(pods, 10, {{"a", "one", 5}}));
  auto pod = query("a", "one");
  pod.gvr.resource = "pods";
  ASSERT_TRUE(record_get(pod, {"a", "one", 20}));
  EXPECT_EQ(items(pods), Strings{"a/one@20"});
}

TEST_F(ObjectTest, AStaleGetChangesNothing) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 9}}));
  ASSERT_TRUE(record_get(query("a", "one"), {"a", "one", 5}));  // resourceVersion=0
  EXPECT_EQ(items(query("a")), Strings{"a/one@9"});
  EXPECT_EQ(get(query("a", "one")).object.meta.resource_version, 9u);
}

TEST_F(ObjectTest, A404IsRemembered) {
  store_->record_not_found(query("a", "opt"), R"({"kind":"Status","code":404})", {});
  const auto answer = get(query("a", "opt"));
  EXPECT_EQ(answer.outcome, Outcome::kAbsent);
  EXPECT_EQ(answer.not_found_body, R"({"kind":"Status","code":404})");
  EXPECT_EQ(get(query("a", "opt", 2)).outcome, Outcome::kMiss);
  open();
  EXPECT_EQ(get(query("a", "opt")).outcome, Outcome::kAbsent);
  ASSERT_TRUE(record_get(query("a", "opt"), {"a", "opt", 5}));
  EXPECT_EQ(get(query("a", "opt")).outcome, Outcome::kHit);
}

TEST_F(ObjectTest, A404EndsWhatWasShown) {
  ASSERT_TRUE(record_get(query("a", "one"), {"a", "one", 5}));
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}, {"a", "two", 6}}));
  store_->record_not_found(query("a", "one"), "{}", {});
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kAbsent);
  EXPECT_EQ(items(query("a")), Strings{"a/two@6"});
  // Seen again.
  ASSERT_TRUE(record_list(query("a"), 20, {{"a", "one", 15}}));
  EXPECT_EQ(get(query("a", "one")).object.meta.resource_version, 15u);
}

TEST_F(ObjectTest, AbsenceFromANewerListEndsAGet) {
  ASSERT_TRUE(record_get(query("a", "one"), {"a", "one", 5}));
  ASSERT_TRUE(record_list(query("a"), 10, {}));
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kAbsent);
  ASSERT_TRUE(record_get(query("a", "one"), {"a", "one", 15}));
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kHit);
}

TEST_F(ObjectTest, WritesShow) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  store_->record_write(query("a", "one"), kube::Encoding::kJson,
                       Slice::own(json_object({"a", "one", 12})), {});
  EXPECT_EQ(items(query("a")), Strings{"a/one@12"});
  store_->record_not_found(query("a", "new"), "{}", {});
  store_->record_write(query("a", "new"), kube::Encoding::kJson,
                       Slice::own(json_object({"a", "new", 13})), {});
  EXPECT_EQ(get(query("a", "new")).object.meta.resource_version, 13u);
  EXPECT_EQ(items(query("a")), (Strings{"a/new@13", "a/one@12"}));
  EXPECT_EQ(store_->floor(principal(1), query().gvr), 13u);
  store_->record_delete(query("a", "one"));
  EXPECT_EQ(items(query("a")), Strings{"a/new@13"});
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kAbsent);
}

TEST_F(ObjectTest, AWriteInAnotherEncodingHoldsTheListBack) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  store_->record_write(query("a", "one"), kube::Encoding::kProtobuf, Slice::own("not an object"),
                       {});
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kBroken);
  ASSERT_TRUE(record_list(query("a"), 12, {{"a", "one", 11}}));
  EXPECT_EQ(items(query("a")), Strings{"a/one@11"});
}

TEST_F(ObjectTest, ARefusalPurgesItsScope) {
  ASSERT_TRUE(record_list(query(), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_list(query("b"), 10, {}));
  ASSERT_TRUE(record_get(query("b", "x"), {"b", "x", 3}));
  store_->purge(query("b", "x"));
  EXPECT_EQ(get(query("b", "x")).outcome, Outcome::kMiss);
  store_->purge(query("a"));
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
  EXPECT_EQ(list(query()).outcome, Outcome::kMiss);
  EXPECT_EQ(list(query("b")).outcome, Outcome::kHit);
  Query all;
  all.principal = principal(1);
  store_->record_document(principal(1), "/apis", {.body = Slice::own("{}")}, {});
  store_->purge(all);
  EXPECT_EQ(list(query("b")).outcome, Outcome::kMiss);
  EXPECT_FALSE(store_->document(principal(1), "/apis"));
  store_->drain();
  EXPECT_EQ(store_->stats().objects, 0u);
}

TEST_F(ObjectTest, ASelectedListSurvivesTheRefusalOfAWiderOne) {
  auto own = query();
  own.gvr.resource = "pods";
  own.field_selector = "spec.nodeName=n1";
  ASSERT_TRUE(record_list(own, 10, {{"a", "one", 5}}));
  auto all = own;
  all.field_selector.clear();
  store_->purge(all);
  EXPECT_EQ(items(own), Strings{"a/one@5"});
}

TEST_F(ObjectTest, AResourceThatIsGoneTakesAllWithIt) {
  ASSERT_TRUE(record_list(query(), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_list(selected("app=web", "a"), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_get(query("b", "x"), {"b", "x", 3}));
  ASSERT_TRUE(record_list(query("a", "", 2), 10, {{"a", "one", 5}}));
  store_->forget_resource(principal(1), query().gvr);
  EXPECT_EQ(list(query()).outcome, Outcome::kMiss);
  EXPECT_EQ(list(selected("app=web", "a")).outcome, Outcome::kMiss);
  EXPECT_EQ(get(query("b", "x")).outcome, Outcome::kMiss);
  EXPECT_EQ(items(query("a", "", 2)), Strings{"a/one@5"});
}

TEST_F(ObjectTest, ADeletedCollectionEndsWhatItMayHaveHeld) {
  ASSERT_TRUE(record_list(query(), 10, {{"a", "one", 5}, {"b", "x", 5}}));
  ASSERT_TRUE(record_list(selected("app=web", "a"), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_list(query("b"), 10, {{"b", "x", 5}}));
  ASSERT_TRUE(record_get(query("a", "one"), {"a", "one", 5}));
  auto watch = store_->record_watch(selected("app=web", "a"), {.from = 10}, {});
  store_->record_delete_collection(query("a"));
  EXPECT_EQ(list(query()).outcome, Outcome::kBroken);
  EXPECT_EQ(list(selected("app=web", "a")).outcome, Outcome::kBroken);
  EXPECT_EQ(get(query("a", "one")).outcome, Outcome::kBroken);
  EXPECT_EQ(items(query("b")), Strings{"b/x@5"});
  // A list that is followed hears of it by itself.
  ASSERT_TRUE(send(*watch, make_event(kube::EventType::kDeleted, {"a", "one", 15})));
  EXPECT_EQ(items(selected("app=web", "a")), Strings{});
}

TEST_F(ObjectTest, DocumentsOfAResourceGoWithWhatWasShownOfIt) {
  const auto gvr = query().gvr;
  const auto show = [&] {
    store_->record_document(principal(1), "table", {.gvr = gvr, .body = Slice::own("{}")}, {});
    store_->record_document(principal(1), "/apis", {.body = Slice::own("{}")}, {});
  };
  const auto shown = [&] { return store_->document(principal(1), "table", gvr).has_value(); };
  show();
  EXPECT_TRUE(shown());
  EXPECT_FALSE(store_->document(principal(1), "table"));
  EXPECT_FALSE(store_->document(principal(2), "table", gvr));
  auto other = query("a");
  other.gvr.resource = "secrets";
  store_->purge(other);
  EXPECT_TRUE(shown());
  store_->purge(query("a"));  // what a Table shows can't be told
  EXPECT_FALSE(shown());
  show();
  store_->record_not_found(query("a", "x"), "{}", {});
  EXPECT_FALSE(shown());
  show();
  store_->record_write(query("a", "x"), kube::Encoding::kJson,
                       Slice::own(json_object({"a", "x", 5})), {});
  EXPECT_FALSE(shown());
  show();
  store_->record_delete(query("a", "x"));
  EXPECT_FALSE(shown());
  EXPECT_TRUE(store_->document(principal(1), "/apis"));
  store_->forget_document(principal(1), "/apis");
  EXPECT_FALSE(store_->document(principal(1), "/apis"));
}

TEST_F(ObjectTest, DocumentsOfAResourceGoWhenNewerIsShown) {
  const auto gvr = query().gvr;
  const auto show = [&](int version) {
    store_->record_document(
        principal(1), "table",
        {.gvr = gvr,
         .content_type = "application/json",
         .body = Slice::own(
             R"({"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":")" +
             std::to_string(version) + R"("},"rows":[]})")},
        {});
  };
  const auto shown = [&] { return store_->document(principal(1), "table", gvr).has_value(); };
  show(20);
  ASSERT_TRUE(record_list(query("a"), 30, {{"a", "one", 5}, {"a", "two", 6}}));
  ASSERT_TRUE(record_get(query("a", "one"), {"a", "one", 5}));
  EXPECT_TRUE(shown());  // nothing that it could not show, too
  ASSERT_TRUE(record_get(query("a", "one"), {"a", "one", 21}));
  EXPECT_FALSE(shown());
  show(30);
  auto watch = store_->record_watch(query("a"), {.from = 30}, {});
  ASSERT_TRUE(send(*watch, make_event(kube::EventType::kModified, {"a", "one", 21})));
  ASSERT_TRUE(send(*watch, make_bookmark(35)));
  EXPECT_TRUE(shown());
  ASSERT_TRUE(send(*watch, make_event(kube::EventType::kDeleted, {"a", "one", 36})));
  EXPECT_FALSE(shown());
  show(40);
  ASSERT_TRUE(record_list(query("b"), 50, {{"b", "new", 45}}));
  EXPECT_FALSE(shown());
  show(50);
  ASSERT_TRUE(record_list(query("a"), 60, {}));  // "two" is gone
  EXPECT_FALSE(shown());
}

TEST_F(ObjectTest, AWriteThatNobodySawEndsWhatItMayHaveChanged) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}, {"a", "two", 6}}));
  ASSERT_TRUE(record_list(query("b"), 10, {{"b", "one", 5}}));
  store_->record_unseen_write(query("a", "one"), 0);
  EXPECT_NE(get(query("a", "one")).outcome, Outcome::kDerived);
  EXPECT_EQ(list(query("a")).outcome, Outcome::kBroken);
  EXPECT_EQ(list(query("b")).outcome, Outcome::kHit);
}

TEST_F(ObjectTest, DocumentsAreKeptWhole) {
  Document document{.content_type = "application/json",
                    .etag = "\"x\"",
                    .body = Slice::own(R"({"kind":"APIGroupList"})"),
                    .shown_at = clock_.wall()};
  store_->record_document(principal(1), "/apis", document, {});
  open();
  const auto found = store_->document(principal(1), "/apis");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->content_type, "application/json");
  EXPECT_EQ(found->etag, "\"x\"");
  EXPECT_EQ(found->body.view(), R"({"kind":"APIGroupList"})");
  EXPECT_FALSE(store_->document(principal(2), "/apis"));
  EXPECT_FALSE(store_->document(principal(1), "/api"));
}

}  // namespace
}  // namespace holdfast::cache
