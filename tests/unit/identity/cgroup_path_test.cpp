#include <gtest/gtest.h>

#include "holdfast/identity/process.h"

namespace holdfast::identity {
namespace {

#define UID "0b5f7b4e-8f1c-4c63-9d0a-6f1f0c2b9a11"
#define UID_ "0b5f7b4e_8f1c_4c63_9d0a_6f1f0c2b9a11"
#define OTHER_UID "11111111-2222-3333-4444-555555555555"
#define STATIC_UID "4cb5a5b3c1f2d3e4a5b6c7d8e9f00112"
#define ID "3f1c0d9e8b7a695847362514030f1e2d3c4b5a69788796a5b4c3d2e1f0001122"
#define KIND "deadbeef8b7a695847362514030f1e2d3c4b5a69788796a5b4c3d2e1f0001122"

struct Case {
  const char* path;
  const char* uid;
  const char* container;
  const char* qos;
};

class CgroupPath : public testing::TestWithParam<Case> {};

TEST_P(CgroupPath, NamesPodAndContainer) {
  const auto& c = GetParam();
  // Below any root the same: a nested node, or a test's own group.
  for (const std::string prefix : {"", "/hf-123", "/system.slice/a.service/nested"}) {
    const auto found = parse_cgroup_path(prefix + c.path);
    EXPECT_EQ(found.pod_uid, c.uid) << prefix << c.path;
    EXPECT_EQ(found.container_id, c.container) << prefix << c.path;
    EXPECT_EQ(found.qos, c.qos) << prefix << c.path;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cgroupfs, CgroupPath,
    testing::Values(Case{"/kubepods/burstable/pod" UID "/" ID, UID, ID, "burstable"},
                    Case{"/kubepods/besteffort/pod" UID "/" ID, UID, ID, "besteffort"},
                    Case{"/kubepods/pod" UID "/" ID, UID, ID, "guaranteed"},
                    Case{"/kubepods/pod" STATIC_UID "/" ID, STATIC_UID, ID, "guaranteed"},
                    Case{"/kubepods/burstable/pod" UID, UID, "", "burstable"},
                    Case{"/kubepods/burstable/pod" UID "/crio-" ID, UID, ID, "burstable"},
                    Case{"/kubepods/burstable/pod" UID "/" ID "/init.scope", UID, ID, "burstable"},
                    Case{"/kubepods/burstable/pod" UID "/" ID "/", UID, ID, "burstable"}));

INSTANTIATE_TEST_SUITE_P(
    Systemd, CgroupPath,
    testing::Values(Case{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_
                         ".slice/cri-containerd-" ID ".scope",
                         UID, ID, "burstable"},
                    Case{"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_
                         ".slice/crio-" ID ".scope",
                         UID, ID, "besteffort"},
                    Case{"/kubepods.slice/kubepods-pod" UID_ ".slice/docker-" ID ".scope", UID, ID,
                         "guaranteed"},
                    Case{"/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope/container",
                         UID, ID, "guaranteed"},
                    Case{
                        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" STATIC_UID
                        ".slice/cri-containerd-" ID ".scope",
                        STATIC_UID, ID, "burstable"},
                    Case{"/kubepods.slice/kubepods-pod" UID_ ".slice", UID, "", "guaranteed"},
                    // kubelet says systemd, containerd was left at cgroupfs.
                    Case{"/system.slice/containerd.service/kubepods-burstable-pod" UID_
                         ".slice:cri-containerd:" ID,
                         UID, ID, "burstable"}));

INSTANTIATE_TEST_SUITE_P(
    Nested, CgroupPath,
    testing::Values(
        // kind: the node is a container itself.
        Case{"/docker/" KIND "/kubelet/kubepods/burstable/pod" UID "/" ID, UID, ID, "burstable"},
        Case{"/system.slice/docker-" KIND
             ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
             "kubelet-kubepods-besteffort-pod" UID_ ".slice/cri-containerd-" ID ".scope",
             UID, ID, "besteffort"},
        // K3s.
        Case{"/system.slice/k3s.service/kubepods/besteffort/pod" UID "/" ID, UID, ID, "besteffort"},
        Case{"/k8s.io/kubepods/burstable/pod" UID "/" ID, UID, ID, "burstable"},
        // A pod that makes groups with another pod's name stays what it is.
        Case{"/kubepods/pod" UID "/" ID "/kubepods/burstable/pod" OTHER_UID "/" KIND, UID, ID,
             "guaranteed"}));

INSTANTIATE_TEST_SUITE_P(
    NoPod, CgroupPath,
    testing::Values(
        Case{"", "", "", ""}, Case{"/", "", "", ""},
        Case{"/system.slice/kubelet.service", "", "", ""},
        Case{"/user.slice/user-1000.slice/session-1.scope", "", "", ""},
        Case{"/docker/" ID, "", ID, ""}, Case{"/system.slice/docker-" ID ".scope", "", ID, ""},
        Case{"/machine.slice/libpod-" ID ".scope", "", ID, ""}, Case{"/kubepods", "", "", ""},
        Case{"/kubepods.slice/kubepods-burstable.slice", "", "", ""},
        Case{"/kubepods/burstable/podsomething/" ID, "", ID, ""},
        Case{"/kubepods/pod" UID "x", "", "", ""},
        Case{"/pod" UID "/x", "", "", ""},  // not below kubepods
        Case{"/mykubepods/pod" UID, "", "", ""}, Case{"/mykubepods-pod" UID_ ".slice", "", "", ""},
        Case{"/kubepods/podGGGGGGGG-8f1c-4c63-9d0a-6f1f0c2b9a11", "", "", ""},
        Case{"//kubepods//", "", "", ""}, Case{"/:::/.slice/.scope/-/", "", "", ""},
        Case{"/kubepods.slice/kubepods-pod.slice", "", "", ""}));

TEST(ParseCgroupPath, StandsGarbage) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  EXPECT_EQ(parse_cgroup_path(bytes).pod_uid, "");
  EXPECT_EQ(parse_cgroup_path(std::string(100'000, '/')).pod_uid, "");
  EXPECT_EQ(parse_cgroup_path("kubepods/pod" UID).pod_uid, UID);  // no slash in front
}

TEST(CgroupPathOf, TakesTheUnifiedHierarchy) {
  EXPECT_EQ(cgroup_path_of("0::/system.slice/kubelet.service\n"), "/system.slice/kubelet.service");
  EXPECT_EQ(cgroup_path_of("0::/\n"), "/");
  EXPECT_EQ(cgroup_path_of("0::/gone (deleted)\n"), "/gone");
  EXPECT_EQ(cgroup_path_of("1:name=systemd:/a\n0::/b\n"), "/b");
  EXPECT_EQ(cgroup_path_of("0::/with:colons:in it"), "/with:colons:in it");
}

TEST(CgroupPathOf, PrefersAPodOnHybridHosts) {
  EXPECT_EQ(cgroup_path_of("12:pids:/user.slice\n"
                           "5:cpu,cpuacct:/kubepods/burstable/pod" UID "/" ID "\n"
                           "4:memory:/kubepods/burstable/pod" UID "/other\n"
                           "1:name=systemd:/kubepods/burstable/pod" UID "/" ID "\n"
                           "0::/system.slice/containerd.service\n"),
            "/kubepods/burstable/pod" UID "/" ID);
  EXPECT_EQ(cgroup_path_of("5:cpu:/kubepods/pod" OTHER_UID "\n0::/kubepods/pod" UID "\n"),
            "/kubepods/pod" UID);
  EXPECT_EQ(cgroup_path_of("5:cpu:/kubepods/pod" UID "\n"), "/kubepods/pod" UID);
}

TEST(CgroupPathOf, GarbageIsNoPath) {
  for (const char* text : {"", "\n\n", "0", "0:", "0::", "0::relative\n", ":::", "1:name=x:/a\n"}) {
    EXPECT_EQ(cgroup_path_of(text), "") << text;
  }
}

}  // namespace
}  // namespace holdfast::identity
