"""Leases have one writer, whatever the policy and whatever the line does.

client-go's own Lease controller renews a Lease, as the kubelet does with its node's, with times shortened.
"""

import time

import pytest

from link import Cut
from process import eventually
from topology import NODE_V4

pytestmark = pytest.mark.usefixtures("agent")

DURATION, EVERY = 12, 1
NODES = "kube-node-lease"
GROUP = {"group": "coordination.k8s.io", "resource": "leases"}
READER = "system:serviceaccount:apps:reader"
POLICIES = ("forward", "hold", "coalesce", "local")


@pytest.fixture(scope="module", autouse=True)
def allowed(site):
    site.objects.namespace(NODES)
    for account in ("reader", "other"):
        site.objects.allow("ServiceAccount", f"apps/{account}",
                           [(["coordination.k8s.io"], ["leases"], ["*"])], f"leases-{account}")


@pytest.fixture
def policy_of(agent):
    """Puts a lease section in force; takes it back."""
    def change(**lease):
        agent.reload(lease=lease)

    yield change
    change(policy="auto", interval="25s", rules=[])


class Renewing:
    """A Lease that a program keeps renewing, and what the server has of it."""

    names = 0

    def __init__(self, cluster, client, namespace=NODES, kind="node"):
        Renewing.names += 1
        self.cluster, self.client, self.namespace = cluster, client, namespace
        self.name = f"{kind}-{Renewing.names}"
        self.mark = cluster.audit.mark()
        self.stream = client.stream("lease", namespace=namespace, name=self.name, holder=self.name,
                                    duration=DURATION, interval=EVERY)
        eventually(lambda: self.server() is not None, what="the Lease")
        eventually(lambda: self.renewals() >= 3, what="its first renewals")

    @property
    def path(self):
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{self.name}"

    def server(self):
        code, body = self.cluster.request("GET", self.path)[:2]
        return body["spec"] if code == 200 and isinstance(body, dict) else None

    def renewed(self):
        return self.server()["renewTime"]

    def written(self):
        """Writes that reached the server."""
        return len(self.requests())

    def requests(self):
        asked = self.cluster.audit.requests(since=self.mark, resource="leases", namespace=self.namespace, user=READER)
        return [r for r in asked if r["verb"] in ("create", "update", "patch")
                and (r["objectRef"].get("name") in (None, self.name))]

    def conflicts(self):
        return [r for r in self.requests() if r["responseStatus"]["code"] == 409]

    def codes(self):
        return {int(code): count for code, count in self.client.command("codes")["codes"].items()}

    def renewals(self):
        return sum(1 for event in self.stream.events if event["event"] == "RENEWING")

    def go_on(self, count, timeout=40):
        """Until the program has renewed so often again, one way or the other."""
        wanted = self.renewals() + count
        eventually(lambda: self.renewals() >= wanted, timeout, what=f"{count} more renewals")

    def assert_no_conflict(self):
        seen = [(r["stageTimestamp"][11:23], r["verb"], r["responseStatus"]["code"]) for r in self.requests()]
        assert not self.conflicts(), seen
        assert 409 not in self.codes()


def side_by_side(site, cluster, clients, policy_of, policies):
    """A Lease under each policy, by its name."""
    policy_of(policy="forward", interval="3s", rules=[{"name": f"{policy}-*", "policy": policy} for policy in policies])
    return {policy: Renewing(cluster, clients.go(site.pod_a, site.token_a), kind=policy) for policy in policies}


@pytest.mark.deadline(400)
def test_no_conflict_whatever_the_line_does(site, cluster, agent, clients, link, policy_of):
    leases = side_by_side(site, cluster, clients, policy_of, POLICIES)
    for how in Cut:
        for lease in leases.values():
            lease.go_on(4)
        failed = leases["forward"].codes().get(503, 0)
        link.cut(how)
        agent.wait_offline()
        before = {policy: lease.renewed() for policy, lease in leases.items()}
        eventually(lambda: leases["forward"].codes().get(503, 0) > failed, what="the truth to be told")
        for policy, lease in leases.items():
            if policy != "forward":
                lease.go_on(4)
        assert {policy: lease.renewed() for policy, lease in leases.items()} == before, "the line is cut"
        link.restore()
        agent.wait_online()
        for policy, lease in leases.items():
            if policy != "local":
                eventually(lambda: lease.renewed() > before[policy], timeout=40, what=f"a renewal at the server: {policy}")
    for lease in leases.values():
        lease.go_on(4)
        lease.assert_no_conflict()
    assert leases["local"].written() <= 8, "it never goes up, but to be learned"
    assert agent.metric("holdfast_lease_foreign_writes_total") == 0


GRACE = 24  # seconds without a renewal after which the cloud gives a node up: 50 in earnest


@pytest.fixture
def lifecycle(cluster):
    """The real controller that tells dead nodes from living ones by their Leases."""
    cluster.start_controller_manager(("node-lifecycle-controller",), "--node-monitor-period=500ms",
                                     f"--node-monitor-grace-period={GRACE}s", f"--node-startup-grace-period={GRACE}s")
    yield
    cluster.stop_controller_manager()


@pytest.mark.deadline(300)
def test_a_short_cut_is_no_death(site, cluster, agent, clients, link, lifecycle, policy_of):
    """Shorter than the grace period less one interval, and less what it takes to see that the link is back (2 s, and a loaded machine).

    Without a kubelet nobody makes a node Ready again: a single lapse is there to be seen afterwards.
    (`forward` promises no more than the holder's own retries, which client-go lets wait for up to 7 s.)
    """
    leases = side_by_side(site, cluster, clients, policy_of, ("hold", "coalesce"))
    for lease in leases.values():
        site.objects.node(lease.name)

    def ready():
        found = {}
        for policy, lease in leases.items():
            conditions = cluster.api("GET", f"/api/v1/nodes/{lease.name}")["status"]["conditions"]
            found[policy] = next(c["status"] for c in conditions if c["type"] == "Ready")
        return found

    for lease in leases.values():
        lease.go_on(5)
    for how in (Cut.DROPPED, Cut.REFUSED):
        link.cut(how)
        time.sleep(GRACE - 3 - 7)
        link.restore()
        for lease in leases.values():
            lease.go_on(4)
        seen = {policy: [(r["stageTimestamp"][14:23], r["verb"], r["responseStatus"]["code"]) for r in lease.requests()]
                for policy, lease in leases.items()}
        assert set(ready().values()) == {"True"}, f"after a cut that was {how.value}: {ready()} {seen}"
    agent.wait_online()
    for lease in leases.values():
        lease.assert_no_conflict()
    # The controller is awake: one that is too long is seen.
    link.cut(Cut.REFUSED)
    eventually(lambda: set(ready().values()) == {"Unknown"}, timeout=3 * GRACE, what="the nodes to be given up")


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_offline_renewals_are_acknowledged(site, cluster, agent, clients, link, encoding):
    """By default a node's Lease is held, in whatever encoding its holder writes."""
    lease = Renewing(cluster, clients.go(site.pod_a, site.token_a, encoding=encoding))
    link.cut(Cut.REFUSED)
    agent.wait_offline()
    failed = sum(count for code, count in lease.codes().items() if code != 200)
    acknowledged = agent.metric("holdfast_lease_requests_total", policy="hold", outcome="acknowledged")
    lease.go_on(5)
    assert sum(count for code, count in lease.codes().items() if code != 200) == failed
    assert agent.metric("holdfast_lease_requests_total", policy="hold", outcome="acknowledged") >= acknowledged + 4
    link.restore()
    agent.wait_online()
    lease.assert_no_conflict()


def test_coalesce_saves_what_its_interval_says(site, cluster, clients, policy_of):
    policy_of(policy="coalesce", interval="4s")
    lease = Renewing(cluster, clients.go(site.pod_a, site.token_a))
    renewals, written = lease.renewals(), lease.written()
    lease.go_on(24, timeout=120)
    renewals, written = lease.renewals() - renewals, lease.written() - written
    assert renewals / 6 <= written <= renewals / 3, (renewals, written)
    lease.assert_no_conflict()


def test_a_dead_holder_stays_dead(site, cluster, agent, clients, link):
    """It died while the line was cut: what was held for it must not make it look alive."""
    client = clients.go(site.pod_a, site.token_a)
    lease = Renewing(cluster, client)
    link.cut(Cut.REFUSED)
    agent.wait_offline()
    before = lease.renewed()
    lease.go_on(3)
    client.close()
    link.restore()
    agent.wait_online()
    until = time.monotonic() + 5
    while time.monotonic() < until:
        assert lease.renewed() == before
        time.sleep(0.2)


def test_a_held_renewal_goes_up_at_once(site, cluster, agent, clients, link, policy_of):
    """The one that was acknowledged last, by its holder's credential and over its own connection."""
    policy_of(policy="coalesce", interval="6s")
    lease = Renewing(cluster, clients.go(site.pod_a, site.token_a))
    link.cut(Cut.REFUSED)
    agent.wait_offline()
    lease.go_on(8)
    mark = cluster.audit.mark()
    link.restore()
    agent.wait_online()
    sent = eventually(lambda: cluster.audit.requests(since=mark, resource="leases", name=lease.name, verb="update"))
    assert {r["user"]["username"] for r in sent} == {READER}
    assert {r["responseStatus"]["code"] for r in sent} == {200}
    assert cluster.audit.sources(since=mark, resource="leases", name=lease.name, verb="update") == {NODE_V4}
    lease.go_on(3)
    lease.assert_no_conflict()


def test_reads_and_writes_agree(site, cluster, agent, clients, policy_of, offline):
    """Its holder sees what was acknowledged; nobody else does, and a patch keeps it."""
    policy_of(policy="local", interval="3s")
    client = clients.go(site.pod_a, site.token_a)
    lease = Renewing(cluster, client)
    lease.go_on(3)
    lease.stream.stop()

    def shown(reader, **options):
        return reader.get(name=lease.name, namespace=lease.namespace, **GROUP, **options)

    mine = shown(client)
    assert mine["spec"]["renewTime"] > lease.renewed()
    assert shown(clients.go(site.pod_b, site.token_b))["spec"]["renewTime"] == lease.renewed()
    patched = client.command("patch", name=lease.name, namespace=lease.namespace, **GROUP,
                             patch={"metadata": {"labels": {"zone": "b"}}})["object"]
    assert patched["spec"]["renewTime"] == mine["spec"]["renewTime"]
    assert shown(client)["metadata"]["labels"] == {"zone": "b"}
    assert shown(client)["spec"]["renewTime"] == mine["spec"]["renewTime"]
    offline()
    assert shown(client)["spec"]["renewTime"] == mine["spec"]["renewTime"]
    other = clients.go(site.pod_b, site.token_b).attempt("get", name=lease.name, namespace=lease.namespace, **GROUP)
    assert other["code"] == 503, "nobody else is answered from here"


def test_only_plain_renewals_are_acknowledged(site, cluster, agent, clients, offline):
    client = clients.go(site.pod_a, site.token_a, encoding="json")
    lease = Renewing(cluster, client)
    lease.stream.stop()
    path = lease.path
    body = client.get(name=lease.name, namespace=lease.namespace, **GROUP)
    offline()

    def put(change, who=client):
        changed = {**body, "spec": {**body["spec"], **change.get("spec", {})},
                   "metadata": {**body["metadata"], **change.get("metadata", {})}}
        return who.attempt("update", name=lease.name, namespace=lease.namespace, object=changed, **GROUP)

    later = {"renewTime": "2099-01-01T00:00:00.000000Z"}
    assert put({"spec": {**later, "holderIdentity": "me"}})["code"] == 503
    assert put({"spec": later, "metadata": {"resourceVersion": "1"}})["code"] == 503
    assert put({"spec": later, "metadata": {"labels": {"a": "b"}}})["code"] == 503
    assert put({"spec": later}, clients.go(site.pod_b, site.token_b, encoding="json"))["code"] in (401, 503)
    assert client.attempt("patch", name=lease.name, namespace=lease.namespace, patch={"spec": later}, **GROUP)["code"] == 503
    assert client.attempt("delete", name=lease.name, namespace=lease.namespace, **GROUP)["code"] == 503
    assert client.raw(f"{path}?dryRun=All", method="PUT", headers={"Content-Type": "application/json"})["code"] == 503
    plain = put({"spec": later})
    assert plain["ok"], plain


def test_a_foreign_writer_is_noticed(site, cluster, agent, clients):
    lease = Renewing(cluster, clients.go(site.pod_a, site.token_a))
    before = agent.metric("holdfast_lease_foreign_writes_total")
    for number in range(3):
        cluster.api("PATCH", lease.path, {"metadata": {"labels": {"foreign": str(number)}}},
                    content_type="application/merge-patch+json")
        lease.go_on(2)
    eventually(lambda: agent.metric("holdfast_lease_foreign_writes_total") >= before + 3)
    told = [line for line in agent.log.read_text().splitlines()
            if "someone else writes a Lease" in line and lease.name in line]
    assert len(told) == 1, "once"
    assert lease.renewed() > "2", "and the holder goes on renewing"


@pytest.mark.deadline(400)
@pytest.mark.parametrize("how", [Cut.REFUSED, Cut.DROPPED], ids=lambda cut: cut.value)
def test_never_two_leaders(site, cluster, agent, clients, link, how):
    """An election's Lease is never acknowledged: a leader that is cut off stops in time."""
    edge = clients.go(site.pod_a, site.token_a)
    cloud = clients.go(site.topology.cloud, site.token_b)
    election = {"namespace": "apps", "name": f"election-{how.value}", "duration": 6, "interval": 1}
    first = edge.stream("elect", holder="edge", **election)
    first.wait("LEADING", timeout=60)
    second = cloud.stream("elect", holder="cloud", **election)
    link.cut(how)
    took_over = second.wait("LEADING", timeout=90)
    stopped = first.wait("STOPPED", timeout=1)
    assert stopped["at"] <= took_over["at"]
    seen = first.mark()
    link.restore()
    agent.wait_online()
    time.sleep(3)
    assert not [e for e in first.events[seen:] if e["event"] == "LEADING"], "the other one still leads"
    second.stop()
    again = first.wait("LEADING", since=seen, timeout=60)
    assert again["at"] >= second.events[-1]["at"]
