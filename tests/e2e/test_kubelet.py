"""A real kubelet through a cut: it restarts offline, sees what it needs, and kills and revives nothing."""

import base64
import json
import random
import threading
import time

import pytest

from clients import curl
from conftest import new_agent
from kubelet import KubeletNode
from link import Cut
from process import eventually

NODE = "edge-2"
USER = f"system:node:{NODE}"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.fixture(scope="module")
def kubelet_credential(site):
    return site.certificate("kubelet-2", f"/O=system:nodes/CN={USER}")


@pytest.fixture(scope="module")
def agent(site, kubelet_credential):
    """An agent that holds this kubelet's key pair, too."""
    pairs = [{"cert": str(p.certificate), "key": str(p.key)} for p in (kubelet_credential.pair, site.kubelet.pair)]
    made = new_agent(site, upstream={"identities": pairs})
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture(scope="module")
def node(topology, cluster, agent, kubelet_credential):
    made = KubeletNode(topology, cluster, NODE, kubelet_credential)
    try:
        made.boot().wait_ready()
        yield made
    finally:
        made.close()


@pytest.fixture(autouse=True)
def online(link, agent):
    """Each test begins online, whatever the one before left."""
    agent.wait_online()


@pytest.fixture
def namespace(site, cluster):
    """What the pods of a test need: Secrets, ConfigMaps, and the CA's ConfigMap that a controller would publish."""
    name = site.namespace("kubelet")
    site.objects.config_map(name, "kube-root-ca.crt", {"ca.crt": cluster.ca_file.read_text()})
    site.objects.config_map(name, "settings", {"colour": "green"})
    cluster.api("POST", f"/api/v1/namespaces/{name}/secrets", {
        "metadata": {"name": "password"}, "data": {"word": base64.b64encode(b"swordfish").decode()}})
    return name


def pod(cluster, namespace, name, token=True, grace=0):
    """A pod for the kubelet, with all that it may need from the API server; returns its uid."""
    mount = lambda volume: {"name": volume, "mountPath": f"/{volume}"}  # noqa: E731
    made = cluster.api("POST", f"/api/v1/namespaces/{namespace}/pods", {
        "metadata": {"name": name},
        "spec": {"nodeName": NODE, "terminationGracePeriodSeconds": grace, "automountServiceAccountToken": token,
                 "tolerations": [{"operator": "Exists"}],
                 "volumes": [{"name": "secret", "secret": {"secretName": "password"}},
                             {"name": "settings", "configMap": {"name": "settings"}},
                             {"name": "maybe", "configMap": {"name": "not-there", "optional": True}}],
                 "containers": [{"name": "main", "image": "example.test/none:1", "imagePullPolicy": "IfNotPresent",
                                 "volumeMounts": [mount("secret"), mount("settings"), mount("maybe")],
                                 "env": [{"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings",
                                                                                             "key": "colour"}}}],
                                 "envFrom": [{"configMapRef": {"name": "neither", "optional": True}}]}]}})
    return made["metadata"]["uid"]


def check_whole(node, container):
    """Everything that the pod needs from the API server is there."""
    assert node.file(container, "/secret/word") == "swordfish"
    assert node.file(container, "/settings/colour") == "green"
    assert container["env"]["COLOUR"] == "green"
    assert container["env"]["KUBERNETES_SERVICE_HOST"] == "198.18.0.1", "Services are known"
    assert "BEGIN CERTIFICATE" in node.file(container, f"{ACCOUNT}/ca.crt")
    return node.file(container, f"{ACCOUNT}/token")


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.deadline(900)
def test_restart_and_reboot_without_a_link(site, cluster, agent, link, node, namespace):
    assert agent.metric("holdfast_requests_total", verb="create", resource="nodes") > 0, "it came up through the agent"
    assert agent.metric("holdfast_watches_open", state="live") >= 3
    uids = [pod(cluster, namespace, name) for name in ("one", "two")]
    tokens = {uid: check_whole(node, node.wait_running(uid)) for uid in uids}
    agent.wait_written()

    link.cut(Cut.REFUSED)
    agent.wait_offline()
    mark, calls = cluster.audit.mark(), len(node.calls())
    node.kill_kubelet()
    node.start_kubelet()
    eventually(lambda: agent.metric("holdfast_requests_total", resource="serviceaccounts", source="cache", code="201") >= 2,
               timeout=180, what="the kubelet to get its pods' tokens")
    node.running_kubelet()
    time.sleep(10)  # what it would kill or start it does in its first rounds
    assert node.calls(since=calls) == [], "the restart touched nothing"
    assert set(uids) <= set(node.running())
    assert agent.metric("holdfast_watches_open", state="held") > 0

    # The node is switched off and on: no container and no mount is left, all is made from what was cached.
    node.power_off()
    node.boot()
    for uid in uids:
        token = check_whole(node, node.wait_running(uid, timeout=240))
        assert token == tokens[uid]
        assert claims(token)["exp"] > time.time()
        assert claims(token)["kubernetes.io"]["pod"]["uid"] == uid
    assert cluster.audit.count(since=mark, user=USER) == 0

    calls, told = len(node.calls()), node.ready_since()
    link.restore()
    agent.wait_online()
    node.wait_ready(after=told)
    for name, uid in zip(("one", "two"), uids):
        alive = cluster.api("GET", f"/api/v1/namespaces/{namespace}/pods/{name}")
        assert alive["metadata"]["uid"] == uid and "deletionTimestamp" not in alive["metadata"]
    assert [c for c in node.calls(since=calls) if c["uid"] in uids] == [], "nothing was restarted"
    # What the kubelet told meanwhile came through, as the kubelet.
    eventually(lambda: cluster.audit.count(since=mark, user=USER, verb="create", resource="events", namespace=namespace),
               timeout=60, what="the Events of the outage")
    events = cluster.api("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
    assert {e["involvedObject"]["uid"] for e in events} >= set(uids)


@pytest.mark.deadline(1500)
def test_agent_killed_between_an_event_and_the_disk(site, cluster, agent, link, node, namespace):
    """Pods come and go; the agent dies at any moment; the kubelet restarts offline and goes by what was kept.

    Whatever the kubelet was told is on disk: it stops only what is really deleted, and starts nothing twice.
    """
    agent.reload(cache={"rules": [{"resource": "serviceaccounts/token", "action": "cache"}]})
    steady = pod(cluster, namespace, "steady")
    token = check_whole(node, node.wait_running(steady))
    agent.wait_written()
    chance = random.Random(20)
    for turn in range(3):
        churn = Churn(cluster, namespace, turn)
        churn.start()
        time.sleep(3 + 3 * chance.random())
        link.cut(Cut.DROPPED)
        agent.kill()
        churn.stop()
        time.sleep(8)  # the kubelet goes on with what it was told
        node.kill_kubelet()
        state = node.state()
        before = {c["uid"] for c in state["containers"] if c["state"] == "CONTAINER_RUNNING"}
        stopped = {c["uid"] for c in state["calls"] if c["what"] == "stop"} - before
        calls = len(state["calls"])

        agent.start()
        agent.wait_offline()
        node.start_kubelet()
        eventually(lambda: agent.metric("holdfast_requests_total", resource="serviceaccounts", source="cache", code="201"),
                   timeout=180, what="the kubelet to get the token of the steady pod")
        time.sleep(10)
        node.running_kubelet()
        exist = {p["metadata"]["uid"]: p for p in cluster.api("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]}
        dying = {uid for uid, p in exist.items() if "deletionTimestamp" in p["metadata"]}
        for call in node.calls(since=calls):
            uid = call["uid"]
            if call["what"] == "stop":
                assert uid not in exist or uid in dying, f"turn {turn}: killed a pod that nobody deleted: {call}"
            if call["what"] == "start":
                assert uid not in stopped | before, f"turn {turn}: revived: {call}"
        assert steady in node.running()

        told = node.ready_since()
        link.restore()
        agent.wait_online()
        node.wait_ready(after=told)
        eventually(lambda: not churn.uids() & set(node.running()) - set(churn.alive()), timeout=60,
                   what="the kubelet to follow what was deleted meanwhile")
    assert node.file(node.running()[steady], f"{ACCOUNT}/token") == token or turn, "a fresh one once online"
    assert not [c for c in node.calls() if c["uid"] == steady and c["what"] == "stop"]


class Churn:
    """Pods that are created and deleted, as fast as one administrator can, on a thread of its own."""

    def __init__(self, cluster, namespace, turn):
        self._administrator, self._namespace, self._turn = cluster.administrator(), namespace, turn
        self._cluster, self._uids, self._ended = cluster, set(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()

    def stop(self):
        self._ended.set()
        self._thread.join(30)

    def uids(self):
        return self._uids

    def alive(self):
        items = self._cluster.api("GET", f"/api/v1/namespaces/{self._namespace}/pods")["items"]
        return {item["metadata"]["uid"] for item in items}

    def _run(self):
        path, number = f"/api/v1/namespaces/{self._namespace}/pods", 0
        while not self._ended.is_set():
            self._uids.add(pod(self._administrator, self._namespace, f"churn-{self._turn}-{number}", token=False,
                               grace=number % 2))
            number += 1
            if number > 2:
                self._administrator.request("DELETE", f"{path}/churn-{self._turn}-{number - 3}")
            self._ended.wait(0.4)


# What can be asked for without a kubelet.

def token_request(uid, name, seconds=3607, audiences=()):
    spec = {"expirationSeconds": seconds, "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": name, "uid": uid}}
    if audiences:
        spec["audiences"] = list(audiences)
    return json.dumps({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec})


def post(client, path, body, **headers):
    return client.command("raw", path=path, method="POST", body=body, headers={"Content-Type": "application/json", **headers})


def test_a_token_is_replayed_to_the_same_request_alone(site, cluster, agent, offline, clients, kubelet_credential):
    namespace = site.namespace("token")
    made = site.objects.pod(namespace, "web", NODE)
    uid = made["metadata"]["uid"]
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    kubelet = clients.go(site.host, kubelet_credential)
    seen = agent.metric("holdfast_requests_total", resource="serviceaccounts", source="upstream")
    first = post(kubelet, path, token_request(uid, "web"))
    assert first["code"] == 201
    assert agent.metric("holdfast_requests_total", resource="serviceaccounts", source="upstream") > seen, "through the agent"
    given = json.loads(first["body"])["status"]
    offline()
    again = post(kubelet, path, token_request(uid, "web"))
    assert again["code"] == 201, again
    replayed = json.loads(again["body"])["status"]
    assert replayed["token"] == given["token"]
    assert replayed["expirationTimestamp"] >= given["expirationTimestamp"]
    for other in (token_request(uid, "web", seconds=3608), token_request(uid, "web", audiences=["vault"]),
                  token_request("another", "web"), token_request(uid, "web-2")):
        refused = post(kubelet, path, other)
        assert refused["code"] == 503, other
        assert "retry-after" not in refused["headers"]
    # Another kubelet of this node's agent gets nothing.
    assert post(clients.go(site.host, site.kubelet), path, token_request(uid, "web"))["code"] == 503
    dry = post(kubelet, path + "?dryRun=All", token_request(uid, "web"))
    assert dry["code"] == 503


def event(namespace, name="", generate="", reason="Testing"):
    metadata = {"namespace": namespace, **({"name": name} if name else {"generateName": generate})}
    return {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "reason": reason, "message": "a test",
            "type": "Normal", "involvedObject": {"kind": "Pod", "namespace": namespace, "name": "web"},
            "source": {"component": "test"}}


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_events_are_kept_and_sent_as_their_client(site, cluster, agent, link, offline, clients, encoding):
    namespace = site.namespace("events")
    site.objects.allow("ServiceAccount", "apps/reader", [([""], ["events"], ["create", "patch"])], f"events-{namespace}")
    client = clients.go(site.pod_a, site.token_a, encoding=encoding)
    create = lambda body: client.command("create", resource="events", namespace=namespace, object=body)["object"]  # noqa: E731
    create(event(namespace, name="online"))
    gone = clients.go(site.pod_b, site.token_b, encoding=encoding)
    gone.names("configmaps", namespace)
    offline()
    kept = create(event(namespace, name="kept"))
    assert kept["metadata"]["uid"] and kept["metadata"]["creationTimestamp"]
    assert kept["reason"] == "Testing"
    named = create(event(namespace, generate="made-"))["metadata"]["name"]
    assert named.startswith("made-") and len(named) == 10
    assert gone.command("create", resource="events", namespace=namespace, object=event(namespace, name="gone"))
    gone.close()
    # No more than that is made up.
    assert client.attempt("patch", resource="events", name="kept", namespace=namespace, patch={"count": 2})["code"] == 503
    elsewhere = curl(site.pod_a, site.token_a, f"/api/v1/namespaces/{namespace}/events?dryRun=All", "-X", "POST",
                     "-H", "Content-Type: application/json", "-d", json.dumps(event(namespace, name="dry")))
    assert elsewhere.code == 503 and "retry-after" not in elsewhere.headers
    mark = cluster.audit.mark()
    link.restore()
    agent.wait_online()

    def names():
        return {e["metadata"]["name"] for e in cluster.api("GET", f"/api/v1/namespaces/{namespace}/events")["items"]}

    eventually(lambda: names() >= {"online", "kept", named}, timeout=60, what=f"the Events; there are {names()}")
    assert names() == {"online", "kept", named}
    users = {e["user"]["username"] for e in cluster.audit.requests(since=mark, verb="create", resource="events",
                                                                    namespace=namespace)}
    assert users == {"system:serviceaccount:apps:reader"}
