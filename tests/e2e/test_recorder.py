"""Nothing is lost across a cut: what informers behind Holdfast saw, against the server's own history."""

import os
import random
import time

import pytest

from clients import Credential
from history import History, Truth, compact
from link import Cut
from process import Place, eventually
from recorder import Judge

CUTS = int(os.environ.get("HOLDFAST_CUTS", "10"))
SEED = int(os.environ.get("HOLDFAST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
SHORTEST, LONGEST = 0.1, 15.0  # seconds
GADGETS = {"group": "example.com", "version": "v1"}
CLIENTS = [(encoding, watch_list) for encoding in ("protobuf", "json") for watch_list in (False, True)] + [("metadata", False)]
KINDS = {"protobuf": ("configmaps", "pods"), "json": ("configmaps", "pods", "gadgets"), "metadata": ("configmaps", "gadgets")}
SELECTORS = ("", "flip=on")


def shows(events, name):
    """Whether an object is in one of these events. A relist counts as well here: the judge complains about it."""
    return any(name == event["object"]["name"] if event["event"] == "ADDED" else
               event["event"] == "LISTED" and name in [item["name"] for item in event["items"]] for event in events)


class Scene:
    """2,000 objects in motion, their history, and informers that watch them from a pod."""

    def __init__(self, site, clients):
        self.site, self.clients = site, clients
        self.namespace = site.namespace("recorded")
        site.objects.custom_kind("gadgets", "Gadget")
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

    def account(self, selector):
        """One for each selector: what a client sees by one watch is known to be seen by its others, too."""
        name = "all" if not selector else "some"
        objects = self.site.objects
        objects.namespace("recorders")
        objects.service_account("recorders", name)
        objects.allow("ServiceAccount", f"recorders/{name}",
                      [(["", "example.com"], ["configmaps", "pods", "gadgets"], ["get", "list", "watch"])], f"recorder-{name}")
        return self.site.credential(f"recorder-{name}", objects.token("recorders", name))

    def record(self):
        credentials = {selector: self.account(selector) for selector in SELECTORS}
        for encoding, watch_list in CLIENTS:
            for selector, credential in credentials.items():
                reader = self.clients.go(self.site.pod_a, credential, encoding=encoding, watch_list=watch_list)
                self.readers[encoding, watch_list, selector] = reader
                for resource in KINDS[encoding]:
                    self.recorders[encoding, watch_list, resource, selector] = reader.stream(
                        "recorder", resource=resource, namespace=self.namespace, labelSelector=selector,
                        **(GADGETS if resource == "gadgets" else {}))
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
        waiting = dict(self.recorders)

        def arrived():
            for key in [key for key, stream in waiting.items() if shows(stream.events[positions[key]:], name)]:
                del waiting[key]
            return not waiting

        try:
            eventually(arrived, timeout=60)
        except AssertionError:
            last = {key: stream.events[-1] for key, stream in waiting.items()}
            raise AssertionError(f"{len(last)} of {len(positions)} never saw {name}: {last}") from None
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
        for (encoding, watch_list, _), reader in self.readers.items():
            for sent in reader.command("requests")["requests"]:
                if sent["kind"] in ("read", "watchlist") and self.namespace in sent["path"]:
                    resource = sent["path"].rsplit("/", 1)[1]
                    key = encoding, watch_list, resource, sent["selector"]
                    counts[key] = counts.get(key, 0) + sent["count"]
        return counts

    def turns(self, key):
        """What one informer saw beside events of objects, each with the one before it."""
        objects = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK")
        events = self.recorders[key].events
        return [{name: value for name, value in event.items() if name != "items"} for before, after in zip(events, events[1:])
                if after["event"] not in objects for event in (before, after)]

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
        kinds = [(how.value, lambda s, how=how: self.line(how, s)) for how in Cut]
        kinds += [("server", self.server), ("compacted", self.compacted)]
        plan = []
        for number in range(count):
            seconds = SHORTEST * (LONGEST / SHORTEST) ** self._dice.random()
            plan.append((*kinds[number % len(kinds)], {0: LONGEST, 1: SHORTEST}.get(number, seconds)))
        self._dice.shuffle(plan)
        return plan


@pytest.mark.usefixtures("agent")
@pytest.mark.deadline(240 + 40 * CUTS)
def test_nothing_is_lost(site, cluster, agent, link, scene):
    dice = random.Random(SEED)
    print(f"HOLDFAST_SEED={SEED}")
    scene.record()
    scene.mark("mark-begin")
    # On a busy machine the API server may end a stream of initial events that lags, and the client asks once more.
    first = scene.first_reads()
    for number, (kind, cut, seconds) in enumerate(Cuts(cluster, link, dice).plan(CUTS)):
        print(f"cut {number}: {kind} {seconds:.2f} s")
        cut(seconds)
        if dice.random() < 0.7:  # else the next one comes while this one is still being made up for
            scene.mark(f"mark-{number}")
    writes = scene.still()
    scene.mark("mark-end")
    assert writes > 100 * CUTS, "there was something to lose"

    again = [key for key, count in scene.first_reads().items() if count != first[key]]
    for key in again:
        print(key, *scene.turns(key), sep="\n    ")
    assert not again, "nobody was made to list again"
    assert agent.metric("holdfast_watch_resumes_total", how="relist") > 0, "the API server had forgotten, and what came of it was told"
    for key, stream in scene.recorders.items():
        encoding, watch_list, resource, selector = key
        truth = scene.histories[resource].truth(**dict([selector.split("=")] if selector else []))
        events = stream.events[:]  # what stopping makes of the stream does not count
        end = stream.stop()
        judge = Judge(truth).feed(events).end(end["state"])
        assert not judge.problems, (key, judge.problems[:5], judge.counts)
        assert (end["twice"], end["backwards"]) == (0, 0), key
        assert judge.counts["MODIFIED"] > 0 and judge.counts["DELETED"] > 0, (key, judge.counts)


# The judge itself: a recorder that sees nothing wrong proves nothing.

CHANGES = [{"rv": 1, "type": "PUT", "name": "a", "uid": "A"}, {"rv": 2, "type": "PUT", "name": "b", "uid": "B"},
           {"rv": 10, "type": "PUT", "name": "c", "uid": "C"}, {"rv": 11, "type": "PUT", "name": "a", "uid": "A"},
           {"rv": 12, "type": "DELETE", "name": "b"}, {"rv": 13, "type": "PUT", "name": "b", "uid": "B2"},
           {"rv": 14, "type": "PUT", "name": "c", "uid": "C"}]
STATE = {"a": "11", "b": "13", "c": "14"}


def item(name, uid, rv):
    return {"name": name, "uid": uid, "resourceVersion": str(rv)}


def live(kind, name, uid, rv):
    return {"event": kind, "object": item(name, uid, rv)}


LIST = {"event": "LISTED", "resourceVersion": "5", "items": [item("a", "A", 1), item("b", "B", 2)]}
ALL = [live("ADDED", "c", "C", 10), live("MODIFIED", "a", "A", 11), live("DELETED", "b", "B", 12),
       live("ADDED", "b", "B2", 13), live("MODIFIED", "c", "C", 14)]
LATER = [live("DELETED", "b", "B", 5), live("MODIFIED", "a", "A", 11), live("ADDED", "b", "B2", 13),
         live("ADDED", "c", "C", 14), {"event": "BOOKMARK", "object": item("", "", 14)}]


def judged(events):
    return Judge(Truth(CHANGES, {})).feed([LIST, *events]).end(STATE).problems


@pytest.mark.parametrize("events", [ALL, LATER], ids=["as it happened", "the difference after a 410"])
def test_the_judge_is_content(events):
    assert judged(events) == []


@pytest.mark.parametrize("events", [
    [*ALL[:2], ALL[1], *ALL[2:]], ALL[1:], [*ALL[:2], *ALL[3:]], ALL[:4], [ALL[1], ALL[0], *ALL[2:]],
    [live("ADDED", "c", "C", 11), *ALL[1:]], [*ALL, LIST], [*ALL, {"event": "ERROR", "code": 410}],
    [*ALL[:3], {"event": "BOOKMARK", "object": item("", "", 14)}, *ALL[3:]], [*ALL, live("DELETED", "a", "A", 14)],
    [*LATER[1:3], LATER[0], *LATER[3:]], [{"event": "OPEN", "from": "9", "initial": False}, *ALL],
], ids=["an event twice", "one missed", "a deletion missed", "the last missed", "out of order", "a version that was not",
        "a relist", "an error", "a bookmark too early", "a deletion that was not", "a deletion behind its successor",
        "resumed too far ahead"])
def test_the_judge_sees(events):
    assert judged(events)
