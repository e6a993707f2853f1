"""The edge site of a test: a node, its pods and the cloud, each a network namespace.

        pod-a ─┐
               ├─ node ── cloud (198.18.0.1, fd98::1)
        pod-b ─┘

Everything hangs together by veth pairs and nothing has a route out of the machine. The service address is
an address of the cloud itself, so a client that nobody redirects talks straight to the API server.
"""

import os
import re
import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path

from process import Place, alive, eventually, run

SERVICE_V4, SERVICE_V6 = "198.18.0.1", "fd98::1"
CLOUD_V4, CLOUD_V6 = "198.19.0.2", "fd99::2"
NODE_V4, NODE_V6 = "198.19.0.1", "fd99::1"

_PREFIX = "hfe2e"


def cgroup2_root():
    hybrid = Path("/sys/fs/cgroup/unified")
    return hybrid if hybrid.is_dir() else Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Pod(Place):
    """A pod's place; its uid and container id are in its cgroup's path, as the kubelet writes them."""

    name: str = ""
    uid: str = ""
    container: str = ""
    address: str = ""
    address6: str = ""


class Topology:
    """Owns the namespaces and cgroups of one test run; `close` removes all of it."""

    def __init__(self):
        remove_leftovers()
        self.run_name = f"{_PREFIX}{os.getpid()}"
        self.cgroup = cgroup2_root() / self.run_name
        self.node = Place(f"{self.run_name}-node", self.cgroup / "host")
        self.agent = Place(self.node.netns, self.cgroup / "agent")
        self.cloud = Place(f"{self.run_name}-cloud")
        self.pods = {}
        self._namespaces = []
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self):
        for place in (self.node, self.agent):
            place.cgroup.mkdir(parents=True)
        for netns in (self.node.netns, self.cloud.netns):
            self._add_namespace(netns)
        _link(self.node.netns, "cloud", self.cloud.netns, "node")
        _address(self.node.netns, "cloud", NODE_V4, NODE_V6)
        _address(self.cloud.netns, "node", CLOUD_V4, CLOUD_V6)
        _ip(self.cloud.netns, "addr add", f"{SERVICE_V4}/32 dev lo")
        _ip(self.cloud.netns, "addr add", f"{SERVICE_V6}/128 dev lo")
        _ip(self.cloud.netns, "route add", f"default via {NODE_V4}")
        _ip(self.cloud.netns, "route add", f"default via {NODE_V6}")
        _ip(self.node.netns, "route add", f"{SERVICE_V4}/32 via {CLOUD_V4}")
        _ip(self.node.netns, "route add", f"{SERVICE_V6}/128 via {CLOUD_V6}")
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            in_namespace(self.node.netns, "sysctl", "-qw", f"{key}=1")

    def add_pod(self, name, uid=None):
        """A pod with addresses of its own; its default route is the node, as with most CNIs."""
        number = 10 + len(self.pods)
        uid, container = uid or str(uuid.uuid4()), secrets.token_hex(32)
        netns = f"{self.run_name}-{name}"
        pod = Pod(
            netns,
            self.cgroup / "kubepods" / "burstable" / f"pod{uid}" / container,
            name=name, uid=uid, container=container,
            address=f"198.19.{number}.2", address6=f"fd99:{number}::2",
        )
        self._add_namespace(netns)
        port = f"pod{number}"
        _link(self.node.netns, port, netns, "eth0")
        _address(self.node.netns, port, f"198.19.{number}.1", f"fd99:{number}::1")
        _address(netns, "eth0", pod.address, pod.address6)
        _ip(netns, "route add", f"default via 198.19.{number}.1")
        _ip(netns, "route add", f"default via fd99:{number}::1")
        pod.cgroup.mkdir(parents=True)
        self.pods[name] = pod
        return pod

    def remove_pod(self, name):
        pod = self.pods.pop(name)
        run("ip", "netns", "del", pod.netns)
        self._namespaces.remove(pod.netns)
        _remove_cgroup(pod.cgroup.parent)

    def _add_namespace(self, netns):
        run("ip", "netns", "add", netns)
        self._namespaces.append(netns)
        _ip(netns, "link set", "lo up")

    def close(self):
        for netns in self._namespaces:
            run("ip", "netns", "del", netns, check=False)
        self._namespaces.clear()
        _remove_cgroup(self.cgroup)


def in_namespace(netns, *argv, check=True):
    """Runs a configuration tool in the namespace, with the host's files."""
    return run("nsenter", f"--net=/var/run/netns/{netns}", "--", *argv, check=check)


def remove_leftovers():
    """Removes what runs that were killed with SIGKILL left: names that carry a dead process's id."""
    netns_dir, own = Path("/var/run/netns"), re.compile(rf"{_PREFIX}(\d+)(-|$)")
    for entry in netns_dir.iterdir() if netns_dir.is_dir() else ():
        match = own.match(entry.name)
        if match and not alive(match[1]):
            run("ip", "netns", "del", entry.name, check=False)
    for entry in cgroup2_root().iterdir():
        match = own.match(entry.name)
        if match and entry.is_dir() and not alive(match[1]):
            _remove_cgroup(entry)


def _remove_cgroup(path):
    """Ends what still runs in a cgroup of the test's own and removes it."""
    if not path.is_dir():
        return
    kill = path / "cgroup.kill"
    if kill.exists():
        kill.write_text("1")
    for folder, _, _ in os.walk(path, topdown=False):
        eventually(lambda: _rmdir(folder), timeout=10, what=f"{folder} to become empty")


def _rmdir(folder):
    os.rmdir(folder)
    return True


def _link(netns, name, peer_netns, peer):
    run("ip", "link", "add", name, "netns", netns, "type", "veth", "peer", "name", peer, "netns", peer_netns)
    _ip(netns, "link set", f"{name} up")
    _ip(peer_netns, "link set", f"{peer} up")


def _address(netns, device, v4, v6):
    _ip(netns, "addr add", f"{v4}/24 dev {device}")
    # Duplicate address detection would keep the address unusable for a second.
    _ip(netns, "addr add", f"{v6}/64 dev {device} nodad")


def _ip(netns, what, arguments):
    run("ip", "-n", netns, *what.split(), *arguments.split())
