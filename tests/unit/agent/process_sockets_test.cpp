#include "agent/process_sockets.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace holdfast::agent {
namespace {

namespace fs = std::filesystem;

/// A /proc of the test's own.
class ProcessSocketsTest : public testing::Test {
 protected:
  ~ProcessSocketsTest() override { fs::remove_all(root_); }

  void process(const std::string& pid, const std::string& netns, const std::string& cgroup,
               std::initializer_list<const char*> descriptors = {}) {
    const auto folder = root_ / pid;
    fs::create_directories(folder / "ns");
    fs::create_directories(folder / "fd");
    fs::create_symlink(netns, folder / "ns" / "net");
    std::ofstream{folder / "cgroup"} << "1:name=systemd:/x\n0::" << cgroup << "\n";
    int number = 0;
    for (const char* target : descriptors) {
      fs::create_symlink(target, folder / "fd" / std::to_string(number++));
    }
  }

  const fs::path root_ =
      fs::temp_directory_path() / ("holdfast-proc-" + std::to_string(::getpid()));
};

TEST_F(ProcessSocketsTest, ProcessesByNamespaceWithinACgroup) {
  process("10", "net:[1]", "/test/a");
  process("11", "net:[2]", "/test/b");
  process("12", "net:[2]", "/other");
  process("13", "nonsense", "/test/c");
  process("self", "net:[1]", "/test/a");
  const auto all =
      processes_by_netns([](std::string_view c) { return is_below(c, "/test"); }, root_);
  EXPECT_EQ(all, (NetnsProcesses{{1, {10}}, {2, {11}}}));
  EXPECT_EQ(processes_by_netns([](std::string_view) { return true; }, root_).at(2).size(), 2u);
}

TEST_F(ProcessSocketsTest, OwnersOfSockets) {
  process("20", "net:[1]", "/", {"/dev/null", "socket:[100]", "pipe:[101]"});
  process("21", "net:[1]", "/", {"socket:[101]", "socket:[x]", "socket:[]", "socket:[100]"});
  EXPECT_EQ(owners_of({100, 101, 102}, {20, 21, 99}, root_),
            (std::map<std::uint32_t, pid_t>{{100, 20}, {101, 21}}));
}

TEST(IsBelow, Paths) {
  EXPECT_TRUE(is_below("/a/b", "/a"));
  EXPECT_TRUE(is_below("/a", "/a"));
  EXPECT_TRUE(is_below("/a", "/a/"));
  EXPECT_TRUE(is_below("/a", ""));
  EXPECT_TRUE(is_below("/a", "/"));
  EXPECT_TRUE(is_below("/", "/"));
  EXPECT_FALSE(is_below("/ab", "/a"));
  EXPECT_FALSE(is_below("/", "/a"));
  EXPECT_FALSE(is_below("", "/a"));
}

}  // namespace
}  // namespace holdfast::agent
