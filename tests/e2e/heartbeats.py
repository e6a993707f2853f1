"""Nodes whose only sign of life is a Lease that the test renews, or stops to renew."""

import threading
import time
from datetime import datetime, timezone

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


class Heartbeats:
    """Renews the Leases of some nodes once a second, as their kubelets would, until `close`.

    `stop(node)` is what the cloud sees of a node that was cut off.
    """

    def __init__(self, cluster, nodes):
        cluster.request("POST", "/api/v1/namespaces", {"metadata": {"name": "kube-node-lease"}})
        self._administrator = cluster.administrator()
        self._nodes, self._lock = set(nodes), threading.Lock()
        self._ended = threading.Event()
        self._renew()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self, node):
        with self._lock:
            self._nodes.discard(node)

    def _run(self):
        while not self._ended.wait(1):
            try:
                self._renew()
            except (OSError, AssertionError):
                time.sleep(0.2)  # the API server restarts

    def _renew(self):
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with self._lock:
            nodes = list(self._nodes)
        for node in nodes:
            patch = {"spec": {"holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": now}}
            code, _ = self._administrator.request("PATCH", f"{_LEASES}/{node}", patch,
                                                  content_type="application/merge-patch+json")
            if code == 404:
                self._administrator.api("POST", _LEASES, {"metadata": {"name": node}, **patch}, ok=(201, 409))

    def close(self):
        self._ended.set()
        self._thread.join(10)
        self._administrator.close()
