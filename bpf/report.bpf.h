// Counters, flow events and circuits: what programs of both kinds report.
#pragma once

#include "maps.bpf.h"

static __always_inline void count(__u32 index) {
  __u64* value = bpf_map_lookup_elem(&counters, &index);
  if (value) *value += 1;
}

// An event with everything but the numbers that only a TCP socket knows; NULL when there is no
// room, which is counted. The caller submits it.
static __always_inline struct hf_flow_event* new_event(const struct hf_origin* origin, __u8 kind) {
  struct hf_flow_event* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event) {
    count(HF_COUNTER_EVENTS_LOST);
    return 0;
  }
  __builtin_memset(event, 0, sizeof(*event));
  event->origin = *origin;
  event->time_ns = bpf_ktime_get_ns();
  event->kind = kind;
  return event;
}

static __always_inline void announce_connect(const struct hf_origin* origin) {
  struct hf_flow_event* event = new_event(origin, HF_FLOW_CONNECT);
  if (event) bpf_ringbuf_submit(event, 0);
}

// Counts a failure of a redirected connection and opens its circuit when it is the second within
// the window. A path that cannot even be routed fails every time, so that opens it at once. Two
// processors that fail in the same instant may count as one: the next failure opens it then.
static __always_inline void count_failure(const struct hf_origin* origin, __u32 failure) {
  struct hf_circuit_key key = {.netns_cookie = origin->netns_cookie,
                               .cgroup_id = origin->cgroup_id};
  __u64 now = bpf_ktime_get_ns();
  struct hf_circuit* circuit;
  int opens;

  count(HF_COUNTER_FAILURE + failure);
  circuit = bpf_map_lookup_elem(&circuits, &key);
  if (!circuit) {
    struct hf_circuit fresh = {};
    bpf_map_update_elem(&circuits, &key, &fresh, BPF_NOEXIST);
    circuit = bpf_map_lookup_elem(&circuits, &key);
    if (!circuit) return;
  }
  opens = failure == HF_FAILURE_UNROUTABLE ||
          (circuit->last_failure_ns && now - circuit->last_failure_ns <= HF_CIRCUIT_WINDOW_NS);
  circuit->last_failure_ns = now;
  circuit->last_failure = failure;
  circuit->failures += 1;
  if (opens && !circuit->opened_ns) {
    struct hf_flow_event* event;
    circuit->opened_ns = now;
    count(HF_COUNTER_CIRCUIT_OPENED);
    event = new_event(origin, HF_FLOW_CIRCUIT_OPENED);
    if (event) {
      event->failure = (__u8)failure;
      bpf_ringbuf_submit(event, 0);
    }
  }
}

static __always_inline void fail_record(struct hf_record* record, __u32 failure) {
  if (record->flags & HF_RECORD_FAILED) return;
  record->flags |= HF_RECORD_FAILED;
  count_failure(&record->origin, failure);
}

static __always_inline int is_redirected(const struct hf_record* record) {
  return record->origin.verdict != HF_VERDICT_DIRECT;
}
