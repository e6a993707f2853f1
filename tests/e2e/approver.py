"""`holdfast approver` in the cloud, with the account and the rights that deploy/approver.yaml gives it."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import yaml

from agent import binary
from cluster import REPOSITORY
from pki import write_kubeconfig
from process import eventually, spawn_in, stop, tail
from topology import SERVICE_V4

MANIFEST = REPOSITORY / "deploy" / "approver.yaml"
LABEL = "holdfast.node-restriction.kubernetes.io/intercept"


class Approver:
    def __init__(self, site, *flags):
        self._cluster, self._flags = site.cluster, flags
        self.dir = Path(tempfile.mkdtemp(prefix="hfp-"))
        self.log = self.dir / "approver.log"
        self.process = None
        documents = yaml.safe_load_all(MANIFEST.read_text())
        access = self.dir / "access.yaml"
        access.write_text(yaml.safe_dump_all(d for d in documents if d["kind"] != "Deployment"))
        self._cluster.kubectl("apply", "--server-side", "-f", access, check=True)
        self.kubeconfig = self.dir / "kubeconfig"
        write_kubeconfig(self.kubeconfig, f"https://{SERVICE_V4}:{self._cluster.port}", self._cluster.ca_file,
                         token=site.objects.token("kube-system", "holdfast-approver"))

    def start(self):
        with open(self.log, "ab") as log:
            self.process = spawn_in(self._cluster.place,
                                    [binary(), "approver", "--kubeconfig", self.kubeconfig, *self._flags],
                                    stdout=log, stderr=subprocess.STDOUT)
        eventually(lambda: "approver started" in self.log.read_text(), what=f"the approver\n{tail(self.log)}")
        return self

    def lines_about(self, name):
        return [line for line in self.log.read_text().splitlines() if name in line]

    def stop(self):
        stop(self.process)

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def opt_in(cluster, node, value="enabled"):
    cluster.api("PATCH", f"/api/v1/nodes/{node}", {"metadata": {"labels": {LABEL: value}}},
                content_type="application/merge-patch+json")
