// Maps and data shared by all programs. Sizes are bounds on what one node can have; the agent may
// change those of the tags and events maps before loading.
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "holdfast/abi/config.h"
#include "holdfast/abi/decision.h"
#include "holdfast/abi/flow.h"
#include "holdfast/abi/records.h"

// `volatile`, or the compiler would fold the zeros it sees here into the code.
const volatile struct hf_config config = {};
volatile struct hf_control control = {};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, struct hf_endpoint);
  __type(value, __u32);
} targets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 8192);
  __type(key, __u64);
  __type(value, __u32);
} cgroup_rules SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 8192);
  __type(key, __u32);
  __type(value, __u32);
} tgid_rules SEC(".maps");

// A plain hash: a verdict must not be evicted, for an absent one means "not judged yet".
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 8192);
  __type(key, __u64);
  __type(value, __u32);
} netns_verdicts SEC(".maps");

// Least recently used first: failures must always find room, and an entry that nobody asks for
// protects nobody.
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 4096);
  __type(key, struct hf_circuit_key);
  __type(value, struct hf_circuit);
} circuits SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct hf_record);
} records SEC(".maps");

// The agent empties it: an unclaimed tag lives for a second, so it is small but for storms.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 8192);
  __type(key, struct hf_tuple);
  __type(value, struct hf_tag);
} tags SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 4096);
  __type(key, struct hf_peer_address);
  __type(value, struct hf_peer_cookies);
} peers SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, HF_COUNTER_COUNT);
  __type(key, __u32);
  __type(value, __u64);
} counters SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
} events SEC(".maps");
