"""Who may read what: offline nobody sees what the API server did not show them, online least of all."""

import base64
import json
import secrets
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients import curl
from process import eventually
from topology import NODE_V4

pytestmark = pytest.mark.usefixtures("agent")

USER_A = "system:serviceaccount:apps:reader"
USER_NODE = "system:node:edge-1"


@pytest.fixture
def namespace(site):
    name = site.namespace("access")
    site.objects.config_maps(name, 3)
    return name


def maps(namespace, name="", **query):
    path = f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")
    return path + ("?" + "&".join(f"{key}={value}" for key, value in query.items()) if query else "")


def token_of(credential):
    return Path(credential.token_file).read_text()


def assert_unavailable(answer):
    """The 503 of the design: a Status that says why, and no header that makes client-go wait."""
    assert answer.code == 503, answer
    assert "retry-after" not in answer.headers
    status = answer.json()
    assert (status["kind"], status["status"]) == ("Status", "Failure")
    assert status["message"]


# Principals


def test_other_principals_see_nothing(site, clients, offline, namespace):
    reader = clients.go(site.pod_a, site.token_a)
    shown = reader.names("configmaps", namespace)
    other = clients.go(site.pod_b, site.token_b)
    other.list("pods", "apps")  # known to the agent, but never shown the ConfigMaps
    offline()
    for path in (maps(namespace), maps(namespace, "item-00001"), maps(namespace, labelSelector="a=b"),
                 "/api/v1/configmaps", maps(namespace, watch=1, sendInitialEvents="true", timeoutSeconds=3,
                                            resourceVersionMatch="NotOlderThan", allowWatchBookmarks="true")):
        answer = curl(site.pod_b, site.token_b, path)
        assert answer.code == 503, (path, answer)
        assert '"data"' not in answer.body
        assert shown[2] not in answer.body, "not even a name that it did not ask for itself"
    assert clients.go(site.pod_b, site.token_b).list("pods", "apps")["count"] >= 2
    assert reader.names("configmaps", namespace) == shown


def forged(token):
    """Tokens that the API server would refuse, made from one that it accepts."""
    header, claims, signature = token.split(".")
    middle = len(signature) // 2
    flipped = "A" if signature[middle] != "A" else "B"
    yield "one changed byte", f"{header}.{claims}.{signature[:middle]}{flipped}{signature[middle + 1:]}"
    yield "a signature of its own", f"{header}.{claims}.{encode(secrets.token_bytes(256))}"
    other = json.loads(base64.urlsafe_b64decode(claims + "=="))
    other["sub"] = "system:serviceaccount:kube-system:admin"
    yield "other claims", f"{header}.{encode(json.dumps(other).encode())}.{signature}"
    unsigned = encode(b'{"alg":"none","typ":"JWT"}')
    yield "no algorithm", f"{unsigned}.{claims}."


def encode(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_forged_tokens_are_refused(site, clients, offline, namespace):
    clients.go(site.pod_a, site.token_a, encoding="json").names("configmaps", namespace)
    offline()
    for what, token in forged(token_of(site.token_a)):
        answer = curl(site.pod_a, site.token_a, maps(namespace), token=token)
        assert answer.code == 401, (what, answer)
        assert answer.json()["kind"] == "Status"
    made_up = curl(site.pod_a, site.token_a, maps(namespace), token="made-up")
    assert made_up.code == 401, made_up
    assert curl(site.pod_a, site.token_a, maps(namespace)).code == 200


def test_a_user_agent_is_no_credential(site, clients, offline, namespace):
    nobody = site.credential("nobody")
    clients.go(site.pod_a, site.token_a).names("configmaps", namespace)
    clients.go(site.host, site.kubelet).list("pods", fieldSelector="spec.nodeName=edge-1")
    offline()
    for place in (site.pod_a, site.host):
        for agent in ("kubelet", "kubelet/v1.37.2 (linux/amd64) kubernetes/0000000", "k3s/v1.30"):
            for path in (maps(namespace), "/api/v1/pods?fieldSelector=spec.nodeName%3Dedge-1"):
                answer = curl(place, nobody, path, user_agent=agent)
                assert answer.code in (401, 403, 503), answer
                assert "items" not in answer.body


def test_a_bound_token_works_in_its_own_pod_only(site, clients, offline, namespace):
    """A stolen token: offline it is worth nothing in another pod or on the node."""
    clients.go(site.pod_a, site.token_a, encoding="json").names("configmaps", namespace)
    offline()
    assert curl(site.pod_a, site.token_a, maps(namespace)).code == 200
    for place in (site.pod_b, site.host):
        answer = curl(place, site.token_a, maps(namespace))
        assert answer.code in (401, 503), answer


def test_tokens_and_node_certificates_stay_apart(site, cluster, clients, namespace):
    """x509 wins over a token at the API server: on a shared connection the pod would become the node."""
    pod, kubelet = clients.go(site.pod_a, site.token_a), clients.go(site.host, site.kubelet)
    python = clients.python(site.pod_a, site.token_a)
    mark = cluster.audit.mark()
    for number in range(30):
        pod.get("configmaps", f"item-0000{number % 3}", namespace)
        kubelet.get("pods", "pod-a", "apps")
        assert python.code(maps(namespace, "item-00000")) == 200
    assert cluster.audit.sources(since=mark, resource="configmaps", namespace=namespace) == {NODE_V4}
    users = {event["user"]["username"] for event in
             cluster.audit.requests(since=mark, resource="configmaps", verb="get", namespace=namespace)}
    assert users == {USER_A}
    users = {event["user"]["username"] for event in
             cluster.audit.requests(since=mark, resource="pods", verb="get", namespace="apps")}
    assert users == {USER_NODE}
    assert pod.who_am_i()["username"] == USER_A
    assert kubelet.who_am_i()["username"] == USER_NODE


def test_a_token_beside_a_certificate(site, clients):
    """What the API server decides holds: the client that presents both is the certificate's user."""
    both = site.credential("both", token_of(site.token_host), pair=site.kubelet.pair)
    assert clients.python(site.host, both).code("/api/v1/nodes/edge-1") == 200
    assert clients.go(site.host, both).who_am_i()["username"] == USER_NODE


def test_online_the_api_server_decides(site, clients, namespace):
    """What one was shown is never another's answer, not even while the line is whole."""
    clients.go(site.pod_a, site.token_a).names("configmaps", namespace)
    site.objects.service_account("apps", "nobody")
    token = site.credential("nobody-token", site.objects.token("apps", "nobody"))
    assert curl(site.host, token, maps(namespace)).code == 403
    assert curl(site.pod_a, site.token_a, maps(namespace), token="made-up").code == 401


@contextmanager
def granted(site, account, namespace):
    """A service account that may read ConfigMaps in one namespace until the block ends."""
    site.objects.service_account("apps", account)
    site.objects.allow("ServiceAccount", f"apps/{account}", [([""], ["configmaps"], ["get", "list", "watch"])],
                       account, namespace)
    yield site.credential(f"{account}-token", site.objects.token("apps", account))
    site.objects.forbid(account, namespace)


def test_a_fresh_403_purges(site, agent, offline, namespace):
    with granted(site, "leaver", namespace) as leaver:
        eventually(lambda: curl(site.host, leaver, maps(namespace)).code == 200)
        agent.wait_written()
    eventually(lambda: curl(site.host, leaver, maps(namespace)).code == 403)
    offline()
    answer = curl(site.host, leaver, maps(namespace))
    assert answer.code == 403, answer
    assert "item-0000" not in answer.body


# What follows from what was shown


def test_derived_answers(site, clients, offline):
    namespace = site.namespace("derived")
    site.objects.config_maps(namespace, 20, labels=lambda n: {"parity": str(n % 2), "tier": "front" if n < 5 else "back"})
    client = clients.go(site.pod_a, site.token_a)
    client.list("configmaps", namespace)
    offline()
    assert client.get("configmaps", "item-00004", namespace)["data"] == {"number": "4"}
    assert len(client.names("configmaps", namespace, labelSelector="parity=1")) == 10
    assert client.names("configmaps", namespace, labelSelector="parity=0,tier in (front)") == [
        "item-00000", "item-00002", "item-00004"]
    assert len(client.names("configmaps", namespace, labelSelector="tier!=front")) == 15
    assert client.names("configmaps", namespace, fieldSelector="metadata.name=item-00009") == ["item-00009"]
    missing = curl(site.pod_a, site.token_a, maps(namespace, "never-there"))
    assert missing.code == 404, "absence from a complete list that was shown"
    assert missing.json()["reason"] == "NotFound"


def test_a_namespace_out_of_all(site, clients, offline, namespace):
    # A principal of its own: whoever lists all namespaces is shown that the others' are empty.
    site.objects.service_account("apps", "everywhere")
    site.objects.allow("ServiceAccount", "apps/everywhere", [([""], ["configmaps"], ["get", "list"])], "everywhere")
    token = site.credential("everywhere-token", site.objects.token("apps", "everywhere"))
    client = clients.go(site.host, token)
    everywhere = client.list("configmaps")["count"]
    offline()
    assert client.list("configmaps")["count"] == everywhere
    assert client.names("configmaps", namespace) == ["item-00000", "item-00001", "item-00002"]
    assert client.get("configmaps", "item-00001", namespace)["data"] == {"number": "1"}


def test_one_get_is_not_a_list(site, clients, offline, namespace):
    client = clients.go(site.pod_a, site.token_a)
    client.get("configmaps", "item-00001", namespace)
    offline()
    assert client.get("configmaps", "item-00001", namespace)["data"] == {"number": "1"}
    assert_unavailable(curl(site.pod_a, site.token_a, maps(namespace)))
    assert_unavailable(curl(site.pod_a, site.token_a, maps(namespace, "item-00002")))


def test_a_404_is_remembered(site, clients, offline, namespace):
    """The kubelet needs it for optional ConfigMaps."""
    client = clients.go(site.pod_a, site.token_a)
    assert client.attempt("get", resource="configmaps", namespace=namespace, name="optional")["code"] == 404
    offline()
    assert client.attempt("get", resource="configmaps", namespace=namespace, name="optional")["code"] == 404


def test_never_asked_for_and_shown_empty(site, clients, offline):
    never, empty = site.namespace("never"), site.namespace("empty")
    client = clients.go(site.pod_a, site.token_a)
    assert client.list("configmaps", empty)["count"] == 0
    offline()
    assert client.list("configmaps", empty)["count"] == 0
    assert_unavailable(curl(site.pod_a, site.token_a, maps(never)))
    started = client.attempt("list", resource="configmaps", namespace=never)
    assert started["code"] == 503
    assert started["seconds"] < 5, "client-go must not be made to retry"


def test_writes_are_refused_offline(site, clients, offline, namespace):
    client = clients.go(site.pod_a, site.token_a)
    client.list("configmaps", namespace)
    offline()
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}}
    for op, more in (("create", {"object": made}), ("delete", {"name": "item-00000"}),
                     ("patch", {"name": "item-00000", "patch": {"data": {"a": "b"}}})):
        answer = client.attempt(op, resource="configmaps", namespace=namespace, **more)
        assert answer.get("code") == 503, (op, answer)
    assert len(client.names("configmaps", namespace)) == 3


def test_writes_show_in_what_is_served(site, clients, offline, namespace):
    """A write's answer updates what its principal is served: nobody reads older than what it wrote."""
    client = clients.go(site.pod_a, site.token_a)
    client.get("configmaps", "item-00000", namespace)
    client.command("patch", resource="configmaps", namespace=namespace, name="item-00000", patch={"data": {"new": "yes"}})
    offline()
    answer = client.attempt("get", resource="configmaps", namespace=namespace, name="item-00000")
    if answer["ok"]:
        assert answer["object"]["data"].get("new") == "yes"
    else:
        assert answer["code"] == 503


# Lists: pages, selectors, resourceVersions


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_pages_become_one_list(site, clients, offline, encoding):
    namespace = site.namespace("paged")
    site.objects.config_maps(namespace, 501)
    client = clients.go(site.pod_a, site.token_a, encoding=encoding)
    paged = client.list("configmaps", namespace, limit=90, allPages=True)
    assert (paged["count"], paged["pages"]) == (501, 6)
    offline()
    assert client.list("configmaps", namespace)["items"] == paged["items"]
    again = client.list("configmaps", namespace, limit=90, allPages=True)
    assert again["items"] == paged["items"], "limit may be ignored, objects may not"


def test_pages_that_were_not_all_read_are_no_list(site, clients, offline):
    namespace = site.namespace("partial")
    site.objects.config_maps(namespace, 30)
    client = clients.go(site.pod_a, site.token_a)
    first = client.list("configmaps", namespace, limit=10)
    assert first["count"] == 10
    offline()
    assert client.attempt("list", resource="configmaps", namespace=namespace)["code"] == 503
    answer = client.attempt("list", resource="configmaps", namespace=namespace, limit=10, **{"continue": first["continue"]})
    assert answer["code"] == 410


def test_selectors_side_by_side_and_after_a_restart(site, agent, clients, offline):
    namespace = site.namespace("selected")
    site.objects.config_maps(namespace, 120, labels=lambda n: {"group": "small" if n < 50 else "large", "odd": str(n % 2)})
    client = clients.go(site.pod_a, site.token_a)
    wanted = {"group=small": 50, "group=large": 70, "group=small,odd=1": 25}
    online = {}
    for selector, count in wanted.items():
        online[selector] = client.names("configmaps", namespace, labelSelector=selector)
        assert len(online[selector]) == count
    offline()
    for _ in range(2):
        for selector, names in online.items():
            assert client.names("configmaps", namespace, labelSelector=selector) == names, selector
        assert client.attempt("list", resource="configmaps", namespace=namespace)["code"] == 503
        derived = client.attempt("list", resource="configmaps", namespace=namespace, labelSelector="group=small,odd=0")
        assert derived.get("count") == 25 or derived.get("code") == 503
        agent.restart()
        client.reconnect()


@pytest.mark.parametrize("hard", [False, True], ids=["stopped", "killed"])
def test_all_is_there_after_an_offline_restart(site, agent, clients, offline, namespace, hard):
    client, kubelet = clients.go(site.pod_a, site.token_a), clients.go(site.host, site.kubelet)
    online = client.list("configmaps", namespace)
    pods = kubelet.names("pods", fieldSelector="spec.nodeName=edge-1")
    offline()
    agent.restart(hard)
    agent.wait_offline()
    client.reconnect()
    kubelet.reconnect()
    assert eventually(lambda: client.list("configmaps", namespace)["items"]) == online["items"]
    assert kubelet.names("pods", fieldSelector="spec.nodeName=edge-1") == pods
    answer = curl(site.pod_b, site.token_b, maps(namespace))
    assert answer.code == 503, "a restart widens nothing"


def test_resource_versions(site, clients, offline, namespace):
    client = clients.go(site.pod_a, site.token_a)
    listed = client.list("configmaps", namespace)
    version = listed["resourceVersion"]
    offline()

    def ask(**options):
        return client.attempt("list", resource="configmaps", namespace=namespace, **options)

    for served in ({}, {"resourceVersion": "0"}, {"resourceVersion": version},
                   {"resourceVersion": version, "resourceVersionMatch": "NotOlderThan"},
                   {"resourceVersion": version, "resourceVersionMatch": "Exact"}):
        answer = ask(**served)
        assert answer["ok"], (served, answer)
        assert (answer["count"], answer["resourceVersion"]) == (3, version)
    newer = str(int(version) + 1_000_000)
    answer = ask(resourceVersion=newer, resourceVersionMatch="NotOlderThan")
    assert answer["code"] == 504, answer
    answer = ask(resourceVersion=str(int(version) - 1), resourceVersionMatch="Exact")
    assert answer["code"] == 410, answer


def test_nothing_older_than_what_was_shown(site, agent, clients, offline, namespace):
    """A GET that showed a newer object is a floor: the older list is not served beside it."""
    client = clients.go(site.pod_a, site.token_a)
    client.list("configmaps", namespace)
    site.objects.replace_config_map(namespace, "item-00001", {"number": "newer"})
    assert client.get("configmaps", "item-00001", namespace)["data"] == {"number": "newer"}
    offline()
    assert client.get("configmaps", "item-00001", namespace)["data"] == {"number": "newer"}
    answer = client.attempt("list", resource="configmaps", namespace=namespace, full=True)
    if answer["ok"]:
        data = {item["metadata"]["name"]: item["data"] for item in answer["items"]}
        assert data["item-00001"] == {"number": "newer"}
    else:
        assert answer["code"] in (503, 504)


@pytest.mark.deadline(300)
def test_a_namespace_that_is_made_anew(site, cluster, agent, link, offline):
    """The same namespace and account by name, others in truth: nothing of before is shown."""
    namespace = site.namespace("anew")
    path = f"/api/v1/namespaces/{namespace}/configmaps"

    def tenant(which):
        site.objects.service_account(namespace, "tenant")
        site.objects.allow("ServiceAccount", f"{namespace}/tenant", [([""], ["configmaps"], ["get", "list", "watch"])],
                           "tenant", namespace=namespace)
        site.objects.config_map(namespace, f"of-the-{which}")
        return site.credential(f"{namespace}-{which}", site.objects.token(namespace, "tenant"))

    first = tenant("first")
    eventually(lambda: "of-the-first" in curl(site.host, first, path).body)
    cluster.start_controller_manager(("namespace-controller",))
    try:
        cluster.api("DELETE", f"/api/v1/namespaces/{namespace}")
        eventually(lambda: cluster.request("GET", f"/api/v1/namespaces/{namespace}")[0] == 404, timeout=120,
                   what="the namespace to be gone")
    finally:
        cluster.stop_controller_manager()
    site.objects.namespace(namespace)
    second = tenant("second")
    offline()
    unknown = curl(site.host, second, path)
    assert unknown.code in (401, 503) and "of-the" not in unknown.body
    link.restore()
    agent.wait_online()
    eventually(lambda: "of-the-second" in curl(site.host, second, path).body)
    offline()
    shown = curl(site.host, second, path)
    assert shown.code == 200 and "of-the-second" in shown.body and "of-the-first" not in shown.body
