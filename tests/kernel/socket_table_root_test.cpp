// Sockets of others, found and reset. Real ones, in namespaces of the test's own.
#include "holdfast/kernel/socket_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "holdfast/kernel/own_traffic.h"
#include "host.h"
#include "kernel/sockaddr.h"
#include "links.h"

namespace holdfast::kernel::testing {
namespace {

/// A client socket that connects without waiting; AF_INET6 dials IPv4 as v4-mapped.
Fd dial(const Endpoint& to, int family = 0) {
  Endpoint target = to;
  auto address = to_sockaddr(target);
  if (family == AF_INET6 && to.is_v4()) {
    sockaddr_in6 mapped{};
    mapped.sin6_family = AF_INET6;
    mapped.sin6_port = htons(to.port);
    std::memcpy(&mapped.sin6_addr, to.address.data(), to.address.size());
    std::memcpy(&address.storage, &mapped, sizeof(mapped));
    address.length = sizeof(mapped);
  }
  Fd socket{::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  ::connect(socket.get(), address.get(), address.length);
  return socket;
}

int error_of(const Fd& socket) {
  int error = 0;
  socklen_t length = sizeof(error);
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

std::uint32_t inode_of(const Fd& socket) {
  struct stat info {};
  ::fstat(socket.get(), &info);
  return static_cast<std::uint32_t>(info.st_ino);
}

/// `recv` of the side that did not ask for the reset.
int received_error(const Fd& socket) {
  char byte = 0;
  int error = EAGAIN;
  eventually([&] {
    error = ::recv(socket.get(), &byte, 1, MSG_DONTWAIT) < 0 ? errno : 0;
    return error != EAGAIN;
  });
  return error;
}

/// Whether this kernel has sockets listed and reset (tcp_diag may be a module that is missing,
/// CONFIG_INET_DIAG_DESTROY may be off).
bool supported() {
  const Listener target{any_port("198.18.0.1")};
  const Fd client = dial(target.endpoint());
  const Fd served = target.accept();
  auto table = SocketTable::open();
  if (!table) return false;
  const auto found = table->connected_to(std::span{&target.endpoint(), 1});
  if (!found || found->empty()) return false;
  const auto reset = table->reset(found->front());
  return reset || reset.error().code != make_error_code(Errc::kUnsupported);
}

class SocketTableTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!supported()) GTEST_SKIP() << "this kernel can't reset the sockets of others";
  }
  std::vector<TcpSocket> sockets(SocketTable& table, const Endpoint& remote) {
    auto found = table.connected_to(std::span{&remote, 1});
    EXPECT_TRUE(found) << found.error().to_string();
    return found ? *found : std::vector<TcpSocket>{};
  }
};
class SocketTableFamilyTest : public SocketTableTest,
                              public ::testing::WithParamInterface<const char*> {};

TEST_P(SocketTableFamilyTest, WhatIsConnectedToATargetIsFoundAndReset) {
  const Listener target{any_port(GetParam())};
  const Listener other{any_port(GetParam())};
  const Fd client = dial(target.endpoint());
  const Fd bystander = dial(other.endpoint());
  const Fd served = target.accept();
  const Fd unharmed = other.accept();
  ASSERT_TRUE(served && unharmed);
  auto table = SocketTable::open();
  ASSERT_TRUE(table) << table.error().to_string();

  const auto found = sockets(*table, target.endpoint());
  ASSERT_EQ(found.size(), 1U) << "neither the accepted end nor the bystander";
  EXPECT_EQ(found[0].local, local_endpoint(client.get()));
  EXPECT_EQ(found[0].remote, target.endpoint());
  EXPECT_EQ(found[0].inode, inode_of(client));
  EXPECT_EQ(found[0].mark, 0U);
  EXPECT_FALSE(found[0].connecting);

  ASSERT_TRUE(table->reset(found[0]));
  EXPECT_EQ(error_of(client), ECONNABORTED);
  EXPECT_EQ(received_error(served), ECONNRESET);
  EXPECT_TRUE(sockets(*table, target.endpoint()).empty());
  const auto again = table->reset(found[0]);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, make_error_code(Errc::kNotFound));

  EXPECT_EQ(::send(bystander.get(), "x", 1, 0), 1);
  EXPECT_EQ(received_error(unharmed), 0);
}

INSTANTIATE_TEST_SUITE_P(Families, SocketTableFamilyTest,
                         ::testing::Values("198.18.0.1", "fd98::1"));

TEST_F(SocketTableTest, V4MappedSocketsAreIPv4Connections) {
  const Listener target{any_port("198.18.0.1")};
  const Fd client = dial(target.endpoint(), AF_INET6);
  const Fd served = target.accept();
  ASSERT_TRUE(served);
  auto table = SocketTable::open();
  ASSERT_TRUE(table);
  const auto found = sockets(*table, target.endpoint());
  ASSERT_EQ(found.size(), 1U);
  ASSERT_TRUE(table->reset(found[0]));
  EXPECT_EQ(error_of(client), ECONNABORTED);
}

TEST_F(SocketTableTest, MarksTellTheAgentsOwn) {
  const Listener target{any_port("198.18.0.1")};
  const Fd client = dial(target.endpoint());
  ASSERT_TRUE(mark_own_traffic(client.get()));
  auto table = SocketTable::open();
  ASSERT_TRUE(table);
  const auto found = sockets(*table, target.endpoint());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].mark, kOwnMark);
}

TEST_F(SocketTableTest, AConnectThatHangsIsResetToo) {
  // A full queue: the kernel answers no further SYN.
  const Listener target{any_port("198.18.0.1"), 0};
  std::vector<Fd> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(dial(target.endpoint()));
  auto table = SocketTable::open();
  ASSERT_TRUE(table);
  std::vector<TcpSocket> hanging;
  for (const auto& socket : sockets(*table, target.endpoint())) {
    if (socket.connecting) hanging.push_back(socket);
  }
  ASSERT_FALSE(hanging.empty());
  for (const auto& socket : hanging) EXPECT_TRUE(table->reset(socket));
  int aborted = 0;
  for (const auto& client : clients) aborted += error_of(client) == ECONNABORTED ? 1 : 0;
  EXPECT_EQ(static_cast<std::size_t>(aborted), hanging.size());
}

TEST_F(SocketTableTest, EachNamespaceHasItsOwn) {
  const TestNetns pod;
  const auto endpoint = Endpoint::parse("127.0.0.1:7443").value();
  const Listener here{endpoint};
  std::optional<Listener> there;
  Fd client;
  pod.enter([&] {
    there.emplace(endpoint);
    client = dial(endpoint);
  });
  const Fd served = there->accept();
  ASSERT_TRUE(served);
  auto ours = SocketTable::open();
  auto theirs = SocketTable::open(pod.fd());
  ASSERT_TRUE(ours && theirs);
  EXPECT_TRUE(sockets(*ours, endpoint).empty());
  const auto found = sockets(*theirs, endpoint);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_FALSE(ours->reset(found[0])) << "a socket is found in its own namespace only";
  EXPECT_TRUE(theirs->reset(found[0]));
  EXPECT_EQ(error_of(client), ECONNABORTED);
}

}  // namespace
}  // namespace holdfast::kernel::testing
