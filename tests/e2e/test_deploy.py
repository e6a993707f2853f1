"""What deploy/ ships is accepted by a real API server, and grants what the agent needs and no more."""

import json
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
MANIFEST = DEPLOY / "daemonset.yaml"
STATIC_POD = DEPLOY / "static-pod.yaml"
APPROVER = DEPLOY / "approver.yaml"
NAMESPACE = "holdfast-system"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:holdfast"


@pytest.fixture(scope="module")
def documents():
    return list(yaml.safe_load_all(MANIFEST.read_text()))


@pytest.fixture(scope="module")
def daemon_set(documents):
    return next(d for d in documents if d["kind"] == "DaemonSet")


def apply(cluster, path, *flags):
    done = cluster.kubectl("apply", "--server-side", "--validate=strict", *flags, "-f", str(path), check=True)
    assert "Warning" not in done.stderr, done.stderr  # a deprecated field, a Pod Security level
    return done.stdout


@pytest.fixture(scope="module")
def installed(cluster, documents, tmp_path_factory):
    """Everything but the DaemonSet, for good; on a fresh cluster a dry run alone would miss the namespace."""
    cluster.kill()
    cluster.start_apiserver("--allow-privileged")  # as installers set it
    rest = tmp_path_factory.mktemp("deploy") / "rest.yaml"
    rest.write_text(yaml.safe_dump_all(d for d in documents if d["kind"] != "DaemonSet"))
    apply(cluster, rest)
    yield
    cluster.kubectl("delete", "-f", str(rest), "--wait=false")


def test_server_side_dry_run(cluster, documents, installed):
    output = apply(cluster, MANIFEST, "--dry-run=server")
    assert len(output.splitlines()) == len(documents), output
    assert all("(server dry run)" in line for line in output.splitlines()), output


def test_approver_server_side_dry_run(cluster):
    documents = list(yaml.safe_load_all(APPROVER.read_text()))
    output = apply(cluster, APPROVER, "--dry-run=server")
    assert len(output.splitlines()) == len(documents), output
    assert all("(server dry run)" in line for line in output.splitlines()), output


def test_approver_grants_no_more_than_its_job():
    documents = list(yaml.safe_load_all(APPROVER.read_text()))
    (role,) = [d for d in documents if d["kind"] == "ClusterRole"]
    granted = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert granted == {
        ("certificatesigningrequests", "get"), ("certificatesigningrequests", "list"),
        ("certificatesigningrequests", "watch"), ("certificatesigningrequests/approval", "update"),
        ("signers", "approve"), ("nodes", "get")}
    (signers,) = [rule["resourceNames"] for rule in role["rules"] if rule["resources"] == ["signers"]]
    assert signers == ["kubernetes.io/kubelet-serving"]
    spec = next(d for d in documents if d["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] and "hostNetwork" not in spec and "volumes" not in spec
    (container,) = spec["containers"]
    assert "/" not in container["image"], "where images come from is the operator's choice"


def test_admission_takes_the_pod(cluster, daemon_set, installed, tmp_path):
    """The pod that the DaemonSet would make: priority class, Pod Security and account included."""
    template = daemon_set["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
           "metadata": {**template["metadata"], "name": "holdfast-dry", "namespace": NAMESPACE}}
    file = tmp_path / "pod.json"
    file.write_text(json.dumps(pod))
    made = json.loads(cluster.kubectl("create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", str(file),
                                      check=True).stdout)
    assert made["spec"]["priority"] == 2000001000  # system-node-critical
    assert made["spec"]["hostNetwork"] and made["spec"]["hostPID"]


def test_admission_takes_the_static_pod(cluster, site, installed):
    """As the mirror pod that its kubelet makes."""
    site.objects.service_account("kube-system", "default")
    apply(cluster, STATIC_POD, "--dry-run=server")


def test_the_static_pod_is_the_daemon_sets(daemon_set):
    """But for where files and access come from, and for what a scheduler reads."""
    static = yaml.safe_load(STATIC_POD.read_text())["spec"]
    other = dict(daemon_set["spec"]["template"]["spec"])
    for spec, only_there in ((other, ["affinity", "serviceAccountName"]), (static, ["automountServiceAccountToken"])):
        for key in only_there:
            spec.pop(key)
    without_config = [[v for v in spec.pop("volumes") if v["name"] != "config"] for spec in (static, other)]
    assert without_config[0] == without_config[1]
    assert static == other


@pytest.mark.parametrize("allowed, request_", [
    (True, ["get", "service", "kubernetes", "-n", "default"]),
    (True, ["get", "services", "-n", "default", "--field-selector=metadata.name=kubernetes"]),
    (True, ["get", "endpointslices", "-n", "default", "--field-selector=metadata.name=kubernetes"]),
    (True, ["get", "namespace", "kube-system"]),
    (True, ["get", "--raw", "/readyz"]),
    (False, ["get", "services", "-n", "default"]),
    (False, ["get", "endpointslices", "-A"]),
    (False, ["get", "namespaces"]),
    (False, ["get", "secrets", "-n", NAMESPACE]),
    (False, ["get", "pods", "-A"]),
    (False, ["get", "nodes"]),
    (False, ["delete", "service", "kubernetes", "-n", "default", "--dry-run=server"]),
], ids=lambda value: " ".join(value) if isinstance(value, list) else None)
def test_access(cluster, installed, allowed, request_):
    result = cluster.kubectl(*request_, f"--as={ACCOUNT}",
                             "--as-group=system:serviceaccounts", "--as-group=system:authenticated")
    if allowed:  # the API server makes its Service a moment after it is ready
        assert result.returncode == 0 or "(NotFound)" in result.stderr, result.stderr
    else:
        assert result.returncode != 0 and "orbidden" in result.stderr, result.stdout + result.stderr


def test_mounts_and_volumes_agree(daemon_set):
    spec = daemon_set["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    mounts = {m["name"]: m for m in container["volumeMounts"]}
    assert set(mounts) == {v["name"] for v in spec["volumes"]}
    for volume in spec["volumes"]:
        if "hostPath" in volume:
            assert volume["hostPath"]["path"] == mounts[volume["name"]]["mountPath"]
    writable = {m["mountPath"] for m in mounts.values() if not m.get("readOnly")}
    assert writable == {"/sys/fs/cgroup", "/var/lib/holdfast", "/run/holdfast"}


def test_configuration_names_what_is_mounted(documents, daemon_set):
    config = yaml.safe_load(next(d for d in documents if d["kind"] == "ConfigMap")["data"]["config.yaml"])
    spec = daemon_set["spec"]["template"]["spec"]
    (volume,) = [v for v in spec["volumes"] if v["name"] == "config"]
    files = {f"/etc/holdfast/{item['path']}" for source in volume["projected"]["sources"]
             for item in next(iter(source.values()))["items"]}
    assert {config["tls"]["cert"], config["tls"]["key"], "/etc/holdfast/config.yaml"} == files
    for probe in ("livenessProbe", "readinessProbe"):
        get = spec["containers"][0][probe]["httpGet"]
        assert (get["host"], get["port"]) == ("127.0.0.1", 10267)


def test_no_registry_is_named(daemon_set):
    """Where images come from is the operator's choice."""
    (container,) = daemon_set["spec"]["template"]["spec"]["containers"]
    assert "/" not in container["image"]
    bases = [line.split()[1] for line in (DEPLOY / "Containerfile").read_text().splitlines() if line.startswith("FROM")]
    assert set(bases) == {"${BASE}"}
