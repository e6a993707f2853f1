"""A server that misbehaves: the agent keeps its bounds, stores no half answers, and serves everyone else."""

import subprocess

import pytest

import hostile
from clients import curl
from conftest import new_agent
from link import Cut, Link
from process import eventually, spawn_in, stop
from topology import CLOUD_V4

_PORT = 8443


def maps(namespace, query=""):
    return f"/api/v1/namespaces/{namespace}/configmaps{query}"


@pytest.fixture(scope="module")
def hostile_agent(site, cluster, tmp_path_factory):
    """An agent whose API server is the hostile one."""
    log = tmp_path_factory.mktemp("hostile") / "server.log"
    with open(log, "wb") as out:
        server = spawn_in(site.topology.cloud, ["/usr/bin/python3", hostile.__file__, CLOUD_V4, _PORT,
                                                cluster.serving.certificate, cluster.serving.key],
                          stdout=out, stderr=subprocess.STDOUT)
    eventually(lambda: "listening" in log.read_text())
    agent = new_agent(site)
    agent.configure(upstream={"servers": [f"https://{CLOUD_V4}:{_PORT}"]})
    try:
        yield agent.start()
    finally:
        agent.close()
        stop(server)


@pytest.fixture
def honest(site, hostile_agent):
    """A check that others are served as ever."""
    def check():
        answer = curl(site.pod_b, site.token_b, maps("any"))
        assert answer.code == 200, answer
        assert len(answer.json()["items"]) == 2
    check()
    return check


def test_a_watch_frame_without_end(site, hostile_agent, honest):
    before = hostile_agent.rss()
    reader = spawn_in(site.pod_a, ["curl", "-sN", "--max-time", "15", "--cacert", site.token_a.ca_file, "-o", "/dev/null",
                                   "-H", f"Authorization: Bearer {site.token_a.token_file.read_text()}",
                                   f"https://198.18.0.1{maps('any', '?watch=1')}"])
    highest = before
    try:
        while reader.poll() is None:
            highest = max(highest, hostile_agent.rss())
            honest()
    finally:
        stop(reader)
    assert highest - before < 64 << 20, f"{(highest - before) >> 20} MiB more"
    honest()


def test_a_list_cut_short_is_an_error_and_not_stored(site, cluster, hostile_agent, honest):
    for flags in (["--http1.1"], ["--http2"]):
        answer = curl(site.pod_a, site.token_a, maps("cut"), *flags)
        assert answer.exit != 0 or answer.code >= 500, "the client must see that it is not whole"
    honest()
    hostile_agent.wait_written()
    link = Link(site.topology, port=_PORT)
    link.cut(Cut.REFUSED)
    try:
        hostile_agent.wait_offline()
        honest()  # what was whole is served
        assert curl(site.pod_a, site.token_a, maps("cut")).code == 503
    finally:
        link.restore()
        hostile_agent.wait_online()


@pytest.mark.parametrize("what", ["headers", "nonsense"])
def test_answers_that_make_no_sense(site, hostile_agent, honest, what):
    """Passed on or refused, but neither stored nor anyone else's trouble."""
    curl(site.pod_a, site.token_a, maps(what))
    honest()
    hostile_agent.wait_written()
    link = Link(site.topology, port=_PORT)
    link.cut(Cut.REFUSED)
    try:
        hostile_agent.wait_offline()
        assert curl(site.pod_a, site.token_a, maps(what)).code == 503
    finally:
        link.restore()
        hostile_agent.wait_online()


def test_an_answer_that_never_comes(site, hostile_agent, honest):
    """The client's own time-out ends it; others don't wait behind it."""
    waiting = [spawn_in(site.pod_a, ["curl", "-s", "--max-time", "10", "--cacert", site.token_a.ca_file, "-o", "/dev/null",
                                     "-H", f"Authorization: Bearer {site.token_a.token_file.read_text()}",
                                     f"https://198.18.0.1{maps('silent')}"]) for _ in range(20)]
    try:
        for _ in range(10):
            honest()
    finally:
        for process in waiting:
            stop(process)
