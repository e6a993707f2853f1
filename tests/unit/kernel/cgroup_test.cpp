#include "kernel/cgroup.h"

#include <gtest/gtest.h>

#include "holdfast/kernel/features.h"

namespace holdfast::kernel {
namespace {

TEST(Cgroup2RootTest, IsFoundByItsType) {
  struct Case {
    const char* mounts;
    const char* root;  ///< nullptr: none
  };
  const Case cases[] = {
      {"cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n", "/sys/fs/cgroup"},
      {"tmpfs /sys/fs/cgroup tmpfs rw 0 0\n"
       "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
       "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
       "/sys/fs/cgroup/unified"},
      {"none /a\\040b\\134c cgroup2 rw 0 0\n", "/a b\\c"},
      {"cgroup /sys/fs/cgroup/cgroup2 cgroup rw 0 0\n", nullptr},
      {"garbage\n", nullptr},
      {"", nullptr},
  };
  for (const auto& c : cases) {
    const auto root = find_cgroup2_root_in(c.mounts);
    EXPECT_EQ(root.has_value(), c.root != nullptr) << c.mounts;
    if (root && c.root) {
      EXPECT_EQ(*root, c.root);
    }
    if (!root) {
      EXPECT_EQ(root.error().code, make_error_code(Errc::kUnsupported));
    }
  }
}

TEST(Cgroup2PathTest, IsTheUnifiedHierarchysLine) {
  EXPECT_EQ(cgroup2_path_in("0::/\n"), "/");
  EXPECT_EQ(cgroup2_path_in("12:cpu:/x\n1:name=systemd:/y\n0::/kubepods.slice/a:b\n"),
            "/kubepods.slice/a:b");
  EXPECT_EQ(cgroup2_path_in("0::/no/newline"), "/no/newline");
  EXPECT_EQ(cgroup2_path_in("12:cpu:/x\n"), "");
  EXPECT_EQ(cgroup2_path_in("10::/not/it\n"), "");
  EXPECT_EQ(cgroup2_path_in(""), "");
}

}  // namespace
}  // namespace holdfast::kernel
