#include <gtest/gtest.h>

#include "request/request.h"

namespace holdfast::request {
namespace {

class FakeRegistry final : public identity::Registry {
 public:
  int accepted_count = 0, refused_count = 0;

  identity::CredentialHash hash(const identity::Credential&) const override { return {}; }
  std::optional<identity::Principal> find(const identity::Credential&) override { return {}; }
  void learn(const identity::Credential&, identity::Principal) override {}
  void accepted(const identity::Credential&) override { ++accepted_count; }
  void refused(const identity::Credential&) override { ++refused_count; }
  identity::OfflineVerdict check_offline(const identity::Credential&,
                                         const identity::TagHint&) override {
    return {};
  }
  std::vector<identity::Principal> principals() const override { return {}; }
  void clear() override {}
  bool wants_jwks() const override { return false; }
  Result<void> set_jwks(std::string_view) override { return {}; }
  void configure(identity::IdentityOptions) override {}
};

TEST(NoteCredential, OnlyWhatAuthenticationLetThroughAccepts) {
  for (const unsigned status : {101u, 200u, 201u, 304u, 403u, 404u, 409u, 410u, 422u}) {
    FakeRegistry registry;
    note_credential(registry, {}, status);
    EXPECT_EQ(registry.accepted_count, 1) << status;
    EXPECT_EQ(registry.refused_count, 0) << status;
  }
  for (const unsigned status : {400u, 408u, 429u, 500u, 502u, 503u, 504u}) {
    FakeRegistry registry;
    note_credential(registry, {}, status);
    EXPECT_EQ(registry.accepted_count + registry.refused_count, 0) << status;
  }
  FakeRegistry registry;
  note_credential(registry, {}, 401);
  EXPECT_EQ(registry.refused_count, 1);
}

}  // namespace
}  // namespace holdfast::request
