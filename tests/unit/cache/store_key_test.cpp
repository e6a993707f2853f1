#include "cache/store_key.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <tss2/tss2_esys.h>

#include <fstream>
#include <future>
#include <sstream>

#include "unit/cache/store_fixture.h"
#include "unit/cache/swtpm.h"

namespace holdfast::cache {
namespace {

const std::string kSecret = "0123456789abcdef0123456789abcdef";

std::string content(const std::filesystem::path& path) {
  std::ostringstream out;
  out << std::ifstream{path, std::ios::binary}.rdbuf();
  return out.str();
}

class StoreKeyTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ::setenv("TSS2_LOG", "all+none", 0); }
  void SetUp() override { ASSERT_TRUE(tpm_.running()) << "the package swtpm"; }

  [[nodiscard]] std::filesystem::path path(const char* name) const {
    return directory_.path() / name;
  }
  [[nodiscard]] Result<StoreKey> load(const char* source, const TpmOpener& tpm) const {
    return load_store_key(directory_.path(), source, tpm);
  }

  TemporaryDirectory directory_;
  Swtpm tpm_{directory_.path() / "tpm"};
  const TpmOpener none_ = [] {
    return Result<std::unique_ptr<Tpm>>{make_error(Errc::kNotFound, "no TPM")};
  };
  const TpmOpener silent_ = [] {
    return Result<std::unique_ptr<Tpm>>{make_error(Errc::kUnavailable, "the TPM is silent")};
  };
};

TEST_F(StoreKeyTest, WhatATpmSealedOpensThereOnly) {
  const auto tpm = tpm_.opener()();
  ASSERT_TRUE(tpm) << tpm.error().to_string();
  auto sealed = (*tpm)->seal(kSecret);
  ASSERT_TRUE(sealed) << sealed.error().to_string();
  EXPECT_EQ(sealed->find(kSecret.substr(0, 8)), std::string::npos);
  for (int round = 0; round < 5; ++round) {  // nothing is left in the TPM, which has little room
    const auto opened = (*tpm)->unseal(*sealed);
    ASSERT_TRUE(opened) << opened.error().to_string();
    EXPECT_EQ(*opened, kSecret);
  }
  const Swtpm other{directory_.path() / "other"};
  const auto another = other.opener()();
  ASSERT_TRUE(another);
  EXPECT_EQ((*another)->unseal(*sealed).error().code, make_error_code(Errc::kCorrupt));
  for (const std::size_t at : {std::size_t{3}, sealed->size() / 2, sealed->size() - 1}) {
    auto changed = *sealed;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    const auto opened = (*tpm)->unseal(changed);
    ASSERT_FALSE(opened) << at;
    EXPECT_EQ(opened.error().code, make_error_code(Errc::kCorrupt)) << opened.error().to_string();
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{15}, sealed->size() - 1})
    EXPECT_EQ((*tpm)->unseal(sealed->substr(0, size)).error().code,
              make_error_code(Errc::kCorrupt));
}

TEST_F(StoreKeyTest, TheKeyStaysWhatItIsAcrossBoots) {
  const auto first = load("tpm", tpm_.opener());
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_EQ(first->place, KeyPlace::kTpm);
  EXPECT_FALSE(std::filesystem::exists(path("cache.key")));
  struct stat info {};
  ASSERT_EQ(::stat(path("cache.key.tpm").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(load("tpm", silent_).error().code, make_error_code(Errc::kUnavailable));
  EXPECT_EQ(load("auto", silent_).error().code, make_error_code(Errc::kUnavailable))
      << "another key would be the end of the cache";
  EXPECT_EQ(load("auto", tpm_.opener())->sealing, first->sealing);

  ::chmod(path("cache.key.tpm").c_str(), 0640);
  EXPECT_EQ(load("tpm", tpm_.opener()).error().code, make_error_code(Errc::kRefused));
}

TEST_F(StoreKeyTest, ABootedTpmOpensWhatItSealedBefore) {
  Result<StoreKey> first = make_error(Errc::kNotFound);
  {
    const Swtpm before{directory_.path() / "chip"};
    first = load("tpm", before.opener());
    ASSERT_TRUE(first) << first.error().to_string();
  }
  const Swtpm after{directory_.path() / "chip"};
  const auto again = load("tpm", after.opener());
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->sealing, first->sealing);
  EXPECT_EQ(again->credentials, first->credentials);
}

TEST_F(StoreKeyTest, AnotherTpmMeansAnotherKey) {
  const auto first = load("tpm", tpm_.opener());
  ASSERT_TRUE(first);
  const Swtpm other{directory_.path() / "other"};
  const auto second = load("auto", other.opener());
  ASSERT_TRUE(second) << second.error().to_string();
  EXPECT_NE(second->sealing, first->sealing);
  EXPECT_EQ(load("tpm", other.opener())->sealing, second->sealing);

  std::ofstream{path("cache.key.tpm"), std::ios::binary} << "garbage";
  EXPECT_NE(content(path("cache.key.tpm.old")), "");
  const auto third = load("tpm", other.opener());
  ASSERT_TRUE(third) << third.error().to_string();
  EXPECT_NE(third->sealing, second->sealing);
  std::ofstream{path("cache.key.tpm"), std::ios::binary} << std::string(5000, 'x');
  EXPECT_TRUE(load("tpm", other.opener()));
}

TEST_F(StoreKeyTest, AutoTakesWhatIsThereElseTheTpmElseAFile) {
  const auto file = load("auto", none_);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->place, KeyPlace::kFile);
  const auto kept = load("auto", tpm_.opener());
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->place, KeyPlace::kFile) << "a cache from before stays readable";
  EXPECT_EQ(kept->sealing, file->sealing);
  EXPECT_EQ(load("tpm", none_).error().code, make_error_code(Errc::kUnavailable));

  std::filesystem::remove(path("cache.key"));
  EXPECT_EQ(load("auto", silent_)->place, KeyPlace::kFile);
  std::filesystem::remove(path("cache.key"));
  EXPECT_EQ(load("auto", tpm_.opener())->place, KeyPlace::kTpm);
  EXPECT_EQ(content(path("cache.key.tpm")).find(kSecret), std::string::npos);
}

/// What an administrator does who keeps the owner's hierarchy: a storage root key for everybody,
/// and a password for the rest.
void take_ownership(const Swtpm& tpm, bool root_key) {
  std::size_t size = 0;
  Tss2_Tcti_Swtpm_Init(nullptr, &size, nullptr);
  std::vector<std::uint64_t> memory(size / 8 + 1);
  auto* tcti = reinterpret_cast<TSS2_TCTI_CONTEXT*>(memory.data());
  ASSERT_EQ(Tss2_Tcti_Swtpm_Init(tcti, &size, tpm.where().c_str()), TSS2_RC_SUCCESS);
  ESYS_CONTEXT* context = nullptr;
  ASSERT_EQ(Esys_Initialize(&context, tcti, nullptr), TSS2_RC_SUCCESS);
  if (root_key) {
    const TPM2B_SENSITIVE_CREATE no_secret{};
    const TPM2B_DATA nothing{};
    const TPML_PCR_SELECTION no_pcrs{};
    TPM2B_PUBLIC shape{};
    auto& area = shape.publicArea;
    area.type = TPM2_ALG_RSA;
    area.nameAlg = TPM2_ALG_SHA256;
    area.objectAttributes = 0x00030472;
    area.parameters.rsaDetail.symmetric = {
        .algorithm = TPM2_ALG_AES, .keyBits = {.aes = 128}, .mode = {.aes = TPM2_ALG_CFB}};
    area.parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
    area.parameters.rsaDetail.keyBits = 2048;
    ESYS_TR made = ESYS_TR_NONE, stays = ESYS_TR_NONE;
    ASSERT_EQ(Esys_CreatePrimary(context, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                 ESYS_TR_NONE, &no_secret, &shape, &nothing, &no_pcrs, &made,
                                 nullptr, nullptr, nullptr, nullptr),
              TSS2_RC_SUCCESS);
    ASSERT_EQ(Esys_EvictControl(context, ESYS_TR_RH_OWNER, made, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                ESYS_TR_NONE, 0x81000001, &stays),
              TSS2_RC_SUCCESS);
    Esys_TR_Close(context, &stays);
    Esys_FlushContext(context, made);
  }
  TPM2B_AUTH password{};
  password.size = 1;
  password.buffer[0] = 'x';
  ASSERT_EQ(Esys_HierarchyChangeAuth(context, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                     ESYS_TR_NONE, &password),
            TSS2_RC_SUCCESS);
  Esys_Finalize(&context);
  Tss2_Tcti_Finalize(tcti);
}

TEST_F(StoreKeyTest, WhereTheOwnerHasAPasswordTheStorageRootKeySeals) {
  take_ownership(tpm_, true);
  const auto first = load("tpm", tpm_.opener());
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_EQ(load("tpm", tpm_.opener())->sealing, first->sealing);
  // Another TPM has no such key; an administrator may yet make it.
  const Swtpm other{directory_.path() / "other"};
  EXPECT_EQ((*other.opener()())->unseal(content(path("cache.key.tpm"))).error().code,
            make_error_code(Errc::kUnavailable));
  take_ownership(other, true);
  EXPECT_EQ((*other.opener()())->unseal(content(path("cache.key.tpm"))).error().code,
            make_error_code(Errc::kCorrupt));
}

TEST_F(StoreKeyTest, ADeviceThatComesLateIsWaitedFor) {
  const auto first = load("tpm", tpm_.opener());
  ASSERT_TRUE(first);
  const auto late = [calls = 0, open = tpm_.opener()]() mutable {
    if (++calls < 4) return Result<std::unique_ptr<Tpm>>{make_error(Errc::kNotFound, "no TPM")};
    return open();
  };
  EXPECT_EQ(load("auto", late)->sealing, first->sealing);
}

TEST_F(StoreKeyTest, ATpmThatHangsStopsNobody) {
  ASSERT_TRUE(load("tpm", tpm_.opener()));
  std::promise<void> hang;
  const auto hanging = [released = hang.get_future().share()] {
    released.wait();
    return Result<std::unique_ptr<Tpm>>{make_error(Errc::kUnavailable)};
  };
  const auto stuck = load("auto", hanging);
  ASSERT_FALSE(stuck);
  EXPECT_EQ(stuck.error().code, make_error_code(Errc::kUnavailable));
  EXPECT_THAT(load("auto", hanging).error().message, testing::HasSubstr("still does not answer"))
      << "no second thread waits beside the first";
  hang.set_value();
  while (!load("auto", tpm_.opener())) std::this_thread::sleep_for(std::chrono::milliseconds{5});
}

TEST_F(StoreKeyTest, ATpmThatWillNotSealLeavesTheFile) {
  take_ownership(tpm_, false);
  const auto refused = load("tpm", tpm_.opener());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, make_error_code(Errc::kUnavailable));
  const auto file = load("auto", tpm_.opener());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->place, KeyPlace::kFile);
}

TEST_F(StoreKeyTest, ASealedKeyAndAPasswordSinceThenAreNoReasonToForget) {
  ASSERT_TRUE(load("tpm", tpm_.opener()));
  const auto before = content(path("cache.key.tpm"));
  take_ownership(tpm_, true);
  EXPECT_EQ(load("auto", tpm_.opener()).error().code, make_error_code(Errc::kUnavailable));
  EXPECT_EQ(content(path("cache.key.tpm")), before);
}

}  // namespace
}  // namespace holdfast::cache
