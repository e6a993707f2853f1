"""The harness itself, with no agent: clients reach the API server, each cut stops them, restoring heals."""

import pytest

import tunnels
from clients import curl
from kubectl import Kubectl
from link import Cut
from process import eventually
from topology import SERVICE_V4, SERVICE_V6

ALL_CUTS = pytest.mark.parametrize("how", list(Cut), ids=lambda cut: cut.value)


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
@pytest.mark.parametrize("http1", [False, True], ids=["h2", "h1"])
def test_client_go_reads(site, clients, encoding, http1):
    namespace = site.namespace()
    site.objects.config_maps(namespace, 25)
    client = clients.go(site.pod_a, site.token_a, encoding=encoding, http1=http1)

    assert client.get("configmaps", "item-00007", namespace)["data"] == {"number": "7"}
    pages = client.list("configmaps", namespace, limit=10, allPages=True)
    assert (pages["count"], pages["pages"]) == (25, 3)
    raw = client.raw(f"/api/v1/namespaces/{namespace}/configmaps/item-00001")
    assert raw["protocol"] == ("HTTP/1.1" if http1 else "HTTP/2.0")

    watch = client.watch("configmaps", namespace, resourceVersion=pages["resourceVersion"])
    watch.wait("OPEN")
    site.objects.config_map(namespace, "fresh")
    watch.wait("ADDED", "fresh")
    site.objects.delete_config_map(namespace, "fresh")
    watch.wait("DELETED", "fresh")
    assert set(client.peers()) == {f"{SERVICE_V4}:443"}
    assert watch.stop()["end"] == "stopped"


@pytest.mark.parametrize("watch_list", [False, True], ids=["list", "watchlist"])
@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_informer(site, cluster, clients, encoding, watch_list):
    namespace = site.namespace()
    site.objects.config_maps(namespace, 5)
    client = clients.go(site.pod_a, site.token_a, encoding=encoding, watch_list=watch_list)
    mark = cluster.audit.mark()
    informer = client.informer("configmaps", namespace)
    assert informer.wait("SYNCED")["count"] == 5
    site.objects.replace_config_map(namespace, "item-00002", {"number": "new"})
    informer.wait("MODIFIED", "item-00002")

    lists = cluster.audit.count(since=mark, verb="list", namespace=namespace, resource="configmaps")
    assert lists == (0 if watch_list else 1)
    user = "system:serviceaccount:apps:reader"
    assert cluster.audit.count(since=mark, verb="watch", user=user, namespace=namespace) == 1


def test_writes_and_identity(site, clients):
    namespace = site.namespace()
    for encoding in ("protobuf", "json"):
        client = clients.go(site.pod_a, site.token_a, encoding=encoding)
        name = f"made-{encoding}"
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}}
        created = client.command("create", resource="configmaps", namespace=namespace, object=made)["object"]
        created["data"]["a"] = "2"
        client.command("update", resource="configmaps", namespace=namespace, name=name,
                       object={"apiVersion": "v1", "kind": "ConfigMap", **created})
        client.command("patch", resource="configmaps", namespace=namespace, name=name, patch={"data": {"b": "3"}})
        assert client.get("configmaps", name, namespace)["data"] == {"a": "2", "b": "3"}
        client.command("delete", resource="configmaps", namespace=namespace, name=name)
        assert client.attempt("get", resource="configmaps", namespace=namespace, name=name)["code"] == 404
        me = client.who_am_i()
        assert me["username"] == "system:serviceaccount:apps:reader"
        assert me["extra"]["authentication.kubernetes.io/pod-uid"] == [site.pod_a.uid]


def test_service_accounts_see_what_they_may(site, clients):
    client = clients.go(site.pod_b, site.token_b)
    assert client.attempt("list", resource="secrets", namespace="apps")["code"] == 403


def test_client_certificates(site, clients):
    kubelet = clients.go(site.host, site.kubelet)
    assert kubelet.who_am_i()["username"] == "system:node:edge-1"
    assert kubelet.list("pods", fieldSelector="spec.nodeName=edge-1")["count"] >= 2


@pytest.mark.parametrize("flags, address, peer", [
    ([], SERVICE_V4, f"{SERVICE_V4}:443"),
    ([], SERVICE_V6, f"[{SERVICE_V6}]:443"),
    (["--v4-mapped"], SERVICE_V4, f"[::ffff:{SERVICE_V4}]:443"),
    (["--source-port=40123"], SERVICE_V4, f"{SERVICE_V4}:443"),
], ids=["ipv4", "ipv6", "v4-mapped", "source-port"])
def test_python(site, clients, flags, address, peer):
    namespace = site.namespace()
    site.objects.config_map(namespace, "one")
    client = clients.python(site.pod_a, site.token_a, *flags, address=address)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    listed = client.get(path)
    assert [item["metadata"]["name"] for item in listed["items"]] == ["one"]
    assert client.peers() == [peer]
    if not flags:
        watch = client.watch(f"{path}?watch=1&resourceVersion={listed['metadata']['resourceVersion']}")
        watch.wait("OPEN")
        site.objects.config_map(namespace, "two")
        watch.wait("ADDED", "two")
        watch.stop()


@pytest.mark.parametrize("flags, host", [
    (["--http1.1"], f"https://{SERVICE_V4}"), (["--http2"], f"https://{SERVICE_V4}"), ([], f"https://[{SERVICE_V6}]"),
], ids=["h1", "h2", "ipv6"])
def test_curl(site, flags, host):
    answer = curl(site.pod_b, site.token_b, "/api/v1/namespaces/apps/pods", *flags, host=host)
    assert answer.code == 200, answer
    assert {item["metadata"]["name"] for item in answer.json()["items"]} >= {"pod-a", "pod-b"}
    assert curl(site.pod_b, site.token_b, "/api/v1/pods", token="made-up").code == 401


def test_kubectl(site, cluster):
    listed = cluster.kubectl("get", "pods", "-n", "apps", "-o", "name", check=True)
    assert "pod/pod-a" in listed.stdout.split()


@pytest.mark.parametrize("websockets", [True, False], ids=["websocket", "spdy"])
def test_tunnels(site, websockets):
    kubectl = Kubectl(site, site.pod_a, "tunnels", site.token_a, websockets)
    tunnels.everything(kubectl, site.pod_a.netns)


def test_processes_are_where_they_should_be(site, clients):
    client = clients.go(site.pod_a, site.token_a)
    with open(f"/proc/{client.pid}/cgroup", encoding="ascii") as file:
        path = next(line for line in file if line.startswith("0::"))
    assert path.strip().endswith(f"/kubepods/burstable/pod{site.pod_a.uid}/{site.pod_a.container}")


@ALL_CUTS
def test_cuts_break_and_heal(site, link, clients, how):
    namespace = site.namespace()
    site.objects.config_map(namespace, "before")
    idle = clients.go(site.pod_a, site.token_a)  # holds a connection open across the cut
    python = clients.python(site.pod_a, site.token_a)
    path = f"/api/v1/namespaces/{namespace}/configmaps/before"
    assert idle.get("configmaps", "before", namespace)["data"]
    assert python.get(path)["data"]

    link.cut(how)
    assert not idle.attempt("get", timeout=4, resource="configmaps", namespace=namespace, name="before")["ok"]
    answer = curl(site.pod_b, site.token_b, path, timeout=3)
    assert answer.code == 0
    assert answer.exit == (28 if how is Cut.DROPPED else 7), answer  # timed out, or refused
    site.objects.config_map(namespace, "during")  # the cloud goes on without the node

    link.restore()
    for client in (idle, python):
        client.reconnect()
    assert eventually(lambda: idle.names("configmaps", namespace) == ["before", "during"], timeout=40)
    assert eventually(lambda: python.code(path) == 200, timeout=40)


def test_reset_ends_an_open_watch(site, link, clients):
    watch = clients.python(site.pod_a, site.token_a).watch("/api/v1/namespaces/apps/pods?watch=1")
    watch.wait("OPEN")
    link.cut(Cut.RESET)
    watch.wait_end(timeout=10)


@pytest.mark.parametrize("watch_list", [False, True], ids=["list", "watchlist"])
@ALL_CUTS
def test_informers_stall_and_catch_up(site, link, clients, how, watch_list):
    namespace = site.namespace()
    site.objects.config_map(namespace, "before")
    informer = clients.go(site.pod_a, site.token_a, watch_list=watch_list).informer("configmaps", namespace)
    informer.wait("SYNCED")
    link.cut(how)
    site.objects.config_map(namespace, "during")
    assert "during" not in informer.names("ADDED")
    link.restore()
    informer.wait("ADDED", "during", timeout=90)


def test_api_server_dies_and_comes_back(site, cluster, clients):
    namespace = site.namespace()
    site.objects.config_map(namespace, "kept")
    client = clients.go(site.pod_a, site.token_a)
    assert client.names("configmaps", namespace) == ["kept"]
    cluster.kill()
    assert not client.attempt("list", timeout=3, resource="configmaps", namespace=namespace)["ok"]
    cluster.start_apiserver()
    assert eventually(lambda: client.names("configmaps", namespace) == ["kept"], timeout=40)


def test_controllers(site, cluster):
    """A namespace gets its service account and the CA from the real controllers."""
    cluster.start_controller_manager()
    try:
        cluster.api("POST", "/api/v1/namespaces", {"metadata": {"name": "controlled"}})
        base = "/api/v1/namespaces/controlled"
        eventually(lambda: cluster.request("GET", f"{base}/serviceaccounts/default")[0] == 200, timeout=60)
        eventually(lambda: cluster.request("GET", f"{base}/configmaps/kube-root-ca.crt")[0] == 200, timeout=60)
        assert cluster.api("GET", "/api/v1/namespaces/apps/pods/pod-a"), "nobody deletes pods behind the test's back"
    finally:
        cluster.stop_controller_manager()


def test_nothing_leads_out_of_the_machine(site):
    for place in (site.pod_a, site.host, site.topology.cloud):
        assert curl(place, site.token_a, "/", host="https://198.51.100.1", timeout=1).code == 0
