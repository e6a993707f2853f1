"""The real API server with other flags: what is unusual for a client is ordinary for the agent."""

import pytest

from conftest import new_agent
from topology import NODE_V4


@pytest.fixture
def variant(cluster):
    """Restarts the real API server with other flags, and as it was after the test."""
    yield cluster.restart
    cluster.restart()


@pytest.mark.parametrize("flag", ["--goaway-chance=0.02", "--disable-http2-serving"])
def test_real_server_variants(site, cluster, clients, variant, flag):
    """GOAWAY in the middle of everything, and a server that speaks HTTP/1.1 only: clients notice nothing."""
    namespace = site.namespace("variant")
    site.objects.config_maps(namespace, 3)
    variant(flag)
    agent = new_agent(site)
    try:
        agent.start()
        client = clients.go(site.pod_a, site.token_a)
        informer = client.informer("configmaps", namespace)
        informer.wait("SYNCED")
        mark = cluster.audit.mark()
        for number in range(400):
            assert client.get("configmaps", f"item-0000{number % 3}", namespace)["data"] == {"number": str(number % 3)}
        sources = cluster.audit.sources(since=mark, verb="get", resource="configmaps", namespace=namespace)
        assert sources == {NODE_V4}
        site.objects.config_map(namespace, "fresh")
        informer.wait("ADDED", "fresh", timeout=60)
    finally:
        agent.close()
