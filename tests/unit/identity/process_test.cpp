#include "holdfast/identity/process.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace holdfast::identity {
namespace {

namespace fs = std::filesystem;

class ReadProcess : public testing::Test {
 protected:
  ReadProcess() : root_{fs::temp_directory_path() / ("hf-proc-" + std::to_string(::getpid()))} {
    fs::create_directories(root_ / "42");
  }
  ~ReadProcess() override { fs::remove_all(root_); }
  void write(const char* name, const std::string& text) {
    std::ofstream{root_ / "42" / name} << text;
  }
  fs::path root_;
};

TEST_F(ReadProcess, ReadsWhatTheKernelShows) {
  write("comm", "reader\n");
  write("cgroup",
        "0::/kubepods/pod0b5f7b4e-8f1c-4c63-9d0a-6f1f0c2b9a11/"
        "3f1c0d9e8b7a695847362514030f1e2d3c4b5a69788796a5b4c3d2e1f0001122\n");
  fs::create_symlink("/usr/bin/reader (deleted)", root_ / "42" / "exe");
  const auto process = read_process(42, root_.string());
  ASSERT_TRUE(process);
  EXPECT_EQ(process->pid, 42u);
  EXPECT_EQ(process->comm, "reader");
  EXPECT_EQ(process->executable, "/usr/bin/reader");
  EXPECT_EQ(process->container.pod_uid, "0b5f7b4e-8f1c-4c63-9d0a-6f1f0c2b9a11");
  EXPECT_EQ(process->container.qos, "guaranteed");
}

TEST_F(ReadProcess, KernelThreadsHaveNoExecutable) {
  write("comm", "kworker/0:1\n");
  write("cgroup", "0::/\n");
  const auto process = read_process(42, root_.string());
  ASSERT_TRUE(process);
  EXPECT_EQ(process->executable, "");
  EXPECT_EQ(process->cgroup, "/");
}

TEST_F(ReadProcess, SaysWhenItIsGone) {
  const auto process = read_process(43, root_.string());
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code, make_error_code(Errc::kNotFound));
}

TEST(ReadOwnProcess, Works) {
  const auto process = read_process(static_cast<std::uint32_t>(::getpid()));
  ASSERT_TRUE(process);
  EXPECT_EQ(process->executable, fs::read_symlink("/proc/self/exe").string());
}

TEST(PodDirectory, KeepsTheNewest) {
  const auto pods = PodDirectory::create(2);
  pods->learn("u1", {"shop", "a"});
  pods->learn("u2", {"shop", "b"});
  pods->learn("u1", {"shop", "a2"});
  EXPECT_EQ(pods->find("u1")->name, "a2");
  pods->learn("u3", {"shop", "c"});
  EXPECT_FALSE(pods->find("u1"));
  EXPECT_EQ(pods->find("u2")->name, "b");
  EXPECT_EQ(pods->find("u3")->ns, "shop");
  pods->learn("", {"x", "y"});
  EXPECT_FALSE(pods->find(""));
}

}  // namespace
}  // namespace holdfast::identity
