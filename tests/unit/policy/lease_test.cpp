#include "holdfast/policy/lease.h"

#include <gtest/gtest.h>

namespace holdfast::policy {
namespace {

using config::LeasePolicy;

constexpr LeaseContext kNode{.ns = "kube-node-lease", .name = "edge-1", .holder = "edge-1"};
constexpr LeaseContext kElection{.ns = "kube-system", .name = "my-controller", .holder = "pod-1"};

TEST(LeasePolicy, AutoHoldsNodeLeasesAndForwardsElections) {
  EXPECT_EQ(lease_policy(kNode, {}), LeasePolicy::kHold);
  EXPECT_EQ(lease_policy(kElection, {}), LeasePolicy::kForward);
}

TEST(LeasePolicy, WhatIsConfiguredIsForAll) {
  config::Lease config{.policy = LeasePolicy::kCoalesce};
  EXPECT_EQ(lease_policy(kNode, config), LeasePolicy::kCoalesce);
  EXPECT_EQ(lease_policy(kElection, config), LeasePolicy::kCoalesce);
}

TEST(LeasePolicy, TheFirstRuleThatMatchesWins) {
  config::Lease config{.rules = {{.executable = "*/k3s", .policy = LeasePolicy::kCoalesce},
                                 {.holder = "pod-?", .policy = LeasePolicy::kLocal},
                                 {.ns = "kube-*", .policy = LeasePolicy::kForward}}};
  auto node = kNode;
  EXPECT_EQ(lease_policy(node, config), LeasePolicy::kForward);
  node.executable = "/usr/local/bin/k3s";
  EXPECT_EQ(lease_policy(node, config), LeasePolicy::kCoalesce);
  EXPECT_EQ(lease_policy(kElection, config), LeasePolicy::kLocal);
}

TEST(LeasePolicy, ARuleMaySayAuto) {
  config::Lease config{.policy = LeasePolicy::kLocal,
                       .rules = {{.ns = "kube-*", .policy = LeasePolicy::kAuto}}};
  EXPECT_EQ(lease_policy(kNode, config), LeasePolicy::kHold);
  EXPECT_EQ(lease_policy(kElection, config), LeasePolicy::kForward);
}

}  // namespace
}  // namespace holdfast::policy
