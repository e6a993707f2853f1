"""No answer is older than what its client has seen, by whatever way it saw it, whatever the line does meanwhile."""

import random

import pytest

from link import Cut
from process import eventually

pytestmark = pytest.mark.usefixtures("agent")

OBJECTS = 40
ROUNDS = 6


class Reading:
    """A program that writes, watches, gets and lists at once."""

    def __init__(self, site, clients, place, credential, namespace, encoding):
        self.client = clients.go(place, credential, encoding=encoding)
        self.stream = self.client.stream("reads", resource="configmaps", namespace=namespace, count=OBJECTS, rate=20, seed=1)
        self.stream.wait("READING")

    def counts(self):
        """How many of each were done by the latest report."""
        return next((e["counts"] for e in reversed(self.stream.events[:]) if e["event"] == "SO_FAR"), {})

    def progress(self, *ways, timeout=60):
        """Until some more of each have been done."""
        before = self.counts()
        eventually(lambda: all(self.counts().get(way, 0) >= before.get(way, 0) + 5 for way in ways), timeout,
                   what=f"more {ways} than {before}")

    def older(self):
        return [event for event in self.stream.events[:] if event["event"] == "OLDER"]


@pytest.fixture
def namespace(site):
    name = site.namespace("monotonic")
    site.objects.config_maps(name, OBJECTS, labels=lambda _: {"all": "yes"})
    return name


@pytest.mark.deadline(400)
@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_nobody_reads_back_in_time(site, cluster, agent, clients, link, namespace, encoding):
    """Two programs of one principal and one of another's, over short cuts and long ones, each way of cutting."""
    dice = random.Random(encoding)
    programs = [Reading(site, clients, site.pod_a, site.token_a, namespace, encoding),
                Reading(site, clients, site.pod_b, site.token_b, namespace, encoding)]
    for program in programs:
        program.progress("gets", "lists", "writes", "events")
    cuts = [*Cut, *dice.choices(list(Cut), k=ROUNDS - len(Cut))]
    for how in cuts:
        link.cut(how)
        if dice.random() < 0.8:  # else: over before anybody has noticed
            agent.wait_offline()
            for program in programs:
                program.progress("gets")  # from the cache
        link.restore()
        for program in programs:
            program.progress("writes", "gets", "lists", "events", timeout=90)
    for program in programs:
        program.stream.stop()
        assert not program.older(), (program.older()[:5], len(program.older()), program.counts())


@pytest.mark.deadline(300)
def test_nor_after_a_restart_of_the_agent(site, agent, clients, link, namespace):
    """What was shown before the agent was killed is a floor for what it serves afterwards, offline."""
    program = Reading(site, clients, site.pod_a, site.token_a, namespace, "protobuf")
    for _ in range(5):
        program.progress("gets", "lists", "writes", "events", timeout=90)
        agent.wait_written()
        link.cut(Cut.REFUSED)
        agent.wait_offline()
        agent.restart(hard=True)
        agent.wait_offline()
        program.progress("gets", timeout=90)
        link.restore()
        agent.wait_online()
    program.stream.stop()
    assert not program.older(), (program.older()[:5], program.counts())
