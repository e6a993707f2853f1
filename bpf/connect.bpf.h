// connect(): decide, record, rewrite.
#pragma once

#include <linux/in.h>
#include <linux/tcp.h>

#include "report.bpf.h"

// Not in UAPI headers.
#define SOCK_STREAM 1
// Return values of cgroup/connect programs; none of ours ever refuses a connection.
#define PROCEED 1

static __always_inline int heartbeat_is_fresh(void) {
  __u64 beat = control.heartbeat_ns;
  __u64 now = bpf_ktime_get_ns();
  // A beat written after `now` was read is fresh too.
  return beat && (beat >= now || now - beat <= HF_HEARTBEAT_LIMIT_NS);
}

// The mark serves agents that do not share the host's pid namespace; cgroup and process those
// whose sockets a library opens unmarked. Claiming the mark wins a client nothing but going direct.
static __always_inline int is_own(const struct hf_origin* origin, __u32 mark) {
  if (config.own_mark && mark == config.own_mark) return 1;
  return config.own_cgroup_id && origin->cgroup_id == config.own_cgroup_id &&
         origin->tgid == config.own_tgid;
}

static __always_inline __u32 netns_reason(__u64 cookie) {
  __u32* verdict = bpf_map_lookup_elem(&netns_verdicts, &cookie);
  if (!verdict) return HF_REASON_NONE;
  if (*verdict == HF_NETNS_DENIED) return HF_REASON_NETNS_DENIED;
  if (*verdict == HF_NETNS_ISOLATED) return HF_REASON_NETNS_ISOLATED;
  return HF_REASON_NONE;
}

static __always_inline int circuit_is_open(const struct hf_origin* origin) {
  struct hf_circuit_key key = {.netns_cookie = origin->netns_cookie,
                               .cgroup_id = origin->cgroup_id};
  struct hf_circuit* circuit = bpf_map_lookup_elem(&circuits, &key);
  return circuit && circuit->opened_ns;
}

static __always_inline __u32 rule_for(const struct hf_origin* origin) {
  __u32 tgid = origin->tgid;
  __u64 cgroup = origin->cgroup_id;
  __u32* action = bpf_map_lookup_elem(&tgid_rules, &tgid);
  if (!action) action = bpf_map_lookup_elem(&cgroup_rules, &cgroup);
  return action ? *action : control.default_action;
}

// Fills in action, reason and verdict, in the design's order.
static __always_inline void decide(struct hf_origin* origin, __u32 mark, int has_listener) {
  __u32 reason;
  __u32 action = HF_ACTION_NONE;

  if (!heartbeat_is_fresh())
    reason = HF_REASON_HEARTBEAT_STALE;
  else if (is_own(origin, mark))
    reason = HF_REASON_OWN_TRAFFIC;
  else
    reason = netns_reason(origin->netns_cookie);
  if (!reason && circuit_is_open(origin)) reason = HF_REASON_CIRCUIT_OPEN;
  if (!reason) {
    action = rule_for(origin);
    if (action != HF_ACTION_REDIRECT && action != HF_ACTION_SPLICE) reason = HF_REASON_RULE_BYPASS;
  }
  if (!reason && !has_listener) reason = HF_REASON_NO_LISTENER;

  origin->action = (__u8)action;
  origin->reason = (__u8)reason;
  if (reason)
    origin->verdict = HF_VERDICT_DIRECT;
  else if (action == HF_ACTION_SPLICE)
    origin->verdict = HF_VERDICT_SPLICED;
  else
    origin->verdict = HF_VERDICT_REDIRECTED;
}

// What an earlier connect() on the same socket left behind: its storage says things that are no
// longer true, and its SYN limit would outlive the redirection.
static __always_inline void leave_earlier(struct bpf_sock_addr* ctx, struct hf_record* earlier) {
  if (!is_redirected(earlier)) return;
  if (!(earlier->flags & HF_RECORD_SYN_SENT)) fail_record(earlier, HF_FAILURE_UNROUTABLE);
  int retries = (int)config.default_syn_count;
  if (retries) bpf_setsockopt(ctx, IPPROTO_TCP, TCP_SYNCNT, &retries, sizeof(retries));
}

static __always_inline int is_loopback(const struct hf_endpoint* endpoint) {
  const __u32* a = endpoint->address;
  if (a[0] || a[1]) return 0;
  if (a[2] == bpf_htonl(0xffff)) return (a[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
  return !a[2] && a[3] == bpf_htonl(1);
}

// 127.0.0.1:6444 is K3s' load balancer on the host only: a pod's loopback is the pod's own.
static __always_inline int is_target(struct bpf_sock_addr* ctx,
                                     const struct hf_endpoint* original) {
  if (!bpf_map_lookup_elem(&targets, original)) return 0;
  if (!is_loopback(original)) return 1;
  __u64 host = config.host_netns_cookie;
  if (!host) host = bpf_get_netns_cookie(0);
  return bpf_get_netns_cookie(ctx) == host;
}

// Returns true when the caller shall rewrite the address to its listener.
static __always_inline int intercept(struct bpf_sock_addr* ctx, const struct hf_endpoint* original,
                                     const volatile struct hf_endpoint* listener) {
  struct hf_origin origin = {};
  struct hf_record* record;
  struct bpf_sock* sk = ctx->sk;
  __u64 id;

  if (!sk) return 0;
  record = bpf_sk_storage_get(&records, sk, 0, 0);
  if (record) leave_earlier(ctx, record);
  if (!is_target(ctx, original)) {
    if (record) bpf_sk_storage_delete(&records, sk);
    return 0;
  }

  origin.original = *original;
  origin.connection = bpf_get_socket_cookie(ctx);
  origin.netns_cookie = bpf_get_netns_cookie(ctx);
  origin.cgroup_id = bpf_get_current_cgroup_id();
  origin.connect_ns = bpf_ktime_get_ns();
  id = bpf_get_current_pid_tgid();
  origin.tgid = (__u32)(id >> 32);
  id = bpf_get_current_uid_gid();
  origin.uid = (__u32)id;
  bpf_get_current_comm(origin.comm, sizeof(origin.comm));
  decide(&origin, sk->mark, listener->port != 0);

  if (!record) record = bpf_sk_storage_get(&records, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (record) {
    __builtin_memset(record, 0, sizeof(*record));
    record->origin = origin;
  } else if (origin.verdict != HF_VERDICT_DIRECT) {
    origin.verdict = HF_VERDICT_DIRECT;
    origin.reason = HF_REASON_RECORD_FAILED;
  }

  count(HF_COUNTER_VERDICT + origin.verdict);
  if (origin.verdict == HF_VERDICT_DIRECT) count(HF_COUNTER_REASON + origin.reason);
  announce_connect(&origin);
  if (origin.verdict == HF_VERDICT_DIRECT) return 0;

  // Best effort: without it a black hole costs the client the kernel's own patience, once.
  int retries = HF_REDIRECT_SYN_COUNT;
  bpf_setsockopt(ctx, IPPROTO_TCP, TCP_SYNCNT, &retries, sizeof(retries));
  return 1;
}

static __always_inline int is_tcp(const struct bpf_sock_addr* ctx) {
  return ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP;
}

SEC("cgroup/connect4")
int holdfast_connect4(struct bpf_sock_addr* ctx) {
  if (!is_tcp(ctx)) return PROCEED;
  struct hf_endpoint original = {};
  original.address[2] = bpf_htonl(0xffff);
  original.address[3] = ctx->user_ip4;
  original.port = bpf_ntohs((__u16)ctx->user_port);
  if (intercept(ctx, &original, &config.listen_v4)) {
    ctx->user_ip4 = config.listen_v4.address[3];
    ctx->user_port = bpf_htons(config.listen_v4.port);
  }
  return PROCEED;
}

SEC("cgroup/connect6")
int holdfast_connect6(struct bpf_sock_addr* ctx) {
  if (!is_tcp(ctx)) return PROCEED;
  struct hf_endpoint original = {};
  original.address[0] = ctx->user_ip6[0];
  original.address[1] = ctx->user_ip6[1];
  original.address[2] = ctx->user_ip6[2];
  original.address[3] = ctx->user_ip6[3];
  original.port = bpf_ntohs((__u16)ctx->user_port);
  // Two calls, one per listener: a pointer picked at run time is one that 5.10 cannot follow.
  if (!original.address[0] && !original.address[1] && original.address[2] == bpf_htonl(0xffff)) {
    if (intercept(ctx, &original, &config.listen_v4)) {
      ctx->user_ip6[3] = config.listen_v4.address[3];
      ctx->user_port = bpf_htons(config.listen_v4.port);
    }
  } else if (intercept(ctx, &original, &config.listen_v6)) {
    ctx->user_ip6[0] = config.listen_v6.address[0];
    ctx->user_ip6[1] = config.listen_v6.address[1];
    ctx->user_ip6[2] = config.listen_v6.address[2];
    ctx->user_ip6[3] = config.listen_v6.address[3];
    ctx->user_port = bpf_htons(config.listen_v6.port);
  }
  return PROCEED;
}

static __always_inline struct hf_record* redirected_record(struct bpf_sock_addr* ctx) {
  struct bpf_sock* sk = ctx->sk;
  struct hf_record* record;
  if (!sk) return 0;
  record = bpf_sk_storage_get(&records, sk, 0, 0);
  return record && is_redirected(record) ? record : 0;
}

SEC("cgroup/getpeername4")
int holdfast_getpeername4(struct bpf_sock_addr* ctx) {
  struct hf_record* record = redirected_record(ctx);
  if (record) {
    ctx->user_ip4 = record->origin.original.address[3];
    ctx->user_port = bpf_htons(record->origin.original.port);
  }
  return PROCEED;
}

SEC("cgroup/getpeername6")
int holdfast_getpeername6(struct bpf_sock_addr* ctx) {
  struct hf_record* record = redirected_record(ctx);
  if (record) {
    ctx->user_ip6[0] = record->origin.original.address[0];
    ctx->user_ip6[1] = record->origin.original.address[1];
    ctx->user_ip6[2] = record->origin.original.address[2];
    ctx->user_ip6[3] = record->origin.original.address[3];
    ctx->user_port = bpf_htons(record->origin.original.port);
  }
  return PROCEED;
}

// Runs before the socket's own close: whatever state change follows, the client asked for it. It
// is also the last look at a connect() that failed in routing, of which sockops never hears.
SEC("cgroup/sock_release")
int holdfast_sock_release(struct bpf_sock* ctx) {
  struct hf_record* record = bpf_sk_storage_get(&records, ctx, 0, 0);
  if (!record) return PROCEED;
  if (is_redirected(record) && !(record->flags & HF_RECORD_SYN_SENT))
    fail_record(record, HF_FAILURE_UNROUTABLE);
  record->flags |= HF_RECORD_RELEASED;
  return PROCEED;
}
