"""Fixtures: one cluster per run, one agent per module, clients per test."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from agent import Agent, binary  # noqa: E402
from clients import BINARIES, Credential, GoClient, PyClient  # noqa: E402
from cluster import Cluster  # noqa: E402
from link import Cut, Link  # noqa: E402
from process import tail  # noqa: E402
from edge import Site  # noqa: E402
from topology import Topology  # noqa: E402

_DEADLINE = 180  # seconds for one test; @pytest.mark.deadline(n) gives another


def pytest_configure(config):
    config.addinivalue_line("markers", "deadline(seconds): this test may take so long")
    # ctest and people end a run with SIGTERM: let fixtures clean up.
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(*_):
    raise KeyboardInterrupt


def pytest_sessionstart(session):
    """77 is ctest's word for skipped."""
    if os.geteuid() != 0:
        pytest.exit("needs root: network namespaces and cgroups", returncode=77)
    if not (BINARIES / "hf-client").exists():
        pytest.exit("run scripts/build-test-kube.sh first", returncode=77)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    marker = item.get_closest_marker("deadline")
    seconds = marker.args[0] if marker else _DEADLINE

    def expired(*_):
        raise TimeoutError(f"{item.name} took longer than {seconds} s")

    signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    agent = getattr(item, "funcargs", {}).get("agent")
    if report.failed and agent is not None:
        report.sections.append(("the agent's log", tail(agent.log, 60)))


@pytest.fixture(scope="session")
def topology():
    made = Topology()
    yield made
    made.close()


@pytest.fixture(scope="session")
def cluster(topology):
    made = Cluster(topology)
    yield made
    made.close()


@pytest.fixture(scope="session")
def site(topology, cluster):
    """The cluster with what most tests share: a node, namespaces, two pods with tokens."""
    folder = tempfile.TemporaryDirectory(prefix="hfs-")
    made = Site(topology, cluster, Path(folder.name))
    yield made
    made.close()
    folder.cleanup()


@pytest.fixture
def link(topology):
    """The line, whole before and after each test."""
    made = Link(topology)
    made.restore()
    yield made
    made.restore()


@pytest.fixture(scope="module")
def agent(site):
    if not binary().exists():
        pytest.skip(f"no agent at {binary()}")
    made = new_agent(site)
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def offline(agent, link):
    """A function that cuts the line once all is cached, and returns when the agent knows. Healed after the test."""

    def cut(how=Cut.REFUSED):
        agent.wait_written()
        link.cut(how)
        agent.wait_offline()

    yield cut
    link.restore()
    if agent.process.poll() is None:
        agent.wait_online()


def new_agent(site, **changes):
    """An agent that may also speak as the node's kubelet, whose key pair it holds."""
    site.grant_agent()
    pair = {"cert": str(site.kubelet.pair.certificate), "key": str(site.kubelet.pair.key)}
    made = Agent(site.topology, site.cluster, upstream={"identities": [pair]})
    made.configure(**changes)
    return made


@pytest.fixture
def clients(site, tmp_path):
    """Makes clients that end with the test."""
    made = Clients(site, tmp_path)
    yield made
    made.close()


class Clients:
    def __init__(self, site, folder):
        self._site, self._folder, self._open = site, folder, []

    def _add(self, kind, *arguments, **options):
        log = self._folder / f"client-{len(self._open)}.log"
        client = kind(arguments[0], arguments[1], log, *arguments[2:], **options)
        self._open.append(client)
        return client

    def go(self, place, credential: Credential, **options):
        return self._add(GoClient, place, credential, **options)

    def python(self, place, credential: Credential, *flags, **options):
        return self._add(PyClient, place, credential, *flags, **options)

    def close(self):
        for client in self._open:
            client.close()
