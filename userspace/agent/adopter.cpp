#include "agent/adopter.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "holdfast/kernel/features.h"
#include "holdfast/kernel/netns.h"
#include "holdfast/policy/decision.h"
#include "holdfast/telemetry/log.h"
#include "kernel/enter_netns.h"
#include "proxy/client_key.h"

namespace holdfast::agent {
namespace {

using namespace std::chrono_literals;
using kernel::NetnsVerdict;

constexpr auto kStep = 500ms;
constexpr auto kHanging =
    1500ms;  // a handshake that is still under way by then is not an ordinary one
constexpr int kMostLooks = 20;  // for namespaces to be judged, a step apart

std::optional<std::uint64_t> own_netns() {
  struct stat info {};
  if (::stat("/proc/self/ns/net", &info) != 0) return std::nullopt;
  return info.st_ino;
}

Fd open_namespace_of(pid_t pid) {
  const auto path = "/proc/" + std::to_string(pid) + "/ns/net";
  return Fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
}

}  // namespace

std::unique_ptr<Adopter> Adopter::create(Parts parts) {
  auto boot_id = current_boot_id();
  if (boot_id.empty() || adopted_in_boot(parts.marker, boot_id)) return nullptr;
  return std::unique_ptr<Adopter>{new Adopter{std::move(parts), std::move(boot_id)}};
}

Adopter::Adopter(Parts parts, std::string boot_id)
    : parts_{std::move(parts)}, boot_id_{std::move(boot_id)} {
  if (const auto root = kernel::find_cgroup2_root(); root && is_below(parts_.cgroup, *root)) {
    cgroup_root_ = parts_.cgroup.substr(root->size());
  }
  thread_ = std::thread{[this] { work(); }};
}

Adopter::~Adopter() {
  {
    const std::scoped_lock lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Adopter::tick(Adoption::Conditions conditions, const std::vector<Endpoint>& targets) {
  const std::scoped_lock lock{mutex_};
  conditions_ = conditions;
  targets_ = targets;
}

bool Adopter::wait(std::chrono::milliseconds time) {
  std::unique_lock lock{mutex_};
  return !wake_.wait_for(lock, time, [this] { return stopping_; });
}

void Adopter::work() {
  while (wait(kStep)) {
    Adoption::Conditions conditions;
    std::vector<Endpoint> targets;
    {
      const std::scoped_lock lock{mutex_};
      conditions = conditions_;
      targets = targets_;
    }
    switch (adoption_.step(conditions, std::chrono::steady_clock::now())) {
      case Adoption::Step::kWait:
        break;
      case Adoption::Step::kResetHanging:
        reset_hanging(targets);
        break;
      case Adoption::Step::kList:
        if (!list(targets)) return;
        break;
      case Adoption::Step::kReset:
        reset_due();
        break;
      case Adoption::Step::kDone:
        tables_.clear();
        return;
    }
  }
}

Adopter::Survey Adopter::survey(const std::vector<Endpoint>& targets) const {
  const auto host = own_netns();
  std::vector<Endpoint> elsewhere;  // a pod's loopback is the pod's own
  std::ranges::copy_if(targets, std::back_inserter(elsewhere),
                       [](const Endpoint& target) { return !target.is_loopback(); });
  Survey out;
  auto all = processes_by_netns(
      [this](std::string_view cgroup) { return is_below(cgroup, cgroup_root_); });
  for (auto& [number, processes] : all) {
    const auto netns = open_namespace_of(processes.front());
    if (!netns) continue;
    auto table = kernel::SocketTable::open(netns.get());
    if (!table) continue;
    auto sockets = table->connected_to(number == host ? targets : elsewhere);
    if (!sockets || sockets->empty()) continue;
    Visited visited{.table = std::move(*table),
                    .processes = std::move(processes),
                    .sockets = std::move(*sockets)};
    Result<kernel::NetnsCookie> cookie = make_error(Errc::kUnsupported);
    (void)kernel::in_netns(netns.get(), [&] { cookie = kernel::current_netns_cookie(); });
    if (cookie) {
      visited.cookie = *cookie;
      visited.verdict = parts_.admission.known(*cookie);
    } else if (number == host) {
      visited.verdict = NetnsVerdict::kAdmitted;  // before Linux 5.14 only this one is certain
    }
    out.emplace(out.size(), std::move(visited));
  }
  return out;
}

std::vector<Adoptable> Adopter::choose(const Survey& survey, bool connecting,
                                       bool admitted_only) const {
  const auto circuits = parts_.interceptor.open_circuits();
  std::vector<Adoptable> out;
  for (const auto& [number, visited] : survey) {
    std::set<std::uint32_t> inodes;
    for (const auto& socket : visited.sockets) inodes.insert(socket.inode);
    const auto owners = owners_of(inodes, visited.processes);
    for (const auto& socket : visited.sockets) {
      if (socket.connecting != connecting) continue;
      const auto owner = owners.find(socket.inode);
      AdoptionFacts facts{.own = socket.mark == kernel::kOwnMark,
                          .owner_known = owner != owners.end(),
                          .netns_admitted = admitted_only
                                                ? visited.verdict == NetnsVerdict::kAdmitted
                                                : visited.verdict != NetnsVerdict::kDenied &&
                                                      visited.verdict != NetnsVerdict::kIsolated};
      facts.circuit_open = std::ranges::any_of(circuits, [&](const kernel::OpenCircuit& open) {
        return open.key.netns_cookie == visited.cookie && open.key.cgroup_id == socket.cgroup_id;
      });
      Adoptable found{.socket = socket, .netns = number};
      if (facts.owner_known) {
        found.pid = owner->second;
        auto process = identity::read_process(static_cast<std::uint32_t>(found.pid));
        facts.owner_known = process.has_value();
        if (process) found.process = std::move(*process);
        facts.own = facts.own || found.pid == ::getpid();
        facts.spliced =
            parts_.terminator.is_spliced(proxy::client_key(found.process, socket.remote));
        facts.balancer = balances(found.process.executable, socket.remote);
        const auto pod = parts_.pods.find(found.process.container.pod_uid);
        const policy::ProcessContext context{
            .executable = found.process.executable,
            .pod_namespace = pod ? std::string_view{pod->ns} : std::string_view{},
            .pod = pod ? std::string_view{pod->name} : std::string_view{}};
        facts.bypassed =
            policy::intercept_action(context, parts_.rules) != config::InterceptAction::kRedirect;
      }
      if (worth_a_reset(facts)) out.push_back(std::move(found));
    }
  }
  return out;
}

void Adopter::reset(kernel::SocketTable& table, const Adoptable& connection) const {
  const auto done = table.reset(connection.socket);
  if (!done && done.error().code == Errc::kNotFound) return;  // it ended by itself
  telemetry::log(done ? spdlog::level::info : spdlog::level::warn,
                 done ? "adopted: a connection from before this agent was reset"
                      : "a connection from before this agent could not be reset",
                 {{"pid", connection.pid},
                  {"executable", connection.process.executable},
                  {"local", connection.socket.local.to_string()},
                  {"remote", connection.socket.remote.to_string()},
                  {"why", done ? std::string{} : done.error().to_string()}});
}

// A connect() that hangs since before we served would hang for two minutes; the next one is ours.
void Adopter::reset_hanging(const std::vector<Endpoint>& targets) {
  const auto before = choose(survey(targets), true, false);
  if (before.empty() || !wait(kHanging)) return;
  auto now = survey(targets);
  for (const auto& connection : choose(now, true, false)) {
    const bool hung = std::ranges::any_of(before, [&](const Adoptable& earlier) {
      return earlier.socket.id == connection.socket.id;
    });
    if (hung) reset(now.at(connection.netns).table, connection);
  }
}

bool Adopter::list(const std::vector<Endpoint>& targets) {
  if (targets.empty()) return true;
  auto found = survey(targets);
  bool judged = true;
  for (const auto& [number, visited] : found) {
    if (visited.verdict != NetnsVerdict::kUnknown || visited.cookie == kernel::NetnsCookie{}) {
      continue;
    }
    // Nobody connected from there since we started: that namespace was not looked at yet.
    judged = false;
    parts_.admission.saw(visited.cookie, visited.processes.front(), visited.sockets.front().remote);
  }
  if (!judged && ++looks_ < kMostLooks) return true;
  auto chosen = choose(found, false, true);
  if (auto marked = mark_adopted(parts_.marker, boot_id_); !marked) {
    telemetry::log(spdlog::level::warn,
                   "no connection is adopted: it could not be told apart later",
                   {{"error", marked.error().to_string()}});
    return false;
  }
  telemetry::log(spdlog::level::info, "adopting connections from before this agent",
                 {{"connections", chosen.size()}});
  tables_ = std::move(found);
  adoption_.begin(std::move(chosen));
  return true;
}

void Adopter::reset_due() {
  for (const auto& connection : adoption_.due()) {
    reset(tables_.at(connection.netns).table, connection);
  }
}

}  // namespace holdfast::agent
