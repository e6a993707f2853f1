// Network namespaces: pods, admission, the listener's address.
#include <unistd.h>

#include <set>

#include "fixture.h"
#include "holdfast/kernel/features.h"
#include "holdfast/kernel/listener_address.h"
#include "holdfast/kernel/netns.h"
#include "kernel/netlink.h"
#include "kernel/sockaddr.h"
#include "links.h"

namespace holdfast::kernel::testing {
namespace {

class PodTest : public InterceptorTest {
 protected:
  void SetUp() override {
    if (!TestPod::supported()) GTEST_SKIP() << "this kernel has no veth";
    start();
  }
  static Netns netns_of(const Client& client, NetnsCookie cookie) {
    auto netns = open_netns(client.pid(), cookie);
    EXPECT_TRUE(netns) << netns.error().to_string();
    return std::move(*netns);
  }
  /// A judgement of `pod` with a client in it that tells its cookie.
  Judgement judge_pod(const TestPod& pod, JudgeOptions options) {
    Client client{pod_, pod.fd()};
    auto outcome = dial(client, server_v4_.endpoint());
    EXPECT_TRUE(outcome.tag);
    if (!outcome.tag) return {};
    const Netns netns = netns_of(client, outcome.tag->netns_cookie);
    auto judgement = judge(netns, options);
    EXPECT_TRUE(judgement) << judgement.error().to_string();
    return judgement ? *judgement : Judgement{};
  }
  [[nodiscard]] JudgeOptions options() const {
    return {.listener = agent_v4_.endpoint(),
            .target = server_v4_.endpoint(),
            .timeout = 500ms,
            .accepted = {}};
  }
};

TEST_F(PodTest, TwoPodsWithOneSourcePortKeepTheirTags) {
  TestPod one{1};
  TestPod two{2};
  TestCgroup second{cgroup_, "second"};
  {
    Client first_client{pod_, one.fd()};
    Client second_client{second, two.fd()};
    constexpr std::uint16_t kPort = 45000;
    beat();
    const Dial same{.to = server_v4_.endpoint(), .from_port = kPort};
    const auto a = first_client.dial(same);
    const auto b = second_client.dial(same);
    ASSERT_EQ(a.error, 0);
    ASSERT_EQ(b.error, 0);
    EXPECT_EQ(a.local.address_string(), one.address());
    EXPECT_EQ(b.local.address_string(), two.address());
    std::set<pid_t> pids;
    std::set<NetnsCookie> cookies;
    for (int i = 0; i < 2; ++i) {
      const Fd accepted = agent_v4_.accept();
      const auto peer = peer_endpoint(accepted.get());
      EXPECT_EQ(peer.port, kPort);
      const auto tag = interceptor_->take_tag(peer, local_endpoint(accepted.get()));
      ASSERT_TRUE(tag);
      const bool is_first = peer.address_string() == one.address();
      EXPECT_EQ(tag->pid, is_first ? first_client.pid() : second_client.pid());
      EXPECT_EQ(tag->cgroup_id, is_first ? pod_.id() : second.id());
      pids.insert(tag->pid);
      cookies.insert(tag->netns_cookie);
    }
    EXPECT_EQ(pids.size(), 2U);
    EXPECT_EQ(cookies.size(), 2U);
  }
}

TEST_F(PodTest, OneThatReachesBothIsAdmitted) {
  TestPod pod{3};
  const auto judgement = judge_pod(pod, options());
  EXPECT_EQ(judgement.verdict, NetnsVerdict::kAdmitted);
  EXPECT_EQ(judgement.listener, Reach::kConnected);
  EXPECT_EQ(judgement.target, Reach::kConnected);
}

TEST_F(PodTest, OneThatAPolicyCutsOffIsDenied) {
  TestPod pod{4};
  pod.route_listener_only();
  const auto judgement = judge_pod(pod, options());
  EXPECT_EQ(judgement.verdict, NetnsVerdict::kDenied);
  EXPECT_EQ(judgement.listener, Reach::kConnected);
  EXPECT_EQ(judgement.target, Reach::kUnreachable);
  EXPECT_EQ(judgement.target_from_host, Reach::kConnected);
}

TEST_F(PodTest, ATargetThatIsDownSaysNothing) {
  TestPod pod{5};
  const auto judge_options = options();
  Client client{pod_, pod.fd()};
  const auto outcome = dial(client, server_v4_.endpoint());
  ASSERT_TRUE(outcome.tag);
  server_v4_.close();
  const auto judgement = judge(netns_of(client, outcome.tag->netns_cookie), judge_options);
  ASSERT_TRUE(judgement);
  EXPECT_EQ(judgement->verdict, NetnsVerdict::kUnknown);
  EXPECT_EQ(judgement->target, Reach::kRefused);
  EXPECT_EQ(judgement->target_from_host, Reach::kRefused);
}

TEST_F(PodTest, AListenerThatSomeoneElsePretendsToBeIsNotReached) {
  TestPod pod{6};
  auto judge_options = options();
  judge_options.accept_timeout = 100ms;
  judge_options.accepted = [](const Endpoint&) { return false; };
  EXPECT_EQ(judge_pod(pod, judge_options).verdict, NetnsVerdict::kIsolated);
  Endpoint seen;
  judge_options.accepted = [&](const Endpoint& client) {
    seen = client;
    return true;
  };
  TestPod other{7};
  EXPECT_EQ(judge_pod(other, judge_options).verdict, NetnsVerdict::kAdmitted);
  EXPECT_EQ(seen.address_string(), other.address());
}

TEST_F(PodTest, OneWithoutARouteIsIsolated) {
  TestNetns nowhere;
  const Netns netns{.fd = Fd{::dup(nowhere.fd())}, .cookie = {}};
  const auto judgement = judge(netns, options());
  ASSERT_TRUE(judgement);
  EXPECT_EQ(judgement->verdict, NetnsVerdict::kIsolated);
}

TEST(NetnsTest, AReusedPidIsNoticed) {
  const auto cookie = current_netns_cookie();
  if (!cookie) GTEST_SKIP() << cookie.error().to_string();
  EXPECT_TRUE(open_netns(::getpid(), *cookie));
  const auto wrong = open_netns(::getpid(), NetnsCookie{static_cast<std::uint64_t>(*cookie) + 1});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, make_error_code(Errc::kNotFound));
  EXPECT_EQ(open_netns(0x3fffffff, *cookie).error().code, make_error_code(Errc::kNotFound));
}

TEST(NetnsTest, IsFoundThroughWhoeverIsStillThere) {
  TestNetns netns;
  NetnsCookie cookie{};
  netns.enter([&] {
    if (const auto known = current_netns_cookie()) cookie = *known;
  });
  if (cookie == NetnsCookie{}) GTEST_SKIP() << "this kernel tells no cookies";
  TestCgroup cgroup;
  std::optional<Client> first{std::in_place, cgroup, netns.fd()};
  std::optional<Client> second{std::in_place, cgroup, netns.fd()};
  // An answer means that they are where they belong.
  for (auto* client : {&*first, &*second}) {
    (void)client->dial(Endpoint::from_address("127.0.0.1", 9).value());
  }
  const auto inode = netns_inode(first->pid());
  EXPECT_NE(inode, 0u);
  EXPECT_NE(inode, netns_inode(::getpid()));
  const auto pid = first->pid();
  first.reset();
  EXPECT_EQ(netns_inode(pid), 0u);
  EXPECT_TRUE(find_netns(inode, cookie));
  EXPECT_FALSE(find_netns(inode, NetnsCookie{static_cast<std::uint64_t>(cookie) + 1}));
  second.reset();
  const auto nobody = find_netns(inode, cookie);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code, make_error_code(Errc::kNotFound));
}

TEST(ListenerAddressTest, ComesAndGoes) {
  for (const auto* text : {"169.254.78.1", "fd78::1"}) {
    const auto endpoint = Endpoint::from_address(text, 0).value();
    EXPECT_THROW(Listener{endpoint}, std::runtime_error);
    {
      auto address = ListenerAddress::add(endpoint);
      ASSERT_TRUE(address) << address.error().to_string();
      EXPECT_TRUE(address->added());
      EXPECT_NO_THROW(Listener{endpoint});
    }
    EXPECT_THROW(Listener{endpoint}, std::runtime_error);
  }
  const auto loopback = ListenerAddress::add(Endpoint::parse("127.0.0.1:1").value());
  ASSERT_TRUE(loopback);
  EXPECT_FALSE(loopback->added());
}

TEST(ListenerAddressTest, SomeoneElsesIsLeftAlone) {
  // Every loopback interface has these.
  for (const auto* text : {"127.0.0.1", "::1"}) {
    const auto endpoint = Endpoint::from_address(text, 0).value();
    EXPECT_FALSE(is_marked_loopback_address(endpoint).value());
  }
  TestNetns elsewhere;
  elsewhere.enter([] {
    const auto endpoint = Endpoint::from_address("169.254.79.1", 0).value();
    // As `ip address add` would, without the mark.
    set_host_address("lo", "169.254.79.1");
    {
      auto address = ListenerAddress::add(endpoint);
      ASSERT_TRUE(address) << address.error().to_string();
      EXPECT_FALSE(address->added());
    }
    EXPECT_NO_THROW(Listener{endpoint});
  });
}

TEST(ListenerAddressTest, OneThatAKilledAgentLeftIsRemoved) {
  for (const auto* text : {"169.254.78.2", "fd78::2"}) {
    const auto endpoint = Endpoint::from_address(text, 0).value();
    ASSERT_TRUE(add_loopback_address(endpoint));
    {
      auto address = ListenerAddress::add(endpoint);
      ASSERT_TRUE(address) << address.error().to_string();
      EXPECT_TRUE(address->added());
    }
    EXPECT_THROW(Listener{endpoint}, std::runtime_error) << text;
  }
}

TEST(FeaturesTest, ThisKernelHasWhatIsRequired) {
  for (const Feature& feature : probe_features()) {
    EXPECT_FALSE(feature.advice.empty());
    if (feature.required) {
      EXPECT_TRUE(feature.available) << feature.name;
    }
  }
}

}  // namespace
}  // namespace holdfast::kernel::testing
