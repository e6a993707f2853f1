#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "fixture.h"

// Needs root: attaches BPF programs to cgroups of its own and makes network namespaces. All
// traffic stays in a namespace that has no route out.
int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (::geteuid() != 0) {
    std::puts("skipped: needs root");
    constexpr int kSkipped = 77;
    return kSkipped;
  }
  using namespace holdfast::kernel::testing;
  become_host();
  for (const auto* address : {kApiServerV4, kApiServerV6, kListenerV4, kListenerV6})
    add_address(address);
  return RUN_ALL_TESTS();
}
