"""What really happened to the objects of one folder in etcd: every change, in order, told by etcd itself.

An API server may die and an event stream may break; etcd's own watch is not disturbed by either. A change's
revision in etcd is the resourceVersion that the API server shows.
"""

import bisect
import json
import subprocess
import threading
from collections import defaultdict

import pytest

from cluster import BINARIES
from process import eventually, run_in, spawn_in, stop, tail


def etcd_tool():
    """hf-kube, which is not built where KUBEBUILDER_ASSETS stands in for it."""
    if not (BINARIES / "hf-kube").exists():
        pytest.skip("hf-kube is not built")
    return BINARIES / "hf-kube"


def compact(cluster):
    """etcd forgets all but the present. An API server that is started afterwards knows no older event."""
    run_in(cluster.place, [etcd_tool(), "compact", f"--dir={cluster.dir}/etcd"], check=True)


class History:
    """Follows `/registry/<path>/`: configmaps/<namespace>, or <group>/<plural>/<namespace> of a custom kind."""

    def __init__(self, cluster, path):
        self.changes, self._start = [], None
        said = cluster.dir / f"history-{path.replace('/', '-')}.log"
        with open(said, "ab") as errors:
            self._process = spawn_in(cluster.place, [etcd_tool(), "history", f"--dir={cluster.dir}/etcd",
                                                     f"--prefix=/registry/{path}/"],
                                     stdout=subprocess.PIPE, stderr=errors, text=True)
        threading.Thread(target=self._read, daemon=True).start()
        eventually(lambda: self._start, what=f"the history of {path}\n{tail(said)}")

    def _read(self):
        for line in self._process.stdout:
            change = json.loads(line)
            if "ready" in change:
                self.changes.sort(key=lambda c: c["rv"])  # what was there came in order of its keys
                self._start = change["rv"]
            else:
                self.changes.append(change)

    def wait(self, name, timeout=30):
        """Until an object of that name was written: all that came before is there, too."""
        eventually(lambda: any(c["name"] == name for c in reversed(self.changes[:])), timeout, what=f"{name} in etcd")

    def truth(self, **labels):
        """The changes as a watch with that label selector would have to show them."""
        return Truth(self.changes[:], labels)

    def close(self):
        stop(self._process)


class Truth:
    """Which objects a query shows at each revision: `changes` are (rv, name, uid or None, where it is gone)."""

    def __init__(self, changes, labels):
        self.changes, self._of, shown = [], defaultdict(list), set()
        for change in changes:
            name, has = change["name"], change.get("labels") or {}
            if change["type"] == "PUT" and labels.items() <= has.items():
                shown.add(name)
                self._add(change["rv"], name, change["uid"])
            elif name in shown:
                shown.discard(name)
                self._add(change["rv"], name, None)

    def _add(self, rv, name, uid):
        self.changes.append((rv, name, uid))
        self._of[name].append((rv, uid or ""))

    def at(self, rv):
        """{name: (uid, rv)} of what was there at a revision."""
        state = {}
        for when, name, uid in self.changes:
            if when > rv:
                break
            if uid is None:
                state.pop(name, None)
            else:
                state[name] = (uid, when)
        return state

    def later(self, name, rv):
        """The changes of one object after a revision: (rv, uid or "")."""
        changes = self._of.get(name, [])
        return changes[bisect.bisect_right(changes, (rv, "\uffff")):]

    def put(self, rv, name, uid):
        return (rv, uid) in self._of.get(name, [])

    def removal(self, rv, name):
        return (rv, "") in self._of.get(name, [])
