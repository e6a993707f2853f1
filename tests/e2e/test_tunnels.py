"""Upgrade requests through the agent: exec, attach, port-forward and logs, over SPDY and WebSocket."""

import subprocess

import pytest

import tunnels
from kubectl import Kubectl
from link import Cut
from process import eventually, stop
from topology import CLOUD_V4, NODE_V4, in_namespace

pytestmark = pytest.mark.usefixtures("agent")


@pytest.mark.parametrize("websockets", [True, False], ids=["websocket", "spdy"])
def test_all_of_them(site, cluster, websockets):
    mark = cluster.audit.mark()
    kubectl = Kubectl(site, site.pod_a, "through", site.token_a, websockets)
    tunnels.everything(kubectl, site.pod_a.netns)
    sources = cluster.audit.sources(since=mark, user="system:serviceaccount:apps:reader", namespace="apps")
    assert sources == {NODE_V4}, "all of it went through the agent"


def test_a_client_certificate_tunnels_too(site):
    """The tunnel is a connection of its own, and must still be the kubelet's."""
    kubectl = Kubectl(site, site.host, "node", site.kubelet)
    refused = kubectl.run("-n", "apps", "exec", "pod-b", "--", "echo", "hello")
    assert 'User "system:node:edge-1" cannot' in refused.stderr, refused


def test_offline_a_tunnel_is_refused(site, offline):
    kubectl = Kubectl(site, site.pod_a, "cut", site.token_a)
    tunnels.exec_runs(kubectl)
    offline()
    done = kubectl.run("-n", "apps", "exec", "pod-b", "--", "echo", "hello", timeout=60)
    assert done.returncode != 0
    assert "pod-b: echo" not in done.stdout


def open_tunnel(kubectl):
    """An exec that waits for more: its process, with a line gone both ways."""
    process = kubectl.spawn("-n", "apps", "exec", "-i", "pod-b", "--", "cat", stdin=subprocess.PIPE)
    process.stdin.write("there and back\n")
    process.stdin.flush()
    assert process.stdout.readline() == "there and back\n"
    return process


def upstream_ports(site):
    """The node's ends of its connections to the API server."""
    lines = in_namespace(site.topology.node.netns, "ss", "-Htn", "dst", f"{CLOUD_V4}:443").stdout.splitlines()
    return {line.split()[3] for line in lines}


@pytest.mark.parametrize("websockets", [True, False], ids=["websocket", "spdy"])
def test_a_client_that_leaves_ends_its_tunnel(site, agent, websockets):
    kubectl = Kubectl(site, site.pod_a, "leaves", site.token_a, websockets)
    carried = agent.metric("holdfast_requests_total", source="tunnel", code="101")
    before = upstream_ports(site)
    process = open_tunnel(kubectl)
    opened = upstream_ports(site) - before
    assert opened, "a connection of its own"
    stop(process)
    eventually(lambda: not opened <= upstream_ports(site), what="the tunnel's upstream connection to close")
    eventually(lambda: agent.metric("holdfast_requests_total", source="tunnel", code="101") == carried + 1,
               what="the tunnel to be counted")


@pytest.mark.parametrize("what", ["logs", "websocket", "spdy"])
def test_a_tunnel_ends_when_the_line_does(site, agent, link, what):
    kubectl = Kubectl(site, site.pod_a, "ends", site.token_a, what != "spdy")
    if what == "logs":
        process = kubectl.spawn("-n", "apps", "logs", "-f", "pod-b")
        assert process.stdout.readline() == "line 1 of pod-b\n"
    else:
        process = open_tunnel(kubectl)
    link.cut(Cut.RESET)
    process.wait(timeout=60)
    link.restore()
    agent.wait_online()
