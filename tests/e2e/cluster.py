"""A real API server in the cloud's namespace, and what an administrator does with it."""

import http.client
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from administrator import Administrator
from audit import Audit
from pki import CertificateAuthority, write_kubeconfig
from process import eventually, run_in, spawn_in, stop, tail
from topology import CLOUD_V4, CLOUD_V6, SERVICE_V4, SERVICE_V6

REPOSITORY = Path(__file__).resolve().parents[2]
BINARIES = REPOSITORY / "build" / "kube"

SERVER_NAMES = [
    "DNS:localhost", "DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc",
    "DNS:kubernetes.default.svc.cluster.local", "IP:127.0.0.1", "IP:::1",
    f"IP:{SERVICE_V4}", f"IP:{SERVICE_V6}", f"IP:{CLOUD_V4}", f"IP:{CLOUD_V6}",
]

_AUDIT_POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""

_CONTROLLERS = (
    "serviceaccount-controller", "root-ca-certificate-publisher-controller", "namespace-controller",
    "certificatesigningrequest-signing-controller", "certificatesigningrequest-approving-controller",
)


def _program(name):
    """The command line of a component: one of KUBEBUILDER_ASSETS, or hf-kube's sub-command."""
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    own = {"kube-apiserver": "apiserver", "kube-controller-manager": "controller-manager"}.get(name, name)
    if assets and (Path(assets) / name).exists():
        return [str(Path(assets) / name)]
    return [str(BINARIES / "hf-kube"), own]


class Cluster:
    """etcd and kube-apiserver, listening on every address of the cloud, port 443.

    `kill` ends the API server the hard way, `start_apiserver` brings it back on the same data.
    """

    port = 443

    def __init__(self, topology):
        self.place = topology.cloud
        self.dir = Path(tempfile.mkdtemp(prefix="hf-"))  # short: unix socket paths end at 107 bytes
        self.dir.chmod(0o755)
        self._etcd = self._apiserver = self._kubelet = self._controllers = None
        self._administrator = None
        try:
            self._write_files()
            self._administrator = self.administrator()
            self.audit = Audit(self.dir / "audit.log")
            self._start_etcd()
            self.start_apiserver()
            self._start_kubelet_stub()
        except BaseException:
            self.close()
            raise

    def _write_files(self):
        self.ca = CertificateAuthority(self.dir / "ca", "kubernetes")
        self.ca_file = self.ca.certificate
        self.serving = self.ca.issue("apiserver", "/CN=kube-apiserver", server_names=SERVER_NAMES)
        self.admin = self.ca.issue("admin", "/O=system:masters/CN=test-admin")
        self.admin_kubeconfig = self.dir / "admin.kubeconfig"
        write_kubeconfig(self.admin_kubeconfig, f"https://{SERVICE_V4}:{self.port}", self.ca_file, self.admin)
        self.service_account_key = self.ca.new_key("service-account", rsa=True)
        (self.dir / "audit-policy.yaml").write_text(_AUDIT_POLICY)

    def _spawn(self, name, argv):
        with open(self.dir / f"{name}.log", "ab") as log:
            return spawn_in(self.place, argv, stdout=log, stderr=subprocess.STDOUT, cwd=self.dir)

    def _start_etcd(self):
        etcd = self.dir / "etcd"
        etcd.mkdir(mode=0o700, exist_ok=True)
        for left in ("client.sock", "peer.sock"):
            (etcd / left).unlink(missing_ok=True)
        client, peer = f"unix://{etcd}/client.sock", f"unix://{etcd}/peer.sock"
        argv = _program("etcd")
        if argv[0].endswith("hf-kube"):
            argv += [f"--dir={etcd}"]
        else:
            argv += [f"--data-dir={etcd}/data", "--unsafe-no-fsync", f"--listen-client-urls={client}",
                     f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
                     f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"]
        self._etcd = self._spawn("etcd", argv)
        self._etcd_endpoint = client
        eventually(lambda: (etcd / "client.sock").exists(), timeout=60, what=f"etcd\n{tail(self.dir / 'etcd.log')}")

    def _start_kubelet_stub(self):
        """What exec, attach, port-forward and logs end at; it is in the cloud, so that only the client is at the edge."""
        pair = self.ca.issue("kubelet-server", "/CN=kubelet", server_names=[f"IP:{CLOUD_V4}"])
        self._kubelet = self._spawn("kubelet", [BINARIES / "hf-kubelet", f"--listen={CLOUD_V4}:10250",
                                                f"--cert={pair.certificate}", f"--key={pair.key}"])

    def start_apiserver(self, *extra):
        """Starts the API server and waits until it is ready; `extra` are flags for hostile variants."""
        self._apiserver = self._spawn("apiserver", self.apiserver_argv(*extra))
        eventually(self._ready, timeout=120, every=0.1, what="the API server")

    def apiserver_argv(self, *extra):
        """An API server's command line. Of a flag that is given twice, the last one counts."""
        key = self.service_account_key
        return _program("kube-apiserver") + [
            f"--etcd-servers={self._etcd_endpoint}", "--bind-address=::", f"--secure-port={self.port}",
            f"--advertise-address={CLOUD_V4}", "--endpoint-reconciler-type=none",
            f"--service-cluster-ip-range={SERVICE_V4.rsplit('.', 1)[0]}.0/24,fd98::/112",
            f"--tls-cert-file={self.serving.certificate}", f"--tls-private-key-file={self.serving.key}",
            f"--client-ca-file={self.ca_file}", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-signing-key-file={key}", f"--service-account-key-file={key}",
            f"--audit-policy-file={self.dir}/audit-policy.yaml", f"--audit-log-path={self.dir}/audit.log",
            f"--kubelet-client-certificate={self.admin.certificate}", f"--kubelet-client-key={self.admin.key}",
            f"--kubelet-certificate-authority={self.ca_file}", f"--cert-dir={self.dir}",
            "--allow-privileged", *extra,
        ]

    def start_controller_manager(self, controllers=_CONTROLLERS, *extra):
        """Real controllers, until `stop_controller_manager`; tests that don't need them do without.

        The default leaves out those that would delete pods of a node that no kubelet keeps alive.
        """
        self._controllers = self._spawn("controller-manager", _program("kube-controller-manager") + [
            f"--kubeconfig={self.admin_kubeconfig}", f"--controllers={','.join(controllers)}", "--leader-elect=false",
            "--use-service-account-credentials=false", "--kube-api-qps=500", "--kube-api-burst=1000",
            f"--service-account-private-key-file={self.service_account_key}", f"--root-ca-file={self.ca_file}",
            f"--cluster-signing-cert-file={self.ca_file}", f"--cluster-signing-key-file={self.ca.key}",
            f"--cert-dir={self.dir}", "--bind-address=127.0.0.1", *extra,
        ])

    def stop_controller_manager(self):
        stop(self._controllers)

    def _ready(self):
        if self._apiserver.poll() is not None:
            raise RuntimeError(f"the API server ended\n{tail(self.dir / 'apiserver.log')}")
        try:
            return self.request("GET", "/readyz")[0] == 200
        except http.client.HTTPException:
            return False

    def kill(self):
        """SIGKILL: on SIGTERM the API server waits up to a minute for its watches."""
        stop(self._apiserver)
        self._administrator.close()

    def freeze(self):
        self._apiserver.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._apiserver.send_signal(signal.SIGCONT)

    def restart(self, *extra):
        self.kill()
        self.start_apiserver(*extra)

    def save_etcd(self):
        """A copy of everything that the cluster knows, for `use_etcd`; the API server is down meanwhile."""
        saved = Path(tempfile.mkdtemp(prefix="etcd-", dir=self.dir)) / "data"
        self._without_servers(lambda data: shutil.copytree(data, saved))
        return saved

    def use_etcd(self, saved=None):
        """The cluster as it was saved; without that, an empty one: another cluster under the same CA."""
        def replace(data):
            shutil.rmtree(data)
            if saved:
                shutil.copytree(saved, data)

        self._without_servers(replace)

    def _without_servers(self, change):
        self.kill()
        stop(self._etcd)
        change(self.dir / "etcd" / "data")
        self._start_etcd()
        self.start_apiserver()

    def close(self):
        stop(self._apiserver)
        stop(self._kubelet)
        stop(self._controllers)
        stop(self._etcd)
        if self._administrator:
            self._administrator.close()
        if os.environ.get("HOLDFAST_KEEP"):
            print(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    # What an administrator does, from inside the cloud, whatever state the line is in.

    def administrator(self):
        """A connection of its own as test-admin; not for two threads at once."""
        return Administrator(self.place.netns, SERVICE_V4, self.port, self.ca_file, self.admin)

    def request(self, method, path, body=None, **options):
        return self._administrator.request(method, path, body, **options)

    def api(self, method, path, body=None, **options):
        return self._administrator.api(method, path, body, **options)

    def kubectl(self, *argv, **options):
        """kubectl as test-admin, in the cloud."""
        return run_in(self.place, [*self.kubectl_argv(self.admin_kubeconfig), *argv], **options)

    @staticmethod
    def kubectl_argv(kubeconfig):
        """kubectl's command line with a kubeconfig and a cache of its own."""
        return [*_program("kubectl"), f"--kubeconfig={kubeconfig}", f"--cache-dir={kubeconfig}.cache"]
