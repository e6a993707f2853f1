// Who is redirected, and what the agent and the client see of it.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include <sys/socket.h>
#include <sys/wait.h>

#include "fixture.h"
#include "holdfast/kernel/netns.h"
#include "kernel/sockaddr.h"
#include "links.h"

namespace holdfast::kernel::testing {
namespace {

TEST_F(InterceptorTest, RedirectsIpv4AndTagsIt) {
  Client client{pod_, -1, "some-client"};
  const auto outcome = dial(client, server_v4_.endpoint());
  EXPECT_EQ(outcome.dialled.error, 0);
  EXPECT_TRUE(outcome.redirected);
  EXPECT_EQ(outcome.dialled.peer, server_v4_.endpoint()) << "getpeername keeps the original";
  ASSERT_TRUE(outcome.tag);
  EXPECT_EQ(outcome.tag->pid, client.pid());
  EXPECT_EQ(outcome.tag->uid, 0U);
  EXPECT_EQ(outcome.tag->comm, "some-client");
  EXPECT_EQ(outcome.tag->cgroup_id, pod_.id());
  EXPECT_EQ(outcome.tag->original, server_v4_.endpoint());
  EXPECT_EQ(outcome.tag->action, Action::kRedirect);
  EXPECT_LE(outcome.tag->connected_at, std::chrono::steady_clock::now());
  if (const auto cookie = current_netns_cookie()) {
    EXPECT_EQ(outcome.tag->netns_cookie, *cookie);
  }
  EXPECT_EQ(interceptor_->counters().tags_taken, 1U);
}

TEST_F(InterceptorTest, RedirectsIpv6) {
  Client client{pod_};
  const auto outcome = dial(client, server_v6_.endpoint());
  EXPECT_EQ(outcome.dialled.error, 0);
  EXPECT_TRUE(outcome.redirected);
  EXPECT_EQ(outcome.dialled.peer, server_v6_.endpoint());
  ASSERT_TRUE(outcome.tag);
  EXPECT_EQ(outcome.tag->original, server_v6_.endpoint());
  EXPECT_EQ(outcome.tag->pid, client.pid());
}

TEST_F(InterceptorTest, RedirectsMappedIpv4) {
  Client client{pod_};
  const auto outcome = dial(client, Dial{.to = server_v4_.endpoint(), .mapped = true});
  EXPECT_EQ(outcome.dialled.error, 0);
  EXPECT_TRUE(outcome.redirected);
  EXPECT_EQ(outcome.dialled.peer, server_v4_.endpoint());
  ASSERT_TRUE(outcome.tag);
  EXPECT_EQ(outcome.tag->original, server_v4_.endpoint());
}

TEST_F(InterceptorTest, GivesATagOnce) {
  Client client{pod_};
  beat();
  client.dial(server_v4_.endpoint());
  const Fd accepted = agent_v4_.accept();
  const auto peer = peer_endpoint(accepted.get());
  const auto local = local_endpoint(accepted.get());
  EXPECT_TRUE(interceptor_->take_tag(peer, local));
  EXPECT_FALSE(interceptor_->take_tag(peer, local));
  EXPECT_EQ(interceptor_->counters().tags_missed, 1U);
}

TEST_F(InterceptorTest, LeavesOtherDestinationsAlone) {
  Listener other{any_port(kApiServerV4)};
  Client client{pod_};
  beat();
  const auto dialled = client.dial(other.endpoint());
  EXPECT_EQ(dialled.error, 0);
  EXPECT_EQ(dialled.peer, other.endpoint());
  EXPECT_TRUE(other.accept());
  const auto counters = interceptor_->counters();
  for (const auto count : counters.verdicts) EXPECT_EQ(count, 0U);
}

TEST_F(InterceptorTest, LeavesUdpAlone) {
  Client client{pod_};
  beat();
  const auto dialled = client.dial(Dial{.to = server_v4_.endpoint(), .udp = true});
  EXPECT_EQ(dialled.error, 0);
  EXPECT_EQ(dialled.peer, server_v4_.endpoint());
  const auto counters = interceptor_->counters();
  for (const auto count : counters.verdicts) EXPECT_EQ(count, 0U);
}

TEST_F(InterceptorTest, LeavesOtherCgroupsAlone) {
  TestCgroup elsewhere;
  Client client{elsewhere};
  EXPECT_FALSE(dial(client, server_v4_.endpoint()).redirected);
}

TEST_F(InterceptorTest, GoesDirectWithoutAFreshHeartbeat) {
  Client client{pod_};
  EXPECT_TRUE(dial(client, server_v4_.endpoint()).redirected);
  interceptor_->beat(std::chrono::steady_clock::now() - 2100ms);
  EXPECT_EQ(client.dial(server_v4_.endpoint()).error, 0);
  EXPECT_TRUE(server_v4_.has_connection(kPatience));
  EXPECT_TRUE(server_v4_.accept());
  interceptor_->stop_beating();
  EXPECT_EQ(client.dial(server_v4_.endpoint()).error, 0);
  EXPECT_TRUE(server_v4_.accept());
  EXPECT_EQ(reason_count(Reason::kHeartbeatStale), 2U);
  EXPECT_TRUE(dial(client, server_v4_.endpoint()).redirected);
}

TEST_F(InterceptorTest, LeavesMarkedSocketsAlone) {
  Client client{pod_};
  EXPECT_FALSE(dial(client, Dial{.to = server_v4_.endpoint(), .mark = kOwnMark}).redirected);
  EXPECT_FALSE(dial(client, Dial{.to = server_v6_.endpoint(), .mark = kOwnMark}).redirected);
  EXPECT_EQ(reason_count(Reason::kOwnTraffic), 2U);
}

TEST_F(InterceptorTest, ObeysRules) {
  Client client{pod_};
  const CgroupRule bypass[] = {{.cgroup_id = pod_.id(), .action = Action::kBypass}};
  ASSERT_TRUE(interceptor_->set_rules(bypass, {}));
  EXPECT_FALSE(dial(client, server_v4_.endpoint()).redirected);
  EXPECT_EQ(reason_count(Reason::kRuleBypass), 1U);

  // A rule for the process wins.
  const ProcessRule splice[] = {{.pid = client.pid(), .action = Action::kSplice}};
  ASSERT_TRUE(interceptor_->set_rules(bypass, splice));
  const auto spliced = dial(client, server_v4_.endpoint());
  EXPECT_TRUE(spliced.redirected);
  ASSERT_TRUE(spliced.tag);
  EXPECT_EQ(spliced.tag->action, Action::kSplice);

  ASSERT_TRUE(interceptor_->set_rules({}, {}));
  EXPECT_TRUE(dial(client, server_v4_.endpoint()).redirected);
  interceptor_->set_default_action(Action::kBypass);
  EXPECT_FALSE(dial(client, server_v4_.endpoint()).redirected);
}

TEST_F(InterceptorTest, ReplacesTargets) {
  Client client{pod_};
  const Endpoint only_v6[] = {server_v6_.endpoint()};
  ASSERT_TRUE(interceptor_->set_targets(only_v6));
  EXPECT_FALSE(dial(client, server_v4_.endpoint()).redirected);
  EXPECT_TRUE(dial(client, server_v6_.endpoint()).redirected);
}

TEST_F(InterceptorTest, DeniedAndIsolatedNamespacesGoDirect) {
  Client client{pod_};
  const auto tag = dial(client, server_v4_.endpoint()).tag;
  ASSERT_TRUE(tag);
  const auto cookie = tag->netns_cookie;
  ASSERT_TRUE(interceptor_->set_admission(cookie, NetnsVerdict::kDenied));
  EXPECT_FALSE(dial(client, server_v4_.endpoint()).redirected);
  ASSERT_TRUE(interceptor_->set_admission(cookie, NetnsVerdict::kIsolated));
  EXPECT_FALSE(dial(client, server_v4_.endpoint()).redirected);
  ASSERT_TRUE(interceptor_->set_admission(cookie, NetnsVerdict::kAdmitted));
  EXPECT_TRUE(dial(client, server_v4_.endpoint()).redirected);
  ASSERT_TRUE(interceptor_->set_admission(cookie, NetnsVerdict::kUnknown));
  EXPECT_TRUE(dial(client, server_v4_.endpoint()).redirected);
  EXPECT_EQ(reason_count(Reason::kNetnsDenied), 1U);
  EXPECT_EQ(reason_count(Reason::kNetnsIsolated), 1U);
}

TEST_F(InterceptorTest, GoesDirectWhereThereIsNoListener) {
  InterceptorOptions options;
  // By hand: the fixture fills in both listeners.
  interceptor_.reset();
  options.cgroup_path = cgroup_.path();
  options.listen_v4 = agent_v4_.endpoint();
  auto loaded = Interceptor::create(options);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  interceptor_.emplace(std::move(*loaded));
  const Endpoint targets[] = {server_v4_.endpoint(), server_v6_.endpoint()};
  ASSERT_TRUE(interceptor_->set_targets(targets));
  Client client{pod_};
  EXPECT_TRUE(dial(client, server_v4_.endpoint()).redirected);
  EXPECT_FALSE(dial(client, server_v6_.endpoint()).redirected);
  EXPECT_EQ(reason_count(Reason::kNoListener), 1U);
}

TEST_F(InterceptorTest, LoopbackTargetsAreTheHostsOwn) {
  for (const auto* address : {"127.0.0.1", "::1"}) {
    Listener balancer{any_port(address)};
    const Endpoint targets[] = {balancer.endpoint()};
    ASSERT_TRUE(interceptor_->set_targets(targets));
    TestNetns pod;
    Client in_pod{pod_, pod.fd()};
    beat();
    // Nobody listens on the pod's loopback, and it stays that way.
    EXPECT_EQ(in_pod.dial(balancer.endpoint()).error, ECONNREFUSED);
    if (!current_netns_cookie()) continue;  // this test's host is not the initial namespace
    Client on_host{pod_};
    EXPECT_EQ(on_host.dial(balancer.endpoint()).error, 0);
    EXPECT_TRUE((balancer.endpoint().is_v4() ? agent_v4_ : agent_v6_).accept());
  }
  EXPECT_TRUE(interceptor_->open_circuits().empty());
}

TEST_F(InterceptorTest, OneOfManyThreadsGetsATag) {
  Client client{pod_};
  for (int round = 0; round < 20; ++round) {
    beat();
    const auto dialled = client.dial(server_v4_.endpoint());
    ASSERT_EQ(dialled.error, 0);
    std::atomic<int> taken{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        if (interceptor_->take_tag(dialled.local, agent_v4_.endpoint())) ++taken;
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(taken, 1);
    client.abort(dialled.handle);
  }
}

TEST_F(InterceptorTest, ForgetsTheRedirectionWhenASocketDialsElsewhere) {
  Listener elsewhere{any_port(kApiServerV4)};
  Client client{pod_};
  agent_v4_.close();
  beat();
  const auto refused = client.dial(server_v4_.endpoint());
  EXPECT_EQ(refused.error, ECONNREFUSED);
  EXPECT_EQ(refused.syn_count, 2);
  const auto again = client.dial(Dial{.to = elsewhere.endpoint(), .reuse = refused.handle});
  EXPECT_EQ(again.error, 0);
  EXPECT_EQ(again.peer, elsewhere.endpoint());
  EXPECT_GT(again.syn_count, 2) << "the SYN limit goes with the redirection";
}

TEST_F(InterceptorTest, OwnProcessIsLeftAloneWithoutAMark) {
  interceptor_.reset();
  // The agent's own process, in a cgroup that it intercepts: a child plays it, since a process
  // must be in its group when it loads.
  const pid_t agent = ::fork();
  if (agent == 0) {
    pod_.join();
    InterceptorOptions options;
    options.cgroup_path = cgroup_.path();
    options.listen_v4 = agent_v4_.endpoint();
    auto own = Interceptor::create(options);
    if (!own) ::_exit(1);
    const Endpoint targets[] = {server_v4_.endpoint()};
    if (!own->set_targets(targets)) ::_exit(2);
    own->beat(std::chrono::steady_clock::now());
    Client neighbour{pod_};
    const bool neighbour_redirected =
        neighbour.dial(server_v4_.endpoint()).error == 0 && agent_v4_.has_connection(0ms);
    const auto before = own->counters();
    Fd socket{::socket(AF_INET, SOCK_STREAM, 0)};
    const auto to = to_sockaddr(server_v4_.endpoint());
    const int done = ::connect(socket.get(), to.get(), to.length);
    const auto after = own->counters();
    const auto index = static_cast<std::size_t>(Reason::kOwnTraffic);
    ::_exit(neighbour_redirected && done == 0 && before.reasons[index] == 0 &&
                    after.reasons[index] == 1
                ? 0
                : 3);
  }
  int status = 0;
  ::waitpid(agent, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(InterceptorTest, DetachesWhenItsProcessIsKilled) {
  interceptor_.reset();
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t agent = ::fork();
  if (agent == 0) {
    InterceptorOptions options;
    options.cgroup_path = cgroup_.path();
    options.listen_v4 = agent_v4_.endpoint();
    auto own = Interceptor::create(options);
    if (!own) ::_exit(1);
    const Endpoint targets[] = {server_v4_.endpoint()};
    if (!own->set_targets(targets)) ::_exit(2);
    // A beat from the future: only the detaching can end the redirection.
    own->beat(std::chrono::steady_clock::now() + 1h);
    if (::write(ready[1], "r", 1) != 1) ::_exit(3);
    ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  Client client{pod_};
  EXPECT_EQ(client.dial(server_v4_.endpoint()).error, 0);
  EXPECT_TRUE(agent_v4_.accept());
  ::kill(agent, SIGKILL);
  ::waitpid(agent, nullptr, 0);
  // The kernel detaches links from a work queue.
  EXPECT_TRUE(eventually([&] {
    return client.dial(server_v4_.endpoint()).error == 0 && server_v4_.has_connection(0ms);
  }));
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace holdfast::kernel::testing
