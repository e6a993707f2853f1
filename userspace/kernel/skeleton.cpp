#include "kernel/skeleton.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <ctime>
#include <fstream>

#include "holdfast/abi/config.h"
#include "holdfast/abi/flow.h"
#include "holdfast/abi/records.h"
#include "holdfast/base/fd.h"
#include "holdfast/kernel/netns.h"
#include "kernel/cgroup.h"
#include "kernel/convert.h"
// After the ABI: the skeleton names its types.
#include "holdfast.skel.h"

namespace holdfast::kernel {

namespace {

/// What a black hole may cost a client before the SYN is sent again.
constexpr unsigned kSynRtoMs = 100;

/// libbpf explains failures through a global callback; this keeps the last lines of one thread's.
thread_local std::string libbpf_complaints;

int remember_complaint(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  std::array<char, 512> line{};
  const int length = std::vsnprintf(line.data(), line.size(), format, arguments);
  constexpr std::size_t kKept = 2000;
  libbpf_complaints += line.data();
  if (libbpf_complaints.size() > kKept)
    libbpf_complaints.erase(0, libbpf_complaints.size() - kKept);
  return length;
}

Error complaint(int error, const std::string& what) {
  std::string message = what;
  if (!libbpf_complaints.empty()) message += ": " + libbpf_complaints;
  while (!message.empty() && message.back() == '\n') message.pop_back();
  return Error{boost::system::error_code{error, boost::system::system_category()}, message};
}

unsigned syn_retries_of_this_host() {
  unsigned value = 0;
  std::ifstream{"/proc/sys/net/ipv4/tcp_syn_retries"} >> value;
  constexpr unsigned kKernelDefault = 6;  // TCP_SYN_RETRIES
  return value ? value : kKernelDefault;
}

void configure(holdfast_bpf& skeleton, const InterceptorOptions& options) {
  hf_config& config = skeleton.rodata->config;
  config.listen_v4 = to_abi(options.listen_v4);
  config.listen_v6 = to_abi(options.listen_v6);
  // The agent runs in the host's namespace. Before 5.14 it cannot ask, and takes the initial one.
  if (const auto host = current_netns_cookie())
    config.host_netns_cookie = static_cast<__u64>(*host);
  config.own_cgroup_id = static_cast<__u64>(own_cgroup_id());
  config.own_tgid = static_cast<__u32>(::getpid());
  config.own_mark = options.own_mark;
  config.syn_rto_jiffies = kernel_hz() * kSynRtoMs / 1000;
  config.default_syn_count = syn_retries_of_this_host();
  skeleton.bss->control.default_action = static_cast<__u32>(options.default_action);
}

}  // namespace

void SkeletonDeleter::operator()(holdfast_bpf* skeleton) const {
  holdfast_bpf::destroy(skeleton);
}

unsigned kernel_hz() {
  // The coarse clocks advance once per tick.
  timespec resolution{};
  if (::clock_getres(CLOCK_MONOTONIC_COARSE, &resolution) != 0) return 0;
  if (resolution.tv_sec != 0 || resolution.tv_nsec <= 0) return 0;
  return static_cast<unsigned>((1'000'000'000L + resolution.tv_nsec / 2) / resolution.tv_nsec);
}

Result<Skeleton> load_skeleton(const InterceptorOptions& options) {
  if (options.listen_v4.port && !options.listen_v4.is_v4())
    return make_error(Errc::kInvalidArgument, "listen_v4 is not an IPv4 address");
  if (options.listen_v6.port && options.listen_v6.is_v4())
    return make_error(Errc::kInvalidArgument, "listen_v6 is not an IPv6 address");

  libbpf_set_print(remember_complaint);
  libbpf_complaints.clear();
  Skeleton skeleton{holdfast_bpf::open()};
  if (!skeleton) return complaint(errno, "cannot open the BPF object");
  configure(*skeleton, options);
  if (const int error = bpf_map__set_max_entries(skeleton->maps.events,
                                                 static_cast<__u32>(options.event_buffer_bytes)))
    return complaint(-error, "cannot size the event buffer");
  if (const int error = holdfast_bpf::load(skeleton.get()))
    return complaint(-error, "the kernel refused the BPF programs");
  return skeleton;
}

namespace {

// When a process is killed the kernel closes its files from the highest descriptor down (task_work
// runs last in, first out; kernel/task_work.c). A listener that closed before the hooks let go
// would refuse what they still redirect: so the hooks' descriptors are the highest of all.
Fd first_to_close(int link) {
  constexpr rlim_t kAbove = 65'536;  // beyond what connections use; half a MiB of kernel memory
  constexpr rlim_t kRoom = 64;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > kRoom) {
    const auto from = static_cast<int>(std::min(limit.rlim_cur, kAbove) - kRoom);
    if (const int high = ::fcntl(link, F_DUPFD_CLOEXEC, from); high >= 0) return Fd{high};
  }
  return Fd{::fcntl(link, F_DUPFD_CLOEXEC, 0)};
}

}  // namespace

Result<std::vector<Fd>> attach_skeleton(holdfast_bpf& skeleton, const std::string& cgroup_path) {
  const Fd cgroup{::open(cgroup_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!cgroup) return Error::from_errno("cannot open the cgroup " + cgroup_path);
  auto& programs = skeleton.progs;
  bpf_program* const order[] = {
      programs.holdfast_sockops,      programs.holdfast_sock_release,
      programs.holdfast_getpeername4, programs.holdfast_getpeername6,
      programs.holdfast_connect4,     programs.holdfast_connect6,
  };
  std::vector<Fd> links;
  for (bpf_program* program : order) {
    libbpf_complaints.clear();
    bpf_link* link = bpf_program__attach_cgroup(program, cgroup.get());
    if (!link)
      return complaint(
          errno, std::string{"cannot attach "} + bpf_program__name(program) + " to " + cgroup_path);
    links.push_back(first_to_close(bpf_link__fd(link)));
    bpf_link__destroy(link);  // closes its own descriptor, ours keeps the hook attached
    if (!links.back()) return Error::from_errno("cannot keep a link");
  }
  return links;
}

}  // namespace holdfast::kernel
