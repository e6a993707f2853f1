#include <gtest/gtest.h>

#include "fakes.h"
#include "signer.h"

namespace holdfast::identity {
namespace {

using namespace std::chrono_literals;
using Kind = OfflineVerdict::Kind;
using nlohmann::json;

constexpr const char* kIssuer = "https://kubernetes.default.svc.cluster.local";

class RegistryJwtTest : public testing::Test {
 protected:
  RegistryJwtTest() { restart(); }
  void restart() { registry_ = Registry::create(options_, "node key", store_, clock_); }

  /// The claims of a new token of shop/till, issued now.
  json claims() const {
    const auto now = clock_.unix_now();
    static int serial = 0;
    return {{"iss", kIssuer},
            {"aud", {kIssuer, "k3s"}},
            {"sub", "system:serviceaccount:shop:till"},
            {"iat", now},
            {"nbf", now},
            {"exp", now + 3607},
            {"jti", ++serial},
            {"kubernetes.io",
             {{"namespace", "shop"},
              {"serviceaccount", {{"name", "till"}, {"uid", "sa-1"}}},
              {"pod", {{"name", "till-0"}, {"uid", "pod-1"}}},
              {"node", {{"name", "edge-1"}, {"uid", "n"}}}}}};
  }
  std::string token(const json& payload) const { return rsa_signer().sign("RS256", payload); }
  static Principal till() {
    return {.username = "system:serviceaccount:shop:till",
            .uid = "sa-1",
            .groups = {"system:authenticated", "system:serviceaccounts"}};
  }
  /// What happens online: the API server's keys are fetched, one token of shop/till is accepted.
  void go_online_once() {
    first_ = bearer(token(claims()));
    registry_->learn(first_, till());
    ASSERT_TRUE(registry_->set_jwks(jwks_of({&rsa_signer(), &p256_signer(), &p384_signer()})));
    clock_.advance(60s);
  }
  OfflineVerdict check(const std::string& token, TagHint tag = {}) {
    const auto verdict = registry_->check_offline(bearer(token), tag);
    EXPECT_NE(verdict.reason, "");
    EXPECT_EQ(verdict.reason.find(token.substr(0, 20)), std::string::npos);
    EXPECT_TRUE(verdict.kind == Kind::kKnown || verdict.principal == Principal{});
    return verdict;
  }
  Kind kind(const std::string& token, TagHint tag = {}) { return check(token, tag).kind; }

  IdentityOptions options_{.node = "edge-1"};
  FakeClock clock_;
  FakeStore store_;
  std::unique_ptr<Registry> registry_;
  Credential first_;
};

TEST_F(RegistryJwtTest, AnAcceptedTokenIsKnownUntilItExpires) {
  go_online_once();
  EXPECT_EQ(registry_->find(first_), till());
  EXPECT_EQ(check(first_.token).principal, till());
  clock_.advance(3546s);
  EXPECT_EQ(kind(first_.token), Kind::kKnown);
  clock_.advance(1s);
  const auto verdict = check(first_.token);
  EXPECT_EQ(verdict.kind, Kind::kRejected);
  EXPECT_NE(verdict.reason.find("expired"), std::string::npos);

  options_.expired_grace = 1h;
  registry_->configure(options_);
  EXPECT_EQ(kind(first_.token), Kind::kKnown);
  clock_.advance(1h);
  EXPECT_EQ(kind(first_.token), Kind::kRejected);
}

TEST_F(RegistryJwtTest, ANewTokenOfAKnownAccountIsVerified) {
  go_online_once();
  const auto fresh = token(claims());
  EXPECT_EQ(check(fresh).principal, till());
  EXPECT_EQ(check(fresh).principal, till());  // from memory
  EXPECT_EQ(check(p256_signer().sign("ES256", claims())).principal, till());
  EXPECT_EQ(check(p384_signer().sign("ES384", claims())).principal, till());
  // Known offline is not accepted online: it is reviewed as soon as the link is back.
  EXPECT_FALSE(registry_->find(bearer(fresh)));
  registry_->accepted(bearer(fresh));
  EXPECT_FALSE(registry_->find(bearer(fresh)));
  clock_.advance(2h);
  EXPECT_EQ(kind(fresh), Kind::kRejected);
}

TEST_F(RegistryJwtTest, AVerifiedTokenIsVerifiedAgainWithNewKeys) {
  go_online_once();
  const auto fresh = token(claims());
  EXPECT_EQ(kind(fresh), Kind::kKnown);
  ASSERT_TRUE(registry_->set_jwks(jwks_of({&other_rsa_signer()})));
  EXPECT_EQ(kind(fresh), Kind::kRejected);
}

TEST_F(RegistryJwtTest, OneChangedByteIsRejected) {
  go_online_once();
  const auto good = token(claims());
  ASSERT_EQ(kind(good), Kind::kKnown);
  for (const auto& original : {good, first_.token}) {
    for (std::size_t i = 0; i < original.size(); i += 3) {
      auto changed = original;
      changed[i] = changed[i] == 'A' ? 'B' : 'A';
      EXPECT_NE(kind(changed), Kind::kKnown) << i;
    }
    auto changed = original;
    for (const char c : {'A', 'B', 'g', '-', '_'}) {
      changed.back() = c;
      if (changed == original) continue;
      EXPECT_EQ(kind(changed), Kind::kRejected) << c;
    }
  }
  // Older than the keys: rejected wherever it was changed, its key ID included.
  for (std::size_t i = 0; i < first_.token.size(); ++i) {
    auto changed = first_.token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_EQ(kind(changed), Kind::kRejected) << i;
  }
}

TEST_F(RegistryJwtTest, ForgedAlgorithmsAreRejected) {
  go_online_once();
  const auto& rsa = rsa_signer();
  for (const char* algorithm : {"none", "HS256", "HS384", "HS512"}) {
    EXPECT_EQ(kind(rsa.sign(algorithm, claims())), Kind::kRejected) << algorithm;
  }
  const auto unsigned_text = rsa.sign("none", claims());
  EXPECT_EQ(kind(unsigned_text + "AAAA"), Kind::kRejected);
  EXPECT_EQ(kind(rsa.sign_with(json{{"kid", rsa.key_id()}}, claims())), Kind::kRejected);
  for (const char* spelling : {"None", "NONE", "hs256", "RS1", "EdDSA"}) {
    EXPECT_NE(kind(rsa.sign_with(json{{"alg", spelling}, {"kid", rsa.key_id()}}, claims())),
              Kind::kKnown)
        << spelling;
  }
  // An RSA signature under an EC key's ID, and the other way round.
  EXPECT_EQ(kind(rsa.sign_with(json{{"alg", "RS256"}, {"kid", "p256"}}, claims())),
            Kind::kRejected);
  EXPECT_EQ(kind(p256_signer().sign_with(json{{"alg", "ES256"}, {"kid", "rsa-1"}}, claims())),
            Kind::kRejected);
}

TEST_F(RegistryJwtTest, AnotherKeyIsRejectedAnUnknownOneOnlyIfItCannotBeNew) {
  go_online_once();
  EXPECT_EQ(kind(other_rsa_signer().sign("RS256", claims())), Kind::kRejected);
  auto payload = claims();  // issued a minute after the keys were fetched
  EXPECT_EQ(kind(rsa_signer().sign_with(json{{"alg", "RS256"}, {"kid", "rsa-2"}}, payload)),
            Kind::kUnverifiable);
  EXPECT_EQ(kind(rsa_signer().sign_with(json{{"alg", "RS256"}}, payload)), Kind::kUnverifiable);
  payload["iat"] = clock_.unix_now() - 60;
  EXPECT_EQ(kind(rsa_signer().sign_with(json{{"alg", "RS256"}, {"kid", "rsa-2"}}, payload)),
            Kind::kRejected);
  EXPECT_EQ(kind(rsa_signer().sign_with(json{{"alg", "RS256"}}, payload)), Kind::kRejected);
  payload["iss"] = "https://login.example.org";  // another issuer's key: not ours to judge
  EXPECT_EQ(kind(rsa_signer().sign_with(json{{"alg", "RS256"}, {"kid", "rsa-2"}}, payload)),
            Kind::kUnverifiable);
}

TEST_F(RegistryJwtTest, TimesAreChecked) {
  go_online_once();
  const auto now = clock_.unix_now();
  auto payload = claims();
  payload["exp"] = now;
  EXPECT_EQ(kind(token(payload)), Kind::kRejected);
  payload["exp"] = now + 1;
  EXPECT_EQ(kind(token(payload)), Kind::kKnown);
  payload = claims();
  payload["nbf"] = now + 61;
  EXPECT_EQ(kind(token(payload)), Kind::kRejected);
  payload["nbf"] = now + 60;  // the API server's leeway
  EXPECT_EQ(kind(token(payload)), Kind::kKnown);
  payload = claims();
  payload.erase("exp");
  EXPECT_EQ(kind(token(payload)), Kind::kUnverifiable);
}

TEST_F(RegistryJwtTest, IssuerAndAudienceAreChecked) {
  go_online_once();
  auto payload = claims();
  payload["iss"] = "https://elsewhere";
  EXPECT_EQ(kind(token(payload)), Kind::kRejected);
  const struct {
    json audience;
    Kind kind;
  } cases[] = {
      {{kIssuer, "k3s"}, Kind::kKnown},
      {{"k3s", kIssuer}, Kind::kKnown},
      {{"vault", "k3s", kIssuer}, Kind::kKnown},
      // Which of the accepted token's two audiences is the API server's own, nobody said.
      {{kIssuer}, Kind::kRejected},
      {{"vault", "k3s"}, Kind::kRejected},
      {"vault", Kind::kRejected},
      {json::array(), Kind::kRejected},
  };
  for (const auto& c : cases) {
    payload = claims();
    payload["aud"] = c.audience;
    EXPECT_EQ(kind(token(payload)), c.kind) << c.audience;
  }
  payload = claims();
  payload["aud"] = "k3s";
  registry_->learn(bearer(token(payload)), till());
  payload = claims();
  payload["aud"] = json{"vault", "k3s"};
  EXPECT_EQ(kind(token(payload)), Kind::kKnown);
}

TEST_F(RegistryJwtTest, WithoutKeysNothingNewIsKnown) {
  first_ = bearer(token(claims()));
  registry_->learn(first_, till());
  EXPECT_TRUE(registry_->wants_jwks());
  EXPECT_EQ(kind(token(claims())), Kind::kUnverifiable);
  EXPECT_EQ(kind(first_.token), Kind::kKnown);
  EXPECT_EQ(kind(rsa_signer().sign("none", claims())), Kind::kRejected);
}

TEST_F(RegistryJwtTest, WithoutAnAcceptedTokenNothingIsKnown) {
  ASSERT_TRUE(registry_->set_jwks(jwks_of({&rsa_signer()})));
  EXPECT_EQ(kind(token(claims())), Kind::kUnverifiable);
}

TEST_F(RegistryJwtTest, AnAccountThatWasNeverSeenIsUnverifiable) {
  go_online_once();
  auto payload = claims();
  payload["sub"] = "system:serviceaccount:shop:other";
  payload["kubernetes.io"]["serviceaccount"]["name"] = "other";
  EXPECT_EQ(kind(token(payload)), Kind::kUnverifiable);
  payload = claims();
  payload["kubernetes.io"]["serviceaccount"]["uid"] = "sa-2";  // recreated
  EXPECT_EQ(kind(token(payload)), Kind::kUnverifiable);
  payload = claims();
  payload["sub"] = "system:serviceaccount:kube-system:admin";  // not what the claims say
  EXPECT_EQ(kind(token(payload)), Kind::kUnverifiable);
  payload = claims();
  payload.erase("kubernetes.io");
  EXPECT_EQ(kind(token(payload)), Kind::kUnverifiable);
}

TEST_F(RegistryJwtTest, ARefusedAccountIsForgotten) {
  go_online_once();
  registry_->refused(first_);
  EXPECT_EQ(kind(token(claims())), Kind::kUnverifiable);
}

TEST_F(RegistryJwtTest, ARefusedTokenIsNotBroughtBackByItsSignature) {
  go_online_once();
  const auto other = bearer(token(claims()));
  registry_->learn(other, till());  // the account itself stays known
  registry_->refused(first_);
  EXPECT_FALSE(registry_->find(first_));
  EXPECT_EQ(kind(first_.token), Kind::kRejected);
  EXPECT_EQ(check(other.token).principal, till());
  registry_->accepted(first_);  // of a request that was under way
  EXPECT_GT(store_.syncs, 0) << "a power cut must not bring it back";
  restart();
  EXPECT_EQ(kind(first_.token), Kind::kRejected);
  EXPECT_EQ(check(other.token).principal, till());
  registry_->learn(first_, till());
  EXPECT_EQ(check(first_.token).principal, till());
}

TEST_F(RegistryJwtTest, MadeUpTokensDoNotFillTheTable) {
  go_online_once();
  const auto before = store_.records.size();
  registry_->refused(bearer(other_rsa_signer().sign("RS256", claims())));
  registry_->refused(bearer("made up"));
  EXPECT_EQ(store_.records.size(), before);
}

TEST_F(RegistryJwtTest, APodsTokenServesItsPodOnly) {
  go_online_once();
  for (const auto& value : {first_.token, token(claims())}) {
    EXPECT_EQ(kind(value, {.tagged = true, .pod_uid = "pod-1"}), Kind::kKnown);
    EXPECT_EQ(kind(value, {.tagged = true, .pod_uid = "pod-2"}), Kind::kRejected);
    EXPECT_EQ(kind(value, {.tagged = true}), Kind::kUnverifiable);  // a host process
    EXPECT_EQ(kind(value, {.tagged = false}), Kind::kKnown);        // untagged
  }
  auto payload = claims();
  payload["kubernetes.io"]["node"]["name"] = "edge-2";
  EXPECT_EQ(kind(token(payload)), Kind::kRejected);
  payload = claims();
  payload["kubernetes.io"].erase("node");  // before 1.30
  EXPECT_EQ(kind(token(payload)), Kind::kUnverifiable);
  EXPECT_EQ(kind(token(payload), {.token_pod_known = true}), Kind::kKnown);
  EXPECT_EQ(kind(token(payload), {.tagged = true, .pod_uid = "pod-1"}), Kind::kKnown);
  payload = claims();
  payload["kubernetes.io"].erase("pod");
  payload["kubernetes.io"].erase("node");
  EXPECT_EQ(kind(token(payload), {.tagged = true, .pod_uid = "pod-2"}), Kind::kKnown);
}

TEST_F(RegistryJwtTest, EverythingSurvivesARestart) {
  go_online_once();
  restart();
  EXPECT_FALSE(registry_->wants_jwks());
  EXPECT_EQ(check(first_.token).principal, till());
  EXPECT_EQ(check(token(claims())).principal, till());
  auto payload = claims();
  payload["aud"] = "vault";
  EXPECT_EQ(kind(token(payload)), Kind::kRejected);
  EXPECT_EQ(kind(first_.token, {.tagged = true, .pod_uid = "pod-2"}), Kind::kRejected);
  clock_.advance(31 * 24h);  // long dead: not kept
  restart();
  EXPECT_TRUE(store_.records.empty());
}

TEST_F(RegistryJwtTest, KeysAreWantedEachHourAndBadOnesKeepTheOld) {
  go_online_once();
  EXPECT_FALSE(registry_->wants_jwks());
  EXPECT_FALSE(registry_->set_jwks("{}"));
  EXPECT_EQ(kind(token(claims())), Kind::kKnown);
  clock_.advance(1h);
  EXPECT_TRUE(registry_->wants_jwks());
}

TEST_F(RegistryJwtTest, AnotherIssuersTokensTeachNothing) {
  ASSERT_TRUE(registry_->set_jwks(jwks_of({&rsa_signer()})));
  const auto human = token({{"iss", "https://login.example.org"},
                            {"aud", "kubernetes"},
                            {"sub", "jane"},
                            {"exp", clock_.unix_now() + 600}});
  registry_->learn(bearer(human), {.username = "oidc:jane"});
  EXPECT_EQ(check(human).principal.username, "oidc:jane");
  EXPECT_EQ(kind(token(claims())), Kind::kUnverifiable);
  clock_.advance(600s);
  EXPECT_EQ(kind(human), Kind::kRejected);
}

TEST_F(RegistryJwtTest, AClockThatOnceRanAheadIsCorrectedByTheApiServer) {
  const auto start = clock_.unix_now();
  clock_.set_wall(start + 10L * 365 * 86400);
  restart();
  clock_.set_wall(start);
  const auto fresh = bearer(token(claims()));
  registry_->learn(fresh, till());  // the API server accepts what we hold for long expired
  EXPECT_EQ(kind(fresh.token), Kind::kKnown);
  restart();
  EXPECT_EQ(kind(fresh.token), Kind::kKnown);
}

}  // namespace
}  // namespace holdfast::identity
