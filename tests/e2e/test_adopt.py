"""`intercept.adopt`: connections that were open before the agent started come back through it."""

import subprocess

import pytest

from clients import curl
from conftest import new_agent
from edge import NODE
from link import Cut
from process import eventually, run, spawn_in, stop
from topology import NODE_V4, SERVICE_V4

PATH = "/api/v1/namespaces/apps/configmaps"


@pytest.fixture
def agent(site):
    """Not started: the clients come first."""
    made = new_agent(site, intercept={"adopt": True})
    yield made
    made.close()


def direct(place, pid=None):
    """The local addresses of connections to the API server itself in a place's namespace."""
    found = run("nsenter", f"--net=/var/run/netns/{place.netns}", "--", "ss", "-Htnp", "state", "established",
                f"dst {SERVICE_V4} or dst [::ffff:{SERVICE_V4}]").stdout
    lines = [line.split() for line in found.splitlines()]
    return {words[2] for words in lines if pid is None or f"pid={pid}," in words[-1]}


def logged(agent, text):
    return sum(text in line for line in agent.log.read_text(errors="replace").splitlines())


def informed(clients, place, credential, namespace):
    """A client with an open watch."""
    client = clients.go(place, credential)
    informer = client.informer("configmaps", namespace)
    informer.wait("SYNCED")
    return client, informer


def test_they_come_back_through_the_agent(site, cluster, agent, clients):
    """In pods and on the node, without an event lost; the agent's own connections are left alone."""
    namespace = site.namespace("adopt")
    site.objects.config_maps(namespace, 3)
    pod, in_pod = informed(clients, site.pod_a, site.token_a, namespace)
    host, on_host = informed(clients, site.host, site.token_host, namespace)
    kubelet = clients.go(site.host, site.kubelet)
    kubelet.get("nodes", NODE)
    mark = cluster.audit.mark()
    assert pod.names("configmaps", namespace)
    assert cluster.audit.sources(since=mark, namespace=namespace) == {site.pod_a.address}

    agent.start()
    for client, place in ((pod, site.pod_a), (host, site.host), (kubelet, site.host)):
        eventually(lambda: not direct(place, client.pid), timeout=60, what="no direct connection to be left")
    assert logged(agent, "adopted: a connection") == 3
    mark = cluster.audit.mark()
    assert pod.names("configmaps", namespace) == host.names("configmaps", namespace)
    kubelet.get("nodes", NODE)
    assert cluster.audit.sources(since=mark, namespace=namespace) == {NODE_V4}
    eventually(lambda: agent.metric("holdfast_connections_open", verdict="redirected") >= 3)
    site.objects.config_map(namespace, "fresh")
    for informer in (in_pod, on_host):
        informer.wait("ADDED", "fresh", timeout=60)
        assert not informer.names("DELETED")
    assert agent.link_is_up()
    assert agent.metric("holdfast_circuits_open") == 0


def test_once_per_boot(site, agent, clients):
    """A second start resets nothing, whatever went direct in between."""
    agent.start()
    eventually(lambda: logged(agent, "adopting connections"), timeout=60)
    agent.stop()
    client, informer = informed(clients, site.pod_a, site.token_a, "apps")
    before = direct(site.pod_a, client.pid)
    assert before
    agent.start()
    settle(site, agent)
    assert direct(site.pod_a, client.pid) == before
    assert logged(agent, "adopting connections") == 1
    assert logged(agent, "adopted: a connection") == 0


def settle(site, agent):
    """Longer than an agent that adopts would wait, told by its self-tests' clock."""
    first = agent.status()["time"]
    eventually(lambda: (seconds(agent.status()["time"]) - seconds(first)) % 86400 > 10, what="time to pass", every=0.5)


def seconds(text):
    hours, minutes, rest = text[11:].rstrip("Z").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def test_not_unless_it_is_asked_for(site, agent, clients):
    agent.configure(intercept={"adopt": False})
    client, _ = informed(clients, site.pod_a, site.token_a, "apps")
    before = direct(site.pod_a, client.pid)
    assert before
    agent.start()
    settle(site, agent)
    assert direct(site.pod_a, client.pid) == before


def test_what_would_be_spliced_is_left_alone(site, agent, clients):
    """A client whose key is not here gains nothing from a reset."""
    agent.configure(intercept={"adopt": False})
    agent.start()
    stranger = site.certificate("adopt-stranger", "/O=system:masters/CN=adopt-stranger")
    assert curl(site.pod_b, stranger, PATH).code == 0
    assert [client["reason"] for client in agent.status()["spliced"]] == ["unknown_client_certificate"]
    agent.stop()
    argv = ["curl", "--silent", "--no-buffer", "--noproxy", "*", "--cacert", stranger.ca_file, "--cert",
            stranger.pair.certificate, "--key", stranger.pair.key, f"https://{SERVICE_V4}{PATH}?watch=1"]
    watch = spawn_in(site.pod_b, argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: direct(site.pod_b, watch.pid), what="the watch to be open")
        client, _ = informed(clients, site.pod_a, site.token_a, "apps")
        agent.configure(intercept={"adopt": True})
        agent.start()
        eventually(lambda: not direct(site.pod_a, client.pid), timeout=60, what="the other one to be adopted")
        settle(site, agent)
        assert direct(site.pod_b, watch.pid)
        assert watch.poll() is None
        assert logged(agent, "adopted: a connection") == 1
    finally:
        stop(watch)


def test_a_connect_that_hangs_is_ended_offline(site, agent, link):
    """It would hang for two minutes more; its next try is answered from the cache."""
    agent.start()
    assert curl(site.pod_a, site.token_a, PATH).code == 200
    agent.wait_written()
    agent.stop()
    (agent.dir / "adopted").unlink(missing_ok=True)
    link.cut(Cut.DROPPED)
    argv = ["curl", "--silent", "--noproxy", "*", "--max-time", "100", "--cacert", site.token_a.ca_file,
            f"https://{SERVICE_V4}{PATH}"]
    hanging = spawn_in(site.pod_a, argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        agent.start()
        assert hanging.wait(60) != 28, "it was ended, and did not time out"
        assert logged(agent, "adopted: a connection") == 1
        agent.wait_offline()
        assert curl(site.pod_a, site.token_a, PATH).code == 200
    finally:
        stop(hanging)
        link.restore()
