"""kill -9 of the agent at any moment, under load: it starts again, and what it then serves is a state that was."""

import os
import random
import time

import pytest

from clients import Credential
from history import History
from link import Cut
from process import Place, eventually

KILLS = int(os.environ.get("HOLDFAST_KILLS", "20"))
SEED = int(os.environ.get("HOLDFAST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
OBJECTS = 300
QUERIES = ("", "flip=on", "flip=off", "kind=configmaps,flip=on")

pytestmark = pytest.mark.usefixtures("agent")


class Load:
    """An administrator who changes objects, and readers behind Holdfast who list and watch them all the time."""

    def __init__(self, site, clients):
        self.site, self.namespace = site, site.namespace("crashes")
        cluster = site.cluster
        self.history = History(cluster, f"configmaps/{self.namespace}")
        writer = clients.go(Place(cluster.place.netns), Credential(cluster.ca_file, pair=cluster.admin), encoding="json")
        self.churn = writer.stream("churn", resource="configmaps", namespace=self.namespace, count=OBJECTS, rate=60, seed=SEED)
        self.churn.wait("FILLED", timeout=60)
        self.readers = {encoding: clients.go(site.pod_a, site.token_a, encoding=encoding, watch_list=encoding == "json")
                        for encoding in ("protobuf", "json")}
        self.streams = []
        for encoding, reader in self.readers.items():
            for selector in QUERIES[:2]:
                self.streams.append(reader.stream("informer", resource="configmaps", namespace=self.namespace,
                                                  labelSelector=selector))
        for stream in self.streams:
            stream.wait("SYNCED", timeout=60)

    def read(self, timeout=20):
        """Every list once more; what fails, fails: the agent may be dying."""
        for reader in self.readers.values():
            for selector in QUERIES:
                reader.attempt("list", resource="configmaps", namespace=self.namespace, labelSelector=selector, timeout=timeout)

    def served(self):
        """{(encoding, selector): list} of all that is served."""
        found = {}
        for encoding, reader in self.readers.items():
            for selector in QUERIES:
                answer = eventually(lambda: self.answer(reader, selector), what=f"an answer to {encoding} {selector}")
                if answer["ok"]:
                    found[encoding, selector] = answer
                else:
                    assert answer["code"] == 503, (encoding, selector, answer)
        return found

    def answer(self, reader, selector):
        """What the agent says; nothing while it is not redirecting yet and the line is cut."""
        answer = reader.attempt("list", resource="configmaps", namespace=self.namespace, labelSelector=selector)
        return answer if answer["ok"] or answer["code"] else None

    def close(self):
        self.history.close()


@pytest.fixture
def load(site, clients):
    made = Load(site, clients)
    yield made
    made.close()


def wrong(truth, answer, known):
    """What a served list shows that was not so at its resourceVersion.

    One thing may be newer: where the same principal saw a later state of an object by another way (`known` is the
    latest that it can have seen), all its lists follow that object (docs/architecture.md), so that it never reads
    back in time. Such an object must be as it was at some later revision; every other one as it was at the list's.
    """
    at = int(answer["resourceVersion"])
    shown = {item["name"]: (item["uid"], int(item["resourceVersion"])) for item in answer["items"]}
    real = truth.at(at)

    def later(name):
        states = [(uid, rv) if uid else None for rv, uid in truth.later(name, at) if rv <= known]
        return shown.get(name) in states

    return [(name, shown.get(name), real.get(name)) for name in {*shown, *real}
            if shown.get(name) != real.get(name) and not later(name)]


@pytest.mark.deadline(120 + 20 * KILLS)
def test_what_is_served_after_a_kill_was_so(site, agent, clients, link, load):
    dice = random.Random(SEED)
    print(f"HOLDFAST_SEED={SEED}")
    served = 0
    for number in range(KILLS):
        agent.wait_online()
        load.read()
        # The moment is what is random here: writes of the store, of lists and events, are under way all the time.
        time.sleep(dice.random() * 0.5)
        agent.kill()
        link.cut(Cut.RESET)  # also what goes past the dead agent: all come back through it
        known = int(site.objects.config_map(load.namespace, f"cut-{number}")["metadata"]["resourceVersion"])
        agent.start()
        agent.wait_offline()
        answers = load.served()
        served += len(answers)
        mark = f"mark-{number}"
        site.objects.config_map(load.namespace, mark, labels={"flip": "on", "kind": "configmaps"})
        load.history.wait(mark)
        for (encoding, selector), answer in answers.items():
            labels = dict(part.split("=") for part in selector.split(",")) if selector else {}
            found = wrong(load.history.truth(**labels), answer, known)
            assert not found, (number, encoding, selector, answer["resourceVersion"], answer["count"], found[:5])
        link.restore()
    assert served >= KILLS * len(QUERIES), f"{served} lists were served after {KILLS} kills: most were lost"
    agent.wait_online()
    end = load.churn.stop()
    assert end["writes"] > KILLS, end
    site.objects.config_map(load.namespace, "last", labels={"flip": "on"})
    for stream in load.streams:
        stream.wait("ADDED", "last", timeout=90)
