"""A node as Kubernetes knows it: a real kubelet over a container runtime that runs nothing (hf-node)."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from cluster import BINARIES
from pki import write_kubeconfig
from process import eventually, spawn_in, stop, tail
from topology import NODE_V4, SERVICE_V4

# A kubelet sets these for the whole machine. In its mount namespace they are files, and already as it wants them.
_SYSCTLS = {"vm/overcommit_memory": 1, "vm/panic_on_oom": 0, "kernel/panic": 10, "kernel/panic_on_oops": 1,
            "kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000}


class KubeletNode:
    """`boot` starts runtime and kubelet; `kill_kubelet` and `start_kubelet` leave what runs alone.

    The runtime's mount namespace is the node's: the kubelet's mounts outlive it there, as they do on a real one.
    """

    def __init__(self, topology, cluster, name, credential):
        self.place, self.cluster, self.name = topology.node, cluster, name
        self.dir = Path(tempfile.mkdtemp(prefix="hfk-"))  # short: unix socket paths end at 107 bytes
        self.log = self.dir / "kubelet.log"
        self._cri = self._kubelet = None
        (self.dir / "cwd").mkdir()
        self._write_enter()
        self._kubeconfig = self.dir / "kubeconfig"
        write_kubeconfig(self._kubeconfig, f"https://{SERVICE_V4}", cluster.ca_file, credential.pair)
        self._write_config()

    def _write_enter(self):
        """What makes the node's mount namespace: a kubelet is root, and the machine is not its own to change."""
        own = self.dir.resolve()
        lines = [f"mount --bind {own} {own}", "mount -t tmpfs none /var/lib", "mount -t tmpfs none /var/log"]
        for number, (name, value) in enumerate(_SYSCTLS.items()):
            file = own / f"sysctl-{number}"
            file.write_text(f"{value}\n")
            lines.append(f"mount --bind {file} /proc/sys/{name}")
        lines += ["mount -o remount,bind,ro /", 'exec "$@"']
        self._enter = own / "enter.sh"
        self._enter.write_text("set -e\n" + "\n".join(lines) + "\n")

    def _write_config(self):
        self._config = self.dir / "kubelet.yaml"
        self._config.write_text(json.dumps({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{self.dir}/cri.sock",
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": False},
                               "x509": {"clientCAFile": str(self.cluster.ca_file)}},
            "authorization": {"mode": "AlwaysAllow"},
            "address": "127.0.0.1", "healthzPort": 0, "readOnlyPort": 0,
            "cgroupsPerQOS": False, "enforceNodeAllocatable": [], "cgroupDriver": "cgroupfs", "failCgroupV1": False,
            "makeIPTablesUtilChains": False, "failSwapOn": False, "resolvConf": "",
            "nodeStatusUpdateFrequency": "2s", "nodeStatusReportFrequency": "5s", "syncFrequency": "5s",
            "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
                             "imagefs.available": "0%", "imagefs.inodesFree": "0%"},
            "podLogsDir": str(self.dir / "logs"), "volumePluginDir": str(self.dir / "plugins"),
        }))

    def boot(self):
        for name in ("cri.sock", "state.sock"):
            (self.dir / name).unlink(missing_ok=True)
        with open(self.dir / "cri.log", "ab") as log:
            self._cri = spawn_in(self.place, [
                "unshare", "--mount", "--propagation", "private", "--", "/bin/sh", self._enter, BINARIES / "hf-node",
                "cri", f"--socket={self.dir}/cri.sock", f"--state={self.dir}/state.sock"],
                stdout=log, stderr=subprocess.STDOUT)
        eventually((self.dir / "cri.sock").exists, what=f"the container runtime\n{tail(self.dir / 'cri.log')}")
        return self.start_kubelet()

    def start_kubelet(self):
        with open(self.log, "ab") as log:
            self._kubelet = spawn_in(self.place, [
                "nsenter", f"--mount=/proc/{self._cri.pid}/ns/mnt", f"--wdns={self.dir}/cwd", "--", BINARIES / "hf-node", "kubelet",
                f"--config={self._config}", f"--kubeconfig={self._kubeconfig}", f"--hostname-override={self.name}",
                f"--node-ip={NODE_V4}", f"--root-dir={self.dir}/root", f"--cert-dir={self.dir}/pki", "--v=2"],
                stdout=log, stderr=subprocess.STDOUT)
        return self

    def kill_kubelet(self):
        stop(self._kubelet)

    def power_off(self):
        """Kubelet, containers and mounts are gone; what is on disk stays."""
        stop(self._kubelet)
        stop(self._cri)

    def running_kubelet(self):
        assert self._kubelet.poll() is None, f"the kubelet ended with {self._kubelet.poll()}\n{tail(self.log)}"
        return True

    def ready_since(self):
        """The time of the Ready condition's last heartbeat in the API server; empty when it is not Ready."""
        self.running_kubelet()
        code, node = self.cluster.request("GET", f"/api/v1/nodes/{self.name}")
        conditions = node["status"].get("conditions", []) if code == 200 else []
        return next((c["lastHeartbeatTime"] for c in conditions if c["type"] == "Ready" and c["status"] == "True"), "")

    def wait_ready(self, after="", timeout=180):
        return eventually(lambda: self.ready_since() > after, timeout, every=0.5,
                          what=f"{self.name} to be Ready\n{tail(self.log)}")

    def state(self):
        """What the runtime holds: containers, and the calls that changed what runs."""
        connection = http.client.HTTPConnection("runtime")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        connection.sock.connect(str(self.dir / "state.sock"))
        try:
            connection.request("GET", "/")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def calls(self, since=0):
        return self.state()["calls"][since:]

    def running(self):
        """The pods whose container runs: {uid: container}."""
        return {c["uid"]: c for c in self.state()["containers"] if c["state"] == "CONTAINER_RUNNING"}

    def wait_running(self, uid, timeout=120):
        return eventually(lambda: self.running_kubelet() and self.running().get(uid), timeout, every=0.2,
                          what=f"the container of {uid}\n{tail(self.log)}")

    def file(self, container, path):
        """The content of a file in one of the container's mounts, as the node sees it."""
        for inside, outside in container["mounts"].items():
            if path.startswith(inside + "/"):
                return Path(f"/proc/{self._cri.pid}/root{outside}{path[len(inside):]}").read_text()
        raise AssertionError(f"{path} is in none of {container['mounts']}")

    def close(self):
        self.power_off()
        if os.environ.get("HOLDFAST_KEEP"):
            print(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
