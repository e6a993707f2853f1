#include <gtest/gtest.h>

#include <thread>

#include "fakes.h"

namespace holdfast::identity {
namespace {

using namespace std::chrono_literals;
using Kind = OfflineVerdict::Kind;

const Principal kAdmin{.username = "admin", .uid = "1", .groups = {"system:masters"}};
const Principal kNode{.username = "system:node:edge-1",
                      .groups = {"system:authenticated", "system:nodes"},
                      .extra = R"({"a":["b"]})"};

class RegistryTest : public testing::Test {
 protected:
  void restart() { registry_ = Registry::create(options_, "node key", store_, clock_); }
  OfflineVerdict check(const Credential& credential) {
    return registry_->check_offline(credential, {});
  }

  IdentityOptions options_;
  FakeClock clock_;
  FakeStore store_;
  std::unique_ptr<Registry> registry_ = Registry::create(options_, "node key", store_, clock_);
};

TEST_F(RegistryTest, AnonymousIsNeverKnown) {
  registry_->learn({}, kAdmin);
  registry_->accepted({});
  EXPECT_FALSE(registry_->find({}));
  const auto verdict = check({});
  EXPECT_EQ(verdict.kind, Kind::kUnverifiable);
  EXPECT_NE(verdict.reason, "");
  EXPECT_TRUE(store_.records.empty());
}

TEST_F(RegistryTest, AMadeUpTokenIsRejected) {
  registry_->learn(bearer("real"), kAdmin);
  const auto verdict = check(bearer("made up"));
  EXPECT_EQ(verdict.kind, Kind::kRejected);
  EXPECT_EQ(verdict.reason.find("made up"), std::string::npos);
}

TEST_F(RegistryTest, OpaqueTokensLastForTheirTtl) {
  const auto token = bearer("opaque");
  registry_->learn(token, kAdmin);
  EXPECT_EQ(registry_->find(token), kAdmin);
  clock_.advance(59min);
  registry_->accepted(token);
  clock_.advance(1h);
  const auto verdict = check(token);
  EXPECT_EQ(verdict.kind, Kind::kKnown);
  EXPECT_EQ(verdict.principal, kAdmin);
  clock_.advance(1s);
  EXPECT_EQ(check(token).kind, Kind::kRejected);

  options_.opaque_token_ttl = 2h;
  registry_->configure(options_);
  EXPECT_EQ(check(token).kind, Kind::kKnown);
}

TEST_F(RegistryTest, OpaqueTokensAreReviewedAgainEveryFewMinutes) {
  const auto token = bearer("opaque");
  registry_->learn(token, kAdmin);
  clock_.advance(301s);
  registry_->accepted(token);
  EXPECT_FALSE(registry_->find(token));
  EXPECT_EQ(check(token).kind, Kind::kKnown);
}

TEST_F(RegistryTest, AnotherClusterKnowsNobody) {
  registry_->learn(bearer("one"), kAdmin);
  registry_->learn(bearer("two"), kNode);
  registry_->clear();
  EXPECT_FALSE(registry_->find(bearer("one")));
  EXPECT_EQ(check(bearer("two")).kind, Kind::kRejected);
  EXPECT_TRUE(registry_->wants_jwks());
  EXPECT_TRUE(store_.records.empty());
  restart();
  EXPECT_FALSE(registry_->find(bearer("one")));
  registry_->learn(bearer("one"), kNode);
  EXPECT_EQ(registry_->find(bearer("one")), kNode);
}

TEST_F(RegistryTest, ARefusedCredentialIsForgotten) {
  registry_->learn(bearer("opaque"), kAdmin);
  registry_->refused(bearer("opaque"));
  EXPECT_FALSE(registry_->find(bearer("opaque")));
  EXPECT_EQ(check(bearer("opaque")).kind, Kind::kRejected);
  EXPECT_TRUE(store_.records.empty());
  restart();
  EXPECT_EQ(check(bearer("opaque")).kind, Kind::kRejected);
}

TEST_F(RegistryTest, CertificatesLastUntilTheirEnd) {
  const auto cert = certificate("ff00", clock_.unix_now() + 7200);
  EXPECT_EQ(check(cert).kind, Kind::kUnverifiable);
  registry_->learn(cert, kNode);
  clock_.advance(7199s);
  EXPECT_EQ(check(cert).principal, kNode);
  clock_.advance(1s);
  EXPECT_EQ(check(cert).kind, Kind::kRejected);
  options_.expired_grace = 1h;
  registry_->configure(options_);
  EXPECT_EQ(check(cert).kind, Kind::kKnown);
}

TEST_F(RegistryTest, ACertificateOfUnknownValidityIsNotServed) {
  registry_->learn(certificate("ff00", 0), kNode);
  EXPECT_EQ(check(certificate("ff00", 0)).kind, Kind::kUnverifiable);
  EXPECT_EQ(check(certificate("ff00", clock_.unix_now() + 10)).kind, Kind::kKnown);
}

TEST_F(RegistryTest, KnownCredentialsSurviveARestart) {
  const auto cert = certificate("ff00", clock_.unix_now() + 7200);
  registry_->learn(bearer("opaque"), kAdmin);
  registry_->learn(cert, kNode);
  restart();
  EXPECT_EQ(check(bearer("opaque")).principal, kAdmin);
  EXPECT_EQ(check(cert).principal, kNode);
  EXPECT_EQ(registry_->find(cert), kNode);
  EXPECT_EQ(check(bearer("made up")).kind, Kind::kRejected);

  // Under another key of the node nothing matches.
  const auto other = Registry::create(options_, "another key", store_, clock_);
  EXPECT_EQ(other->check_offline(bearer("opaque"), {}).kind, Kind::kRejected);
}

TEST_F(RegistryTest, NoTokenReachesTheStore) {
  registry_->learn(bearer("super-secret-token"), kAdmin);
  registry_->accepted(bearer("super-secret-token"));
  for (const auto& [key, record] : store_.records) {
    EXPECT_EQ(record.find("super-secret"), std::string::npos);
  }
  for (const auto& [name, value] : store_.named) {
    EXPECT_EQ(value.find("super-secret"), std::string::npos);
  }
}

TEST_F(RegistryTest, AcceptanceIsPersistedOnceAMinute) {
  registry_->learn(bearer("opaque"), kAdmin);
  const int before = store_.puts;
  for (int i = 0; i < 59; ++i) {
    clock_.advance(1s);
    registry_->accepted(bearer("opaque"));
  }
  EXPECT_EQ(store_.puts, before);
  clock_.advance(1s);
  for (int i = 0; i < 5; ++i) registry_->accepted(bearer("opaque"));
  EXPECT_EQ(store_.puts, before + 1);
  restart();
  clock_.advance(1h);
  EXPECT_EQ(check(bearer("opaque")).kind, Kind::kKnown);
}

TEST_F(RegistryTest, ImpersonationIsNotLearned) {
  registry_->learn(bearer("opaque"), with_impersonation(kAdmin, "user=x"));
  EXPECT_EQ(registry_->find(bearer("opaque")), kAdmin);
}

TEST_F(RegistryTest, IsBoundedInMemoryAndInTheStore) {
  options_.capacity = 64;
  restart();
  for (int i = 0; i < 1000; ++i) {
    clock_.advance(1s);
    registry_->learn(bearer("token" + std::to_string(i)), kAdmin);
    registry_->accepted(bearer("token0"));
  }
  EXPECT_LE(store_.records.size(), 64u);
  EXPECT_EQ(check(bearer("token0")).kind, Kind::kKnown);  // in use
  EXPECT_EQ(check(bearer("token999")).kind, Kind::kKnown);
  EXPECT_EQ(check(bearer("token1")).kind, Kind::kRejected);
  restart();
  EXPECT_EQ(check(bearer("token999")).kind, Kind::kKnown);
}

TEST_F(RegistryTest, BrokenRecordsAreDropped) {
  registry_->learn(bearer("a"), kAdmin);
  registry_->learn(bearer("b"), kAdmin);
  for (auto& [key, record] : store_.records) record = "{\"v\":1";
  restart();
  EXPECT_EQ(check(bearer("a")).kind, Kind::kRejected);
  EXPECT_TRUE(store_.records.empty());
  for (auto& [name, value] : store_.named) value = "gar\nbage";
  restart();
  EXPECT_TRUE(registry_->wants_jwks());
  registry_->learn(bearer("a"), kAdmin);
  EXPECT_EQ(check(bearer("a")).kind, Kind::kKnown);
}

TEST_F(RegistryTest, SettingTheClockBackRevivesNothing) {
  const auto start = clock_.unix_now();
  const auto cert = certificate("ff00", start + 3600);
  registry_->learn(cert, kNode);
  clock_.advance(2h);
  EXPECT_EQ(check(cert).kind, Kind::kRejected);
  clock_.set_wall(start);
  EXPECT_EQ(check(cert).kind, Kind::kRejected);
  restart();  // from the persisted time
  EXPECT_EQ(check(cert).kind, Kind::kRejected);
}

TEST_F(RegistryTest, TimeGoesOnWhereTheClockIsBehind) {
  clock_.set_wall(clock_.unix_now() + 7200);
  const auto cert = certificate("ff00", clock_.unix_now() + 3600);
  registry_->learn(cert, kNode);
  clock_.set_wall(1000);  // a node that booted without a battery
  EXPECT_EQ(check(cert).kind, Kind::kKnown);
  restart();
  EXPECT_EQ(check(cert).kind, Kind::kKnown);
  clock_.advance(2h);
  EXPECT_EQ(check(cert).kind, Kind::kRejected);
}

TEST_F(RegistryTest, ManyThreadsMayUseIt) {
  options_.capacity = 64;
  restart();
  const auto name = [](int i) { return "token" + std::to_string(i); };
  const auto work = [&](int thread) {
    for (int i = 0; i < 300; ++i) {
      const int which = (i * 7 + thread) % 100;
      const auto token = bearer(name(which));
      const Principal owner{.username = name(which)};
      if (const auto found = registry_->find(token)) {
        EXPECT_EQ(*found, owner);
      } else if (i % 3 == 0) {
        registry_->learn(token, owner);
      }
      registry_->accepted(token);
      const auto verdict = registry_->check_offline(token, {});
      if (verdict.kind == Kind::kKnown) {
        EXPECT_EQ(verdict.principal, owner);
      }
      if (i % 50 == 0) registry_->refused(token);
      if (i % 100 == 0) registry_->configure(options_);
    }
  };
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) threads.emplace_back(work, t);
  threads.clear();
  EXPECT_LE(store_.records.size(), 64u);
}

}  // namespace
}  // namespace holdfast::identity
