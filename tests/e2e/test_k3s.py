"""K3s' way of being a node: one process, one User-Agent, three client certificates, a balancer on 127.0.0.1:6444."""

import datetime

import pytest

from balancers import Balancer
from clients import Failed
from conftest import new_agent
from edge import NODE, READ
from topology import CLOUD_V4

USER_AGENT = "k3s/v1.33.1+k3s1 (linux/amd64) kubernetes/abc"
ADDRESS = "127.0.0.1:6444"
USERS = {"kubelet": f"system:node:{NODE}", "kube-proxy": "system:kube-proxy", "k3s-controller": "system:k3s-controller"}
SUBJECTS = {"kubelet": f"/O=system:nodes/CN={USERS['kubelet']}", "kube-proxy": "/CN=system:kube-proxy",
            "k3s-controller": "/CN=system:k3s-controller"}
LEASES = {"group": "coordination.k8s.io", "resource": "leases", "namespace": "kube-node-lease"}


@pytest.fixture(scope="module")
def pairs(site):
    """The three client pairs that a K3s agent has in its folder."""
    site.objects.namespace("kube-node-lease")
    site.objects.allow("User", USERS["k3s-controller"], [([""], ["nodes", "configmaps"], READ)], "k3s-controller")
    return {name: site.certificate(f"client-{name}", subject).pair for name, subject in SUBJECTS.items()}


@pytest.fixture(scope="module")
def balancer(site, cluster):
    with Balancer(site.host, site.folder / "balancer.log", ADDRESS, f"{CLOUD_V4}:{cluster.port}") as made:
        yield made


@pytest.fixture(scope="module")
def agent(site, pairs, balancer):
    identities = [{"cert": str(pair.certificate), "key": str(pair.key)} for pair in pairs.values()]
    made = new_agent(site, upstream={"identities": identities}, intercept={"targets": [ADDRESS]})
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def k3s(site, clients, agent, pairs):
    """The process; a command says as whom it acts."""
    return clients.go(site.host, site.credential("nobody"), host=f"https://{ADDRESS}", user_agent=USER_AGENT,
                      identities=pairs)


def acting(name):
    return {"as": name}


def lease():
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NODE},
            "spec": {"holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": now()}}


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_three_identities_are_kept_apart(cluster, agent, k3s, balancer):
    """Nothing but the certificate tells them apart, and the API server sees each as itself."""
    mark = cluster.audit.mark()
    redirected = agent.metric("holdfast_connections_total", verdict="redirected")
    for name, user in USERS.items():
        assert k3s.command("selfsubjectreview", **acting(name))["username"] == user
    assert k3s.command("get", resource="nodes", name=NODE, **acting("kubelet"))
    assert k3s.command("list", resource="services", **acting("kube-proxy"))
    assert k3s.command("list", resource="nodes", **acting("k3s-controller"))
    with pytest.raises(Failed) as refused:
        k3s.command("list", resource="services", **acting("k3s-controller"))
    assert refused.value.code == 403, "none borrows another's rights"

    seen = {event["user"]["username"] for event in cluster.audit.requests(since=mark)
            if event.get("userAgent", "").startswith("k3s/")}
    assert seen == set(USERS.values())
    assert agent.metric("holdfast_connections_total", verdict="redirected") >= redirected + 3
    own = [peer for name in USERS for peer in k3s.command("peers", **acting(name))["peers"]]
    assert {peer["getpeername"] for peer in own} == {ADDRESS}
    assert not {peer["local"] for peer in own} & balancer.peers(), "redirected, not carried by the balancer"


@pytest.mark.deadline(300)
def test_a_hundred_renewals_meet_no_conflict(cluster, k3s):
    """The Lease has one writer, whatever else this process asks for on the way."""
    cluster.request("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE}")
    mark = cluster.audit.mark()
    held = k3s.command("create", object=lease(), **LEASES, **acting("kubelet"))["object"]
    services = k3s.stream("informer", resource="services", **acting("kube-proxy"))
    services.wait("SYNCED")
    for number in range(100):
        held.update(apiVersion="coordination.k8s.io/v1", kind="Lease")
        held["spec"]["renewTime"] = now()
        held = k3s.command("update", name=NODE, object=held, **LEASES, **acting("kubelet"))["object"]
        if number % 10 == 0:
            assert k3s.command("list", resource="nodes", **acting("k3s-controller"))["count"] >= 1
            read = k3s.command("get", name=NODE, **LEASES, **acting("kubelet"))["object"]
            assert read["metadata"]["resourceVersion"] == held["metadata"]["resourceVersion"]
    written = [event for event in cluster.audit.requests(since=mark, resource="leases", name=NODE)
               if event["verb"] in ("update", "patch")]
    assert {event["user"]["username"] for event in written} <= {USERS["kubelet"]}
    assert not [event for event in written if event["responseStatus"]["code"] == 409]


def test_offline_each_sees_what_it_was_shown(k3s, agent, offline):
    """The same User-Agent and process is no reason to show one identity what another one read."""
    services = k3s.command("list", resource="services", **acting("kube-proxy"))["items"]
    nodes = k3s.command("list", resource="nodes", **acting("k3s-controller"))["items"]
    own = k3s.command("get", resource="nodes", name=NODE, **acting("kubelet"))["object"]
    offline()
    assert k3s.command("list", resource="services", **acting("kube-proxy"))["items"] == services
    assert k3s.command("list", resource="nodes", **acting("k3s-controller"))["items"] == nodes
    assert k3s.command("get", resource="nodes", name=NODE, **acting("kubelet"))["object"] == own
    for name in ("kubelet", "k3s-controller"):
        with pytest.raises(Failed) as refused:
            k3s.command("list", resource="services", **acting(name))
        assert refused.value.code in (403, 503), "as the API server said, if it was asked"
