"""Several API servers on one etcd: one that fails or is slow costs its clients time, and nothing else."""

import subprocess
from contextlib import contextmanager

import pytest

from administrator import Administrator
from audit import Audit
from balancers import Balancer
from conftest import new_agent
from process import eventually, spawn_in, stop, tail
from topology import CLOUD_V4, SERVICE_V4, in_namespace

PORT = 8443  # of the second one

_REFUSE = """
table inet hfserver {
  chain input { type filter hook input priority -5; iifname "node" tcp dport %(port)d counter reject with tcp reset; }
  chain output { type filter hook output priority -5; oifname "node" tcp sport %(port)d tcp flags & rst == 0 counter drop; }
}
"""
_DROP = """
table inet hfserver {
  chain input { type filter hook input priority -5; iifname "node" tcp dport %(port)d counter drop; }
  chain output { type filter hook output priority -5; oifname "node" tcp sport %(port)d counter drop; }
}
"""


class SecondServer:
    """Another kube-apiserver of the same cluster, on another port of the same address."""

    def __init__(self, cluster):
        self._cluster, self.port = cluster, PORT
        self._log = cluster.dir / "apiserver-2.log"
        self.audit = Audit(cluster.dir / "audit-2.log")
        argv = cluster.apiserver_argv(f"--secure-port={PORT}", f"--audit-log-path={cluster.dir}/audit-2.log")
        with open(self._log, "ab") as log:
            self._process = spawn_in(cluster.place, argv, stdout=log, stderr=subprocess.STDOUT, cwd=cluster.dir)
        self.administrator = Administrator(cluster.place.netns, SERVICE_V4, PORT, cluster.ca_file, cluster.admin)
        eventually(self._ready, timeout=120, every=0.1, what="the second API server")

    def _ready(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"the second API server ended\n{tail(self._log)}")
        return self.administrator.request("GET", "/readyz")[0] == 200

    def close(self):
        self.administrator.close()
        stop(self._process)


@pytest.fixture(scope="module")
def second(cluster, site):
    made = SecondServer(cluster)
    yield made
    made.close()


@pytest.fixture
def namespace(site):
    name = site.namespace("servers")
    site.objects.config_maps(name, 3)
    return name


@contextmanager
def agent_of(site, *servers):
    """An agent with these servers ("address:port"), in this order."""
    agent = new_agent(site, upstream={"servers": [f"https://{server}" for server in servers]})
    try:
        yield agent.start()
    finally:
        agent.close()


@pytest.fixture
def agent(site, cluster, second):
    with agent_of(site, f"{CLOUD_V4}:{cluster.port}", f"{CLOUD_V4}:{PORT}") as made:
        eventually(lambda: all(server["rtt_us"] for server in servers_of(made)), what="both servers to be measured")
        yield made


def servers_of(agent):
    return agent.status()["link"]["servers"]


def health(agent):
    return [server["healthy"] for server in servers_of(agent)]


@contextmanager
def broken(cluster, how):
    """The first server is gone, in one of the ways in which servers go; whole again afterwards."""
    if how == "killed":
        cluster.kill()
        try:
            yield
        finally:
            cluster.start_apiserver()
        return
    in_namespace(cluster.place.netns, "nft", (_DROP if how == "dropped" else _REFUSE) % {"port": cluster.port})
    try:
        yield
    finally:
        in_namespace(cluster.place.netns, "nft", "delete", "table", "inet", "hfserver", check=False)


def config_map(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": name}}


@pytest.mark.deadline(300)
@pytest.mark.parametrize("how", ["killed", "refused", "dropped"])
def test_one_server_goes(site, cluster, second, agent, clients, namespace, how):
    """Reads and watches go on, and not from the cache: the other server answers."""
    client = clients.go(site.pod_a, site.token_a)
    uncached = clients.go(site.host, site.token_host)
    uncached.names("pods", "apps")  # while what it dials is there: whom nothing answers is not admitted
    informer = client.informer("configmaps", namespace)
    informer.wait("SYNCED")
    listed = client.list("configmaps", namespace)
    watch = client.watch("configmaps", namespace, resourceVersion=listed["resourceVersion"])
    watch.wait("OPEN")
    mark, other = cluster.audit.mark(), second.audit.mark()
    client.get("configmaps", "item-00000", namespace)
    assert cluster.audit.count(since=mark, namespace=namespace) == 1, "of two that are as fast, the first one listed"
    assert second.audit.count(since=other, namespace=namespace) == 0

    base = f"/api/v1/namespaces/{namespace}/configmaps"
    with broken(cluster, how):
        for number in range(60):
            assert client.get("configmaps", f"item-0000{number % 3}", namespace, timeout=40)["data"]
            assert uncached.raw(f"{base}?limit={500 + number}", timeout=40)["code"] == 200
        second.administrator.api("POST", base, config_map("during"))
        watch.wait("ADDED", "during", timeout=60)
        informer.wait("ADDED", "during", timeout=60)
        eventually(lambda: health(agent) == [False, True], what="the failing server to be noticed")
        assert agent.link_is_up()
        assert watch.end is None
        for number in range(5):
            assert client.get("configmaps", "during", namespace)["data"]
        assert second.audit.count(since=other, namespace=namespace, verb="get") >= 5

    eventually(lambda: health(agent) == [True, True], timeout=60, what="the server's recovery to be noticed")
    mark, other = cluster.audit.mark(), second.audit.mark()
    client.get("configmaps", "item-00000", namespace)
    assert second.audit.count(since=other, namespace=namespace, verb="get") == 1, "its connection stays where it is"
    assert cluster.audit.count(since=mark, namespace=namespace, verb="get") == 0
    eventually(lambda: new_client_reads_from(cluster, site, clients, namespace) or looks_slower(agent), timeout=60,
               what="new clients to go to the first server again")
    site.objects.config_map(namespace, "after")
    watch.wait("ADDED", "after", timeout=60)
    informer.wait("ADDED", "after", timeout=60)
    assert watch.names("ADDED") == ["during", "after"]
    assert not informer.names("DELETED")


def new_client_reads_from(cluster, site, clients, namespace):
    mark = cluster.audit.mark()
    clients.go(site.pod_b, site.token_b).get("configmaps", "item-00001", namespace)
    return cluster.audit.count(since=mark, namespace=namespace, verb="get") == 1


def looks_slower(agent):
    """On a busy machine either of two may be measured as the slower one; then it is rightly avoided."""
    first, other = (server["rtt_us"] for server in servers_of(agent))
    return first > other * 1.2


def test_the_slow_one_is_avoided(site, cluster, second, clients, namespace):
    """The one that is listed first has a slow line: nobody is sent there while there is a faster one."""
    slow = f"{CLOUD_V4}:9443"
    with Balancer(cluster.place, cluster.dir / "slow.log", slow, f"127.0.0.1:{PORT}", delay=0.15), \
            agent_of(site, slow, f"{CLOUD_V4}:{cluster.port}") as agent:
        eventually(lambda: (servers_of(agent)[0]["rtt_us"] or 0) > 200_000, what="the slow server to be measured")
        eventually(lambda: servers_of(agent)[1]["rtt_us"], what="the fast server to be measured")
        mark, other = cluster.audit.mark(), second.audit.mark()
        client = clients.go(site.pod_a, site.token_a)
        for number in range(20):
            client.get("configmaps", f"item-0000{number % 3}", namespace)
        assert cluster.audit.count(since=mark, namespace=namespace, verb="get") == 20
        assert second.audit.count(since=other, namespace=namespace) == 0

        with broken(cluster, "refused"):
            for number in range(20):
                client.get("configmaps", f"item-0000{number % 3}", namespace, timeout=40)
            assert second.audit.count(since=other, namespace=namespace, verb="get") >= 15, "slow is better than none"
        eventually(lambda: new_client_reads_from(cluster, site, clients, namespace), timeout=60,
                   what="the fast server to be used again")


def test_one_that_is_frozen(site, cluster, second, agent, clients, namespace):
    """Its kernel still takes connections, but nobody answers them."""
    cluster.freeze()
    try:
        client = clients.go(site.pod_a, site.token_a)
        for number in range(5):
            assert client.get("configmaps", f"item-0000{number % 3}", namespace, timeout=40)["data"]
        clients.go(site.pod_b, site.token_b).get("configmaps", "item-00000", namespace, timeout=40)
        eventually(lambda: health(agent) == [False, True], what="the frozen server to be noticed")
        assert agent.link_is_up()
    finally:
        cluster.thaw()
    eventually(lambda: health(agent) == [True, True], timeout=60, what="the server's recovery to be noticed")
