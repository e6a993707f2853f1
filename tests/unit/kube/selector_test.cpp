#include "holdfast/kube/selector.h"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::kube {
namespace {

using Labels = LabelSelector::Labels;

struct Match {
  const char* selector;
  Labels labels;
  bool matches;
};

TEST(LabelSelector, MatchesAsApimachineryDoes) {
  const Match cases[] = {
      {"", {{"x", "y"}}, true},
      {"x=y", {{"x", "y"}}, true},
      {"x=y,z=w", {{"x", "y"}, {"z", "w"}}, true},
      {"x=y,z=w", {{"x", "y"}, {"z", "v"}}, false},
      {"x!=y,z!=w", {{"x", "z"}, {"z", "a"}}, true},
      {"x==y", {{"x", "y"}}, true},
      {"notin=in", {{"notin", "in"}}, true},
      {"in in (in)", {{"in", "in"}}, true},
      {"x", {{"x", "z"}}, true},
      {"!x", {{"x", "z"}}, false},
      {"!x", {{"y", "z"}}, true},
      {"x!=y", {}, true},
      {"x notin (a,b)", {}, true},
      {"x notin (a,b)", {{"x", "a"}}, false},
      {"x notin (a,b)", {{"x", "c"}}, true},
      {"x in (a,b)", {{"x", "b"}}, true},
      {"x in (a,b)", {}, false},
      {"x=", {{"x", ""}}, true},
      {"x=", {}, false},
      {"x in ()", {{"x", ""}}, true},
      {"x in (a,)", {{"x", ""}}, true},
      {"x>1", {{"x", "2"}}, true},
      {"x>1", {{"x", "1"}}, false},
      {"x<1", {{"x", "0"}}, true},
      {"x>1", {{"x", "abc"}}, false},
      {"x>1", {}, false},
      {"x < 9223372036854775807", {{"x", "9223372036854775806"}}, true},
      {"x>1", {{"x", "99999999999999999999"}}, false},
      {"foo=bar,foo=blah", {{"foo", "bar"}}, false},
      {" x \t=\n y , z ", {{"x", "y"}, {"z", ""}}, true},
      {"app.kubernetes.io/name in (a, b)", {{"app.kubernetes.io/name", "a"}}, true},
  };
  for (const auto& c : cases) {
    const auto selector = LabelSelector::parse(c.selector);
    ASSERT_TRUE(selector) << c.selector << ": " << selector.error().to_string();
    EXPECT_EQ(selector->matches(c.labels), c.matches) << c.selector;
  }
}

TEST(LabelSelector, RefusesWhatApimachineryRefuses) {
  const std::string long_name(64, 'a');
  for (const std::string text : {"x=a||y=b",
                                 "x==a==b",
                                 "!x=a",
                                 "x<a",
                                 "x>1.5",
                                 "x>-1",
                                 "x>",
                                 "x=a,",
                                 ",x=a",
                                 "x,,y",
                                 "=a",
                                 "x in",
                                 "x in (",
                                 "x in (a",
                                 "x in (a b)",
                                 "x in a",
                                 "x notin (a),(b)",
                                 "x in ((a))",
                                 "x nope (a)",
                                 "!",
                                 "!!x",
                                 "x=-a",
                                 "x=a-",
                                 "x=a/b",
                                 "-x=a",
                                 "x-=a",
                                 "a/b/c=d",
                                 "/x=a",
                                 "x/=a",
                                 "Upper.com/x=a",
                                 "a..b/x=a",
                                 "x y",
                                 "(x)",
                                 "x=a b",
                                 "x in (a))",
                                 "x=\xc3\xa9",
                                 "x=a\\,b"}) {
    EXPECT_FALSE(LabelSelector::parse(text)) << text;
  }
  EXPECT_FALSE(LabelSelector::parse(long_name + "=a"));
  EXPECT_FALSE(LabelSelector::parse("a=" + long_name));
  EXPECT_FALSE(LabelSelector::parse(std::string(254, 'a') + "/x"));
  EXPECT_TRUE(LabelSelector::parse(std::string(253, 'a') + "/" + std::string(63, 'b')));
  EXPECT_FALSE(LabelSelector::parse(std::string("a\0b", 3)));
}

TEST(LabelSelector, EqualSelectorsHaveEqualText) {
  const auto canonical = [](std::string_view text) {
    return LabelSelector::parse(text).value().canonical();
  };
  EXPECT_EQ(canonical("b=2,a=1"), canonical(" a == 1 , b in (2)"));
  EXPECT_EQ(canonical("b notin (y,x,y),a"), "a,b notin (x,y)");
  EXPECT_EQ(canonical("a!=1"), canonical("a notin (1)"));
  EXPECT_EQ(canonical("x,x"), "x");
  EXPECT_EQ(canonical(""), "");
  EXPECT_TRUE(LabelSelector::parse("")->empty());
  EXPECT_TRUE(LabelSelector::parse("  ")->empty());
  for (const char* text : {"a=,b in (,x),!c,d>5,e<7,f notin (),g!=h"})
    EXPECT_EQ(canonical(canonical(text)), canonical(text));
}

TEST(LabelSelector, SurvivesGarbage) {
  std::mt19937 random{7};
  const std::string alphabet = "ab =!(),<>in notin\t/.-_5";
  for (int i = 0; i < 50000; ++i) {
    std::string text;
    for (auto n = random() % 24; n > 0; --n) text += alphabet[random() % alphabet.size()];
    const auto selector = LabelSelector::parse(text);
    if (!selector) continue;
    const auto again = LabelSelector::parse(selector->canonical());
    ASSERT_TRUE(again) << text;
    EXPECT_EQ(again->canonical(), selector->canonical()) << text;
  }
}

TEST(FieldSelector, ParsesAsApimachineryDoes) {
  const auto canonical = [](std::string_view text) {
    return FieldSelector::parse(text).value().canonical();
  };
  EXPECT_EQ(canonical("x=a,y=b,z=c"), "x=a,y=b,z=c");
  EXPECT_EQ(canonical("z!=c,x==a"), "x=a,z!=c");
  EXPECT_EQ(canonical(R"(x=a\,b\=c\\d)"), R"(x=a\,b\=c\\d)");
  EXPECT_EQ(canonical("x=a,,x=a,"), "x=a");
  EXPECT_EQ(canonical("="), "");
  EXPECT_EQ(canonical("x="), "x=");
  EXPECT_EQ(canonical("a!b=c"), "a!b=c");
  for (const char* text :
       {"x", "x,y=a", "x=a=b", R"(x=a\b)", R"(x=\)", R"(x=a,b\)", "x===a", "x!a", "!x"})
    EXPECT_FALSE(FieldSelector::parse(text)) << text;
  EXPECT_TRUE(FieldSelector::parse("")->empty());
}

TEST(FieldSelector, MatchesMetadata) {
  const auto parse = [](std::string_view text) { return FieldSelector::parse(text).value(); };
  EXPECT_TRUE(parse("metadata.name=a").matches_metadata("a", "n"));
  EXPECT_FALSE(parse("metadata.name=a").matches_metadata("b", "n"));
  EXPECT_TRUE(parse("metadata.name!=a,metadata.namespace=n").matches_metadata("b", "n"));
  EXPECT_FALSE(parse("metadata.namespace!=n").matches_metadata("b", "n"));
  EXPECT_TRUE(parse("").matches_metadata("b", "n"));
  EXPECT_TRUE(parse("metadata.name=a").metadata_only());
  EXPECT_FALSE(parse("metadata.name=a,spec.nodeName=x").metadata_only());
  // What can't be judged is not shown.
  EXPECT_FALSE(parse("spec.nodeName=x").matches_metadata("b", "n"));
}

TEST(FieldSelector, RequiresAName) {
  const auto name = [](std::string_view text) {
    return FieldSelector::parse(text).value().required_name();
  };
  EXPECT_EQ(name("metadata.name=a"), "a");
  EXPECT_EQ(name("spec.nodeName=x,metadata.name==a"), "a");
  EXPECT_EQ(name("metadata.name!=a"), "");
  EXPECT_EQ(name("spec.nodeName=x"), "");
  EXPECT_EQ(name("metadata.name=b,metadata.name=a"), "a");  // the terms are sorted first
}

}  // namespace
}  // namespace holdfast::kube
