"""Client certificates: bridged when their key is on this node, else left alone; and nobody borrows one."""

import base64
import json

import pytest

from clients import curl
from conftest import new_agent
from edge import NODE
from pki import write_kubeconfig
from process import run
from topology import SERVICE_V4

SUBJECT = f"/O=system:nodes/CN=system:node:{NODE}"


class Store:
    """A kubelet's pki folder: kubelet-client-current.pem is a link to the newest pair."""

    def __init__(self, folder):
        folder.mkdir()
        self._folder, self._count = folder, 0
        self.current = folder / "kubelet-client-current.pem"

    def rotate(self, pair):
        """As the kubelet does it: the new pair in a file of its own, then the link is moved."""
        self._count += 1
        path = self._folder / f"kubelet-client-{self._count}.pem"
        path.write_text(pair.certificate.read_text() + pair.key.read_text())
        fresh = self._folder / "kubelet-client-updated.pem"
        fresh.symlink_to(path)
        fresh.rename(self.current)


@pytest.fixture(scope="module")
def store(site):
    made = Store(site.folder / "pki")
    made.rotate(site.kubelet.pair)
    return made


class Inline:
    """A kubeconfig with its key pair in base64, as kubeadm writes them."""

    def __init__(self, path, ca_file):
        self.path, self._ca_file = path, ca_file

    def write(self, pair):
        write_kubeconfig(self.path.with_suffix(".new"), f"https://{SERVICE_V4}", self._ca_file, pair)
        config = json.loads(self.path.with_suffix(".new").read_text())
        config["users"][0]["user"] = {
            "client-certificate-data": base64.b64encode(pair.certificate.read_bytes()).decode(),
            "client-key-data": base64.b64encode(pair.key.read_bytes()).decode()}
        self.path.with_suffix(".new").write_text(json.dumps(config))
        self.path.with_suffix(".new").rename(self.path)


@pytest.fixture(scope="module")
def inline(site, cluster):
    made = Inline(site.folder / "kubelet.conf", cluster.ca_file)
    made.write(site.certificate("inline-1", SUBJECT).pair)
    return made


@pytest.fixture(scope="module")
def agent(site, store, inline):
    made = new_agent(site, upstream={"identities": [{"cert": str(store.current), "key": str(store.current)}],
                                     "kubeconfig": str(inline.path)})
    try:
        yield made.start()
    finally:
        made.close()


def fingerprint(pair):
    text = run("openssl", "x509", "-in", pair.certificate, "-noout", "-fingerprint", "-sha256").stdout
    return text.partition("=")[2].strip().replace(":", "").lower()


def presented(cluster, mark, **filters):
    """The fingerprints of the certificates that requests after the mark were made with."""
    found = set()
    for event in cluster.audit.requests(since=mark, **filters):
        for value in event["user"].get("extra", {}).get("authentication.kubernetes.io/credential-id", []):
            found.add(value.lower().rpartition("=")[2])
    return found


def test_a_rotated_pair_is_used_at_once(site, cluster, agent, clients, store):
    """Connections that are open go on with the pair that they began with; new ones use the new one."""
    first, second = site.kubelet, site.certificate("kubelet-2", SUBJECT)
    old = clients.go(site.host, first)
    mark = cluster.audit.mark()
    old.get("nodes", NODE)
    watch = old.watch("pods", fieldSelector=f"spec.nodeName={NODE}")
    watch.wait("OPEN")
    assert presented(cluster, mark, user=f"system:node:{NODE}") == {fingerprint(first.pair)}

    store.rotate(second.pair)
    mark = cluster.audit.mark()
    new = clients.go(site.host, second)
    new.get("nodes", NODE)
    assert presented(cluster, mark, user=f"system:node:{NODE}") == {fingerprint(second.pair)}
    mark = cluster.audit.mark()
    old.get("nodes", NODE)
    old.reconnect()
    old.get("nodes", NODE)
    assert presented(cluster, mark, user=f"system:node:{NODE}") == {fingerprint(first.pair)}
    assert agent.metric("holdfast_connections_total", reason="unknown_certificate") == 0
    assert set(new.peers()) == {f"{SERVICE_V4}:443"}


def test_a_pair_inside_a_kubeconfig(site, cluster, agent, clients, inline):
    """It is followed when the file changes."""
    for number in (2, 3):
        credential = site.certificate(f"inline-{number}", SUBJECT)
        inline.write(credential.pair)
        mark = cluster.audit.mark()
        clients.go(site.host, credential).get("nodes", NODE)
        assert fingerprint(credential.pair) in presented(cluster, mark, resource="nodes", name=NODE)
    assert agent.metric("holdfast_connections_total", reason="unknown_certificate") == 0


def test_nobody_borrows_the_nodes_certificate(site, cluster, agent, clients):
    """Without a credential one is anonymous, and with a wrong token nobody, whatever is open upstream."""
    clients.go(site.host, site.kubelet).get("nodes", NODE)  # the node's connection is there to be borrowed
    nobody = site.credential("no-token")
    for place in (site.host, site.pod_a):
        mark = cluster.audit.mark()
        answer = curl(place, nobody, f"/api/v1/nodes/{NODE}")
        assert answer.code == 403
        assert 'User \\"system:anonymous\\"' in answer.body
        users = {event["user"].get("username") for event in cluster.audit.requests(since=mark, path="/api/v1/nodes")}
        assert users == {"system:anonymous"}
        assert curl(place, nobody, f"/api/v1/nodes/{NODE}", token="not.a.token").code == 401
    assert curl(site.host, nobody, "/version").code == 200


def spliced(agent):
    return agent.status()["spliced"]


def test_a_certificate_without_its_key_is_left_alone(site, cluster, agent, clients):
    """Closed once, spliced from then on, also by the next agent; and people can see it."""
    stranger = site.certificate("stranger", "/O=system:masters/CN=stranger")
    path = "/api/v1/namespaces/apps/configmaps"
    first = curl(site.pod_b, stranger, path)
    assert first.code == 0, "closed once"
    with agent.trace() as trace:
        mark = cluster.audit.mark()
        assert curl(site.pod_b, stranger, path).code == 200
        flow = trace.wait("flow", lambda e: e["verdict"] == "spliced")
        assert flow["reason"] == "unknown_certificate"
        assert flow["executable"].endswith("curl")
        assert site.pod_b.uid in flow["cgroup"]
        assert flow["original"] == f"{SERVICE_V4}:443"
        closed = trace.wait("flow", lambda e: e["verdict"] == "spliced" and e["duration_ms"] is not None)
        assert closed["reason"] == "unknown_certificate"
    assert cluster.audit.count(since=mark, user="stranger") == 1
    assert presented(cluster, mark, user="stranger") == {fingerprint(stranger.pair)}

    [known] = spliced(agent)
    assert known["executable"].endswith("curl")
    assert known["workload"] == f"pod {site.pod_b.uid}"
    assert known["reason"] == "unknown_client_certificate"
    assert known["certificate"] == fingerprint(stranger.pair)
    assert known["until"] > agent.status()["time"]
    assert "unknown_client_certificate" in agent.command("status").stdout
    assert curl(site.pod_a, site.token_a, path).code == 200, "another workload with that executable is not meant"
    assert len(spliced(agent)) == 1

    agent.restart()
    agent.restart(hard=True)
    assert [client["workload"] for client in spliced(agent)] == [f"pod {site.pod_b.uid}"]
    assert curl(site.pod_b, stranger, path).code == 200, "not closed again"
    assert agent.metric("holdfast_connections_total", verdict="spliced", reason="unknown_certificate") == 1
