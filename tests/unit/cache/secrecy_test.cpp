#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "cache/sealer.h"
#include "unit/cache/store_fixture.h"

namespace holdfast::cache {
namespace {

class SecrecyTest : public StoreTest {
 protected:
  /// All that lies in the store's directory, the key file left out.
  [[nodiscard]] std::string everything_on_disk() const {
    std::string out;
    for (const auto& entry : std::filesystem::recursive_directory_iterator{directory_.path()}) {
      if (!entry.is_regular_file() || entry.path().filename() == "cache.key") continue;
      std::ifstream in{entry.path(), std::ios::binary};
      std::ostringstream text;
      text << in.rdbuf();
      out += entry.path().string() + text.str();
    }
    return out;
  }
  /// A row of every kind.
  void fill() {
    ASSERT_TRUE(store_->bind_cluster("plainca plainuid"));
    ASSERT_TRUE(record_list(query("plainspace"), 10,
                            {{"plainspace", "plainname", 5, "plainlabel", "plainvalue"}}, "", ""));
    ASSERT_TRUE(record_list(selected("app=plainselector"), 10, {}));
    ASSERT_TRUE(record_get(query("plainspace", "plainget"), {"plainspace", "plainget", 6}));
    store_->record_not_found(query("plainspace", "plainmissing"), R"({"message":"plainstatus"})",
                             {});
    store_->record_document(principal(1), "/plainpath",
                            {.content_type = "plaintype", .body = Slice::own("plainbody")}, {});
    identity::CredentialHash hash;
    hash.bytes[0] = 7;
    ASSERT_TRUE(store_->credentials().put(hash, "plaincredential"));
    ASSERT_TRUE(store_->credentials().put_named("plainnamed", "plainjwks"));
    // Pages that nobody continued, and a refusal.
    ASSERT_TRUE(
        record_list(query("plainpages"), 10, {{"plainpages", "plainpage", 5}}, "", "plaintoken"));
    store_->purge(query("plainspace", "plainrefused"));
    auto watch = store_->record_watch(query("plainspace"), {.from = 10}, {});
    send(*watch, make_event(kube::EventType::kModified,
                            {"plainspace", "plainname", 11, "plainlabel", "plainvalue"}));
    store_->drain();
  }
};

TEST_F(SecrecyTest, NothingIsOnDiskInClear) {
  fill();
  // First in the log, then in tables, and in what RocksDB writes about itself.
  for (int round = 0; round < 3; ++round) {
    const auto bytes = everything_on_disk();
    ASSERT_GT(bytes.size(), 1000u);
    for (const char* word : {"plain", "ConfigMap", "configmaps", "uid-"})
      EXPECT_EQ(bytes.find(word), std::string::npos) << word << " in round " << round;
    for (const char* file : {"LOG", "OPTIONS", "MANIFEST", round == 0 ? ".log" : ".sst"})
      EXPECT_NE(bytes.find(file), std::string::npos) << file;
    open();
  }
}

TEST_F(SecrecyTest, OffMeansInClear) {
  key_source_ = "off";
  open();
  fill();
  EXPECT_NE(everything_on_disk().find("plainvalue"), std::string::npos);
  EXPECT_EQ(items(query("plainspace")), Strings{"plainspace/plainname@11"});
}

TEST_F(SecrecyTest, TheKeyFileIsPrivate) {
  struct stat info {};
  ASSERT_EQ(::stat((directory_.path() / "cache.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(info.st_size, 32);
  store_.reset();
  ::chmod((directory_.path() / "cache.key").c_str(), 0640);
  const auto refused = Store::open(options(), clock_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, make_error_code(Errc::kRefused));
}

TEST_F(SecrecyTest, AnotherKeyMeansAFreshStore) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  const auto secret = store_->hmac_key();
  EXPECT_EQ(secret.size(), 32u);
  open();
  EXPECT_EQ(store_->hmac_key(), secret);
  store_.reset();
  std::filesystem::remove(directory_.path() / "cache.key");
  open();
  EXPECT_NE(store_->hmac_key(), secret);
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  // From sealed to clear is another store too.
  key_source_ = "off";
  open();
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
}

TEST_F(SecrecyTest, KeySourcesThatAreNotThereSaySo) {
  store_.reset();
  key_source_ = "bogus";
  EXPECT_EQ(Store::open(options(), clock_).error().code, make_error_code(Errc::kInvalidArgument));
}

TEST_F(SecrecyTest, AValueOpensUnderItsOwnKeyOnly) {
  const Sealer sealer{std::string(32, 'k')}, other{std::string(32, 'o')};
  std::string plain;
  auto sealed = sealer.seal("row", "value");
  ASSERT_TRUE(sealer.open("row", sealed, plain));
  EXPECT_EQ(plain, "value");
  EXPECT_NE(sealer.seal("row", "value"), sealed);
  EXPECT_FALSE(sealer.open("another row", sealed, plain));
  EXPECT_FALSE(other.open("row", sealed, plain));
  EXPECT_FALSE(sealer.open("row", "short", plain));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    auto changed = sealed;
    changed[i] ^= 1;
    EXPECT_FALSE(sealer.open("row", changed, plain)) << i;
  }
  ASSERT_TRUE(sealer.open("row", sealer.seal("row", ""), plain));
  EXPECT_EQ(plain, "");
}

TEST_F(SecrecyTest, AnAbsenceDoesNotBringWhatIsWrittenNextToDisk) {
  const RecordOptions memory{.residence = Residence::kMemory};
  auto secret = query("a", "secret");
  secret.gvr.resource = "secrets";
  store_->record_not_found(secret, "{}", memory);
  store_->drain();
  EXPECT_EQ(get(secret).outcome, Outcome::kAbsent);
  EXPECT_EQ(store_->stats().disk_bytes, 0u);
  // As after an absence that was remembered on disk by another rule, or a refusal.
  auto other = secret;
  other.name = "other";
  store_->record_not_found(other, "{}", {});
  store_->purge(secret);
  store_->drain();
  const auto before = store_->stats().disk_bytes;
  store_->record_write(secret, kube::Encoding::kJson,
                       Slice::own(json_object({"a", "secret", 5, "web", "plainvalue"})), memory);
  store_->drain();
  EXPECT_EQ(get(secret).outcome, Outcome::kHit);
  EXPECT_LE(store_->stats().disk_bytes, before);
  open();
  EXPECT_NE(get(secret).outcome, Outcome::kHit);
}

TEST_F(SecrecyTest, CredentialsSurviveARestartAndNotAnotherCluster) {
  identity::CredentialHash hash;
  hash.bytes[3] = 9;
  ASSERT_TRUE(store_->bind_cluster("ca-1 uid-1"));
  ASSERT_TRUE(store_->credentials().put(hash, "record"));
  ASSERT_TRUE(store_->credentials().put_named("jwks", "keys"));
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  open();
  ASSERT_TRUE(store_->bind_cluster("ca-1 uid-1"));
  EXPECT_EQ(store_->credentials().get(hash), "record");
  EXPECT_EQ(store_->credentials().get_named("jwks"), "keys");
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
  ASSERT_TRUE(store_->credentials().erase(hash));
  EXPECT_EQ(store_->credentials().get(hash), std::nullopt);

  ASSERT_TRUE(store_->bind_cluster("ca-1 uid-2"));
  EXPECT_EQ(store_->credentials().get_named("jwks"), std::nullopt);
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
  EXPECT_EQ(store_->floor(principal(1), query().gvr), 0u);
  EXPECT_EQ(store_->stats().disk_bytes, 0u);
  EXPECT_EQ(store_->stats().collections, 0u);
  ASSERT_TRUE(record_list(query("a"), 3, {{"a", "two", 2}}));
  open();
  ASSERT_TRUE(store_->bind_cluster("ca-1 uid-2"));
  EXPECT_EQ(items(query("a")), Strings{"a/two@2"});
}

}  // namespace
}  // namespace holdfast::cache
