// What a pod's own firewall can do to a redirected connection. Needs nft.
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "fixture.h"
#include "holdfast/kernel/netns.h"
#include "links.h"

namespace holdfast::kernel::testing {
namespace {

/// Gives nft one ruleset inside a namespace; false when it is not installed or does not know it.
bool load_rules(int netns, const std::string& rules) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setns(netns, CLONE_NEWNET) != 0) ::_exit(1);
    ::execlp("nft", "nft", rules.c_str(), nullptr);
    ::_exit(1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class FirewallTest : public InterceptorTest {
 protected:
  void SetUp() override {
    if (!TestPod::supported()) GTEST_SKIP() << "this kernel has no veth";
    start();
    pod_netns_.emplace(20 + serial_++);
  }
  /// The third connection of a client whose redirected ones fail.
  Dialled third_dial(Client& client, const std::function<void()>& between) {
    for (int i = 0; i < 2; ++i) {
      beat();
      client.dial(server_v4_.endpoint());
      between();
    }
    beat();
    return client.dial(server_v4_.endpoint());
  }
  static inline int serial_ = 0;
  std::optional<TestPod> pod_netns_;
};

TEST_F(FirewallTest, ARejectedSynOpensTheCircuit) {
  if (!load_rules(pod_netns_->fd(),
                  "table ip t { chain c { type filter hook output priority 0; "
                  "ip daddr 169.254.77.1 reject with icmp type port-unreachable; }; }"))
    GTEST_SKIP() << "no nft here";
  Client client{pod_, pod_netns_->fd()};
  EXPECT_EQ(third_dial(client, [] {}).error, 0);
  EXPECT_TRUE(server_v4_.accept());
  EXPECT_EQ(failure_count(Failure::kRefused), 2U) << "an ICMP error, not a client that gave up";
}

TEST_F(FirewallTest, ADroppedSynOpensTheCircuit) {
  if (!load_rules(pod_netns_->fd(),
                  "table ip t { chain c { type filter hook output priority 0; "
                  "ip daddr 169.254.77.1 drop; }; }"))
    GTEST_SKIP() << "no nft here";
  Client client{pod_, pod_netns_->fd()};
  EXPECT_EQ(third_dial(client, [] {}).error, 0);
  EXPECT_TRUE(server_v4_.accept());
  EXPECT_EQ(failure_count(Failure::kSynLost), 2U);
}

TEST_F(FirewallTest, AJudgeDoesNotWaitLongForTheListener) {
  if (!load_rules(pod_netns_->fd(),
                  "table ip t { chain c { type filter hook output priority 0; "
                  "ip daddr 169.254.77.1 drop; }; }"))
    GTEST_SKIP() << "no nft here";
  const Netns netns{.fd = Fd{::dup(pod_netns_->fd())}, .cookie = {}};
  const auto before = std::chrono::steady_clock::now();
  const auto judgement = judge(netns, {.listener = agent_v4_.endpoint(),
                                       .target = server_v4_.endpoint(),
                                       .timeout = 60s,
                                       .accepted = {}});
  ASSERT_TRUE(judgement);
  EXPECT_LT(std::chrono::steady_clock::now() - before, kPatience);
  EXPECT_EQ(judgement->verdict, NetnsVerdict::kIsolated);
  EXPECT_EQ(judgement->listener, Reach::kTimedOut);
}

TEST_F(FirewallTest, ASidecarThatAcceptsEverythingOpensTheCircuit) {
  if (!load_rules(pod_netns_->fd(),
                  "table ip t { chain c { type nat hook output priority -100; "
                  "ip daddr 169.254.77.1 tcp dport 1-65535 redirect to :15001; }; }"))
    GTEST_SKIP() << "no nft here";
  std::optional<Listener> sidecar;
  pod_netns_->enter([&] { sidecar.emplace(Endpoint::v4(0, 15001)); });
  Client client{pod_, pod_netns_->fd()};
  auto later = std::chrono::steady_clock::now();
  const auto third = third_dial(client, [&] {
    EXPECT_TRUE(sidecar->accept()) << "the connection is the sidecar's";
    later += 2s;
    EXPECT_EQ(interceptor_->sweep_unclaimed(later), 1U);
  });
  EXPECT_EQ(third.error, 0);
  EXPECT_TRUE(server_v4_.accept());
  EXPECT_FALSE(agent_v4_.has_connection(0ms));
}

}  // namespace
}  // namespace holdfast::kernel::testing
