#include "kernel/convert.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kernel/sockaddr.h"

namespace holdfast::kernel {
namespace {

using namespace std::chrono_literals;

TEST(ConvertTest, EndpointsSurviveTheRoundTrip) {
  for (const auto* text : {"198.18.0.1:443", "[fd77::1]:6443", "0.0.0.0:1", "[::]:65535"}) {
    const auto endpoint = Endpoint::parse(text).value();
    EXPECT_EQ(from_abi(to_abi(endpoint)), endpoint) << text;
    EXPECT_EQ(from_sockaddr(to_sockaddr(endpoint).storage), endpoint) << text;
  }
  const auto mapped = to_abi(Endpoint::parse("1.2.3.4:443").value());
  EXPECT_EQ(mapped.address[0], 0U);
  EXPECT_EQ(mapped.address[1], 0U);
  EXPECT_EQ(ntohl(mapped.address[2]), 0xffffU);
  EXPECT_EQ(ntohl(mapped.address[3]), 0x01020304U);
  EXPECT_EQ(mapped.port, 443);
}

hf_flow_event an_event() {
  hf_flow_event event{};
  event.origin.connection = 7;
  event.origin.tgid = 42;
  event.origin.connect_ns = 1'000'000'000;
  std::memcpy(event.origin.comm, "sixteen-bytes-ab", HF_COMM_LEN);
  event.kind = HF_FLOW_CLOSED;
  event.failure = HF_FAILURE_RESET;
  event.bytes_sent = 5;
  event.srtt_us = 250;
  event.time_ns = 2'000'000'000;
  return event;
}

std::span<const std::byte> bytes_of(const hf_flow_event& event) {
  return std::as_bytes(std::span{&event, 1});
}

TEST(ConvertTest, FlowEventsAreRead) {
  const auto raw = an_event();
  const auto event = to_flow_event(bytes_of(raw));
  ASSERT_TRUE(event);
  EXPECT_EQ(event->kind, FlowKind::kClosed);
  EXPECT_EQ(event->connection, ConnectionId{7});
  EXPECT_EQ(event->pid, 42);
  EXPECT_EQ(event->comm, "sixteen-bytes-ab") << "without a terminating zero";
  EXPECT_EQ(event->failure, Failure::kReset);
  EXPECT_EQ(event->bytes_sent, 5U);
  EXPECT_EQ(event->srtt, 250us);
  EXPECT_EQ(event->at - event->connected_at, 1s);
  EXPECT_FALSE(event->established_at);
}

TEST(ConvertTest, RecordsThatAreNotOursAreRefused) {
  auto raw = an_event();
  EXPECT_FALSE(to_flow_event(bytes_of(raw).first(sizeof(raw) - 1)));
  EXPECT_FALSE(to_flow_event({}));
  raw.kind = 0;
  EXPECT_FALSE(to_flow_event(bytes_of(raw)));
  raw.kind = HF_FLOW_CIRCUIT_OPENED + 1;
  EXPECT_FALSE(to_flow_event(bytes_of(raw)));
}

TEST(CountFailureTest, TwoWithinTenSecondsOpenACircuit) {
  const SteadyTime start{100s};
  struct Case {
    std::chrono::seconds apart;
    Failure first;
    bool opens;
  };
  const Case cases[] = {
      {0s, Failure::kReset, true},
      {10s, Failure::kReset, true},
      {11s, Failure::kReset, false},
      {-1s, Failure::kReset, true},  // counted by the kernel after `now` was read
  };
  for (const auto& c : cases) {
    hf_circuit circuit{};
    EXPECT_FALSE(count_failure(circuit, c.first, start));
    EXPECT_EQ(count_failure(circuit, Failure::kUnclaimed, start + c.apart), c.opens);
    EXPECT_EQ(circuit.opened_ns != 0, c.opens);
    EXPECT_EQ(circuit.failures, 2U);
  }
}

TEST(CountFailureTest, ANamespaceWithoutARouteOpensItAtOnce) {
  hf_circuit circuit{};
  EXPECT_TRUE(count_failure(circuit, Failure::kUnroutable, SteadyTime{1s}));
  EXPECT_FALSE(count_failure(circuit, Failure::kUnroutable, SteadyTime{2s})) << "open already";
  EXPECT_EQ(from_abi_time(circuit.opened_ns), SteadyTime{1s});
}

}  // namespace
}  // namespace holdfast::kernel
