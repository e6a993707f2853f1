"""Holdfast itself: one agent in the node's namespace, with a configuration made for the test."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from cluster import REPOSITORY
from pki import write_kubeconfig
from process import eventually, in_netns, run_in, spawn_in, stop, tail
from topology import CLOUD_V4, SERVICE_V4, SERVICE_V6

LISTEN = ("169.254.77.1", "fd77::1")
_ADMIN = ("127.0.0.1", 10267)
_SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")


def binary():
    """The program under test: HOLDFAST_BIN, or what the release preset built."""
    return Path(os.environ.get("HOLDFAST_BIN", REPOSITORY / "build/release/userspace/holdfast"))


class Agent:
    """`start` waits for /readyz. Data and logs live in a temporary folder until `close`."""

    def __init__(self, topology, cluster, **changes):
        """`changes` replace whole top-level sections' keys: cache={"budget": "1MiB"}."""
        self.place, self.topology, self.cluster = topology.agent, topology, cluster
        self.dir = Path(tempfile.mkdtemp(prefix="hfa-"))
        self.config_file, self.log = self.dir / "config.yaml", self.dir / "agent.log"
        self.socket = self.dir / "admin.sock"
        self.process = None
        self.wrap = []  # what the agent's command line begins with: a mount namespace, for instance
        self._write_access()
        self.config = self._default_config()
        self.configure(**changes)

    def _write_access(self):
        """The agent's own access: a user who may see what it discovers, and nothing else."""
        ca = self.cluster.ca
        self.identity = getattr(self.cluster, "agent_identity", None) or ca.issue("holdfast", "/CN=holdfast-agent")
        self.cluster.agent_identity = self.identity
        self.kubeconfig = self.dir / "agent.kubeconfig"
        write_kubeconfig(self.kubeconfig, f"https://{CLOUD_V4}:{self.cluster.port}", ca.certificate, self.identity)

    def _default_config(self):
        ca, port = self.cluster.ca, self.cluster.port
        return {
            "node": "edge-1",
            "threads": 2,
            "log": {"level": os.environ.get("HOLDFAST_LOG", "info"), "format": "text"},
            "upstream": {"servers": [f"https://{CLOUD_V4}:{port}"], "ca": str(ca.certificate),
                         "kubeconfig": str(self.kubeconfig), "identities": []},
            "intercept": {"cgroup": str(self.topology.cgroup),
                          "targets": [f"{SERVICE_V4}:{port}", f"[{SERVICE_V6}]:{port}"]},
            "tls": {"source": "ca", "ca_cert": str(ca.certificate), "ca_key": str(ca.key)},
            "cache": {"dir": str(self.dir / "cache"), "key": "file"},
            "admin": {"listen": "%s:%d" % _ADMIN, "socket": str(self.socket)},
        }

    def configure(self, **changes):
        """Merges into the configuration file; a running agent reloads it by itself."""
        for section, values in changes.items():
            if isinstance(values, dict):
                self.config[section] = {**self.config.get(section, {}), **values}
            else:
                self.config[section] = values
        fresh = self.config_file.with_suffix(".new")
        fresh.write_text(json.dumps(self.config, indent=2))  # JSON is YAML
        fresh.rename(self.config_file)

    def reload(self, **changes):
        """As `configure`, and returns when the running agent goes by it."""
        reloads = self.log.read_text().count("configuration reloaded")
        self.configure(**changes)
        eventually(lambda: self.log.read_text().count("configuration reloaded") > reloads, what="the reload")

    def start(self, ready=True):
        with open(self.log, "ab") as log:
            self.process = spawn_in(self.place, [*self.wrap, binary(), "agent", "--config", self.config_file],
                                    stdout=log, stderr=subprocess.STDOUT)
        if ready:
            eventually(self.is_ready, timeout=60, what=f"the agent\n{tail(self.log)}")
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the agent ended with {self.process.returncode}\n{tail(self.log)}")
        try:
            return self.admin("/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def admin(self, path, timeout=10):
        """The code and body of a GET on the agent's admin address."""
        with in_netns(self.place.netns):
            raw = socket.create_connection(_ADMIN, timeout=timeout)
        connection = http.client.HTTPConnection(*_ADMIN)
        connection.sock = raw
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metrics(self):
        """All samples as {(name, frozenset of label pairs): value}."""
        samples = {}
        for line in self.admin("/metrics")[1].splitlines():
            match = None if line.startswith("#") else _SAMPLE.match(line)
            if match:
                labels = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match["labels"] or "")
                samples[match["name"], frozenset(labels)] = float(match["value"])
        return samples

    def metric(self, name, **labels):
        """The sum of a metric's samples that carry these labels; 0 when there is none."""
        wanted = set(labels.items())
        return sum(v for (n, have), v in self.metrics().items() if n == name and wanted <= have)

    def link_is_up(self):
        return self.metric("holdfast_link_up") == 1

    def wait_written(self, timeout=30):
        """Until what was read online is in the cache: it is written behind the client's stream."""
        eventually(lambda: self.metric("holdfast_cache_write_queue_bytes") == 0, timeout, what="the write queue to drain")

    def wait_offline(self, timeout=30):
        eventually(lambda: not self.link_is_up(), timeout, what="the agent to see that the line is cut")

    def wait_online(self, timeout=30):
        eventually(self.link_is_up, timeout, what="the agent to see that the line is back")

    def command(self, *argv, **options):
        """`holdfast <argv>` against this agent; returns the finished process."""
        return run_in(self.place, [binary(), *argv, "--admin-socket", self.socket], **options)

    def status(self):
        return json.loads(self.command("status", "-o", "json").stdout)

    def trace(self):
        """A running `holdfast trace -o json`."""
        return Trace(self)

    def rss(self):
        """Resident memory of the agent and its worker, in bytes."""
        return sum(_rss(pid) for pid in self.pids())

    def pids(self):
        return [int(pid) for pid in (self.place.cgroup / "cgroup.procs").read_text().split()]

    def signal_all(self, how):
        """Sends a signal to the agent and its worker, as an OOM killer or a hung disk would hit both."""
        for pid in self.pids():
            os.kill(pid, how)

    def kill(self):
        """kill -9 of everything that is the agent."""
        self.signal_all(signal.SIGKILL)
        self.process.wait(20)

    def stop(self, timeout=30):
        """SIGTERM, as systemd and the kubelet do it."""
        stop(self.process, signal.SIGTERM, timeout)

    def restart(self, hard=False):
        self.kill() if hard else self.stop()
        return self.start()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.signal_all(signal.SIGCONT)
            self.stop()
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        if os.environ.get("HOLDFAST_KEEP"):
            print(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


class Trace:
    """Flows and requests as the agent reports them, one dict each."""

    def __init__(self, agent):
        self._file = agent.dir / f"trace-{id(self)}.jsonl"
        said = self._file.with_suffix(".err")
        with open(self._file, "wb") as out, open(said, "wb") as err:
            self._process = spawn_in(agent.place, [binary(), "trace", "-o", "json", "--admin-socket", agent.socket],
                                     stdout=out, stderr=err)
        eventually(lambda: b"following" in said.read_bytes(), what="holdfast trace to follow")

    def events(self, kind=None):
        lines = [line for line in self._file.read_bytes().split(b"\n")[:-1] if line]
        found = [json.loads(line) for line in lines]
        return [event for event in found if kind in (None, event["kind"])]

    def wait(self, kind, match, timeout=20):
        """The first event of the kind for which match(event) holds."""
        return eventually(lambda: next((e for e in self.events(kind) if match(e)), None), timeout,
                          what=f"a {kind} event in the trace; seen: {self.events(kind)[-5:]}")

    def close(self):
        stop(self._process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _rss(pid):
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
