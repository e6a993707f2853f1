"""The things most tests share: a node with two pods of different service accounts, and their tokens."""

from pathlib import Path

from clients import Credential
from objects import Objects
from pki import write_kubeconfig
from topology import SERVICE_V4

NODE = "edge-1"
READ = ["get", "list", "watch"]


class Site:
    """pod-a runs as apps/reader, pod-b as apps/other; both may read ConfigMaps and Pods in `apps`.

    A test takes a namespace of its own from `namespace`, so that tests don't see each other's objects.
    """

    def __init__(self, topology, cluster, folder):
        self.topology, self.cluster, self.folder = topology, cluster, Path(folder)
        self.objects = Objects(cluster)
        self._count = 0
        self.objects.node(NODE)
        self.objects.namespace("apps")
        self.pods, self.credentials = {}, {}
        for name, account in (("pod-a", "reader"), ("pod-b", "other")):
            self.objects.service_account("apps", account)
            self.objects.allow("ServiceAccount", f"apps/{account}",
                               [([""], ["configmaps", "pods", "services", "namespaces"], READ),
                                ([""], ["configmaps"], ["create", "update", "patch", "delete"]),
                                ([""], ["pods/exec", "pods/attach", "pods/portforward"], ["create", "get"]),
                                ([""], ["pods/log"], ["get"])], account)
            self.add_pod(name, account)
        self.kubelet = self.certificate("kubelet", f"/O=system:nodes/CN=system:node:{NODE}")
        # Not bound to a pod: what a process of the node itself would use.
        self.token_host = self.credential("host-token", self.objects.token("apps", "reader"))

    def add_pod(self, name, account, namespace="apps"):
        """A Pod object, its place on the node, and a token bound to it; returns the place."""
        pod = self.objects.pod(namespace, name, NODE, account)
        place = self.topology.add_pod(name, pod["metadata"]["uid"])
        self.pods[name] = place
        self.credentials[name] = self.credential(f"{name}-token", self.objects.token(namespace, account, pod))
        return place

    @property
    def pod_a(self):
        return self.pods["pod-a"]

    @property
    def pod_b(self):
        return self.pods["pod-b"]

    @property
    def token_a(self):
        return self.credentials["pod-a"]

    @property
    def token_b(self):
        return self.credentials["pod-b"]

    @property
    def host(self):
        """A process of the node itself, beside the agent."""
        return self.topology.node

    def credential(self, name, token=None, pair=None, ca_file=None):
        """A credential with the token in a file, as pods have it."""
        path = None
        if token is not None:
            path = self.folder / name
            path.write_text(token)
        return Credential(ca_file or self.cluster.ca_file, path, pair)

    def drop_pod(self, name):
        self.topology.remove_pod(name)
        del self.pods[name], self.credentials[name]

    def certificate(self, name, subject):
        """A client certificate that the cluster's CA signed."""
        return self.credential(name, pair=self.cluster.ca.issue(name, subject))

    def kubeconfig(self, name, credential):
        """A kubeconfig for kubectl, in the cluster's style: the service address and the credential."""
        path = self.folder / f"{name}.kubeconfig"
        token = credential.token_file.read_text() if credential.token_file else None
        write_kubeconfig(path, f"https://{SERVICE_V4}", credential.ca_file, credential.pair, token)
        return path

    def namespace(self, prefix="test"):
        self._count += 1
        return self.objects.namespace(f"{prefix}-{self._count}")

    def grant_agent(self):
        """What the agent's own identity may do, as in deploy/."""
        self.objects.allow("User", "holdfast-agent", [
            ([""], ["services", "nodes"], READ), (["discovery.k8s.io"], ["endpointslices"], READ),
            ([""], ["namespaces"], ["get"]), ("url", ["/readyz", "/livez", "/version", "/openid/v1/jwks",
                                      "/.well-known/openid-configuration"], ["get"])], "holdfast-agent")

    def close(self):
        for name in list(self.pods):
            self.topology.remove_pod(name)
