"""The things to measure and how load is made; each run returns a sample: a dict of figures."""

import json
import re
from dataclasses import dataclass

from process import run_in
from scene import ACCEPT, HF_LOAD, LOAD_CORE, USER_AGENT

_CIPHER = "TLS_AES_128_GCM_SHA256"
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class LoadFailed(Exception):
    """The load did not get what it asked for: the sample is no figure."""


@dataclass(frozen=True)
class Case:
    """`requests` at `connections`, `streams` at a time on each; events: it is a watch of so many."""

    name: str
    title: str
    path: str
    encoding: str
    requests: int
    connections: int = 1
    streams: int = 1
    events: int = 0
    by_time: bool = False  # compared by seconds for one, else by requests per second

    @property
    def file(self):
        """Where nghttpd has the bytes."""
        return f"/{self.name}"


def run_case(case, scene, place, url, warm_up=False):
    """Runs the case once from a place; a warm-up is a short one whose figures mean nothing."""
    if case.events:
        return _watch(case, scene, place, url, 1 if warm_up else case.requests)
    return _h2load(case, scene, place, url, min(case.requests, 2 * case.connections) if warm_up else case.requests)


def _h2load(case, scene, place, url, requests):
    streams = min(case.streams, max(1, requests // case.connections))
    done = run_in(place, [
        "taskset", "-c", LOAD_CORE, "h2load", "-n", requests, "-c", case.connections, "-m", streams,
        f"--tls13-ciphers={_CIPHER}", "-H", f"user-agent: {USER_AGENT}", "-H", f"accept: {ACCEPT[case.encoding]}",
        "-H", f"authorization: Bearer {scene.token}", url], timeout=120)
    return parse_h2load(done.stdout, requests)


def parse_h2load(text, requests):
    """h2load's report as a sample; LoadFailed unless every answer was a 2xx."""
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
    if not codes or int(codes[1]) != requests:
        raise LoadFailed(codes[0] if codes else text[-300:] or "h2load said nothing")
    finished = re.search(r"finished in ([\d.]+)(us|ms|s), ([\d.]+) req/s", text)
    mean = re.search(r"time for request:\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)", text)
    data = re.search(r"\((\d+)\) data", text)
    return {"requests": requests, "rps": float(finished[3]), "seconds": float(mean[1]) * _UNITS[mean[2]],
            "bytes": int(data[1]) // requests}


def _watch(case, scene, place, url, requests, save=None):
    argv = ["taskset", "-c", LOAD_CORE, HF_LOAD, "watch", "--url", url, "--ca", scene.cluster.ca_file,
            "--token-file", scene.site.token_a.token_file, "--accept", f"{ACCEPT[case.encoding]};stream=watch",
            "--events", case.events, "--repeat", requests]
    done = run_in(place, argv + (["--save", save] if save else []), timeout=120)
    if done.returncode != 0:
        raise LoadFailed(done.stderr.strip()[-300:])
    seconds = sum(json.loads(done.stdout)) / requests
    return {"requests": requests, "rps": 1 / seconds, "seconds": seconds, "bytes": None}


def save_bytes(case, scene, target):
    """What the API server itself answers to the case, as a file."""
    if case.events:
        _watch(case, scene, scene.around, scene.host + case.path, 1, save=target)
    else:
        scene.fetch(case.path, case.encoding, target)


def all_cases(quick):
    few = 0.25 if quick else 1.0

    def times(count):
        return max(2, int(count * few))

    one = "/api/v1/namespaces/bench/configmaps/item-00000"
    cases = [
        Case("get-1", "GET 1 KiB ConfigMap, 1 connection", one, "json", times(2000)),
        Case("get-8", "GET 1 KiB ConfigMap, 8 connections", one, "json", times(4000), connections=8),
        Case("get-8x8", "the same, 8 streams on each", one, "json", times(8000), connections=8, streams=8),
    ]
    for count, repeat in ((501, 40), (5000, 8)):
        for encoding in ACCEPT:
            cases.append(Case(f"list-{count}-{encoding}", f"LIST {count} pods, {encoding}",
                              f"/api/v1/namespaces/bench-{count}/pods", encoding, times(repeat), by_time=True))
    watch_list = ("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
                  "&timeoutSeconds=120")
    for encoding in ACCEPT:
        cases.append(Case(f"watch-1200-{encoding}", f"watch of 1200 events, {encoding}",
                          f"/api/v1/namespaces/bench-watch/configmaps?{watch_list}", encoding, times(12),
                          events=1200, by_time=True))
    return cases
