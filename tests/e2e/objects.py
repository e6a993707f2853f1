"""Objects that tests make in the cluster: namespaces, service accounts, pods, ConfigMaps, tokens."""

import threading
from concurrent.futures import ThreadPoolExecutor

from process import eventually
from topology import CLOUD_V4


def config_map(name, data=None, labels=None, namespace=None):
    metadata = {"name": name}
    if labels:
        metadata["labels"] = labels
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {"key": name}}


class Objects:
    """Creates things as test-admin; what exists already is left as it is."""

    def __init__(self, cluster):
        self._cluster = cluster

    def _create(self, path, body):
        return self._cluster.api("POST", path, body, ok=(200, 201, 409))

    def namespace(self, name):
        self._create("/api/v1/namespaces", {"metadata": {"name": name}})
        self.service_account(name, "default")
        return name

    def node(self, name):
        """A Node whose kubelet is the cluster's stub, for exec and the like."""
        self._create("/api/v1/nodes", {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}})
        self._status(f"/api/v1/nodes/{name}", {
            "addresses": [{"type": "InternalIP", "address": CLOUD_V4}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "conditions": [{"type": "Ready", "status": "True"}]})
        return name

    def _status(self, path, status):
        self._cluster.api("PATCH", f"{path}/status", {"status": status}, content_type="application/merge-patch+json")

    def service_account(self, namespace, name):
        self._create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})

    def allow(self, subject_kind, subject, rules, name, namespace=None):
        """Grants rules in a namespace (Role) or everywhere (ClusterRole).

        A service account is given as "namespace/name". Rules are (groups, resources, verbs), or
        ("url", paths, verbs) for paths that name no resource.
        """
        kind, base = "ClusterRole", "/apis/rbac.authorization.k8s.io/v1"
        if namespace:
            kind, base = "Role", f"{base}/namespaces/{namespace}"
        policy = [
            {"nonResourceURLs": resources, "verbs": verbs} if groups == "url"
            else {"apiGroups": groups, "resources": resources, "verbs": verbs}
            for groups, resources, verbs in rules
        ]
        who = {"kind": subject_kind, "name": subject, "apiGroup": "rbac.authorization.k8s.io"}
        if subject_kind == "ServiceAccount":
            of, account = subject.split("/")
            who = {"kind": subject_kind, "namespace": of, "name": account}
        plural = kind.lower() + "s"
        self._create(f"{base}/{plural}", {"metadata": {"name": name}, "rules": policy})
        self._create(f"{base}/{plural[:-1]}bindings", {
            "metadata": {"name": name}, "subjects": [who],
            "roleRef": {"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"}})

    def forbid(self, name, namespace=None):
        """Takes back what `allow` gave under that name."""
        base, kind = "/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"
        if namespace:
            base, kind = f"{base}/namespaces/{namespace}", "rolebindings"
        self._cluster.api("DELETE", f"{base}/{kind}/{name}")

    def pod(self, namespace, name, node, service_account="default"):
        """A Pod bound to a node; returns it as created, with its uid. Nothing runs it."""
        self._create(f"/api/v1/namespaces/{namespace}/pods", {
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"nodeName": node, "serviceAccountName": service_account, "terminationGracePeriodSeconds": 0,
                     "containers": [{"name": "main", "image": "none"}]}})
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        self._status(path, {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
        return self._cluster.api("GET", path)

    def token(self, namespace, account, pod=None, seconds=3607, audiences=None):
        """A real token by TokenRequest, bound to the Pod object when one is given."""
        spec = {"expirationSeconds": seconds}
        if audiences:
            spec["audiences"] = audiences
        if pod:
            meta = pod["metadata"]
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        return self._cluster.api("POST", path, {"spec": spec})["status"]["token"]

    def custom_kind(self, plural, kind, group="example.com"):
        """A CustomResourceDefinition with any content; returns when the API server serves it."""
        base = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        self._create(base, {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                            "metadata": {"name": f"{plural}.{group}"},
                            "spec": {"group": group, "scope": "Namespaced",
                                     "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
                                     "versions": [{"name": "v1", "served": True, "storage": True,
                                                   "schema": {"openAPIV3Schema": schema}}]}})
        eventually(lambda: self._cluster.request("GET", f"/apis/{group}/v1/{plural}")[0] == 200)

    def custom(self, namespace, plural, kind, name, content, group="example.com"):
        return self._cluster.api("POST", f"/apis/{group}/v1/namespaces/{namespace}/{plural}", {
            "apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": name}, "spec": content})

    def config_map(self, namespace, name, data=None, labels=None):
        body = config_map(name, data, labels)
        return self._cluster.api("POST", f"/api/v1/namespaces/{namespace}/configmaps", body)

    def replace_config_map(self, namespace, name, data, labels=None):
        path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        return self._cluster.api("PUT", path, config_map(name, data, labels))

    def delete_config_map(self, namespace, name):
        return self._cluster.api("DELETE", f"/api/v1/namespaces/{namespace}/configmaps/{name}")

    def config_maps(self, namespace, count, prefix="item", labels=None, size=0, parallel=8):
        """Many ConfigMaps, name-00000 and so on; `labels` is a function of the number."""
        local = threading.local()

        def create(number):
            if not hasattr(local, "administrator"):
                local.administrator = self._cluster.administrator()
            data = {"payload": "x" * size} if size else {"number": str(number)}
            body = config_map(f"{prefix}-{number:05}", data, labels(number) if labels else None)
            local.administrator.api("POST", f"/api/v1/namespaces/{namespace}/configmaps", body)

        with ThreadPoolExecutor(parallel) as pool:
            list(pool.map(create, range(count)))
