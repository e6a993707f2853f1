"""The serving certificate by CertificateSigningRequest, with the real signer, and `holdfast approver`."""

import base64
import re
import time

import pytest

from administrator import Administrator
from agent import LISTEN
from approver import LABEL, Approver, opt_in
from clients import curl
from cluster import SERVER_NAMES
from conftest import new_agent
from edge import NODE
from link import Cut
from process import eventually, run, run_in, tail
from topology import NODE_V4, SERVICE_V4

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SIGNER = "kubernetes.io/kubelet-serving"
USAGES = ["digital signature", "key encipherment", "server auth"]
PATH = "/api/v1/namespaces/apps/configmaps"
ALL_NAMES = [*SERVER_NAMES, *(f"IP:{address}" for address in LISTEN)]


@pytest.fixture(scope="module", autouse=True)
def controllers(cluster):
    cluster.start_controller_manager()
    yield
    cluster.stop_controller_manager()


@pytest.fixture(scope="module")
def approver(site):
    made = Approver(site)
    yield made
    print(tail(made.log, 60))
    made.close()


@pytest.fixture(scope="module")
def agent(site):
    """One that asks the cluster for its certificate; a test starts it."""
    made = new_agent(site)
    made.config["tls"] = {"source": "csr", "lifetime": "10m"}  # and no CA's key
    made.configure()
    yield made
    made.close()


@pytest.fixture
def running(agent, approver, cluster):
    """The agent with a certificate."""
    opt_in(cluster, NODE)
    if approver.process is None:
        approver.start()
    if agent.process is None or agent.process.poll() is not None:
        agent.start()
    return agent


def state_of(agent):
    try:
        return agent.status()["intercept"]["certificate"]
    except ValueError:  # it does not answer yet
        return ""


def sources(cluster, since):
    return cluster.audit.sources(since=since, user="system:serviceaccount:apps:reader", namespace="apps")


def read_once(site, cluster):
    """A read from pod-a; returns where it came from in the API server's eyes."""
    mark = cluster.audit.mark()
    assert curl(site.pod_a, site.token_a, PATH).code == 200
    return eventually(lambda: sources(cluster, mark))


def conditions(cluster, name):
    return [c["type"] for c in cluster.api("GET", f"{REQUESTS}/{name}")["status"].get("conditions", [])]


def served(place, credential):
    """Subject and dates of the certificate that a client in the place meets, as curl writes them.

    Whoever hangs up before its first request, as `openssl s_client` would, is spliced from then on.
    """
    shown = run_in(place, ["curl", "-sSv", "-o", "/dev/null", "--cacert", credential.ca_file,
                           f"https://{SERVICE_V4}/version"], check=True)
    return [line.split(":", 1)[1].strip() for line in shown.stderr.splitlines()
            if re.match(r"\*\s+(subject|start date|expire date):", line)]


def test_a_node_cannot_opt_itself_in(site, cluster):
    """Why the label is under node-restriction.kubernetes.io."""
    kubelet = as_user(cluster, site.kubelet.pair)
    code, answer = kubelet.request("PATCH", f"/api/v1/nodes/{NODE}", {"metadata": {"labels": {LABEL: "enabled"}}},
                                   content_type="application/merge-patch+json")
    assert code == 403 and "is not allowed to modify labels" in answer["message"], answer


def test_nothing_is_redirected_until_it_is_issued(site, cluster, agent, approver):
    agent.start(ready=False)
    state = eventually(lambda: re.search(r"kubectl certificate approve (\S+)", state_of(agent)), 60,
                       what=f"a request\n{tail(agent.log)}")
    name = state[1]
    request = cluster.api("GET", f"{REQUESTS}/{name}")
    assert request["spec"]["signerName"] == SIGNER
    assert request["spec"]["username"] == f"system:node:{NODE}"
    assert request["spec"]["expirationSeconds"] == 600
    assert sorted(request["spec"]["usages"]) == sorted(USAGES)

    assert read_once(site, cluster) == {site.pod_a.address}, "not redirected"
    status = agent.command("status")
    assert status.returncode == 1
    assert f"kubectl certificate approve {name}" in status.stdout
    assert agent.admin("/readyz")[0] == 503

    # Who approves is there, but the node is not opted in.
    approver.start()
    eventually(lambda: approver.lines_about(name), 60)
    assert "not opted in" in approver.lines_about(name)[0]
    assert conditions(cluster, name) == []
    opt_in(cluster, NODE)
    eventually(agent.is_ready, 120, what=f"the certificate\n{tail(agent.log)}\n{tail(approver.log)}")
    assert conditions(cluster, name) == ["Approved"]
    eventually(lambda: read_once(site, cluster) == {NODE_V4}, 30, what="the redirection")
    assert f"CN=system:node:{NODE}" in served(site.pod_a, site.token_a)[0]
    assert "valid until" in state_of(agent)
    for line in ("awaiting approval", "valid until"):
        assert len([text for text in agent.log.read_text().splitlines() if line in text]) == 1, line
    file = agent.dir / "cache" / "tls" / "serving.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_restart_offline_serves(site, running, link):
    assert curl(site.pod_a, site.token_a, PATH).code == 200
    before = served(site.pod_a, site.token_a)
    running.wait_written()
    link.cut(Cut.REFUSED)
    running.wait_offline()
    running.restart(hard=True)
    assert eventually(lambda: curl(site.pod_a, site.token_a, PATH).code == 200, 30)
    assert served(site.pod_a, site.token_a) == before
    link.restore()
    running.wait_online()


def test_renewed_with_no_failed_request(site, cluster, approver, running, clients):
    """It starts with one that is near its end, and has the next one before that."""
    running.stop()
    approver.stop()
    now = time.time()
    stamp = lambda seconds: time.strftime("%Y%m%d%H%M%SZ", time.gmtime(now + seconds))  # noqa: E731
    old = cluster.ca.issue("near-its-end", f"/O=system:nodes/CN=system:node:{NODE}", server_names=ALL_NAMES,
                           not_before=stamp(-3600), not_after=stamp(600))
    file = running.dir / "cache" / "tls" / "serving.pem"
    former = old.certificate.read_text() + old.key.read_text()
    file.write_text(former)
    running.start()
    first = served(site.pod_a, site.token_a)
    mark = cluster.audit.mark()
    kept = clients.python(site.pod_a, site.token_a)  # a connection across the renewal
    watch = clients.python(site.pod_b, site.token_b).watch(f"{PATH}?watch=1")
    watch.wait("OPEN")
    approver.start()
    codes, after = [], 0
    deadline = time.monotonic() + 120
    while after < 20 and time.monotonic() < deadline:
        codes += [curl(site.pod_a, site.token_a, PATH).code, kept.code(PATH)]
        after += file.read_text() != former
    assert after >= 20, f"not renewed\n{tail(running.log)}\n{tail(approver.log)}"
    assert set(codes) == {200}, codes
    assert served(site.pod_a, site.token_a) != first
    assert sources(cluster, mark) == {NODE_V4}, "no request went around the agent"
    assert watch.end is None
    site.objects.config_map("apps", "after-renewal")
    watch.wait("ADDED", "after-renewal")


def as_user(cluster, pair):
    return Administrator(cluster.place.netns, SERVICE_V4, cluster.port, cluster.ca_file, pair)


class Requests:
    """CertificateSigningRequests as any user may make them."""

    def __init__(self, site, folder):
        self._cluster, self._folder, self._count = site.cluster, folder, 0
        self._users = {NODE: site.kubelet.pair}

    def user(self, node):
        if node not in self._users:
            self._users[node] = self._cluster.ca.issue(f"node-{node}", f"/O=system:nodes/CN=system:node:{node}")
        return as_user(self._cluster, self._users[node])

    def make(self, by=NODE, subject=None, names=ALL_NAMES, usages=USAGES, seconds=600, user=None):
        """The code of the answer, and the name of the request."""
        self._count += 1
        key, file = self._folder / f"{self._count}.key", self._folder / f"{self._count}.csr"
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
            "-subj", subject or f"/O=system:nodes/CN=system:node:{by}", "-out", file,
            "-addext", "subjectAltName=" + ",".join(names))
        spec = {"signerName": SIGNER, "usages": usages, "request": base64.b64encode(file.read_bytes()).decode()}
        if seconds:
            spec["expirationSeconds"] = seconds
        name = f"made-{self._folder.name}-{self._count:03}".replace("_", "-")
        code, answer = (user or self.user(by)).request("POST", REQUESTS, {"metadata": {"name": name}, "spec": spec})
        return code, name, answer


@pytest.fixture
def requests(site, tmp_path):
    return Requests(site, tmp_path)


def test_others_are_left_alone(site, cluster, approver, requests):
    opt_in(cluster, NODE)
    for node, labels in (("edge-2", {}), ("edge-3", {LABEL: "disabled"}),
                         ("edge-4", {LABEL: "enabled", "node-role.kubernetes.io/control-plane": ""})):
        site.objects.node(node)
        cluster.api("PATCH", f"/api/v1/nodes/{node}", {"metadata": {"labels": labels}},
                    content_type="application/merge-patch+json")
    if approver.process is None:
        approver.start()
    administrator = as_user(cluster, cluster.admin)
    alone = {
        "one name too many": requests.make(names=[*ALL_NAMES, "DNS:kubernetes.evil"]),
        "one address too many": requests.make(names=[*ALL_NAMES, "IP:198.18.0.9"]),
        "from another user": requests.make(user=administrator),
        "not opted in": requests.make(by="edge-2"),
        "opted out": requests.make(by="edge-3"),
        "control plane": requests.make(by="edge-4"),
        "no such node": requests.make(by="ghost"),
        "too long": requests.make(seconds=31 * 24 * 3600),
        "no lifetime": requests.make(seconds=None),
        "another usage": requests.make(usages=[*USAGES, "client auth"]),
        "another organization": requests.make(subject=f"/O=system:masters/CN=system:node:{NODE}"),
    }
    for what, (code, name, answer) in alone.items():
        if what == "another organization":  # NodeRestriction may look at it first
            continue
        assert code == 201, (what, answer)
    # A node can't even ask in another's name; whoever can is no node.
    code, _, answer = requests.make(subject="/O=system:nodes/CN=system:node:edge-2")
    assert code == 403, answer
    alone["another common name"] = requests.make(subject="/O=system:nodes/CN=system:node:edge-2", user=administrator)

    code, good, _ = requests.make()
    assert code == 201
    eventually(lambda: conditions(cluster, good) == ["Approved"], 60, what=f"approval\n{tail(approver.log)}")
    issued = eventually(lambda: cluster.api("GET", f"{REQUESTS}/{good}")["status"].get("certificate"), 60)
    assert base64.b64decode(issued).startswith(b"-----BEGIN CERTIFICATE-----")
    for what, (code, name, _) in alone.items():
        if code != 201:
            continue
        eventually(lambda: approver.lines_about(name), 60, what=f"a line about {what}")
        assert conditions(cluster, name) == [], what
        assert len(approver.lines_about(name)) == 1, approver.lines_about(name)
        assert "left alone" in approver.lines_about(name)[0]


def test_the_approver_can_do_nothing_else(cluster, approver):
    """Its account approves for one signer, and changes nothing but approvals."""
    for verb, group, resource, name, allowed in (
        ("approve", "certificates.k8s.io", "signers", SIGNER, True),
        ("approve", "certificates.k8s.io", "signers", "kubernetes.io/kube-apiserver-client", False),
        ("create", "certificates.k8s.io", "certificatesigningrequests", "", False),
        ("delete", "certificates.k8s.io", "certificatesigningrequests", "x", False),
        ("get", "", "nodes", NODE, True),
        ("patch", "", "nodes", NODE, False),
        ("list", "", "secrets", "", False),
    ):
        review = cluster.api("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": {
            "user": "system:serviceaccount:kube-system:holdfast-approver", "groups": ["system:serviceaccounts"],
            "resourceAttributes": {"verb": verb, "group": group, "resource": resource, "name": name}}})
        assert review["status"]["allowed"] is allowed, (verb, resource, name)
