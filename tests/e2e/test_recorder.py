"""Nothing is lost across a cut: what informers behind Holdfast saw, against the server's own history."""

import os
import random
import time

import pytest

from clients import Credential
from history import History, compact
from link import Cut
from process import Place
from recorder import Judge

pytestmark = pytest.mark.usefixtures("agent")

CUTS = int(os.environ.get("HOLDFAST_CUTS", "10"))
SEED = int(os.environ.get("HOLDFAST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
SHORTEST, LONGEST = 0.1, 15.0  # seconds
GADGETS = {"group": "example.com", "version": "v1"}
CLIENTS = [(encoding, watch_list) for encoding in ("protobuf", "json") for watch_list in (False, True)]
SELECTORS = ("", "flip=on")


class Scene:
    """2,000 objects in motion, their history, and informers that watch them from a pod."""

    def __init__(self, site, clients):
        self.site, self.clients = site, clients
        self.namespace = site.namespace("recorded")
        site.objects.custom_kind("gadgets", "Gadget")
        site.objects.allow("ServiceAccount", "apps/reader",
                           [(["example.com"], ["gadgets"], ["get", "list", "watch"])], "recorded-gadgets")
        cluster = site.cluster
        admin = Credential(cluster.ca_file, pair=cluster.admin)
        self.writer = clients.go(Place(cluster.place.netns), admin, encoding="json")
        self.histories = {"configmaps": History(cluster, f"configmaps/{self.namespace}"),
                          "pods": History(cluster, f"pods/{self.namespace}"),
                          "gadgets": History(cluster, f"example.com/gadgets/{self.namespace}")}
        self.churns = [
            self.writer.stream("churn", resource=resource, namespace=self.namespace, count=count, rate=rate, seed=SEED, **more)
            for resource, count, rate, more in (("configmaps", 1000, 25, {}), ("pods", 500, 15, {"holder": "far-away"}),
                                                ("gadgets", 500, 15, {"kind": "Gadget", **GADGETS}))]
        for churn in self.churns:
            churn.wait("FILLED", timeout=90)
        self.recorders = {}  # (encoding, watch_list, resource, selector): stream
        self.readers = {}

    def record(self):
        for encoding, watch_list in CLIENTS:
            reader = self.clients.go(self.site.pod_a, self.site.token_a, encoding=encoding, watch_list=watch_list)
            self.readers[encoding, watch_list] = reader
            kinds = [("configmaps", {}), ("pods", {})] + ([("gadgets", GADGETS)] if encoding == "json" else [])
            for resource, more in kinds:
                for selector in SELECTORS:
                    self.recorders[encoding, watch_list, resource, selector] = reader.stream(
                        "recorder", resource=resource, namespace=self.namespace, labelSelector=selector, **more)
        for stream in self.recorders.values():
            stream.wait("SYNCED", timeout=60)

    def mark(self, name):
        """Makes an object of each kind and waits until every informer has seen it: so all has arrived."""
        positions = {key: stream.mark() for key, stream in self.recorders.items()}
        described = {"metadata": {"name": name, "labels": {"flip": "on"}}}
        core = f"/api/v1/namespaces/{self.namespace}"
        api = self.site.cluster.api
        api("POST", f"{core}/configmaps", described)
        api("POST", f"{core}/pods", {**described, "spec": {"nodeName": "far-away", "containers": [
            {"name": "main", "image": "none"}]}})
        api("POST", f"/apis/example.com/v1/namespaces/{self.namespace}/gadgets",
            {"apiVersion": "example.com/v1", "kind": "Gadget", **described})
        for key, stream in self.recorders.items():
            try:
                stream.wait("ADDED", name, since=positions[key], timeout=60)
            except AssertionError as late:
                raise AssertionError(f"{key}: {late}") from None
        for history in self.histories.values():
            history.wait(name)

    def still(self):
        """Ends the writes; returns how many there were."""
        for churn in self.churns:
            churn.stop()
        return sum(churn.end["writes"] for churn in self.churns)

    def first_reads(self):
        """How often each informer's process asked for a first state."""
        counts = {}
        for (encoding, watch_list), reader in self.readers.items():
            for sent in reader.command("requests")["requests"]:
                if sent["kind"] in ("read", "watchlist") and self.namespace in sent["path"]:
                    resource = sent["path"].rsplit("/", 1)[1]
                    key = encoding, watch_list, resource, sent["selector"]
                    counts[key] = counts.get(key, 0) + sent["count"]
        return counts

    def close(self):
        for history in self.histories.values():
            history.close()


@pytest.fixture
def scene(site, clients):
    made = Scene(site, clients)
    yield made
    made.close()


class Cuts:
    """The ways to lose the API server, for so many seconds."""

    def __init__(self, cluster, link, dice):
        self._cluster, self._link, self._dice = cluster, link, dice

    def line(self, how, seconds):
        self._link.cut(how)
        time.sleep(seconds)
        self._link.restore()

    def server(self, seconds):
        """The API server dies. What it knew of the past is gone: many watches resume into a 410."""
        self._cluster.kill()
        time.sleep(seconds)
        self._cluster.start_apiserver()

    def compacted(self, seconds):
        """The line is cut while the past is forgotten, by etcd and by a fresh API server."""
        self._link.cut(self._dice.choice(list(Cut)))
        time.sleep(seconds)
        self._cluster.kill()
        compact(self._cluster)
        self._cluster.start_apiserver()
        self._link.restore()

    def plan(self, count):
        """`count` cuts, each kind as often as the others; some are short, few are long, one of each is there."""
        kinds = [*((how.value, lambda s, how=how: self.line(how, s)) for how in Cut),
                 ("server", self.server), ("compacted", self.compacted)]
        plan = []
        for number in range(count):
            seconds = SHORTEST * (LONGEST / SHORTEST) ** self._dice.random()
            plan.append((*kinds[number % len(kinds)], {0: LONGEST, 1: SHORTEST}.get(number, seconds)))
        self._dice.shuffle(plan)
        return plan


@pytest.mark.deadline(240 + 40 * CUTS)
def test_nothing_is_lost(site, cluster, agent, link, scene):
    dice = random.Random(SEED)
    print(f"HOLDFAST_SEED={SEED}")
    scene.record()
    scene.mark("mark-begin")
    for number, (kind, cut, seconds) in enumerate(Cuts(cluster, link, dice).plan(CUTS)):
        print(f"cut {number}: {kind} {seconds:.2f} s")
        cut(seconds)
        if dice.random() < 0.7:  # else the next one comes while this one is still being made up for
            scene.mark(f"mark-{number}")
    writes = scene.still()
    scene.mark("mark-end")
    assert writes > 100 * CUTS, "there was something to lose"

    expected = {key: 1 for key in scene.recorders}
    assert scene.first_reads() == expected, "nobody was made to list again"
    for key, stream in scene.recorders.items():
        encoding, watch_list, resource, selector = key
        truth = scene.histories[resource].truth(**dict([selector.split("=")] if selector else []))
        events = stream.events[:]  # what stopping makes of the stream does not count
        end = stream.stop()
        judge = Judge(truth).feed(events).end(end["state"])
        assert not judge.problems, (key, judge.problems[:5], judge.counts)
        assert (end["twice"], end["backwards"]) == (0, 0), key
        assert judge.counts["MODIFIED"] > 0 and judge.counts["DELETED"] > 0, (key, judge.counts)
