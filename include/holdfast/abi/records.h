/* What is remembered about a connection, a peer and a circuit. */
#ifndef HOLDFAST_ABI_RECORDS_H
#define HOLDFAST_ABI_RECORDS_H

#include "holdfast/abi/types.h"

/* Who opened a connection, caught in the connect hook: only there is `current` the client. */
struct hf_origin {
  __u64 connection; /* socket cookie */
  __u64 netns_cookie;
  __u64 cgroup_id;
  __u64 connect_ns; /* CLOCK_MONOTONIC */
  struct hf_endpoint original;
  __u32 tgid;             /* in the initial pid namespace */
  __u32 uid;              /* in the initial user namespace */
  char comm[HF_COMM_LEN]; /* of the calling thread */
  __u8 verdict;
  __u8 reason;
  __u8 action;
  __u8 pad;
};
HF_ASSERT_SIZE(hf_origin, 80);
HF_ASSERT_AT(hf_origin, original, 32);
HF_ASSERT_AT(hf_origin, tgid, 52);
HF_ASSERT_AT(hf_origin, comm, 60);

/* Bits of hf_record.flags. */
#define HF_RECORD_SYN_SENT 1U /* routing worked: the first SYN is about to leave */
#define HF_RECORD_RELEASED 2U /* the client closed the socket: what follows is its own doing */
#define HF_RECORD_FAILED 4U   /* already counted against the circuit */

/* Socket-local storage of every socket that dialled an API server. */
struct hf_record {
  struct hf_origin origin;
  __u64 established_ns;    /* 0: never */
  __u64 acked_base;        /* bytes_acked at that moment: the SYN counts as a byte */
  __u64 fin_wait_received; /* bytes_received when our FIN was acknowledged */
  __u32 flags;
  __u32 pad;
};
HF_ASSERT_SIZE(hf_record, 112);

/* The value under a hf_tuple: what the proxy learns at accept. */
struct hf_tag {
  struct hf_origin origin;
  __u64 published_ns;
  __u32 conflict; /* two connections claimed the tuple: says nothing */
  __u32 pad;
};
HF_ASSERT_SIZE(hf_tag, 96);

/* Which namespaces use an address: the proxy sees addresses, tags are keyed by cookie too. */
#define HF_PEER_COOKIES 4
struct hf_peer_address {
  __u32 address[4];
};
struct hf_peer_cookies {
  __u64 cookies[HF_PEER_COOKIES];
  __u32 next; /* the slot to overwrite */
  __u32 pad;
};
HF_ASSERT_SIZE(hf_peer_cookies, 40);

struct hf_circuit_key {
  __u64 netns_cookie;
  __u64 cgroup_id;
};
struct hf_circuit {
  __u64 last_failure_ns; /* CLOCK_MONOTONIC */
  __u64 opened_ns;       /* 0: closed */
  __u32 last_failure;    /* enum hf_failure */
  __u32 failures;        /* since the entry was made */
};
HF_ASSERT_SIZE(hf_circuit, 24);

#endif
