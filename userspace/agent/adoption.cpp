#include "agent/adoption.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <span>

namespace holdfast::agent {

bool worth_a_reset(const AdoptionFacts& facts) {
  return !facts.own && facts.owner_known && facts.intercepted && facts.netns_admitted &&
         !facts.circuit_open && !facts.spliced && !facts.bypassed && !facts.balancer;
}

namespace {

// K3s and MicroK8s run the kubelet inside a process of theirs; K3s' and RKE2's also balance.
constexpr std::array<std::string_view, 3> kKubelets{"kubelet", "kubelite", "k0s"};
constexpr std::array<std::string_view, 4> kBalancers{"k3s", "k3s-agent", "k3s-server", "rke2"};

bool is_one_of(std::string_view executable, std::span<const std::string_view> names) {
  return std::ranges::find(names, executable.substr(executable.rfind('/') + 1)) != names.end();
}

}  // namespace

bool is_kubelet(std::string_view executable) {
  return is_one_of(executable, kKubelets) || is_one_of(executable, kBalancers);
}

bool balances(std::string_view executable, const Endpoint& remote) {
  return is_one_of(executable, kBalancers) && !remote.is_loopback();
}

Adoption::Step Adoption::step(Conditions conditions, Time now) {
  if (conditions.serving && !serving_) since_ = now;
  serving_ = conditions.serving;
  const bool settled = serving_ && now - since_ >= kSettle;
  const bool may_go_on = settled && conditions.online;
  if (may_go_on && begun_) elapsed_ += now - last_;
  last_ = now;
  if (begun_ && plan_.empty()) return Step::kDone;
  if (!settled) return Step::kWait;
  if (!hanging_done_) {
    hanging_done_ = true;
    return Step::kResetHanging;
  }
  if (!may_go_on) return Step::kWait;
  if (!begun_) return Step::kList;
  return plan_.front().after <= elapsed_ ? Step::kReset : Step::kWait;
}

void Adoption::begin(std::vector<Adoptable> found) {
  std::ranges::stable_partition(
      found, [](const Adoptable& c) { return !is_kubelet(c.process.executable); });
  begun_ = true;
  elapsed_ = {};
  const auto gaps = std::max<std::size_t>(found.size(), 2) - 1;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto after = std::chrono::steady_clock::duration{kSpread} * static_cast<long>(i) /
                       static_cast<long>(gaps);
    plan_.push_back({.after = after, .connection = std::move(found[i])});
  }
}

std::vector<Adoptable> Adoption::due() {
  std::vector<Adoptable> out;
  while (!plan_.empty() && plan_.front().after <= elapsed_) {
    out.push_back(std::move(plan_.front().connection));
    plan_.pop_front();
  }
  return out;
}

bool adopted_in_boot(const std::string& marker, const std::string& boot_id) {
  std::ifstream file{marker};
  std::string line;
  return std::getline(file, line) && line == boot_id;
}

Result<> mark_adopted(const std::string& marker, const std::string& boot_id) {
  std::FILE* file = std::fopen(marker.c_str(), "we");
  if (!file) return Error::from_errno("cannot write " + marker);
  const bool written = std::fputs((boot_id + "\n").c_str(), file) >= 0;
  if (std::fclose(file) != 0 || !written) return Error::from_errno("cannot write " + marker);
  return {};
}

std::string current_boot_id() {
  std::ifstream file{"/proc/sys/kernel/random/boot_id"};
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace holdfast::agent
