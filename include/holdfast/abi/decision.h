/* What can become of a connect() to an API server, and why. The numbers index counters. */
#ifndef HOLDFAST_ABI_DECISION_H
#define HOLDFAST_ABI_DECISION_H

#include "holdfast/abi/types.h"

/* What a rule asks for. */
enum hf_action {
  HF_ACTION_NONE = 0,
  HF_ACTION_REDIRECT, /* to the listener, which may terminate TLS */
  HF_ACTION_BYPASS,   /* leave the connection alone */
  HF_ACTION_SPLICE,   /* to the listener, which passes the bytes on untouched */
};

/* What was done. */
enum hf_verdict {
  HF_VERDICT_REDIRECTED = 0,
  HF_VERDICT_SPLICED,
  HF_VERDICT_DIRECT,
  HF_VERDICT_COUNT,
};

/* Why a connection to an API server was left direct, in the order in which it is asked. */
enum hf_reason {
  HF_REASON_NONE = 0,        /* not direct */
  HF_REASON_HEARTBEAT_STALE, /* the agent does not serve, or is not known to */
  HF_REASON_OWN_TRAFFIC,     /* the agent's own connection */
  HF_REASON_NETNS_DENIED,    /* this namespace has no direct path, so it gets no service */
  HF_REASON_NETNS_ISOLATED,  /* this namespace cannot reach the listener */
  HF_REASON_CIRCUIT_OPEN,    /* redirecting failed here a moment ago */
  HF_REASON_RULE_BYPASS,     /* a rule, or the default action */
  HF_REASON_NO_LISTENER,     /* no listener for this address family */
  HF_REASON_RECORD_FAILED,   /* the original address could not be saved */
  HF_REASON_COUNT,
};

/* What the agent found out about a network namespace. An absent entry is "not judged yet": its
 * connections are redirected and the proxy parks them until the verdict. */
enum hf_netns_verdict {
  HF_NETNS_UNKNOWN = 0,
  HF_NETNS_ADMITTED,
  HF_NETNS_DENIED,
  HF_NETNS_ISOLATED,
};

/* How a redirected connection failed. All but the last count against the circuit. */
enum hf_failure {
  HF_FAILURE_NONE = 0,
  HF_FAILURE_UNROUTABLE, /* no route to the listener: connect() failed before the first SYN */
  HF_FAILURE_REFUSED,    /* a reset or an ICMP error answered the SYN */
  HF_FAILURE_SYN_LOST,   /* nothing answered */
  HF_FAILURE_RESET,      /* reset before a byte came from the agent */
  HF_FAILURE_UNCLAIMED,  /* someone else accepted it, such as a sidecar */
  HF_FAILURE_GAVE_UP,    /* the client closed it first: not the path's fault */
  HF_FAILURE_COUNT,
};

/* Indices of the per-CPU counters map: some plain ones, then one per verdict, reason, failure. */
enum hf_counter {
  HF_COUNTER_EVENTS_LOST = 0, /* the ring buffer was full */
  HF_COUNTER_TAG_CONFLICT,    /* a tag was published over an unclaimed one */
  HF_COUNTER_TAG_LOST,        /* the tag table was full */
  HF_COUNTER_CIRCUIT_OPENED,
  HF_COUNTER_VERDICT,
  HF_COUNTER_REASON = HF_COUNTER_VERDICT + HF_VERDICT_COUNT,
  HF_COUNTER_FAILURE = HF_COUNTER_REASON + HF_REASON_COUNT,
  HF_COUNTER_COUNT = HF_COUNTER_FAILURE + HF_FAILURE_COUNT,
};

#endif
