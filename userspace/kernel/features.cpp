#include "holdfast/kernel/features.h"

#include <bpf/libbpf.h>
#include <sys/socket.h>

#include "holdfast/kernel/netns.h"
#include "kernel/skeleton.h"

namespace holdfast::kernel {

namespace {

bool has_program_type(bpf_prog_type type) {
  return libbpf_probe_bpf_prog_type(type, nullptr) == 1;
}
bool has_map_type(bpf_map_type type) {
  return libbpf_probe_bpf_map_type(type, nullptr) == 1;
}
bool has_helper(bpf_prog_type type, bpf_func_id helper) {
  return libbpf_probe_bpf_helper(type, helper, nullptr) == 1;
}

}  // namespace

std::vector<Feature> probe_features() {
  // libbpf reports each probe that fails; that is what a probe is for.
  libbpf_set_print([](libbpf_print_level, const char*, va_list) { return 0; });
  constexpr bool kRequired = true;
  const std::string kernel = "needs Linux 5.10 or newer, root or CAP_BPF and CAP_NET_ADMIN";
  std::vector<Feature> out;
  out.push_back({"cgroup2", find_cgroup2_root().has_value(), kRequired,
                 "mount it, or boot with systemd.unified_cgroup_hierarchy=1"});
  out.push_back({"connect and getpeername hooks", has_program_type(BPF_PROG_TYPE_CGROUP_SOCK_ADDR),
                 kRequired, kernel});
  out.push_back(
      {"socket release hook", has_program_type(BPF_PROG_TYPE_CGROUP_SOCK), kRequired, kernel});
  out.push_back({"sockops", has_program_type(BPF_PROG_TYPE_SOCK_OPS), kRequired, kernel});
  out.push_back({"socket storage", has_map_type(BPF_MAP_TYPE_SK_STORAGE), kRequired, kernel});
  out.push_back({"ring buffer", has_map_type(BPF_MAP_TYPE_RINGBUF), kRequired, kernel});
  out.push_back({"network namespace cookie",
                 has_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_get_netns_cookie), kRequired,
                 kernel});
  out.push_back({"SYN limits", has_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_setsockopt),
                 false, "without them a black hole costs a client its own time-out, twice"});
  out.push_back({"tick rate", kernel_hz() != 0, false,
                 "without it the first SYN to the listener is repeated after 1 s, not 100 ms"});
  out.push_back({"SO_NETNS_COOKIE", current_netns_cookie().has_value(), false,
                 "Linux 5.14: without it a reused pid could get another namespace judged"});
  return out;
}

}  // namespace holdfast::kernel
