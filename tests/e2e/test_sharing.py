"""Many clients with the same list and watch cost the line one of each, and nobody sees what is not theirs."""

import json
import secrets
import time

import pytest

from clients import curl
from conftest import new_agent
from edge import NODE
from history import History
from link import Cut
from process import Place, eventually
from recorder import Judge
from topology import in_namespace

PODS = 50  # clients with service accounts and connections of their own
PER_PROCESS = 10
REVIEW_TTL = 2  # seconds


@pytest.fixture(scope="module")
def agent(site):
    made = new_agent(site, cache={"review_ttl": f"{REVIEW_TTL}s"})
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture(scope="module")
def tokens(site):
    """{name: token file} of service accounts in one namespace, whose group is what may read."""
    site.objects.namespace("sharers")
    return {name: account(site, "sharers", name) for name in (f"pod-{n:02}" for n in range(PODS))}


def account(site, namespace, name):
    site.objects.namespace(namespace)
    site.objects.service_account(namespace, name)
    return site.credential(f"{namespace}-{name}", site.objects.token(namespace, name)).token_file


@pytest.fixture
def namespace(site):
    name = site.namespace("shared")
    site.objects.allow("Group", "system:serviceaccounts:sharers", [([""], ["configmaps"], ["get", "list", "watch"])],
                       "sharers", namespace=name)
    site.objects.config_maps(name, 20)
    return name


@pytest.fixture
def history(cluster, namespace):
    made = History(cluster, f"configmaps/{namespace}")
    yield made
    made.close()


class Crowd:
    """The same informer for each of many service accounts."""

    def __init__(self, site, clients, tokens, namespace, place=None, watch_list=False):
        self.streams = {}
        names = list(tokens)
        processes = []
        for first in range(0, len(names), PER_PROCESS):
            own = {name: tokens[name] for name in names[first:first + PER_PROCESS]}
            processes.append((own, clients.go(place or site.host, site.credential(f"crowd-{first}"), identities=own,
                                              watch_list=watch_list)))
        for own, process in processes:
            for name in own:
                self.streams[name] = process.stream("recorder", resource="configmaps", namespace=namespace, **{"as": name})
        for name, stream in self.streams.items():
            stream.wait("SYNCED", timeout=60)
            stream.wait("OPEN", timeout=60)

    def wait(self, kind, name, timeout=60):
        for stream in self.streams.values():
            stream.wait(kind, name, timeout=timeout)

    def undisturbed(self, truth):
        """All of them saw all, once, on the one stream that they opened."""
        for name, stream in self.streams.items():
            events = stream.events[:]
            judge = Judge(truth).feed(events)
            assert not judge.problems, (name, judge.problems[:5])
            assert judge.counts["OPEN"] == 1, (name, [e for e in events if e["event"] in ("OPEN", "WATCH_ERROR")])
            judge.end(stream.stop()["state"])
            assert not judge.problems, (name, judge.problems[:5])


def line_bytes(topology):
    """What went over the line, both ways."""
    shown = json.loads(in_namespace(topology.node.netns, "ip", "-j", "-s", "link", "show", "dev", "cloud").stdout)
    stats = shown[0]["stats64"]
    return stats["rx"]["bytes"] + stats["tx"]["bytes"]


def touch(site, namespace, name):
    site.cluster.api("PATCH", f"/api/v1/namespaces/{namespace}/configmaps/{name}",
                     {"data": {"payload": secrets.token_hex(4000)}}, content_type="application/merge-patch+json")


def one_upstream(cluster, mark, namespace):
    return eventually(lambda: len(cluster.audit.open_watches(mark, resource="configmaps", namespace=namespace)) == 1,
                      what="exactly one watch at the API server")


@pytest.mark.deadline(300)
def test_fifty_cost_the_line_one(site, cluster, topology, clients, agent, tokens, namespace, history):
    for number in range(300):
        site.objects.config_map(namespace, f"big-{number:03}", {"payload": secrets.token_hex(4000)})

    def work(place, tag):
        before, mark = line_bytes(topology), cluster.audit.mark()
        crowd = Crowd(site, clients, tokens, namespace, place)
        for number in range(30):
            touch(site, namespace, f"big-{number:03}")
        site.objects.config_map(namespace, f"last-{tag}")
        crowd.wait("ADDED", f"last-{tag}")
        return crowd, line_bytes(topology) - before, mark

    direct, direct_bytes, mark = work(Place(site.host.netns), "direct")
    assert len(cluster.audit.open_watches(mark, resource="configmaps", namespace=namespace)) == PODS
    for stream in direct.streams.values():
        stream.stop()
    eventually(lambda: not cluster.audit.open_watches(mark, resource="configmaps", namespace=namespace))

    shared, shared_bytes, mark = work(site.host, "shared")
    print(f"bytes over the line: {direct_bytes} direct, {shared_bytes} shared")
    assert cluster.audit.most_watches(mark, resource="configmaps", namespace=namespace) == 1
    one_upstream(cluster, mark, namespace)
    assert shared_bytes * 20 <= direct_bytes, (shared_bytes, direct_bytes)
    history.wait("last-shared")
    shared.undisturbed(history.truth())


def test_the_owners_pod_is_deleted(site, cluster, clients, agent, link, namespace, history):
    """Its process dies and its token with it, also while the line is cut; the others notice nothing."""
    mark = cluster.audit.mark()
    processes, streams = {}, {}
    for name in (f"bound-{number}" for number in range(4)):
        site.objects.service_account("sharers", name)
        pod = site.objects.pod("sharers", name, NODE, name)
        credential = site.credential(f"sharers-{name}", site.objects.token("sharers", name, pod))
        processes[name] = clients.go(site.host, credential)
        streams[name] = processes[name].stream("recorder", resource="configmaps", namespace=namespace)
        streams[name].wait("SYNCED")
    for cut in (False, True):
        open_now = eventually(lambda: [w for w in cluster.audit.open_watches(mark, resource="configmaps", namespace=namespace)
                                       if w["user"]["username"].rsplit(":", 1)[1] in streams][-1:], what="an owner")
        owner = open_now[0]["user"]["username"].rsplit(":", 1)[1]
        if cut:
            link.cut(Cut.REFUSED)
            agent.wait_offline()
        else:
            processes[owner].close()
        cluster.api("DELETE", f"/api/v1/namespaces/sharers/pods/{owner}")
        if cut:
            time.sleep(12)  # the API server remembers for ten seconds whom it knew
            link.restore()
            agent.wait_online()
        left = streams.pop(owner)
        site.objects.config_map(namespace, f"after-{owner}")
        for stream in streams.values():
            stream.wait("ADDED", f"after-{owner}", timeout=60)
        if cut:  # it is alive, and refused: its watch ended in order, and the next one is a 401
            assert "Unauthorized" in left.wait("WATCH_ERROR", timeout=60)["error"]
            assert "ERROR" not in [event["event"] for event in left.events]
            assert f"after-{owner}" not in left.names()
    history.wait(f"after-{owner}")
    for name, stream in streams.items():
        judge = Judge(history.truth()).feed(stream.events[:])
        assert not judge.problems, (name, judge.problems[:5])
        assert judge.counts["OPEN"] == 1, name


@pytest.mark.parametrize("watch_list", [False, True], ids=["list", "watchlist"])
def test_the_owner_of_the_stream_leaves(site, cluster, clients, agent, tokens, namespace, history, watch_list):
    """Whoever's credential the stream was opened with is gone, again and again; the others notice nothing."""
    mark = cluster.audit.mark()
    crowd = Crowd(site, clients, dict(list(tokens.items())[:10]), namespace, watch_list=watch_list)
    for turn in range(5):
        one_upstream(cluster, mark, namespace)
        open_now = cluster.audit.open_watches(mark, resource="configmaps", namespace=namespace)
        owner = open_now[0]["user"]["username"].rsplit(":", 1)[1]
        site.objects.config_map(namespace, f"before-{turn}")
        crowd.streams.pop(owner).stop()
        site.objects.config_map(namespace, f"after-{turn}")
        touch(site, namespace, f"before-{turn}")
        crowd.wait("ADDED", f"after-{turn}")
        crowd.wait("MODIFIED", f"before-{turn}")
    assert len(crowd.streams) == 5
    history.wait("after-4")
    crowd.undisturbed(history.truth())


def test_a_cut_is_one_resume(site, cluster, clients, agent, link, tokens, namespace, history):
    """What is shared stays shared across a cut, and nobody's stream ends."""
    crowd = Crowd(site, clients, dict(list(tokens.items())[:10]), namespace)
    mark = cluster.audit.mark()
    for how in Cut:
        link.cut(how)
        agent.wait_offline()
        site.objects.config_map(namespace, f"during-{how.value}")
        link.restore()
        crowd.wait("ADDED", f"during-{how.value}", timeout=90)
    one_upstream(cluster, mark, namespace)
    history.wait(f"during-{list(Cut)[-1].value}")
    crowd.undisturbed(history.truth())


def paths(namespace):
    base = f"/api/v1/namespaces/{namespace}/configmaps"
    return [base, f"{base}?watch=1&resourceVersion=0&timeoutSeconds=2", f"{base}?resourceVersion=0"]


def test_no_permission_no_answer(site, cluster, clients, agent, link, tokens, namespace):
    """Beside a stream that others share, who may not read gets the API server's 403, also offline."""
    stranger = account(site, "strangers", "stranger")
    crowd = Crowd(site, clients, dict(list(tokens.items())[:3]), namespace)
    credential = site.credential("stranger", stranger.read_text())
    for path in paths(namespace):
        answer = curl(site.host, credential, path)
        assert answer.code == 403, (path, answer)
    agent.wait_written()
    link.cut(Cut.REFUSED)
    agent.wait_offline()
    for path in paths(namespace):
        answer = curl(site.host, credential, path)
        assert answer.code == 403, (path, answer)
        assert "forbidden: User" in answer.json()["message"], "in the API server's words"
        assert "item-00001" not in answer.body
    link.restore()
    agent.wait_online()
    assert all(stream.end is None for stream in crowd.streams.values())


def test_a_permission_that_is_taken_back(site, cluster, clients, agent, tokens, namespace, history):
    """It ends within `cache.review_ttl` for whoever shares another one's stream."""
    name = "late"
    leaving = account(site, "leaving", name)
    site.objects.allow("ServiceAccount", f"leaving/{name}", [([""], ["configmaps"], ["get", "list", "watch"])],
                       f"leaving-{name}", namespace=namespace)
    mark = cluster.audit.mark()
    crowd = Crowd(site, clients, dict(list(tokens.items())[:5]), namespace)
    alone = Crowd(site, clients, {name: leaving}, namespace)
    one_upstream(cluster, mark, namespace)
    stream = alone.streams[name]
    site.objects.config_map(namespace, "allowed")
    stream.wait("ADDED", "allowed")

    site.objects.forbid(f"leaving-{name}", namespace)
    stream.wait("WATCH_ERROR", timeout=REVIEW_TTL + 5)  # the watch ended, and another one is refused
    seen = stream.mark()
    site.objects.config_map(namespace, "forbidden")
    crowd.wait("ADDED", "forbidden")
    assert "forbidden" not in stream.names(since=seen)
    assert not [e for e in stream.events[seen:] if e["event"] in ("LISTED", "OPEN")]
    history.wait("forbidden")
    crowd.undisturbed(history.truth())


def test_a_late_joiner_gets_what_it_missed(site, cluster, clients, agent, tokens, namespace):
    """A watch from further back than the shared stream knows has a stream of its own, and all its events."""
    names = list(tokens)
    listed = clients.go(site.host, site.credential("late", tokens[names[0]].read_text())).list("configmaps", namespace)
    for number in range(5):
        site.objects.config_map(namespace, f"missed-{number}")
    crowd = Crowd(site, clients, {names[1]: tokens[names[1]]}, namespace)
    late = clients.go(site.host, site.credential("late", tokens[names[0]].read_text()))
    watch = late.watch("configmaps", namespace, resourceVersion=listed["resourceVersion"])
    for number in range(5):
        watch.wait("ADDED", f"missed-{number}")
    site.objects.config_map(namespace, "new")
    watch.wait("ADDED", "new")
    crowd.wait("ADDED", "new")
    assert watch.names("ADDED") == [*(f"missed-{n}" for n in range(5)), "new"]


def test_watchlists_share_once_they_are_in_step(site, cluster, clients, agent, tokens, namespace, history):
    mark = cluster.audit.mark()
    crowd = Crowd(site, clients, dict(list(tokens.items())[:10]), namespace, watch_list=True)
    site.objects.config_map(namespace, "new")
    crowd.wait("ADDED", "new")
    one_upstream(cluster, mark, namespace)
    touch(site, namespace, "new")
    crowd.wait("MODIFIED", "new")
    history.wait("new")
    crowd.undisturbed(history.truth())


def test_off_means_each_its_own(site, cluster, clients, agent, tokens, namespace):
    agent.configure(cache={"share": "off"})
    agent.restart()
    try:
        mark = cluster.audit.mark()
        crowd = Crowd(site, clients, dict(list(tokens.items())[:5]), namespace)
        site.objects.config_map(namespace, "new")
        crowd.wait("ADDED", "new")
        assert len(cluster.audit.open_watches(mark, resource="configmaps", namespace=namespace)) == 5
    finally:
        agent.configure(cache={"share": "on"})
        agent.restart()
