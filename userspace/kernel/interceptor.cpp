#include "holdfast/kernel/interceptor.h"

#include <atomic>
#include <cstring>
#include <set>

#include "holdfast/abi/config.h"
#include "holdfast/kernel/features.h"
#include "kernel/bpf_map.h"
#include "kernel/convert.h"
#include "kernel/skeleton.h"
// After the ABI: the skeleton names its types.
#include "holdfast.skel.h"

namespace holdfast::kernel {

namespace {

constexpr std::chrono::seconds kClaimLimit{1};
/// More than any of the maps holds.
constexpr std::size_t kAllKeys = 65536;

struct RingBufferDeleter {
  void operator()(ring_buffer* buffer) const { ring_buffer__free(buffer); }
};

/// Makes `map` hold exactly `wanted`: the new ones first, so that nothing is missing meanwhile.
template <class Key, class Value>
Result<> replace(BpfMap<Key, Value>& map, const std::vector<std::pair<Key, Value>>& wanted) {
  const auto less = [](const Key& a, const Key& b) { return std::memcmp(&a, &b, sizeof(Key)) < 0; };
  std::set<Key, decltype(less)> kept{less};
  for (const auto& [key, value] : wanted) {
    if (auto done = map.set(key, value); !done) return done;
    kept.insert(key);
  }
  for (const Key& key : map.keys(kAllKeys)) {
    if (!kept.contains(key)) map.erase(key);
  }
  return {};
}

}  // namespace

class Interceptor::Impl {
 public:
  explicit Impl(Skeleton skeleton)
      : skeleton_{std::move(skeleton)},
        targets{skeleton_->maps.targets},
        cgroup_rules{skeleton_->maps.cgroup_rules},
        tgid_rules{skeleton_->maps.tgid_rules},
        netns_verdicts{skeleton_->maps.netns_verdicts},
        circuits{skeleton_->maps.circuits},
        tags{skeleton_->maps.tags},
        peers{skeleton_->maps.peers} {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  /// Redirecting ends before watching does.
  ~Impl() {
    while (!links.empty()) links.pop_back();
  }

  Result<> open_flows() {
    events_.reset(
        ring_buffer__new(bpf_map__fd(skeleton_->maps.events), &Impl::on_event, this, nullptr));
    if (!events_) return Error::from_errno("cannot map the event buffer");
    return {};
  }

  [[nodiscard]] int flow_fd() const { return ring_buffer__epoll_fd(events_.get()); }

  std::size_t poll_flows(const std::function<void(const FlowEvent&)>& sink) {
    sink_ = &sink;
    const int count = ring_buffer__consume(events_.get());
    sink_ = nullptr;
    return count > 0 ? static_cast<std::size_t>(count) : 0;
  }

  [[nodiscard]] holdfast_bpf& skeleton() const { return *skeleton_; }

  void beat(__u64 nanoseconds) {
    // In one order with what else the threads tell each other: a beat that was decided on before
    // somebody stopped the heart must be seen by him who decided, and taken back.
    __atomic_store_n(&skeleton_->bss->control.heartbeat_ns, nanoseconds, __ATOMIC_SEQ_CST);
  }
  void set_default_action(Action action) {
    __atomic_store_n(&skeleton_->bss->control.default_action, static_cast<__u32>(action),
                     __ATOMIC_RELAXED);
  }

  [[nodiscard]] std::array<std::uint64_t, HF_COUNTER_COUNT> read_counters() const {
    std::array<std::uint64_t, HF_COUNTER_COUNT> sums{};
    const int cpus = libbpf_num_possible_cpus();
    if (cpus <= 0) return sums;
    std::vector<std::uint64_t> values(static_cast<std::size_t>(cpus));
    for (__u32 index = 0; index < HF_COUNTER_COUNT; ++index) {
      if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.counters), &index, values.data()) != 0)
        continue;
      for (const auto value : values) sums[index] += value;
    }
    return sums;
  }

 private:
  // Declared before the maps below, which are initialised from it.
  Skeleton skeleton_;

 public:
  BpfMap<hf_endpoint, __u32> targets;
  BpfMap<__u64, __u32> cgroup_rules;
  BpfMap<__u32, __u32> tgid_rules;
  BpfMap<__u64, __u32> netns_verdicts;
  BpfMap<hf_circuit_key, hf_circuit> circuits;
  BpfMap<hf_tuple, hf_tag> tags;
  BpfMap<hf_peer_address, hf_peer_cookies> peers;
  std::vector<Fd> links;  ///< keep the hooks attached

  // What only the agent sees, beside the kernel's counters.
  std::atomic<std::uint64_t> tags_taken{0};
  std::atomic<std::uint64_t> tags_missed{0};
  std::atomic<std::uint64_t> tag_conflicts{0};
  std::atomic<std::uint64_t> circuits_opened{0};
  std::array<std::atomic<std::uint64_t>, HF_FAILURE_COUNT> failures{};

 private:
  static int on_event(void* self, void* data, std::size_t size) {
    const auto& sink = *static_cast<Impl*>(self)->sink_;
    const auto event = to_flow_event({static_cast<const std::byte*>(data), size});
    if (event) sink(*event);
    return 0;
  }

  std::unique_ptr<ring_buffer, RingBufferDeleter> events_;
  const std::function<void(const FlowEvent&)>* sink_ = nullptr;
};

Interceptor::Interceptor(std::unique_ptr<Impl> impl) noexcept : impl_{std::move(impl)} {}
Interceptor::Interceptor(Interceptor&&) noexcept = default;
Interceptor& Interceptor::operator=(Interceptor&&) noexcept = default;
Interceptor::~Interceptor() = default;

Result<Interceptor> Interceptor::create(const InterceptorOptions& options) {
  std::string cgroup = options.cgroup_path;
  if (cgroup.empty()) {
    auto root = find_cgroup2_root();
    if (!root) return root.error();
    cgroup = *root;
  }
  auto skeleton = load_skeleton(options);
  if (!skeleton) return skeleton.error();
  auto impl = std::make_unique<Impl>(std::move(*skeleton));
  if (auto opened = impl->open_flows(); !opened) return opened.error();
  auto links = attach_skeleton(impl->skeleton(), cgroup);
  if (!links) return links.error();
  impl->links = std::move(*links);
  return Interceptor{std::move(impl)};
}

Result<> Interceptor::set_targets(std::span<const Endpoint> targets) {
  std::vector<std::pair<hf_endpoint, __u32>> wanted;
  for (const Endpoint& target : targets) wanted.emplace_back(to_abi(target), 1);
  return replace(impl_->targets, wanted);
}

Result<> Interceptor::set_rules(std::span<const CgroupRule> cgroups,
                                std::span<const ProcessRule> processes) {
  std::vector<std::pair<__u64, __u32>> by_cgroup;
  for (const CgroupRule& rule : cgroups)
    by_cgroup.emplace_back(static_cast<__u64>(rule.cgroup_id), static_cast<__u32>(rule.action));
  std::vector<std::pair<__u32, __u32>> by_process;
  for (const ProcessRule& rule : processes)
    by_process.emplace_back(static_cast<__u32>(rule.pid), static_cast<__u32>(rule.action));
  if (auto done = replace(impl_->cgroup_rules, by_cgroup); !done) return done;
  return replace(impl_->tgid_rules, by_process);
}

void Interceptor::set_default_action(Action action) noexcept {
  impl_->set_default_action(action);
}

void Interceptor::beat(std::chrono::steady_clock::time_point now) noexcept {
  impl_->beat(to_abi(now));
}

void Interceptor::stop_beating() noexcept {
  impl_->beat(0);
}

Result<> Interceptor::set_admission(NetnsCookie cookie, NetnsVerdict verdict) {
  if (verdict == NetnsVerdict::kUnknown) {
    impl_->netns_verdicts.erase(static_cast<__u64>(cookie));
    return {};
  }
  return impl_->netns_verdicts.set(static_cast<__u64>(cookie), static_cast<__u32>(verdict));
}

std::optional<ConnectionTag> Interceptor::take_tag(const Endpoint& peer, const Endpoint& local) {
  hf_peer_address address{};
  std::memcpy(address.address, peer.address.data(), sizeof(address.address));
  const auto known = impl_->peers.find(address);
  std::optional<hf_tag> found;
  bool conflict = false;
  if (known) {
    hf_tuple tuple{.local = to_abi(peer), .remote = to_abi(local)};
    for (const __u64 cookie : known->cookies) {
      if (!cookie) continue;
      tuple.netns_cookie = cookie;
      auto tag = impl_->tags.take(tuple);
      if (!tag) continue;
      // Two namespaces behind one address: which of them this is cannot be told.
      if (found || tag->conflict) conflict = true;
      found = *tag;
    }
  }
  if (found && !conflict) {
    impl_->tags_taken.fetch_add(1, std::memory_order_relaxed);
    return to_tag(found->origin);
  }
  if (conflict && !found->conflict) impl_->tag_conflicts.fetch_add(1, std::memory_order_relaxed);
  impl_->tags_missed.fetch_add(1, std::memory_order_relaxed);
  return std::nullopt;
}

std::size_t Interceptor::sweep_unclaimed(std::chrono::steady_clock::time_point now, bool count) {
  std::size_t swept = 0;
  for (const hf_tuple& tuple : impl_->tags.keys(kAllKeys)) {
    const auto tag = impl_->tags.find(tuple);
    if (!tag || from_abi_time(tag->published_ns) + kClaimLimit >= now) continue;
    if (!impl_->tags.take(tuple)) continue;
    ++swept;
    if (!count) continue;
    report_failure(CircuitKey{.netns_cookie = NetnsCookie{tag->origin.netns_cookie},
                              .cgroup_id = CgroupId{tag->origin.cgroup_id}},
                   Failure::kUnclaimed, now);
  }
  return swept;
}

std::vector<OpenCircuit> Interceptor::open_circuits() const {
  std::vector<OpenCircuit> out;
  for (const hf_circuit_key& key : impl_->circuits.keys(kAllKeys)) {
    const auto circuit = impl_->circuits.find(key);
    if (!circuit || !circuit->opened_ns) continue;
    out.push_back(OpenCircuit{.key = from_abi(key),
                              .last_failure = static_cast<Failure>(circuit->last_failure),
                              .failures = circuit->failures,
                              .opened_at = from_abi_time(circuit->opened_ns)});
  }
  return out;
}

Result<> Interceptor::close_circuit(const CircuitKey& key) {
  impl_->circuits.erase(to_abi(key));
  return {};
}

void Interceptor::report_failure(const CircuitKey& key, Failure failure,
                                 std::chrono::steady_clock::time_point now) {
  impl_->failures[static_cast<std::size_t>(failure)].fetch_add(1, std::memory_order_relaxed);
  // A failure that the kernel counts in between is lost; the next one opens the circuit then.
  hf_circuit circuit = impl_->circuits.find(to_abi(key)).value_or(hf_circuit{});
  if (count_failure(circuit, failure, now))
    impl_->circuits_opened.fetch_add(1, std::memory_order_relaxed);
  // Only a full map refuses, and this one evicts.
  (void)impl_->circuits.set(to_abi(key), circuit);
}

int Interceptor::flow_fd() const noexcept {
  return impl_->flow_fd();
}

std::size_t Interceptor::poll_flows(const std::function<void(const FlowEvent&)>& sink) {
  return impl_->poll_flows(sink);
}

KernelCounters Interceptor::counters() const {
  const auto raw = impl_->read_counters();
  KernelCounters out;
  out.events_lost = raw[HF_COUNTER_EVENTS_LOST];
  out.tag_conflicts = raw[HF_COUNTER_TAG_CONFLICT] + impl_->tag_conflicts;
  out.tags_lost = raw[HF_COUNTER_TAG_LOST];
  out.circuits_opened = raw[HF_COUNTER_CIRCUIT_OPENED] + impl_->circuits_opened;
  out.tags_taken = impl_->tags_taken;
  out.tags_missed = impl_->tags_missed;
  for (std::size_t i = 0; i < out.verdicts.size(); ++i)
    out.verdicts[i] = raw[HF_COUNTER_VERDICT + i];
  for (std::size_t i = 0; i < out.reasons.size(); ++i) out.reasons[i] = raw[HF_COUNTER_REASON + i];
  for (std::size_t i = 0; i < out.failures.size(); ++i)
    out.failures[i] = raw[HF_COUNTER_FAILURE + i] + impl_->failures[i];
  return out;
}

Interceptor::RunTime Interceptor::run_time() const {
  const auto& programs = impl_->skeleton().progs;
  RunTime total;
  for (const bpf_program* program : {programs.holdfast_connect4, programs.holdfast_connect6,
                                     programs.holdfast_getpeername4, programs.holdfast_getpeername6,
                                     programs.holdfast_sock_release, programs.holdfast_sockops}) {
    bpf_prog_info info{};
    __u32 size = sizeof(info);
    if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) != 0) continue;
    total.runs += info.run_cnt;
    total.time += std::chrono::nanoseconds{info.run_time_ns};
  }
  return total;
}

}  // namespace holdfast::kernel
