#include "request/principal_resolver.h"

#include <gmock/gmock.h>

#include "unit/watch/thread_fixture.h"

namespace holdfast::request {
namespace {

using namespace std::chrono_literals;

class PrincipalResolverTest : public watch::ThreadTest {
 protected:
  PrincipalResolverTest() { credential_.token = "unknown"; }
  static Task<> resolve_into(PrincipalResolver* resolver, std::shared_ptr<Request> request,
                             std::optional<identity::Principal>* out, bool* done) {
    *out = co_await resolver->resolve(std::move(request), 10s);
    *done = true;
  }
  std::optional<identity::Principal> resolve() {
    std::optional<identity::Principal> out;
    bool done = false;
    nursery_.spawn("resolve", resolve_into(&principals_, make_request("/api"), &out, &done));
    run_until([&] { return done; });
    return out;
  }
};

TEST_F(PrincipalResolverTest, AReviewThatIsNotAnsweredEnds) {
  const auto review = script();
  review->withhold();
  EXPECT_FALSE(resolve());
  EXPECT_TRUE(review->cancelled);
  // Nor does the next request wait for another one.
  script()->withhold();
  EXPECT_FALSE(resolve());
  EXPECT_EQ(pool_.opened.size(), 1u);
}

TEST_F(PrincipalResolverTest, AnAnswerNamesThePrincipal) {
  const auto review = script(201);
  review->send(
      R"({"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1","status":{"userInfo":{"username":"till"}}})");
  review->end();
  const auto principal = resolve();
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->username, "till");
}

}  // namespace
}  // namespace holdfast::request
