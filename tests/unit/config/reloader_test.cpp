#include "holdfast/config/reloader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>

namespace holdfast::config {
namespace {

namespace fs = std::filesystem;

class FakeFiles final : public FileView {
 public:
  std::optional<Stamp> stamp(const std::string&) override {
    if (!text_) return std::nullopt;
    return Stamp{.inode = version_};
  }
  Result<std::string> read(const std::string&) override {
    ++reads_;
    if (!text_) return make_error(Errc::kNotFound, "gone");
    return *text_;
  }
  void set(std::optional<std::string> text) {
    text_ = std::move(text);
    ++version_;
  }
  int reads_ = 0;

 private:
  std::optional<std::string> text_;
  std::uint64_t version_ = 0;
};

class ReloaderTest : public testing::Test {
 protected:
  ReloaderTest() { files_.set("threads: 1"); }
  Reloader make() {
    return Reloader{
        "c.yaml", {}, [this](Result<Config> c) { seen_.push_back(std::move(c)); }, files_};
  }
  FakeFiles files_;
  std::vector<Result<Config>> seen_;
};

TEST_F(ReloaderTest, WhatWasThereIsNotNews) {
  auto reloader = make();
  for (int i = 0; i < 5; ++i) reloader.poll();
  EXPECT_TRUE(seen_.empty());
}

TEST_F(ReloaderTest, AChangeIsTakenOnceItRests) {
  auto reloader = make();
  files_.set("threads: 2");
  reloader.poll();
  EXPECT_TRUE(seen_.empty());
  reloader.poll();
  ASSERT_EQ(seen_.size(), 1u);
  EXPECT_EQ(seen_[0]->threads, 2u);
  reloader.poll();
  EXPECT_EQ(seen_.size(), 1u);
}

TEST_F(ReloaderTest, AFileThatIsBeingWrittenIsNotRead) {
  auto reloader = make();
  const int before = files_.reads_;
  for (int i = 0; i < 10; ++i) {
    files_.set(std::string(static_cast<std::size_t>(i), '#'));
    reloader.poll();
  }
  EXPECT_EQ(files_.reads_, before);
}

TEST_F(ReloaderTest, ABadFileIsReportedOnceAndAGoodOneFollows) {
  auto reloader = make();
  files_.set("threads: many");
  for (int i = 0; i < 4; ++i) reloader.poll();
  ASSERT_EQ(seen_.size(), 1u);
  EXPECT_TRUE(seen_[0].has_error());
  files_.set("threads: 1");
  for (int i = 0; i < 4; ++i) reloader.poll();
  ASSERT_EQ(seen_.size(), 2u);
  EXPECT_EQ(seen_[1]->threads, 1u);
}

TEST_F(ReloaderTest, AMissingFileIsAnErrorAndItsReturnIsNews) {
  auto reloader = make();
  files_.set(std::nullopt);
  for (int i = 0; i < 4; ++i) reloader.poll();
  ASSERT_EQ(seen_.size(), 1u);
  EXPECT_EQ(seen_[0].error().code, make_error_code(Errc::kNotFound));
  files_.set("threads: 1");
  for (int i = 0; i < 4; ++i) reloader.poll();
  ASSERT_EQ(seen_.size(), 2u);
  EXPECT_TRUE(seen_[1].has_value());
}

TEST_F(ReloaderTest, AFileThatBeginsToExistIsNews) {
  files_.set(std::nullopt);
  auto reloader = make();
  files_.set("threads: 3");
  reloader.poll();
  reloader.poll();
  ASSERT_EQ(seen_.size(), 1u);
  EXPECT_EQ(seen_[0]->threads, 3u);
}

TEST_F(ReloaderTest, TheSameTextInANewFileIsNoNews) {
  auto reloader = make();
  files_.set("threads: 1");
  for (int i = 0; i < 4; ++i) reloader.poll();
  EXPECT_TRUE(seen_.empty());
}

// As kubelet updates a mounted ConfigMap: config.yaml -> ..data/config.yaml, ..data -> a directory
// that is replaced by renaming a new link over it.
TEST(ReloaderOnDisk, FollowsAConfigMapSwap) {
  const fs::path dir = fs::path{testing::TempDir()} / ("hf-reload-" + std::to_string(getpid()));
  fs::create_directories(dir / "v1");
  fs::create_directories(dir / "v2");
  std::ofstream{dir / "v1/config.yaml"} << "threads: 1\n";
  std::ofstream{dir / "v2/config.yaml"} << "threads: 2\n";
  fs::create_directory_symlink("v1", dir / "..data");
  fs::create_symlink("..data/config.yaml", dir / "config.yaml");

  std::vector<Result<Config>> seen;
  Reloader reloader{
      (dir / "config.yaml").string(), {}, [&](Result<Config> c) { seen.push_back(std::move(c)); }};
  reloader.poll();
  fs::create_directory_symlink("v2", dir / "..data_tmp");
  fs::rename(dir / "..data_tmp", dir / "..data");
  fs::remove_all(dir / "v1");
  reloader.poll();
  reloader.poll();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0]->threads, 2u);
  fs::remove_all(dir);
}

}  // namespace
}  // namespace holdfast::config
