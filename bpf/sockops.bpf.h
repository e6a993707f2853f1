// The life of a recorded socket: tag, limits, failures, totals.
#pragma once

#include "report.bpf.h"

// Not in UAPI headers.
#define AF_INET 2

// The address fields are read one by one into registers of their own: left to itself the compiler
// loads through a pointer into the context that it picks at run time, which the verifier forbids.
#define HF_LOAD(variable, field) \
  __u32 variable = field;        \
  asm volatile("" : "+r"(variable))

static __always_inline void set_endpoint(struct hf_endpoint* out, __u32 family, __u32 ip4, __u32 a0,
                                         __u32 a1, __u32 a2, __u32 a3, __u16 port) {
  int is_v4 = family == AF_INET;
  out->address[0] = is_v4 ? 0 : a0;
  out->address[1] = is_v4 ? 0 : a1;
  out->address[2] = is_v4 ? bpf_htonl(0xffff) : a2;
  out->address[3] = is_v4 ? ip4 : a3;
  out->port = port;
  out->pad = 0;
}

static __always_inline void local_endpoint(struct bpf_sock_ops* ctx, struct hf_endpoint* out) {
  HF_LOAD(ip4, ctx->local_ip4);
  HF_LOAD(a0, ctx->local_ip6[0]);
  HF_LOAD(a1, ctx->local_ip6[1]);
  HF_LOAD(a2, ctx->local_ip6[2]);
  HF_LOAD(a3, ctx->local_ip6[3]);
  set_endpoint(out, ctx->family, ip4, a0, a1, a2, a3, (__u16)ctx->local_port);
}

static __always_inline void remote_endpoint(struct bpf_sock_ops* ctx, struct hf_endpoint* out) {
  HF_LOAD(ip4, ctx->remote_ip4);
  HF_LOAD(a0, ctx->remote_ip6[0]);
  HF_LOAD(a1, ctx->remote_ip6[1]);
  HF_LOAD(a2, ctx->remote_ip6[2]);
  HF_LOAD(a3, ctx->remote_ip6[3]);
  set_endpoint(out, ctx->family, ip4, a0, a1, a2, a3, (__u16)bpf_ntohl(ctx->remote_port));
}

// Remembers that this address is used in this namespace. Two processors that learn at once may
// lose one of two cookies; that connection is then untagged.
static __always_inline void learn_peer(const struct hf_tuple* tuple) {
  struct hf_peer_address key = {};
  struct hf_peer_cookies* known;
  __builtin_memcpy(key.address, tuple->local.address, sizeof(key.address));
  known = bpf_map_lookup_elem(&peers, &key);
  if (!known) {
    struct hf_peer_cookies fresh = {};
    fresh.cookies[0] = tuple->netns_cookie;
    fresh.next = 1;
    bpf_map_update_elem(&peers, &key, &fresh, BPF_ANY);
    return;
  }
#pragma unroll
  for (int i = 0; i < HF_PEER_COOKIES; i++) {
    if (known->cookies[i] == tuple->netns_cookie) return;
  }
  // The mask bounds the index for the verifier.
  known->cookies[known->next & (HF_PEER_COOKIES - 1)] = tuple->netns_cookie;
  known->next += 1;
}

static __always_inline void publish_tag(struct bpf_sock_ops* ctx, struct hf_record* record) {
  struct hf_tuple tuple = {};
  struct hf_tag tag = {};
  tuple.netns_cookie = record->origin.netns_cookie;
  local_endpoint(ctx, &tuple.local);
  remote_endpoint(ctx, &tuple.remote);
  tag.origin = record->origin;
  tag.published_ns = bpf_ktime_get_ns();
  learn_peer(&tuple);
  if (bpf_map_update_elem(&tags, &tuple, &tag, BPF_NOEXIST) == 0) return;
  // The tuple was used before and its tag was never claimed. Which of the two connections the
  // proxy will accept first cannot be known, so neither gets a tag.
  struct hf_tag* other = bpf_map_lookup_elem(&tags, &tuple);
  if (other) {
    other->conflict = 1;
    count(HF_COUNTER_TAG_CONFLICT);
  } else {
    count(HF_COUNTER_TAG_LOST);
  }
}

static __always_inline void on_established(struct bpf_sock_ops* ctx, struct hf_record* record) {
  struct hf_flow_event* event;
  record->established_ns = bpf_ktime_get_ns();
  record->acked_base = ctx->bytes_acked;
  if (is_redirected(record)) publish_tag(ctx, record);
  event = new_event(&record->origin, HF_FLOW_ESTABLISHED);
  if (!event) return;
  event->established_ns = record->established_ns;
  event->srtt_us = ctx->srtt_us >> 3;
  local_endpoint(ctx, &event->local);
  bpf_ringbuf_submit(event, 0);
}

// What ended the connection, as far as the path to the listener is concerned. `RELEASED` tells a
// client that closed or died from one that was refused or reset.
static __always_inline __u32 closing_failure(const struct hf_record* record, __u32 old_state,
                                             __u64 bytes_received) {
  if (record->flags & HF_RECORD_RELEASED)
    return old_state == BPF_TCP_SYN_SENT ? HF_FAILURE_GAVE_UP : HF_FAILURE_NONE;
  if (old_state == BPF_TCP_SYN_SENT)
    return record->flags & HF_RECORD_FAILED ? HF_FAILURE_SYN_LOST : HF_FAILURE_REFUSED;
  if (old_state == BPF_TCP_ESTABLISHED && !bytes_received) return HF_FAILURE_RESET;
  return HF_FAILURE_NONE;
}

static __always_inline void on_close(struct bpf_sock_ops* ctx, struct hf_record* record) {
  struct hf_flow_event* event;
  __u32 old_state = ctx->args[0];
  __u64 sent = ctx->bytes_acked;
  __u64 received = ctx->bytes_received;
  __u32 failure = closing_failure(record, old_state, received);

  if (is_redirected(record)) {
    if (failure == HF_FAILURE_GAVE_UP)
      count(HF_COUNTER_FAILURE + HF_FAILURE_GAVE_UP);
    else if (failure)
      fail_record(record, failure);
  }
  event = new_event(&record->origin, HF_FLOW_CLOSED);
  if (!event) return;
  // The kernel counts SYN and FIN as a byte each; people do not. A socket that leaves FIN_WAIT2 has
  // seen a FIN if anything came since it went there; after a half-close that ends with a reset this
  // is one byte too few.
  if (record->established_ns) {
    int fin_acked = old_state == BPF_TCP_FIN_WAIT2 || old_state == BPF_TCP_LAST_ACK ||
                    old_state == BPF_TCP_CLOSING;
    int fin_received = old_state == BPF_TCP_CLOSE_WAIT || old_state == BPF_TCP_LAST_ACK ||
                       old_state == BPF_TCP_CLOSING ||
                       (old_state == BPF_TCP_FIN_WAIT2 && received > record->fin_wait_received);
    sent -= record->acked_base;
    if (fin_acked && sent) sent -= 1;
    if (fin_received && received) received -= 1;
    event->bytes_sent = sent;
    event->bytes_received = received;
    event->srtt_us = ctx->srtt_us >> 3;
    event->established_ns = record->established_ns;
  }
  event->retransmits = ctx->total_retrans;
  event->failure = (__u8)failure;
  local_endpoint(ctx, &event->local);
  bpf_ringbuf_submit(event, 0);
}

SEC("sockops")
int holdfast_sockops(struct bpf_sock_ops* ctx) {
  __u32 op = ctx->op;
  struct bpf_sock* sk;
  struct hf_record* record;

  if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_TIMEOUT_INIT &&
      op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_STATE_CB &&
      op != BPF_SOCK_OPS_RTO_CB)
    return 1;
  // Copied before the test, or the verifier forgets that it was made.
  sk = ctx->sk;
  if (!sk) return 1;
  record = bpf_sk_storage_get(&records, sk, 0, 0);
  if (!record) return 1;

  switch (op) {
    case BPF_SOCK_OPS_TCP_CONNECT_CB:
      record->flags |= HF_RECORD_SYN_SENT;
      bpf_sock_ops_cb_flags_set(
          ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTO_CB_FLAG);
      break;
    case BPF_SOCK_OPS_TIMEOUT_INIT:
      if (is_redirected(record) && config.syn_rto_jiffies) ctx->reply = config.syn_rto_jiffies;
      break;
    case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
      on_established(ctx, record);
      break;
    case BPF_SOCK_OPS_STATE_CB:
      if (ctx->args[1] == BPF_TCP_CLOSE)
        on_close(ctx, record);
      else if (ctx->args[1] == BPF_TCP_FIN_WAIT2)
        record->fin_wait_received = ctx->bytes_received;
      break;
    case BPF_SOCK_OPS_RTO_CB:
      // One lost SYN may be a busy node; the second is a black hole.
      if (is_redirected(record) && ctx->state == BPF_TCP_SYN_SENT && ctx->args[0] >= 1)
        fail_record(record, HF_FAILURE_SYN_LOST);
      break;
  }
  return 1;
}
