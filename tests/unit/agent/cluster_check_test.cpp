#include "agent/cluster_check.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "unit/cache/store_fixture.h"
#include "unit/tls/pki.h"

namespace holdfast::agent {
namespace {

using namespace std::chrono_literals;

/// What an API server says, as the test has it.
class FakeApi final : public ClusterApi {
 public:
  Task<Result<std::string>> uid() override {
    ++asked;
    co_return uid_is;
  }
  Task<Result<kube::ResourceVersion>> version() override { co_return version_is; }

  Result<std::string> uid_is = std::string{"uid-1"};
  Result<kube::ResourceVersion> version_is = kube::ResourceVersion{100};
  int asked = 0;
};

class ClusterCheckTest : public cache::StoreTest {
 protected:
  ClusterCheckTest() {
    auto api = std::make_unique<FakeApi>();
    api_ = api.get();
    check_ = std::make_unique<ClusterCheck>(
        ClusterCheck::Parts{.api = std::move(api),
                            .store = *store_,
                            .roots = "root",
                            .online = [this] { return online_; },
                            .on_other_cluster = [this] { ++others_; }},
        clock_);
  }

  ~ClusterCheckTest() override { store_->drain(); }  // its answers are for this loop

  void tick() {
    boost::asio::co_spawn(io_, check_->tick(io_.get_executor()), boost::asio::detached);
    io_.restart();
    io_.poll();
    store_->drain();  // its answer comes from a thread of its own
    io_.restart();
    io_.poll();
  }
  bool known() { return list(query("a")).outcome == cache::Outcome::kHit; }

  boost::asio::io_context io_;
  FakeApi* api_ = nullptr;
  bool online_ = true;
  int others_ = 0;
  std::unique_ptr<ClusterCheck> check_;
};

TEST_F(ClusterCheckTest, AsksWhenTheLinkIsBackAndNowAndThen) {
  tick();
  EXPECT_EQ(api_->asked, 1);
  tick();
  EXPECT_EQ(api_->asked, 1);
  check_->recheck();
  online_ = false;
  tick();
  EXPECT_EQ(api_->asked, 1);
  online_ = true;
  tick();
  EXPECT_EQ(api_->asked, 2);
  clock_.advance(std::chrono::seconds{299});
  tick();
  EXPECT_EQ(api_->asked, 2);
  clock_.advance(std::chrono::seconds{1});
  tick();
  EXPECT_EQ(api_->asked, 3);
}

TEST_F(ClusterCheckTest, AsksAgainSoonWhenThereWasNoAnswer) {
  api_->uid_is = make_error(Errc::kTimeout, "late");
  tick();
  tick();
  EXPECT_EQ(api_->asked, 1);
  clock_.advance(std::chrono::seconds{5});
  api_->uid_is = std::string{"uid-1"};
  api_->version_is = make_error(Errc::kUnavailable, "503");
  tick();
  EXPECT_EQ(api_->asked, 2);
  clock_.advance(std::chrono::seconds{5});
  api_->version_is = kube::ResourceVersion{7};
  tick();
  EXPECT_EQ(api_->asked, 3);
  EXPECT_EQ(store_->reached(), 7u);
  clock_.advance(std::chrono::seconds{5});
  tick();
  EXPECT_EQ(api_->asked, 3);
}

TEST_F(ClusterCheckTest, AnotherUidEndsAllThatIsKnown) {
  tick();
  ASSERT_TRUE(record_list(query("a"), 50, {{"a", "one", 5}}));
  check_->recheck();
  tick();
  EXPECT_TRUE(known());
  EXPECT_EQ(others_, 0);
  api_->uid_is = std::string{"uid-2"};
  api_->version_is = kube::ResourceVersion{3};
  check_->recheck();
  tick();
  EXPECT_FALSE(known());
  EXPECT_EQ(others_, 1);
}

TEST_F(ClusterCheckTest, WhoMayNotSeeTheUidIsBoundToTheCa) {
  api_->uid_is = make_error(Errc::kRefused, "403");
  ASSERT_TRUE(store_->bind_cluster("root"));
  ASSERT_TRUE(record_list(query("a"), 50, {{"a", "one", 5}}));
  // A few times soon: an API server that just started refuses what it will allow.
  for (int i = 0; i < 20; ++i) {
    tick();
    clock_.advance(std::chrono::seconds{10});
  }
  EXPECT_EQ(api_->asked, 7);
  EXPECT_TRUE(known());
  // Versions tell all the same.
  api_->version_is = kube::ResourceVersion{40};
  const auto era = store_->era();
  check_->recheck();
  tick();
  EXPECT_FALSE(known());
  EXPECT_NE(store_->era(), era);
  EXPECT_EQ(others_, 0);
}

TEST(ClusterApiTest, ReadsWhatItNeeds) {
  EXPECT_EQ(uid_of(R"({"metadata":{"name":"kube-system","uid":"u-1"}})"), "u-1");
  EXPECT_EQ(uid_of(R"({"metadata":{"uid":7}})"), "");
  EXPECT_EQ(uid_of("[]"), "");
  EXPECT_EQ(uid_of("<html>"), "");
  EXPECT_EQ(version_of_list(R"({"metadata":{"resourceVersion":"123"},"items":[]})"), 123u);
  EXPECT_EQ(version_of_list(R"({"metadata":{"resourceVersion":"x"}})"), 0u);
  EXPECT_EQ(version_of_list(R"({"metadata":[]})"), 0u);
}

TEST(ClusterApiTest, ARootIsItsKey) {
  const auto one = tls::test::make_ca("one"), two = tls::test::make_ca("two");
  const auto first = hash_of_roots(one.cert_pem), second = hash_of_roots(two.cert_pem);
  EXPECT_EQ(first.size(), 64u);
  EXPECT_NE(first, second);
  EXPECT_EQ(hash_of_roots(one.cert_pem + two.cert_pem), first + "," + second);
  EXPECT_EQ(hash_of_roots("nothing"), "");
}

}  // namespace
}  // namespace holdfast::agent
