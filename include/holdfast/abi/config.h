/* What the agent tells the programs: fixed at load (rodata) or changed while they run (bss). */
#ifndef HOLDFAST_ABI_CONFIG_H
#define HOLDFAST_ABI_CONFIG_H

#include "holdfast/abi/types.h"

/* A heartbeat older than this means that nobody serves (design: "a heartbeat older than 2 s"). */
#define HF_HEARTBEAT_LIMIT_NS 2000000000ULL
/* Two failures within this time open a circuit. */
#define HF_CIRCUIT_WINDOW_NS 10000000000ULL
/* SYNs sent again to the listener before connect() fails. */
#define HF_REDIRECT_SYN_COUNT 2

/* Read-only data, set between open and load. */
struct hf_config {
  struct hf_endpoint listen_v4; /* port 0: none */
  struct hf_endpoint listen_v6; /* port 0: none */
  __u64 host_netns_cookie;      /* where loopback targets are; 0: the initial namespace */
  __u64 own_cgroup_id;          /* with own_tgid; 0: unknown */
  __u32 own_tgid;
  __u32 own_mark;          /* SO_MARK of the agent's sockets; 0: unused */
  __u32 syn_rto_jiffies;   /* initial RTO of redirected sockets; 0: the kernel's */
  __u32 default_syn_count; /* net.ipv4.tcp_syn_retries, put back when a socket goes direct */
};
HF_ASSERT_SIZE(hf_config, 72);
HF_ASSERT_AT(hf_config, host_netns_cookie, 40);

/* Written by the agent through the map's memory, without a system call. */
struct hf_control {
  __u64 heartbeat_ns; /* CLOCK_MONOTONIC; 0: not serving */
  __u32 default_action;
  __u32 pad;
};
HF_ASSERT_SIZE(hf_control, 16);

#endif
