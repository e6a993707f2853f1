"""Which addresses are redirected, when nobody lists them."""

import pytest

from clients import curl
from conftest import new_agent
from link import Cut
from process import eventually
from topology import NODE_V4, SERVICE_V4


@pytest.fixture(scope="module")
def agent(site):
    made = new_agent(site, intercept={"targets": []})
    try:
        yield made.start()
    finally:
        made.close()


def is_target(agent):
    return f"{SERVICE_V4}:443" in agent.status()["intercept"]["targets"]


def test_the_service_is_found_out_and_kept(site, cluster, agent, link):
    """The API server is asked where its clients find it; a restart while the line is cut still knows."""
    eventually(lambda: is_target(agent), what="the Service's address to be a target")
    path = "/api/v1/namespaces/apps/configmaps"
    mark = cluster.audit.mark()
    assert curl(site.pod_a, site.token_a, path).code == 200
    assert cluster.audit.sources(since=mark, user="system:serviceaccount:apps:reader", namespace="apps") == {NODE_V4}
    agent.wait_written()
    link.cut(Cut.REFUSED)
    agent.wait_offline()
    agent.restart()
    assert is_target(agent)
    assert eventually(lambda: curl(site.pod_a, site.token_a, path).code == 200)
