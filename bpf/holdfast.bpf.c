// Holdfast's kernel side: sends TCP connections that are bound for an API server to the agent on
// this node, and says who made them. Whatever fails here, the connection goes where it was going.
#include "connect.bpf.h"
#include "sockops.bpf.h"

// The kernel lends its GPL-only helpers (sk_storage, sockops callbacks) to programs that say so.
char holdfast_license[] SEC("license") = "Dual MIT/GPL";
