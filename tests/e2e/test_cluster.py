"""The cache belongs to one cluster, and to one stretch of its history."""

import pytest

from clients import curl
from conftest import new_agent
from link import Cut
from process import eventually

ON_THE_NODE = "/api/v1/pods?fieldSelector=spec.nodeName%3Dedge-1"


@pytest.fixture(scope="module")
def saved(site, cluster):
    """What the cluster is before and after this module's tests."""
    before = cluster.save_etcd()
    yield before
    cluster.use_etcd(before)


@pytest.fixture
def agent(saved, site):
    made = new_agent(site)
    try:
        yield made.start()
    finally:
        made.close()


def pods(site):
    """What the kubelet is shown: a code, and the names of the pods on its node."""
    answer = curl(site.host, site.kubelet, ON_THE_NODE)
    names = {pod["metadata"]["name"] for pod in answer.json()["items"]} if answer.code == 200 else set()
    return answer.code, names


def log_of(agent):
    return agent.log.read_text()


def test_another_cluster_at_the_same_address_means_a_fresh_cache(site, cluster, agent, offline, link):
    cluster.api("POST", "/api/v1/namespaces/apps/pods", {
        "metadata": {"name": "of-the-old-one"},
        "spec": {"nodeName": "edge-1", "containers": [{"name": "main", "image": "none"}]}})
    token = curl(site.pod_a, site.token_a, "/api/v1/namespaces/apps/configmaps")
    assert token.code == 200
    shown = pods(site)
    assert "of-the-old-one" in shown[1]
    offline()
    assert pods(site) == shown

    cluster.use_etcd()
    site.grant_agent()
    site.objects.node("edge-1")
    link.restore()
    agent.wait_online()
    eventually(lambda: "another cluster than before" in log_of(agent), timeout=60, what="the agent to notice")

    link.cut(Cut.REFUSED)
    agent.wait_offline()
    assert pods(site)[0] == 503
    # A token of the old cluster is nobody's.
    assert curl(site.pod_a, site.token_a, "/api/v1/namespaces/apps/configmaps").code in (401, 503)
    link.restore()
    agent.wait_online()
    eventually(lambda: pods(site) == (200, set()), what="the new cluster's pods")
    offline()
    assert pods(site) == (200, set())


def test_an_etcd_that_was_restored_ends_what_was_shown_since(site, cluster, agent, offline, link):
    snapshot = cluster.save_etcd()
    agent.wait_online()
    for number in range(20):
        site.objects.node(f"later-{number}")
    eventually(lambda: curl(site.host, site.kubelet, "/api/v1/nodes/edge-1").code == 200, what="the node")
    cluster.api("PATCH", "/api/v1/nodes/edge-1", {"metadata": {"annotations": {"seen": "later"}}},
                content_type="application/merge-patch+json")
    assert "later" in curl(site.host, site.kubelet, "/api/v1/nodes/edge-1").body
    assert pods(site)[0] == 200
    offline()
    assert "later" in curl(site.host, site.kubelet, "/api/v1/nodes/edge-1").body

    cluster.use_etcd(snapshot)
    link.restore()
    agent.wait_online()
    # An API server that just started refuses the agent until it has read its roles.
    eventually(lambda: "ran backwards" in log_of(agent), timeout=60, what="the agent to notice")
    assert "another cluster" not in log_of(agent)
    link.cut(Cut.REFUSED)
    agent.wait_offline()
    assert curl(site.host, site.kubelet, "/api/v1/nodes/edge-1").code == 503
    assert pods(site)[0] == 503
    link.restore()
    agent.wait_online()
    # The kubelet was not forgotten, and what it is shown now is what counts.
    assert curl(site.host, site.kubelet, "/api/v1/nodes/edge-1").code == 200
    offline()
    answer = curl(site.host, site.kubelet, "/api/v1/nodes/edge-1")
    assert answer.code == 200 and '"seen"' not in answer.body
