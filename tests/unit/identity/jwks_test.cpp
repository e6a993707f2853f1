#include "identity/jwks.h"

#include <gtest/gtest.h>

#include "signer.h"

namespace holdfast::identity {
namespace {

const nlohmann::json kPayload = {{"iss", "https://issuer"}, {"sub", "someone"}};

nlohmann::json without_algorithm(const Signer& signer) {
  auto jwk = signer.jwk();
  jwk.erase("alg");
  return jwk;
}

std::string set_of(std::initializer_list<nlohmann::json> keys) {
  nlohmann::json set;
  set["keys"] = nlohmann::json::array();
  for (const auto& key : keys) set["keys"].push_back(key);
  return set.dump();
}

std::shared_ptr<const Jwks> keys() {
  static const auto parsed = Jwks::parse(set_of({without_algorithm(rsa_signer()),
                                                 p256_signer().jwk(), p384_signer().jwk()}))
                                 .value();
  return parsed;
}

TEST(Jwks, VerifiesEachAllowedAlgorithm) {
  const struct {
    const Signer& signer;
    const char* algorithm;
  } cases[] = {{rsa_signer(), "RS256"}, {rsa_signer(), "RS384"},  {rsa_signer(), "RS512"},
               {rsa_signer(), "PS256"}, {p256_signer(), "ES256"}, {p384_signer(), "ES384"}};
  for (const auto& c : cases) {
    const auto token = c.signer.sign(c.algorithm, kPayload);
    EXPECT_EQ(keys()->verify(token, c.algorithm, c.signer.key_id()), SignatureVerdict::kValid)
        << c.algorithm;
  }
}

TEST(Jwks, AKeyIsOnlyForItsOwnAlgorithms) {
  const auto token = rsa_signer().sign("RS256", kPayload);
  for (const char* algorithm : {"RS384", "RS512", "PS256", "ES256", "ES384"}) {
    EXPECT_EQ(keys()->verify(token, algorithm, "rsa-1"), SignatureVerdict::kInvalid) << algorithm;
  }
  for (const char* algorithm : {"none", "HS256", "HS512", "ES512", "EdDSA", "rs256", ""}) {
    EXPECT_NE(keys()->verify(token, algorithm, "rsa-1"), SignatureVerdict::kValid) << algorithm;
  }
  const auto es256 = p256_signer().sign("ES256", kPayload);
  EXPECT_EQ(keys()->verify(es256, "ES256", "p384"), SignatureVerdict::kInvalid);
  EXPECT_EQ(keys()->verify(es256, "ES384", "p256"), SignatureVerdict::kInvalid);
  EXPECT_EQ(keys()->verify(es256, "ES256", "rsa-1"), SignatureVerdict::kInvalid);
}

TEST(Jwks, TheKeysOwnAlgorithmBinds) {
  const auto bound = Jwks::parse(jwks_of({&rsa_signer()})).value();  // says RS256
  EXPECT_EQ(bound->verify(rsa_signer().sign("RS256", kPayload), "RS256", "rsa-1"),
            SignatureVerdict::kValid);
  EXPECT_EQ(bound->verify(rsa_signer().sign("RS512", kPayload), "RS512", "rsa-1"),
            SignatureVerdict::kInvalid);
}

TEST(Jwks, AnotherKeyUnderTheSameIdIsInvalidAnotherIdUnknown) {
  const auto token = other_rsa_signer().sign("RS256", kPayload);
  EXPECT_EQ(keys()->verify(token, "RS256", "rsa-1"), SignatureVerdict::kInvalid);
  EXPECT_EQ(keys()->verify(token, "RS256", "rsa-2"), SignatureVerdict::kUnknownKey);
  EXPECT_EQ(keys()->verify(token, "RS256", ""), SignatureVerdict::kUnknownKey);
}

TEST(Jwks, AMalformedSignatureIsInvalid) {
  const auto token = p256_signer().sign("ES256", kPayload);
  const auto text = token.substr(0, token.rfind('.') + 1);
  for (const std::string& signature :
       {std::string{}, std::string{"AA"}, std::string(85, 'A'), std::string(86, 'A'),
        std::string(128, 'A'), std::string{"!!!!"}}) {
    EXPECT_EQ(keys()->verify(text + signature, "ES256", "p256"), SignatureVerdict::kInvalid)
        << signature;
  }
}

TEST(Jwks, RefusesSetsWithoutAUsableKey) {
  auto small_exponent = rsa_signer().jwk();
  small_exponent["n"] = "AQAB";  // a modulus of 17 bits
  auto encryption = rsa_signer().jwk();
  encryption["use"] = "enc";
  auto nameless = rsa_signer().jwk();
  nameless.erase("kid");
  auto off_curve = p256_signer().jwk();
  off_curve["x"] = p256_signer().jwk()["y"];
  const nlohmann::json secret = {{"kty", "oct"}, {"kid", "s"}, {"k", "c2VjcmV0"}};
  for (const auto& key : {small_exponent, encryption, nameless, off_curve, secret,
                          nlohmann::json{{"kty", 5}}, nlohmann::json(7)}) {
    EXPECT_FALSE(Jwks::parse(set_of({key}))) << key.dump();
  }
  for (const char* text : {"", "{", "[]", "{}", R"({"keys":{}})", R"({"keys":[]})", "null"}) {
    EXPECT_FALSE(Jwks::parse(text)) << text;
  }
}

TEST(Jwks, SkipsKeysThatItCannotUse) {
  const nlohmann::json edwards = {{"kty", "OKP"}, {"kid", "ed"}, {"x", "AA"}};
  EXPECT_TRUE(Jwks::parse(set_of({edwards, rsa_signer().jwk()})));
}

}  // namespace
}  // namespace holdfast::identity
