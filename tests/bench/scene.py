"""What is measured: an edge site with data, an agent, and nghttpd with the same bytes as files."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from agent import Agent  # noqa: E402
from cluster import REPOSITORY, Cluster  # noqa: E402
from edge import Site  # noqa: E402
from link import Link  # noqa: E402
from process import Place, eventually, run, run_in, spawn_in, stop  # noqa: E402
from topology import SERVICE_V4, Topology  # noqa: E402

HF_LOAD = REPOSITORY / "build/bench/hf-load"
USER_AGENT = "holdfast-bench"  # curl's own would be given pretty-printed JSON
ACCEPT = {"json": "application/json", "protobuf": "application/vnd.kubernetes.protobuf"}
LIMIT_PORT = 8443

# One each for servers and load. More cores would measure how well each server spreads, which is another question.
_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = _CORES[0], _CORES[-1]

_POD = {
    "metadata": {"name": "NAME", "labels": {"app": "bench", "pod-template-hash": "5d8f7c9b4d"},
                 "annotations": {"checksum/config": "f" * 64}},
    "spec": {"nodeName": "edge-1", "terminationGracePeriodSeconds": 0,
             "containers": [{"name": "main", "image": "registry.example.com/team/bench:v1.2.3",
                             "env": [{"name": f"SETTING_{n}", "value": f"value-{n}"} for n in range(8)],
                             "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                             "ports": [{"containerPort": 8080, "name": "http"}]}]},
}


class Scene:
    """Owns all that a run starts; `close` removes it, whatever stands."""

    def __init__(self, tell):
        self._tell, self._open = tell, []
        self.folder = Path(tempfile.mkdtemp(prefix="hfb-"))
        self._limit = None
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self):
        self._tell("setting up namespaces and the API server")
        self.topology = self._owned(Topology())
        self.cluster = self._owned(Cluster(self.topology))
        self.site = self._owned(Site(self.topology, self.cluster, self.folder))
        self.link = Link(self.topology)
        # The same pod, inside and outside of the cgroup that is intercepted.
        self.through = self.site.pod_a
        self.around = Place(self.through.netns)
        self._node_side = self.through.address.rsplit(".", 1)[0] + ".1"
        self.limit_host = f"https://{self._node_side}:{LIMIT_PORT}"
        self.host = f"https://{SERVICE_V4}"

    def _owned(self, made):
        self._open.append(made)
        return made

    def fill(self, namespace, resource, count, template):
        self._tell(f"creating {count} {resource} in {namespace}")
        self.site.objects.namespace(namespace)
        file = self.folder / "template.json"
        file.write_text(json.dumps(template))
        admin = self.cluster.admin
        run_in(self.topology.cloud, [
            HF_LOAD, "fill", "--host", self.host, "--path", f"/api/v1/namespaces/{namespace}/{resource}",
            "--template", file, "--count", count, "--ca", self.cluster.ca_file, "--cert", admin.certificate,
            "--key", admin.key], timeout=600, check=True)

    def fill_pods(self, namespace, count):
        self.fill(namespace, "pods", count, _POD)

    def fill_config_maps(self, namespace, count, size):
        """ConfigMaps that are `size` bytes of JSON each as the API server sends them."""
        envelope = 330 + len(namespace)  # apiVersion to managedFields, measured
        self.fill(namespace, "configmaps", count,
                  {"metadata": {"name": "NAME"}, "data": {"payload": "x" * max(1, size - envelope)}})

    def start_agent(self, **changes):
        """One I/O thread, as nghttpd has one worker: figures are per core."""
        self._tell("starting the agent")
        self.site.grant_agent()
        self.agent = self._owned(Agent(self.topology, self.cluster, threads=1, **changes)).start()

    def start_limit(self, files):
        """nghttpd, with a certificate like the API server's; `files` maps paths to what fetches their bytes."""
        root = self.folder / "files"
        for path, fetch in files.items():
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            fetch(target)
        cgroup = self.topology.cgroup / "limit"
        cgroup.mkdir()
        self.limit_place = Place(self.topology.node.netns, cgroup)
        pair = self.cluster.ca.issue("limit", "/CN=nghttpd", server_names=[f"IP:{self._node_side}"])
        self._limit = spawn_in(self.limit_place, ["nghttpd", "-d", root, "-n", 1, LIMIT_PORT, pair.key,
                                                 pair.certificate], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        eventually(lambda: run_in(self.around, ["curl", "-sk", "--http2", f"{self.limit_host}{next(iter(files))}",
                                                "-o", "/dev/null"]).returncode == 0, what="nghttpd")

    def fetch(self, path, encoding, target):
        """What the API server itself says, into a file."""
        run_in(self.around, ["curl", "-sSf", "-A", USER_AGENT, "--cacert", self.cluster.ca_file, "-o", target,
                             "-H", f"Accept: {ACCEPT[encoding]}", "-H", f"Authorization: Bearer {self.token}",
                             self.host + path], timeout=60, check=True)

    @property
    def token(self):
        return self.site.token_a.token_file.read_text()

    def pin(self):
        """All that this run started so far stays on the servers' core; what starts later inherits nothing."""
        pids = set(_children(os.getpid())) | set(self.agent.pids())
        for pid in pids:
            run("taskset", "-a", "-c", "-p", SERVER_CORE, pid, check=False)

    def close(self):
        stop(self._limit)
        for thing in reversed(self._open):
            thing.close()
        self._open.clear()
        run("rm", "-rf", self.folder)


def _children(pid):
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())
