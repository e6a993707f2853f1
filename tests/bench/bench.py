"""Measures Holdfast beside the API server alone and a plain file server; started by scripts/bench.sh."""

import argparse
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import scene as scenes  # first: it makes the end-to-end harness importable
from cases import Case, LoadFailed, all_cases, run_case, save_bytes
from cluster import REPOSITORY
from link import Cut
from measure import bpf_statistics, cpu_seconds, hook_costs, hooks, memory
from process import eventually
from report import VARIANTS, details, summarize, table, write

_started = time.monotonic()


def tell(text):
    print(f"[{time.monotonic() - _started:6.1f} s] {text}", file=sys.stderr, flush=True)


class Bench:
    def __init__(self, scene, cases):
        self.scene, self.cases = scene, cases
        self.samples = {case.name: {variant: [] for variant in VARIANTS} for case in cases}
        self.failures = {}
        self.memory = {}

    def _target(self, case, variant):
        """Where a variant's requests start and what they ask."""
        scene = self.scene
        return {"direct": (scene.around, scene.host + case.path),
                "online": (scene.through, scene.host + case.path),
                "offline": (scene.through, scene.host + case.path),
                "limit": (scene.around, scene.limit_host + case.file)}[variant]

    def warm_up(self):
        """Connections, caches, and the agent's store: what was never shown can't be shown offline."""
        for case in self.cases:
            for variant in ("direct", "online", "limit"):
                self._attempt(case, variant, warm_up=True)
        self.scene.agent.wait_written()

    def round(self):
        for case in self.cases:
            for variant in ("direct", "online", "limit"):
                self.sample(case, variant)
        self.scene.link.cut(Cut.REFUSED)
        self.scene.agent.wait_offline()
        try:
            for case in self.cases:
                self.sample(case, "offline")
                self.sample(case, "limit")
        finally:
            self.scene.link.restore()
        self.scene.agent.wait_online(60)

    def sample(self, case, variant):
        agent = self.scene.agent
        before = cpu_seconds(agent.place.cgroup)
        sample = self._attempt(case, variant)
        if sample is None:
            return
        if variant == "online":
            agent.wait_written()  # what is written behind belongs to the request, too
        if variant in ("online", "offline"):
            sample["agent_cpu_us"] = (cpu_seconds(agent.place.cgroup) - before) * 1e6 / sample["requests"]
        self.samples[case.name][variant].append(sample)

    def _attempt(self, case, variant, warm_up=False):
        try:
            return run_case(case, self.scene, *self._target(case, variant), warm_up=warm_up)
        except (LoadFailed, subprocess.TimeoutExpired) as error:
            if (case.name, variant) not in self.failures:
                tell(f"{case.name} {variant}: {error}")
            self.failures[case.name, variant] = str(error)[:300]
            return None

    def note_memory(self, when, field="VmRSS"):
        self.memory[when] = memory(self.scene.agent.pids(), field)

    def hooks(self, connections):
        """What the hooks cost: new connections, one request each. Counting costs time: not while others are measured."""
        case = Case("connect", "", self.cases[0].path, "json", connections, connections=connections)
        with bpf_statistics():
            before = hooks(self.scene.topology.cgroup)
            self._attempt(case, "online")
            return hook_costs(before, hooks(self.scene.topology.cgroup))


def prepare(scene, cases):
    scene.fill_config_maps("bench", 1, 1024)
    scene.fill_pods("bench-501", 501)
    scene.fill_pods("bench-5000", 5000)
    scene.fill_config_maps("bench-watch", 1200, 1024)
    scene.start_agent()
    tell("starting nghttpd with the same bytes")
    scene.start_limit({case.file: lambda target, case=case: save_bytes(case, scene, target) for case in cases})
    scene.pin()


def measure(scene, cases, rounds):
    bench = Bench(scene, cases)
    eventually(scene.agent.link_is_up, what="the agent to be online")
    bench.note_memory("idle")
    tell("warming up")
    bench.warm_up()
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        bench.round()
    bench.note_memory("afterwards")
    bench.note_memory("peak", "VmHWM")
    tell("counting what the hooks cost")
    return bench, bench.hooks(200)


def machine():
    return {"kernel": platform.release(), "cores": len(os.sched_getaffinity(0)),
            "server_core": scenes.SERVER_CORE, "load_core": scenes.LOAD_CORE, "load_average": os.getloadavg()[0]}


def options():
    parser = argparse.ArgumentParser(prog="bench.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer requests, 3 rounds: about 3 minutes in all")
    parser.add_argument("--rounds", type=int, help="interleaved runs, of which medians are taken (default: 7; quick: 3)")
    parser.add_argument("--only", default="", help="only cases whose name contains this: get, list-501, watch …")
    parser.add_argument("--output", type=Path, help="JSON file (default: build/bench/DATE-TIME.json)")
    return parser.parse_args()


def main():
    chosen = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cases = [case for case in all_cases(chosen.quick) if chosen.only in case.name]
    if not cases:
        sys.exit(f"bench.sh: no case is named like {chosen.only}")
    rounds = chosen.rounds or (3 if chosen.quick else 7)
    output = chosen.output or REPOSITORY / "build/bench" / time.strftime("%Y%m%d-%H%M%S.json")
    at_start = machine()
    scene = scenes.Scene(tell)
    try:
        prepare(scene, cases)
        bench, hook_cost = measure(scene, cases, rounds)
    finally:
        scene.close()
    summary = summarize(bench.samples)
    failures = {f"{case} {variant}": why for (case, variant), why in bench.failures.items()}
    write(output, cases, bench.samples, summary, machine=at_start, rounds=rounds, quick=chosen.quick,
          memory=bench.memory, hooks=hook_cost, failures=failures)
    print(f"\n{table(cases, summary)}\n\n{details(bench.memory, hook_cost)}")
    for what, why in failures.items():
        print(f"failed: {what}: {why}")
    print(f"\nGETs: ratios of throughput, more is better. Lists and watches: of duration, less is better. Medians of "
          f"{rounds} interleaved rounds.\nwritten to {output}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
