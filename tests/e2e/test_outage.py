"""What the cloud does with a node's pods while it can't be reached: deploy/tolerations-policy.yaml."""

from pathlib import Path

import pytest

from heartbeats import Heartbeats
from process import eventually

POLICY = Path(__file__).resolve().parents[2] / "deploy" / "tolerations-policy.yaml"
LABEL = {"holdfast.node-restriction.kubernetes.io/intercept": "enabled"}
NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
FOREVER = {NOT_READY: None, UNREACHABLE: None}
SHORT = 3  # seconds that a pod tolerates when nobody says otherwise: 300 in earnest


def create(cluster, namespace, name, spec=None, labels=None, dry=False):
    body = {"metadata": {"name": name, "labels": labels or {}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": "none"}],
                     **(spec or {})}}
    return cluster.api("POST", f"/api/v1/namespaces/{namespace}/pods" + ("?dryRun=All" if dry else ""), body)


def bounds(pod):
    """What the pod's NoExecute tolerations say, by key; the first one of a key counts."""
    found = {}
    for toleration in pod["spec"]["tolerations"]:
        if toleration.get("effect", "NoExecute") == "NoExecute":
            found.setdefault(toleration.get("key", ""), toleration.get("tolerationSeconds"))
    return found


def node(site, name, labels):
    site.objects.node(name)
    site.cluster.api("PATCH", f"/api/v1/nodes/{name}", {"metadata": {"labels": labels}},
                     content_type="application/merge-patch+json")


def terms(*values):
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "holdfast.node-restriction.kubernetes.io/intercept", "operator": "In", "values": list(v)}]}
        for v in values]}}}}


def test_status_names_the_pods_that_would_be_deleted(site, cluster, agent, clients, offline):
    """From what the kubelet was shown: nobody is asked, and it is known offline, too."""
    assert agent.status()["evictions"] is None
    namespace = site.namespace("evict")
    create(cluster, namespace, "stays", {"nodeName": "edge-1", "tolerations": [{"operator": "Exists"}]})
    create(cluster, namespace, "goes", {"nodeName": "edge-1"})
    own_limit = [{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 20}]
    create(cluster, namespace, "first", {"nodeName": "edge-1", "tolerations": own_limit})

    listed = clients.go(site.host, site.kubelet).list("pods", fieldSelector="spec.nodeName=edge-1")
    assert len(listed["items"]) >= 3

    def named():
        return {e["name"]: e["after_seconds"] for e in agent.status()["evictions"] or () if e["namespace"] == namespace}

    expected = {"goes": 300, "first": 20}
    eventually(lambda: named() == expected, what=f"{expected}; status says {agent.status()['evictions']}")
    offline()
    assert named() == expected
    text = agent.command("status").stdout
    assert f"{namespace}/first after 20 s of being unreachable" in text
    page = agent.admin("/")[1]
    assert namespace not in page and "holdfast status names them" in page


@pytest.fixture(scope="module")
def short_cluster(site, cluster, tmp_path_factory):
    """The policy in force at a real API server whose default is SHORT, nodes in and out."""
    cluster.restart(f"--default-not-ready-toleration-seconds={SHORT}",
                    f"--default-unreachable-toleration-seconds={SHORT}")
    text = POLICY.read_text()
    assert text.count("tolerationSeconds == 300") == 2  # as its comment says: the number to change
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.write_text(text.replace("tolerationSeconds == 300", f"tolerationSeconds == {SHORT}"))
    node(site, "outage-in", LABEL)
    node(site, "outage-out", {})
    site.objects.namespace("outage")
    # Made before the policy: they show what changes an old pod.
    for where in ("outage-in", "outage-out"):
        create(cluster, "outage", f"old-{where}", {"nodeName": where})
    done = cluster.kubectl("apply", "--server-side", "--validate=strict", "-f", str(file), check=True)
    assert "Warning" not in done.stderr, done.stderr
    for spec in ({"nodeSelector": LABEL}, {"nodeName": "outage-in"}):  # a policy acts a moment later
        eventually(lambda: bounds(create(cluster, "outage", "probe", spec, dry=True)) == FOREVER, timeout=60,
                   what="the policy to act")
    yield cluster
    cluster.kubectl("delete", "-f", str(file))
    cluster.restart()


@pytest.mark.parametrize("spec, labels, expected", [
    ({}, {}, {NOT_READY: SHORT, UNREACHABLE: SHORT}),
    ({"nodeSelector": {"holdfast.node-restriction.kubernetes.io/intercept": "disabled"}}, {}, {NOT_READY: SHORT, UNREACHABLE: SHORT}),
    ({"nodeName": "outage-out"}, {}, {NOT_READY: SHORT, UNREACHABLE: SHORT}),
    ({"nodeName": "outage-in"}, {}, FOREVER),
    ({"nodeSelector": LABEL}, {}, FOREVER),
    (terms(["enabled"]), {}, FOREVER),
    (terms(["enabled"], ["enabled"]), {}, FOREVER),
    (terms(["enabled"], ["disabled"]), {}, {NOT_READY: SHORT, UNREACHABLE: SHORT}),  # may land elsewhere
    ({}, LABEL, FOREVER),
    # What somebody decided stays.
    ({"nodeSelector": LABEL, "tolerations": [{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute",
                                              "tolerationSeconds": 30}]}, {}, {NOT_READY: None, UNREACHABLE: 30}),
    ({"nodeSelector": LABEL, "tolerations": [{"operator": "Exists"}]}, {}, {"": None}),
    ({"nodeSelector": LABEL, "tolerations": [{"key": "dedicated", "operator": "Exists"}]}, {},
     {"dedicated": None, **FOREVER}),
], ids=["plain", "other selector", "bound elsewhere", "bound", "nodeSelector", "affinity", "two terms",
        "one term of two", "label", "own limit", "tolerates all", "own toleration"])
def test_a_pod_of_opted_in_nodes_tolerates_an_outage(short_cluster, spec, labels, expected):
    assert bounds(create(short_cluster, "outage", "case", spec, labels, dry=True)) == expected


def test_a_namespace_opts_in(site, short_cluster):
    namespace = site.namespace("outage")
    short_cluster.api("PATCH", f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": LABEL}},
                      content_type="application/merge-patch+json")
    eventually(lambda: bounds(create(short_cluster, namespace, "case", dry=True)) == FOREVER)


@pytest.mark.parametrize("name, expected", [
    ("old-outage-in", FOREVER), ("old-outage-out", {NOT_READY: SHORT, UNREACHABLE: SHORT})])
def test_an_update_reaches_pods_that_are_there(short_cluster, name, expected):
    path = f"/api/v1/namespaces/outage/pods/{name}"
    assert bounds(short_cluster.api("GET", path)) == {NOT_READY: SHORT, UNREACHABLE: SHORT}
    pod = short_cluster.api("PATCH", path, {"metadata": {"annotations": {"touched": "yes"}}},
                            content_type="application/merge-patch+json")
    assert bounds(pod) == expected
    assert pod["spec"]["nodeName"] in name


@pytest.mark.deadline(300)
def test_a_long_outage_deletes_nothing_on_an_opted_in_node(site, short_cluster):
    """The real node lifecycle and taint eviction controllers; both nodes fall silent, one keeps its pods."""
    cluster = short_cluster
    others = [n["metadata"]["name"] for n in cluster.api("GET", "/api/v1/nodes")["items"]]
    for number in range(4):  # most of a zone must be alive, or nothing is tainted
        others.append(site.objects.node(f"alive-{number}"))
    heartbeats = Heartbeats(cluster, others)
    try:
        made = {}
        for where in ("outage-in", "outage-out"):
            made[where] = {create(cluster, "outage", f"long-{where}-{n}", {"nodeName": where})["metadata"]["uid"]
                           for n in range(3)}
        cluster.start_controller_manager(
            ("node-lifecycle-controller", "taint-eviction-controller"), "--node-monitor-period=1s",
            "--node-monitor-grace-period=8s", "--node-startup-grace-period=8s", "--node-eviction-rate=100")

        def pods(where):
            items = cluster.api("GET", f"/api/v1/namespaces/outage/pods?fieldSelector=spec.nodeName%3D{where}")["items"]
            return {pod["metadata"]["uid"] for pod in items if pod["metadata"]["name"].startswith("long")}

        def tainted(where):
            taints = cluster.api("GET", f"/api/v1/nodes/{where}")["spec"].get("taints", [])
            return any(t["key"] == UNREACHABLE and t["effect"] == "NoExecute" for t in taints)

        for where in made:
            heartbeats.stop(where)
        eventually(lambda: all(map(tainted, made)), timeout=120, what="both nodes to count as unreachable")
        assert not tainted("alive-0")
        eventually(lambda: not pods("outage-out"), timeout=60, what="the other node's pods to be deleted")
        # Both got the taint at the same time; several times the limit later one still has them all.
        assert pods("outage-in") == made["outage-in"]
        assert tainted("outage-in")
    finally:
        cluster.stop_controller_manager()
        heartbeats.close()
        for where in ("outage-in", "outage-out", *(f"alive-{n}" for n in range(4))):
            cluster.request("DELETE", f"/api/v1/nodes/{where}")
