"""The main job: programs that know nothing of Holdfast keep reading when the line is cut."""

import base64
import json
import re

import pytest

from clients import curl
from kubectl import Kubectl
from link import Cut
from process import eventually
from topology import NODE_V4, SERVICE_V4, SERVICE_V6

pytestmark = pytest.mark.usefixtures("agent")

ALL_CUTS = pytest.mark.parametrize("how", list(Cut), ids=lambda cut: cut.value)
GATES = pytest.mark.parametrize("watch_list", [False, True], ids=["list", "watchlist"])
ENCODINGS = pytest.mark.parametrize("encoding", ["protobuf", "json"])
USER_A = "system:serviceaccount:apps:reader"


@pytest.fixture
def namespace(site):
    """A namespace with five ConfigMaps."""
    name = site.namespace("main")
    site.objects.config_maps(name, 5)
    return name


def flow_of(client):
    return lambda event: event.get("pid") == client.pid


def test_redirected_tagged_and_none_the_wiser(site, cluster, agent, clients, namespace):
    with agent.trace() as trace:
        client = clients.go(site.pod_a, site.token_a)
        mark, before = cluster.audit.mark(), agent.metric("holdfast_connections_total", verdict="redirected")
        assert len(client.names("configmaps", namespace)) == 5

        assert set(client.peers()) == {f"{SERVICE_V4}:443"}, "getpeername shows what was dialled"
        assert cluster.audit.sources(since=mark, user=USER_A, namespace=namespace) == {NODE_V4}
        assert agent.metric("holdfast_connections_total", verdict="redirected") > before

        flow = trace.wait("flow", flow_of(client))
        assert flow["verdict"] == "redirected"
        assert flow["executable"].endswith("/hf-client")
        assert flow["original"] == f"{SERVICE_V4}:443"
        assert site.pod_a.uid in flow["cgroup"]
        assert flow["container"] == site.pod_a.container
        request = trace.wait("request", lambda e: e["namespace"] == namespace)
        assert (request["principal"], request["verb"], request["code"]) == (USER_A, "list", 200)
        # The pod's name is in the token, so the flow knows it once a request was seen.
        client.close()
        named = trace.wait("flow", lambda e: flow_of(client)(e) and (e.get("pod") or {}).get("name"))
        assert named["pod"] == {"namespace": "apps", "name": "pod-a", "uid": site.pod_a.uid}


@ALL_CUTS
@ENCODINGS
def test_one_program_goes_on(site, cluster, clients, agent, link, offline, namespace, how, encoding):
    """GET, LIST, WATCH and an informer of one process, across the cut and back."""
    client = clients.go(site.pod_a, site.token_a, encoding=encoding)
    one, listed = client.get("configmaps", "item-00002", namespace), client.list("configmaps", namespace, full=True)
    watch = client.watch("configmaps", namespace, resourceVersion=listed["resourceVersion"])
    watch.wait("OPEN")
    informer = client.informer("configmaps", namespace)
    informer.wait("SYNCED")
    site.objects.config_map(namespace, "last")
    watch.wait("ADDED", "last")
    informer.wait("ADDED", "last")

    offline(how)
    seen = informer.mark()
    assert client.get("configmaps", "item-00002", namespace) == one
    # The list was followed by the informer, not asked for again: what it shows is not older than what was shown.
    names = client.names("configmaps", namespace)
    assert set(names) >= {item["metadata"]["name"] for item in listed["items"]}
    held = client.watch("configmaps", namespace, resourceVersion=listed["resourceVersion"])
    held.wait("OPEN")
    assert watch.end is None, "a watch that was open stays open"
    site.objects.config_map(namespace, "during")
    assert "during" not in informer.names(since=seen)

    link.restore()
    agent.wait_online()
    informer.wait("ADDED", "during", timeout=90)
    for stream in (watch, held):
        stream.wait("ADDED", "during", timeout=90)
        assert stream.names("ADDED") == ["last", "during"], "each event once, and no relist"
    assert sorted(set(informer.names("ADDED"))) == sorted([*(f"item-{n:05}" for n in range(5)), "last", "during"])
    assert not informer.names("DELETED")
    assert eventually(lambda: "during" in client.names("configmaps", namespace))
    site.objects.config_map(namespace, "after")
    informer.wait("ADDED", "after", timeout=60)


@ALL_CUTS
def test_first_read_after_the_cut_is_answered(site, agent, clients, link, namespace, how):
    """Nobody waits for the agent to have noticed."""
    client = clients.go(site.pod_a, site.token_a)
    client.get("configmaps", "item-00001", namespace)
    agent.wait_written()
    link.cut(how)
    assert client.get("configmaps", "item-00001", namespace, timeout=15)["data"] == {"number": "1"}
    link.restore()
    agent.wait_online()


@GATES
@ENCODINGS
@ALL_CUTS
def test_informers_start_offline(site, agent, clients, link, offline, namespace, how, encoding, watch_list):
    """A controller that restarts while the line is cut finds its first state, by either way of reading it."""
    site.objects.config_map(namespace, "labelled")
    clients.go(site.pod_a, site.token_a, encoding=encoding, watch_list=watch_list).informer(
        "configmaps", namespace).wait("SYNCED")
    offline(how)
    informer = clients.go(site.pod_a, site.token_a, encoding=encoding, watch_list=watch_list).informer(
        "configmaps", namespace)
    assert informer.wait("SYNCED", timeout=60)["count"] == 6
    link.restore()
    agent.wait_online()
    site.objects.config_map(namespace, "fresh")
    informer.wait("ADDED", "fresh", timeout=90)


@pytest.mark.parametrize("first, then", [(False, True), (True, False)], ids=["list-watchlist", "watchlist-list"])
def test_informers_of_either_kind_share_what_was_shown(site, clients, offline, namespace, first, then):
    clients.go(site.pod_a, site.token_a, watch_list=first).informer("configmaps", namespace).wait("SYNCED")
    offline()
    informer = clients.go(site.pod_a, site.token_a, watch_list=then).informer("configmaps", namespace)
    assert informer.wait("SYNCED", timeout=60)["count"] == 5


@pytest.mark.parametrize("flags, address, peer", [
    ([], SERVICE_V4, f"{SERVICE_V4}:443"),
    ([], SERVICE_V6, f"[{SERVICE_V6}]:443"),
    (["--v4-mapped"], SERVICE_V4, f"[::ffff:{SERVICE_V4}]:443"),
], ids=["ipv4", "ipv6", "v4-mapped"])
def test_socket_families(site, cluster, agent, clients, offline, namespace, flags, address, peer):
    client = clients.python(site.pod_a, site.token_a, *flags, address=address)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    mark = cluster.audit.mark()
    online = client.get(path)
    assert client.peers() == [peer]
    assert cluster.audit.sources(since=mark, namespace=namespace) == {NODE_V4}
    offline()
    assert client.get(path) == online
    client.reconnect()
    assert client.get(path) == online
    assert client.peers() == [peer]


def test_same_source_port_in_two_pods(site, agent, clients, offline, namespace):
    """A 4-tuple is not enough to tell connections of two network namespaces apart."""
    path = f"/api/v1/namespaces/{namespace}/configmaps/item-00000"
    with agent.trace() as trace:
        pair = {}
        for name, place, token in (("pod-a", site.pod_a, site.token_a), ("pod-b", site.pod_b, site.token_b)):
            pair[name] = clients.python(place, token, "--source-port=40555")
            assert pair[name].get(path)["data"] == {"number": "0"}
        for name, client in pair.items():
            client.close()
            flow = trace.wait("flow", flow_of(client))
            assert site.pods[name].uid in flow["cgroup"]
            assert flow["verdict"] == "redirected"
    offline()
    for place, token in ((site.pod_a, site.token_a), (site.pod_b, site.token_b)):
        client = clients.python(place, token, "--source-port=40556")
        assert client.get(path)["data"] == {"number": "0"}


@pytest.mark.parametrize("http1", [False, True], ids=["h2", "h1"])
@ENCODINGS
def test_versions_and_encodings(site, clients, offline, namespace, encoding, http1):
    """An offline answer is the online one: its encoding, its content type, its bytes."""
    accept = "application/json" if encoding == "json" else "application/vnd.kubernetes.protobuf"
    client = clients.go(site.pod_a, site.token_a, encoding=encoding, http1=http1)
    base = f"/api/v1/namespaces/{namespace}/configmaps"
    paths = [base, f"{base}/item-00003"]
    online = [client.raw(path, headers={"Accept": accept}) for path in paths]
    offline()
    for path, before in zip(paths, online):
        after = client.raw(path, headers={"Accept": accept})
        assert after["code"] == 200
        assert after["protocol"] == ("HTTP/1.1" if http1 else "HTTP/2.0")
        assert after["headers"]["content-type"] == before["headers"]["content-type"]
        assert "warning" not in after["headers"], "controllers' logs stay quiet"
        assert same_content(before, after)


def same_content(one, other):
    if one["headers"]["content-type"].startswith("application/json"):
        return json.loads(one["body"]) == json.loads(other["body"])
    assert raw_bytes(one).startswith(b"k8s\0")
    return raw_bytes(one) == raw_bytes(other)


def raw_bytes(answer):
    return base64.b64decode(answer["base64"]) if "base64" in answer else answer["body"].encode()


@pytest.mark.parametrize("flags", [["--http1.1"], ["--http2"], ["--compressed"]], ids=["h1", "h2", "gzip"])
def test_curl(site, offline, namespace, flags):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    online = curl(site.pod_a, site.token_a, path, *flags)
    assert online.code == 200
    offline()
    after = curl(site.pod_a, site.token_a, path, *flags)
    assert after.code == 200, after
    assert after.json() == online.json()


def test_kubectl(site, offline, namespace):
    """Tables are cached as they were asked for, and say that they come from the cache."""
    kubectl = Kubectl(site, site.pod_a, "reader", site.token_a)
    arguments = [["get", "configmaps", "-n", namespace], ["get", "pod", "pod-b", "-n", "apps", "-o", "yaml"],
                 ["get", "configmaps", "-n", namespace, "-o", "name"]]
    online = [kubectl.run(*words) for words in arguments]
    assert all(done.returncode == 0 for done in online), online
    offline()
    after = [kubectl.run(*words) for words in arguments]
    for before, done in zip(online, after):
        assert done.returncode == 0, done
        assert without_ages(done.stdout) == without_ages(before.stdout)
    assert "Warning:" in after[0].stderr, "a person is told"


def without_ages(text):
    """A Table's last column here is the object's age, which the server computed."""
    return [re.sub(r"\s+\d+[smh]\S*$", "", line) for line in text.splitlines()]


def test_custom_resources(site, clients, offline, namespace):
    """No schema is needed to keep a kind that nobody knows."""
    site.objects.custom_kind("gadgets", "Gadget")
    site.objects.allow("ServiceAccount", "apps/reader", [(["example.com"], ["gadgets"], ["get", "list", "watch"])], "gadgets")
    for number in range(3):
        site.objects.custom(namespace, "gadgets", "Gadget", f"gadget-{number}", {"deep": {"list": [1, {"two": None}, "drei"]}})
    where = {"group": "example.com", "version": "v1"}
    client = clients.go(site.pod_a, site.token_a, encoding="json")
    eventually(lambda: client.list("gadgets", namespace, **where)["count"] == 3)
    online = client.list("gadgets", namespace, full=True, **where)
    client.informer("gadgets", namespace, **where).wait("SYNCED")
    offline()
    assert client.list("gadgets", namespace, full=True, **where)["items"] == online["items"]
    assert client.get("gadgets", "gadget-1", namespace, **where)["spec"] == {"deep": {"list": [1, {"two": None}, "drei"]}}
    informer = clients.go(site.pod_a, site.token_a, encoding="json").informer("gadgets", namespace, **where)
    assert informer.wait("SYNCED")["count"] == 3


def test_plain_documents(site, clients, offline):
    """Discovery, OpenAPI and the version are what clients ask for first."""
    client = clients.go(site.pod_a, site.token_a, encoding="json")
    paths = ["/version", "/api", "/apis", "/api/v1", "/apis/apps/v1", "/openapi/v3"]
    online = {path: client.raw(path) for path in paths}
    offline()
    for path, before in online.items():
        assert client.raw(path)["body"] == before["body"], path


def test_host_process(site, cluster, agent, clients, offline, namespace):
    """A process of the node, with a token that is bound to no pod, and the kubelet with its certificate."""
    client = clients.go(site.host, site.token_host)
    kubelet = clients.go(site.host, site.kubelet)
    mark = cluster.audit.mark()
    online = client.names("configmaps", namespace)
    pods = kubelet.names("pods", fieldSelector="spec.nodeName=edge-1")
    assert {"pod-a", "pod-b"} <= set(pods)
    assert cluster.audit.count(since=mark, user="system:node:edge-1", resource="pods") == 1
    assert cluster.audit.sources(since=mark, user="system:node:edge-1") == {NODE_V4}
    assert set(client.peers()) == {f"{SERVICE_V4}:443"}
    offline()
    assert client.names("configmaps", namespace) == online
    assert kubelet.names("pods", fieldSelector="spec.nodeName=edge-1") == pods


def test_status_says_what_is_so(agent, offline):
    assert agent.command("status").returncode == 0
    assert agent.admin("/healthz")[0] == 200
    offline()
    assert agent.admin("/readyz")[0] == 200, "ready means: serving, also while the cloud is away"
    assert agent.metric("holdfast_link_up") == 0
    assert agent.metric("holdfast_link_transitions_total", to="offline") >= 1


def test_the_agent_itself_is_not_redirected(site, agent, namespace, clients):
    """A loop would show as the agent's own flows, and as requests that never end."""
    with agent.trace() as trace:
        client = clients.go(site.pod_a, site.token_a)
        client.names("configmaps", namespace)
        trace.wait("flow", flow_of(client))
        own = set(agent.pids())
        assert not [e for e in trace.events("flow") if e["pid"] in own and e["verdict"] == "redirected"]


def test_a_rule_leaves_a_program_alone(site, agent, clients, namespace):
    """Its first connection is spliced, since only then is its executable known; the next goes direct."""
    agent.configure(intercept={"rules": [{"executable": "*/hf-client", "action": "bypass"}]})
    try:
        with agent.trace() as trace:
            client = eventually(lambda: spliced_client(site, agent, clients, namespace), what="the rule to be in force")
            client.reconnect()
            client.names("configmaps", namespace)
            flow = trace.wait("flow", lambda e: flow_of(client)(e) and e["verdict"] == "direct")
            assert flow["reason"] == "rule_bypass"
            curl(site.pod_a, site.token_a, f"/api/v1/namespaces/{namespace}/configmaps")
            trace.wait("request", lambda e: e["namespace"] == namespace)
    finally:
        agent.configure(intercept={"rules": []})


def spliced_client(site, agent, clients, namespace):
    before = agent.metric("holdfast_connections_total", verdict="spliced", reason="rule_splice")
    client = clients.go(site.pod_a, site.token_a)
    assert client.names("configmaps", namespace)
    assert agent.metric("holdfast_connections_total", verdict="spliced", reason="rule_splice") > before
    return client
