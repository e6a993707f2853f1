/* What the BPF programs and the agent agree on: plain C, fixed widths, explicit padding. Included
 * by both sides, so nothing here may need more than the kernel's UAPI headers. */
#ifndef HOLDFAST_ABI_TYPES_H
#define HOLDFAST_ABI_TYPES_H

#include <linux/types.h>

#ifdef __cplusplus
#define HF_ASSERT(condition) static_assert(condition, #condition)
#else
#define HF_ASSERT(condition) _Static_assert(condition, #condition)
#endif
#define HF_ASSERT_SIZE(type, size) HF_ASSERT(sizeof(struct type) == (size))
#define HF_ASSERT_AT(type, member, offset) \
  HF_ASSERT(__builtin_offsetof(struct type, member) == (offset))

#define HF_COMM_LEN 16 /* TASK_COMM_LEN */

/* An address and a port. IPv4 is v4-mapped (::ffff:a.b.c.d), so that an AF_INET socket and an
 * AF_INET6 socket that dials the mapped address find the same entry. */
struct hf_endpoint {
  __u32 address[4]; /* network order */
  __u16 port;       /* host order */
  __u16 pad;
};
HF_ASSERT_SIZE(hf_endpoint, 20);
HF_ASSERT_AT(hf_endpoint, port, 16);

/* A connection as both of its ends name it, seen from the client. The cookie keeps two network
 * namespaces apart that use the same addresses and ports. */
struct hf_tuple {
  __u64 netns_cookie;
  struct hf_endpoint local;
  struct hf_endpoint remote;
};
HF_ASSERT_SIZE(hf_tuple, 48);
HF_ASSERT_AT(hf_tuple, local, 8);
HF_ASSERT_AT(hf_tuple, remote, 28);

#endif
