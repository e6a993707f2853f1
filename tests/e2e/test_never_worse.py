"""Never worse than no agent: whatever breaks, clients reach the API server as they did before."""

import base64
import hashlib
import json
import subprocess

import pytest

import faults
import sidecar
from agent import LISTEN
from clients import curl
from cluster import REPOSITORY, SERVER_NAMES
from conftest import new_agent
from link import Cut
from pki import CertificateAuthority
from process import eventually, run, run_in, spawn_in, stop
from topology import CLOUD_V4, CLOUD_V6, NODE_V4, SERVICE_V4, SERVICE_V6, in_namespace

pytestmark = pytest.mark.usefixtures("agent")

ROUGH = REPOSITORY / "tests/clients/rough.py"
PODS = "/api/v1/namespaces/apps/pods"


@pytest.fixture
def agent(site):
    """An agent of the test's own, since the tests break it."""
    made = new_agent(site)
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def extra_pod(site):
    """A pod that a test may break, and its credential."""
    name = f"pod-{len(site.pods)}-x"
    place = site.add_pod(name, "other")
    yield place, site.credentials[name]
    site.drop_pod(name)


class Route:
    """Which way requests of a place take, as the API server sees it."""

    def __init__(self, cluster, place, credential):
        self._cluster, self._place, self._credential = cluster, place, credential
        self._address = getattr(place, "address", NODE_V4)

    def try_once(self, timeout=5):
        mark = self._cluster.audit.mark()
        answer = curl(self._place, self._credential, PODS, timeout=timeout)
        if answer.code != 200:
            return f"failed: {answer.error or answer.code}"
        source = self._cluster.audit.sources(since=mark, resource="pods", verb="list")
        return "direct" if source == {self._address} else "agent"

    def becomes(self, way, timeout=20):
        def there():
            now = self.try_once()
            assert now == way, now
            return True

        eventually(there, timeout, what=f"requests to go {way}")

    def works_from_the_second_on(self, tries=6):
        """One failed connection is the most that any client may see."""
        results = [self.try_once() for _ in range(tries)]
        assert not [r for r in results[1:] if r.startswith("failed")], results
        return results


@pytest.fixture
def route_a(site, cluster):
    return Route(cluster, site.pod_a, site.token_a)


@pytest.mark.deadline(300)
@pytest.mark.parametrize("fault", faults.ALL, ids=lambda fault: fault.__name__)
def test_broken_agent(site, agent, clients, link, route_a, fault):
    namespace = site.namespace("broken")
    site.objects.config_maps(namespace, 3)
    route_a.becomes("agent")
    reader = clients.go(site.pod_a, site.token_a)
    shown = reader.list("configmaps", namespace)
    held = clients.python(site.pod_a, site.token_a).watch(f"{PODS}?watch=1")
    held.wait("OPEN")
    agent.wait_written()

    with fault(agent):
        route_a.becomes("direct", timeout=15)
        # Out of descriptors it still serves what it holds; and with its parent stopped too, nobody is left
        # to reset what it held: there the client's own PING, 45 s later, has to notice.
        if fault not in (faults.no_descriptors, faults.stopped):
            held.wait_end(timeout=20)
        eventually(lambda: reader.attempt("list", timeout=5, resource="configmaps", namespace=namespace)["ok"],
                   timeout=90)

    # A circuit that opened meanwhile stays open for a minute.
    route_a.becomes("agent", timeout=90)
    reader.reconnect()
    agent.wait_written()
    link.cut(Cut.REFUSED)
    agent.wait_offline()
    assert reader.list("configmaps", namespace)["items"] == shown["items"], "the cache is whole"
    link.restore()
    agent.wait_online()


def test_stopping_is_graceful(site, agent, clients, route_a, tmp_path):
    """SIGTERM: new connections go direct at once, answers under way are finished, nobody sees an error."""
    route_a.becomes("agent")
    client = clients.go(site.pod_a, site.token_a)
    client.names("pods", "apps")
    namespace = site.namespace("drain")
    site.objects.config_maps(namespace, 20, size=1_000_000)
    partly = tmp_path / "download"
    download = spawn_in(site.pod_a, ["curl", "-sS", "--limit-rate", "6M", "--cacert", site.token_a.ca_file, "-o", partly,
                                     "-w", "%{http_code} %{size_download}", "-A", "download",
                                     "-H", f"Authorization: Bearer {site.token_a.token_file.read_text()}",
                                     f"https://{SERVICE_V4}/api/v1/namespaces/{namespace}/configmaps"],
                        stdout=subprocess.PIPE, text=True)
    eventually(lambda: partly.stat().st_size)
    agent.stop()
    assert agent.process.returncode == 0
    code, size = download.communicate(timeout=60)[0].split()
    assert code == "200" and int(size) > 20_000_000, "what was under way is finished"
    assert client.names("pods", "apps")
    assert route_a.try_once() == "direct"
    agent.start()
    route_a.becomes("agent", timeout=60)


# Places and clients that can't be served


def chain(table, hook, rules):
    """An nftables table with one filter chain."""
    lines = "\n".join(rules)
    return f"table inet {table} {{\nchain {hook} {{\ntype filter hook {hook} priority 0\n{lines}\n}}\n}}"


def test_a_namespace_that_cannot_reach_the_listener(cluster, extra_pod, route_a):
    place, credential = extra_pod
    in_namespace(place.netns, "nft", chain("hfblock", "output", ["ip daddr 169.254.0.0/16 drop",
                                                                 "ip6 daddr fd77::/16 drop"]))
    Route(cluster, place, credential).works_from_the_second_on()
    assert route_a.try_once() == "agent", "others stay redirected"


def test_a_sidecar(cluster, extra_pod, route_a, tmp_path):
    place, credential = extra_pod
    with open(tmp_path / "sidecar.log", "wb") as log:
        proxy = spawn_in(place, ["/usr/bin/python3", sidecar.__file__], stdout=log, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: "listening" in (tmp_path / "sidecar.log").read_text())
        in_namespace(place.netns, "nft", sidecar.RULES)
        Route(cluster, place, credential).works_from_the_second_on()
        assert route_a.try_once() == "agent"
    finally:
        stop(proxy)


def test_a_client_with_a_pinned_key(site, cluster, route_a):
    """It sees the agent's key once, says no, and gets the real server from then on."""
    public = run("openssl", "x509", "-in", cluster.serving.certificate, "-pubkey", "-noout").stdout
    der = base64.b64decode("".join(public.splitlines()[1:-1]))
    pin = base64.b64encode(hashlib.sha256(der).digest()).decode()
    answers = [curl(site.pod_b, site.token_b, PODS, "--pinnedpubkey", f"sha256//{pin}").code for _ in range(5)]
    assert answers[1:] == [200] * 4, answers
    assert route_a.try_once() == "agent"


def test_a_client_that_trusts_the_real_certificate_only(site, cluster, route_a):
    """A CA bundle of its own: curl takes the leaf as its anchor, so the agent's certificate is unknown."""
    only = site.credential("leaf-only", site.token_b.token_file.read_text(), ca_file=cluster.serving.certificate)
    answers = [curl(site.pod_b, only, PODS).code for _ in range(5)]
    assert answers[1:] == [200] * 4, answers
    assert route_a.try_once() == "agent"


@pytest.mark.parametrize("what", ["expired", "not-yet", "another-ca"])
def test_a_certificate_that_must_not_be_served(site, cluster, agent, what, tmp_path, route_a):
    """Expired, not yet valid, or from a CA that the clients don't have: the real server instead."""
    dates = {"expired": ("20200101000000Z", "20210101000000Z"), "not-yet": ("20990101000000Z", "21000101000000Z")}
    names = [*SERVER_NAMES, "IP:169.254.77.1", "IP:fd77::1"]
    ca = cluster.ca if what in dates else CertificateAuthority(tmp_path / "ca", "elsewhere")
    before, after = dates.get(what, (None, None))
    pair = ca.issue(f"agent-{what}", "/CN=kube-apiserver", names, not_before=before, not_after=after)
    agent.stop()
    agent.configure(tls={"source": "files", "cert": str(pair.certificate), "key": str(pair.key),
                         "ca_cert": "", "ca_key": ""})
    agent.start(ready=False)
    eventually(lambda: agent.admin("/healthz")[0] == 200)
    route_a.works_from_the_second_on()


def test_a_network_policy_still_denies(site, cluster, agent, link, extra_pod, route_a):
    """The policy lets the pod talk to its node, as all do, but not to the API server: neither may Holdfast."""
    place, credential = extra_pod
    in_namespace(site.topology.node.netns, "nft", chain("hfpolicy", "forward", [
        f"ip saddr {place.address} ip daddr {{ {SERVICE_V4}, {CLOUD_V4} }} drop",
        f"ip6 saddr {place.address6} ip6 daddr {{ {SERVICE_V6}, {CLOUD_V6} }} drop"]))
    try:
        mark = cluster.audit.mark()
        for _ in range(3):
            assert curl(place, credential, PODS, timeout=5).code != 200
        # Not by dialling the node's listener itself, either, whose certificate is good for it.
        direct = curl(place, credential, PODS, f"--connect-to=::{LISTEN[0]}:6443", timeout=5)
        assert direct.code != 200, direct
        assert not cluster.audit.requests(since=mark, user="system:serviceaccount:apps:other")
        agent.wait_written()
        link.cut(Cut.REFUSED)
        agent.wait_offline()
        assert curl(place, credential, PODS, timeout=5).code != 200
    finally:
        link.restore()
        in_namespace(site.topology.node.netns, "nft", "delete", "table", "inet", "hfpolicy")
    route_a.becomes("agent")


# Clients that misbehave


def rough(place, *arguments, **popen):
    return spawn_in(place, ["/usr/bin/python3", ROUGH, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    text=True, **popen)


@pytest.mark.deadline(400)
def test_a_slow_reader_of_200_megabytes(site, agent, clients):
    namespace = site.namespace("huge")
    site.objects.config_maps(namespace, 210, size=1_000_000)
    neighbour = clients.go(site.pod_b, site.token_b)
    neighbour.names("pods", "apps")
    before = agent.rss()
    reader = rough(site.pod_a, "slow", f"--path=/api/v1/namespaces/{namespace}/configmaps", "--seconds=25",
                   f"--ca-file={site.cluster.ca_file}", f"--token-file={site.token_a.token_file}", "--timeout=90")
    try:
        assert json.loads(reader.stdout.readline())["started"]
        highest = before
        while reader.poll() is None:
            highest = max(highest, agent.rss())
            assert neighbour.list("pods", "apps", timeout=10)["count"]
        assert json.loads(reader.stdout.readline())["read"] > 10
        assert highest - before < 48 << 20, f"{(highest - before) >> 20} MiB more while one client is slow"
    finally:
        stop(reader)


def test_garbage_disturbs_nobody(site, agent, clients, route_a):
    neighbour = clients.go(site.pod_b, site.token_b)
    neighbour.names("pods", "apps")
    ca = f"--ca-file={site.cluster.ca_file}"
    broken = [rough(site.pod_a, mode, ca, "--timeout=60") for mode in ("garbage", "half-hello", "big-header")]
    try:
        for _ in range(20):
            assert neighbour.list("pods", "apps", timeout=10)["count"]
        garbage, half, big = (json.loads(p.communicate(timeout=90)[0]) for p in broken)
    finally:
        for process in broken:
            stop(process)
    # Not TLS is spliced, and the API server's own answer to it is what comes back.
    assert garbage["end"] in ("closed", "ConnectionResetError")
    assert half["end"] in ("closed", "ConnectionResetError"), "half a ClientHello has a deadline"
    assert big["status"].startswith("HTTP/1.1 431") or big["end"] == "ConnectionResetError", big
    route_a.becomes("agent")


@pytest.mark.deadline(300)
def test_ten_thousand_idle_connections(site, agent, clients, cluster):
    """Whatever limit is reached, nobody is worse off: served by the agent, or direct."""
    idle = rough(site.pod_a, "idle", "--count=10000", "--timeout=5")
    try:
        held = json.loads(idle.stdout.readline())
        assert held["open"] >= 9_000, held
        neighbour = Route(cluster, site.pod_b, site.token_b)
        results = [neighbour.try_once(timeout=10) for _ in range(10)]
        assert not [r for r in results if r.startswith("failed")], results
        assert agent.rss() < 600 << 20
    finally:
        idle.stdin.close()
        stop(idle)
    eventually(lambda: neighbour.try_once() == "agent", timeout=60)


def test_a_configuration_that_is_wrong_is_refused(agent, route_a):
    """The last good one stays in force, and the log names line and key."""
    route_a.becomes("agent")
    good = agent.config_file.read_text()
    agent.config_file.write_text(good.replace('"budget"', '"bugdet"') if "budget" in good else '{"cahce": {}}')
    eventually(lambda: "cahce" in agent.log.read_text() or "bugdet" in agent.log.read_text(), timeout=30)
    assert route_a.try_once() == "agent"
    agent.config_file.write_text(good)


def test_no_agent_leaves_nothing_behind(site, agent, route_a):
    """After a stop: no listener address, no attached program, direct."""
    route_a.becomes("agent")
    agent.stop()
    addresses = run_in(site.topology.node, ["ip", "-brief", "address", "show", "dev", "lo"]).stdout
    assert "169.254.77.1" not in addresses
    assert "fd77::1" not in addresses
    assert route_a.try_once() == "direct"
