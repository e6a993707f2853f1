/* Events of the ring buffer. */
#ifndef HOLDFAST_ABI_FLOW_H
#define HOLDFAST_ABI_FLOW_H

#include "holdfast/abi/records.h"

enum hf_flow_kind {
  HF_FLOW_CONNECT = 1,    /* decided; for a direct flow without a record also the last event */
  HF_FLOW_ESTABLISHED,    /* the handshake is done; `local` is known from here on */
  HF_FLOW_CLOSED,         /* with the totals */
  HF_FLOW_CIRCUIT_OPENED, /* `failure` says what did it */
};

struct hf_flow_event {
  struct hf_origin origin;
  __u64 time_ns;        /* CLOCK_MONOTONIC */
  __u64 established_ns; /* 0: not (yet) */
  __u64 bytes_sent;     /* payload that the peer acknowledged */
  __u64 bytes_received; /* payload */
  struct hf_endpoint local;
  __u32 srtt_us;
  __u32 retransmits;
  __u8 kind;
  __u8 failure;
  __u16 pad;
};
HF_ASSERT_SIZE(hf_flow_event, 144);
HF_ASSERT_AT(hf_flow_event, local, 112);
HF_ASSERT_AT(hf_flow_event, kind, 140);

#endif
