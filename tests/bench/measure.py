"""Counters of the kernel: CPU time and memory of the agent, run time of its eBPF programs."""

import ctypes
import json
import os
from contextlib import contextmanager
from pathlib import Path

from process import run


def cpu_seconds(cgroup):
    """User and system time of everything that ever ran in the cgroup; cgroup2 counts it without a controller."""
    for line in (cgroup / "cpu.stat").read_text().splitlines():
        name, value = line.split()
        if name == "usage_usec":
            return int(value) / 1e6
    raise ValueError(f"no usage_usec in {cgroup}")


def memory(pids, field):
    """The sum of a field of /proc/PID/status in bytes: VmRSS now, VmHWM at its peak."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                total += int(line.split()[1]) * 1024
    return total


@contextmanager
def bpf_statistics():
    """run_time_ns and run_cnt are counted inside the block.

    A descriptor from BPF_ENABLE_STATS does what kernel.bpf_stats_enabled=1 does, and the kernel takes it
    back when this process ends, however it ends: nothing to save, nothing to forget to restore.
    """
    libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    run_time = 0  # BPF_STATS_RUN_TIME
    fd = libbpf.bpf_enable_stats(run_time)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "BPF_ENABLE_STATS")
    try:
        yield
    finally:
        os.close(fd)


def hooks(cgroup):
    """{program: (runs, nanoseconds)} of what is attached to the cgroup."""
    attached = json.loads(run("bpftool", "-j", "cgroup", "show", cgroup).stdout or "[]")
    counted = {}
    for program in attached:
        shown = json.loads(run("bpftool", "-j", "prog", "show", "id", program["id"]).stdout)
        counted[shown["name"]] = (shown.get("run_cnt", 0), shown.get("run_time_ns", 0))
    return counted


def hook_costs(before, after):
    """{program: {runs, ns}} between two calls of `hooks`; ns is the mean of one run."""
    costs = {}
    for name, (runs, nanoseconds) in after.items():
        more_runs, more = runs - before.get(name, (0, 0))[0], nanoseconds - before.get(name, (0, 0))[1]
        costs[name] = {"runs": more_runs, "ns": round(more / more_runs) if more_runs else None}
    return costs
