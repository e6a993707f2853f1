"""The agent starts before the link does: with nothing in its cache, and with what an earlier run left there."""

import json
import time

import pytest

from clients import curl
from conftest import new_agent
from link import Cut
from pki import KeyPair, write_kubeconfig
from process import eventually, spawn_in, stop
from topology import CLOUD_V4, SERVICE_V4, SERVICE_V6

PATH = "/api/v1/namespaces/apps/configmaps"


@pytest.fixture
def started(site, link):
    """An agent of the test's own, not started yet."""
    made = new_agent(site)
    yield made
    link.restore()
    made.close()


@pytest.mark.parametrize("how", [Cut.REFUSED, Cut.DROPPED])
def test_without_a_link_and_with_nothing_cached(site, link, started, how):
    """It stays up and leaves clients alone, who get what they would get without it; then it serves by itself."""
    agent = started
    link.cut(how)
    agent.start(ready=False)
    eventually(lambda: agent.admin("/healthz")[0] == 200, what="the agent to be up")
    pids = agent.pids()
    until = time.monotonic() + 6  # longer than the watchdog's patience with a worker that does not start
    while time.monotonic() < until:
        code, why = agent.admin("/readyz")
        assert code == 503 and "no certificate can be served yet" in why
        time.sleep(0.5)
    assert agent.pids() == pids, "a worker ended"
    direct = curl(site.pod_a, site.token_a, PATH, timeout=3)
    assert direct.code == 0, direct  # no answer is invented, and none is the agent's
    assert agent.metric("holdfast_connections_total", verdict="redirected") == 0
    link.restore()
    eventually(agent.is_ready, timeout=60, what="the agent to serve when the link is there")
    assert eventually(lambda: curl(site.pod_a, site.token_a, PATH).code == 200)
    eventually(lambda: agent.metric("holdfast_connections_total", verdict="redirected") > 0)


def test_without_a_link_and_with_a_filled_cache(site, link, started):
    """As after a reboot of the node: what was shown before is there at once."""
    agent = started.start()
    online = curl(site.pod_a, site.token_a, PATH)
    assert online.code == 200
    agent.wait_written()
    agent.stop()
    link.cut(Cut.DROPPED)
    agent.start()
    # Whether the link is up is not known yet: the first read may have to be patient.
    answer = eventually(lambda: (lambda r: r if r.code == 200 else None)(curl(site.pod_a, site.token_a, PATH)))
    assert answer.json()["items"] == online.json()["items"]
    agent.wait_offline()
    assert agent.status()["ready"]


def test_the_distribution_is_told(started):
    """In the log, in status and in a metric; this machine's node is nothing in particular."""
    agent = started.start()
    status = agent.status()
    assert (status["distribution"], status["role"]) == ("plain", "worker")
    assert status["distribution_reason"] == "no distribution's files were found"
    assert status["intercept"]["off_reason"] == ""
    assert agent.metric("holdfast_node_info", distribution="plain") == 1
    assert "Distribution       plain worker: no distribution's files were found" in agent.command("status").stdout
    assert "this node" in agent.log.read_text()


def show(agent, files):
    """Binds files of the test's making over /var/lib, for this agent alone; paths are relative to it."""
    lib = agent.dir / "lib"
    for path, content in files.items():
        file = lib / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    agent.wrap = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
                  'mount --bind "$0" /var/lib && exec "$@"', str(lib)]


@pytest.mark.parametrize("written", [False, True], ids=["by default", "enabled in the file"])
def test_a_server_node_stays_untouched_unless_told_otherwise(site, started, written):
    """K3s servers: the API server itself is next door."""
    agent = started
    show(agent, {"rancher/k3s/server/tls/server-ca.crt": b""})
    if written:
        agent.configure(intercept={"enabled": True})
    agent.start()
    status = agent.status()
    assert (status["distribution"], status["role"]) == ("k3s", "server")
    assert agent.metric("holdfast_node_info", distribution="k3s") == 1
    intercept = status["intercept"]
    assert intercept["enabled"] and intercept["attached"] == written
    if written:
        assert intercept["off_reason"] == ""
        return
    assert "/var/lib/rancher/k3s/server/tls/server-ca.crt is there" in intercept["off_reason"]
    assert "interception stays off" in agent.log.read_text()
    assert "off: the API server is on this node" in agent.command("status").stdout
    assert curl(site.pod_a, site.token_a, PATH).code == 200
    assert agent.metric("holdfast_connections_total") == 0


_BALANCER = """
import asyncio

async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()

async def serve(reader, writer):
    try:
        there = await asyncio.open_connection("%s", 443)
    except OSError:
        return writer.close()
    await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))
    there[1].close()
    writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 6444)
    await server.serve_forever()

asyncio.run(main())
""" % CLOUD_V4


def test_a_k3s_agent_needs_no_configuration(site, cluster, link, started, clients):
    """Servers, CA, own access, client pairs and targets from K3s' own files; its balancer's port is redirected."""
    agent, base = started, "rancher/k3s/agent"
    pairs = {"kubelet": site.kubelet.pair}
    for name, subject in (("kube-proxy", "/CN=system:kube-proxy"), ("k3s-controller", "/CN=system:k3s-controller")):
        pairs[name] = cluster.ca.issue(f"start-{name}", subject)
    shown = {f"{base}/server-ca.crt": cluster.ca_file.read_bytes(),
             f"{base}/etc/k3s-agent-load-balancer.json": json.dumps(
                 {"ServerURL": f"https://{CLOUD_V4}:443", "ServerAddresses": [f"{CLOUD_V4}:443"]}).encode()}
    for name, pair in pairs.items():
        shown[f"{base}/client-{name}.crt"] = pair.certificate.read_bytes()
        shown[f"{base}/client-{name}.key"] = pair.key.read_bytes()
    for user, name in (("kubelet", "kubelet"), ("kube-proxy", "kubeproxy"), ("k3s-controller", "k3scontroller")):
        file = agent.dir / f"{name}.kubeconfig"
        write_kubeconfig(file, "https://127.0.0.1:6444", "/var/lib/rancher/k3s/agent/server-ca.crt",
                         KeyPair(f"/var/lib/rancher/k3s/agent/client-{user}.crt",
                                 f"/var/lib/rancher/k3s/agent/client-{user}.key"))
        shown[f"{base}/{name}.kubeconfig"] = file.read_bytes()
    show(agent, shown)
    agent.config["upstream"], agent.config["intercept"]["targets"] = {}, []
    agent.configure()

    balancer = spawn_in(site.host, ["/usr/bin/python3", "-c", _BALANCER])
    try:
        agent.start()
        status = agent.status()
        assert (status["distribution"], status["role"]) == ("k3s", "agent")
        assert [s["address"] for s in status["link"]["servers"]] == [f"{CLOUD_V4}:443"]
        # The Service is asked for with the kubelet's certificate. What the balancer dials is never a target.
        wanted = {"127.0.0.1:6444", f"{SERVICE_V4}:443", f"[{SERVICE_V6}]:443"}
        eventually(lambda: set(agent.status()["intercept"]["targets"]) >= wanted - {f"[{SERVICE_V6}]:443"},
                   what=f"{wanted}; {agent.status()['intercept']}")
        assert set(agent.status()["intercept"]["targets"]) <= wanted
        # Each of K3s' three identities is kept apart upstream, though they share an address and a User-Agent.
        nodes = {}
        for name, pair in pairs.items():
            credential = site.credential(f"start-{name}-credential", pair=pair)
            nodes[name] = clients.go(site.host, credential, host="https://127.0.0.1:6444",
                                     user_agent="k3s/v1.33.1+k3s1 (linux/amd64) kubernetes/abc")
            user = nodes[name].who_am_i()["username"]
            assert user == {"kubelet": "system:node:edge-1"}.get(name, f"system:{name}")
        node = nodes["kubelet"].get("nodes", "edge-1")
        agent.wait_written()
        link.cut(Cut.REFUSED)
        agent.wait_offline()
        assert nodes["kubelet"].get("nodes", "edge-1")["metadata"]["uid"] == node["metadata"]["uid"]
        assert agent.metric("holdfast_requests_total", source="cache", resource="nodes") > 0
    finally:
        stop(balancer)
