"""kubectl offline: what was seen once is seen again, tables, watches, discovery and explanations."""

import json
import re
import subprocess
import threading
import time

import pytest

from clients import curl
from kubectl import Kubectl
from link import Cut
from process import eventually, stop

pytestmark = pytest.mark.usefixtures("agent")

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
OBJECTS = 23


@pytest.fixture
def namespace(site):
    name = site.namespace("kubectl")
    site.objects.config_maps(name, OBJECTS, labels=lambda n: {"odd": str(n % 2)})
    site.objects.allow("ServiceAccount", "apps/reader", [([""], ["events"], ["get", "list", "watch"])], "kubectl-events")
    return name


def kubectl_of(site, name):
    """A kubectl that has not run before: its discovery cache is its own, and empty."""
    return Kubectl(site, site.pod_a, name, site.token_a)


def told(words, text):
    """What must be the same offline: of a table the names, since it may be made of the plain list (without the server's
    own columns) where something newer of that kind was seen; of all else everything but ages."""
    if words[0] == "get" and "-o" not in words:
        return [line.split()[0] for line in text.splitlines()]
    return [re.sub(r"\s+\d+[smh]\S*$", "", line) for line in text.splitlines()]


COMMANDS = [
    "get configmaps -n {ns}", "get configmaps -n {ns} -l odd=1", "get configmaps -n {ns} --show-labels",
    "get configmap item-00003 -n {ns}", "get configmap item-00003 -n {ns} -o yaml", "get configmaps -n {ns} -o json",
    "get pods -n apps", "get pods -n apps -o wide", "get pod pod-a -n apps -o yaml",
    "describe configmap item-00003 -n {ns}", "describe pod pod-a -n apps", "describe configmaps -n {ns} -l odd=0",
    "api-resources", "api-versions", "version", "explain pod.spec.containers", "explain configmap --recursive",
]


@pytest.mark.deadline(300)
def test_what_was_seen_online(site, agent, offline, namespace):
    """The same commands of a kubectl that knows nothing yet say the same; also after an offline restart of the agent."""
    commands = [command.format(ns=namespace).split() for command in COMMANDS]
    first = kubectl_of(site, "kubectl-online")
    online = [first.run(*words) for words in commands]
    for words, done in zip(commands, online):
        assert done.returncode == 0, (words, done)
    offline()
    for turn in ("kubectl-offline", "kubectl-restarted"):
        fresh = kubectl_of(site, turn)
        for words, before in zip(commands, online):
            after = fresh.run(*words)
            assert after.returncode == 0, (turn, words, after)
            assert told(words, after.stdout) == told(words, before.stdout), (turn, words)
        if turn == "kubectl-offline":
            agent.restart()
            agent.wait_offline()


@pytest.mark.parametrize("size", [1, 5, 22, 23, 24, 0])
def test_every_page_size(site, offline, namespace, size):
    """Pages that were all read are one list, whatever their size; and one list answers for all sizes."""
    where = ["-n", namespace, "-o", "name"]
    kubectl = kubectl_of(site, "kubectl-pages")
    online = kubectl.run("get", "configmaps", f"--chunk-size={size}", *where)
    assert len(online.stdout.split()) == OBJECTS, online
    offline()
    for other in (size, 7, 0):
        after = kubectl.run("get", "configmaps", f"--chunk-size={other}", *where)
        assert after.returncode == 0, (other, after)
        assert after.stdout == online.stdout, other


class Watching:
    """`kubectl get -w`, read as it prints."""

    def __init__(self, kubectl, *argv):
        self._process = kubectl.spawn("get", *argv, "-w", stderr=subprocess.STDOUT)
        self.lines = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(line.rstrip())

    def names(self, since=0):
        return [line.split()[0] for line in self.lines[since:] if line and line.split()[0] not in ("NAME", "Warning:")]

    def wait(self, name, since=0, timeout=60):
        eventually(lambda: name in self.names(since), timeout, what=f"{name} in {self.lines[since:][-5:]}")

    def alive(self):
        return self._process.poll() is None

    def close(self):
        stop(self._process)


@pytest.mark.parametrize("how", list(Cut), ids=lambda cut: cut.value)
def test_a_table_is_watched_across_a_cut(site, agent, link, namespace, how):
    watching = Watching(kubectl_of(site, "kubectl-watch"), "configmaps", "-n", namespace)
    try:
        eventually(lambda: len(watching.names()) == OBJECTS)
        site.objects.config_map(namespace, "online")
        watching.wait("online")
        agent.wait_written()
        link.cut(how)
        agent.wait_offline()
        site.objects.config_map(namespace, "during")
        assert watching.alive()
        link.restore()
        watching.wait("during", timeout=90)
        site.objects.config_map(namespace, "after")
        watching.wait("after")
        assert watching.names()[OBJECTS:] == ["online", "during", "after"], "each once"
        assert watching.alive()
    finally:
        watching.close()


def ask(site, path, accept, **options):
    return curl(site.pod_a, site.token_a, path, "-H", f"Accept: {accept}", **options)


def test_a_table_that_was_never_asked_for(site, clients, offline, namespace):
    """The plain list where the client takes one as well; else it is not known."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    plain = ask(site, path, "application/json")
    one = ask(site, f"{path}/item-00001", "application/json")
    offline()
    for asked, before in ((path, plain), (f"{path}/item-00001", one)):
        both = ask(site, asked, f"{TABLE},application/json")
        assert both.code == 200, both
        assert both.json() == before.json()
        only = ask(site, asked, TABLE)
        assert only.code == 503, only
        assert "item-00002" not in only.body


def test_metadata_follows_from_whole_objects(site, offline, namespace):
    other = site.namespace("kubectl-other")
    site.objects.config_maps(other, 1)
    real = ask(site, f"/api/v1/namespaces/{other}/configmaps", PARTIAL_LIST).json()
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    whole = ask(site, path, "application/json").json()
    offline()
    made = ask(site, path, PARTIAL_LIST)
    assert made.code == 200, made
    made = made.json()
    assert (made["kind"], made["apiVersion"]) == (real["kind"], real["apiVersion"])
    assert [item["metadata"] for item in made["items"]] == [item["metadata"] for item in whole["items"]]
    assert {key: value for key, value in made["items"][0].items() if key != "metadata"} == {
        key: value for key, value in real["items"][0].items() if key != "metadata"}
    one = ask(site, f"{path}/item-00003", PARTIAL_LIST.replace("List", ""))
    assert one.json() == made["items"][3], one


def test_a_watch_of_kubectl_that_begins_offline(site, link, offline, namespace):
    """It shows what was seen, waits, and goes on when the link is back."""
    kubectl = kubectl_of(site, "kubectl-late")
    online = kubectl.run("get", "configmaps", "-n", namespace)
    offline()
    watching = Watching(kubectl, "configmaps", "-n", namespace)
    try:
        eventually(lambda: len(watching.names()) == OBJECTS)
        assert watching.names() == [line.split()[0] for line in online.stdout.splitlines()[1:]]
        site.objects.config_map(namespace, "during")
        assert watching.alive()
        link.restore()
        watching.wait("during", timeout=90)
        assert watching.names()[OBJECTS:] == ["during"], "each once"
    finally:
        watching.close()


def test_a_watch_of_one_object_that_begins_offline(site, link, offline, namespace):
    kubectl = kubectl_of(site, "kubectl-one")
    one = ("configmap", "item-00003", "-n", namespace)
    assert kubectl.run("get", *one).returncode == 0
    offline()
    watching = Watching(kubectl, *one)
    try:
        watching.wait("item-00003")
        time.sleep(2)
        assert watching.alive(), watching.lines
        shown = len(watching.lines)
        link.restore()
        site.objects.replace_config_map(namespace, "item-00003", {"key": "another"})
        watching.wait("item-00003", since=shown, timeout=90)
    finally:
        watching.close()


def test_whole_objects_do_not_follow_from_metadata(site, offline, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    assert ask(site, path, PARTIAL_LIST).code == 200
    offline()
    assert ask(site, path, PARTIAL_LIST).code == 200
    assert ask(site, path, "application/json").code == 503
    assert ask(site, f"{path}/item-00001", "application/json").code == 503


DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.mark.parametrize("path, accept", [
    ("/version", "application/json"), ("/api", "application/json"), ("/apis", "application/json"),
    ("/api", DISCOVERY), ("/apis", DISCOVERY), ("/api/v1", "application/json"), ("/apis/apps/v1", "application/json"),
    ("/openapi/v2", "application/json"), ("/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"),
    ("/openapi/v3", "application/json"), ("/openapi/v3/api/v1", "application/json"),
], ids=lambda text: text.rsplit("=", 1)[-1].rsplit("/", 1)[-1])
def test_documents(site, offline, path, accept):
    """Each is asked for in its own form, and answered offline in the form that was asked for."""
    flags = ["-H", f"Accept: {accept}", "--output", "-"]
    online = curl(site.pod_a, site.token_a, path, *flags)
    assert online.code == 200, online
    offline()
    after = curl(site.pod_a, site.token_a, path, *flags)
    assert (after.code, after.headers["content-type"]) == (200, online.headers["content-type"])
    assert after.body == online.body


def test_a_kind_that_is_gone(site, cluster, agent, clients, offline, namespace):
    """Its objects are not shown once the API server has said that there is no such kind."""
    site.objects.custom_kind("trinkets", "Trinket")
    site.objects.allow("ServiceAccount", "apps/reader", [(["example.com"], ["trinkets"], ["get", "list", "watch"])], "trinkets")
    site.objects.custom(namespace, "trinkets", "Trinket", "shiny", {"a": 1})
    kubectl = kubectl_of(site, "kubectl-trinkets")
    shown = eventually(lambda: (done := kubectl.run("get", "trinkets", "-n", namespace)).returncode == 0 and done)
    assert "shiny" in shown.stdout
    client = clients.go(site.pod_a, site.token_a, encoding="json")
    assert client.list("trinkets", namespace, group="example.com")["count"] == 1
    cluster.api("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/trinkets.example.com")
    eventually(lambda: client.attempt("list", resource="trinkets", namespace=namespace, group="example.com").get("code") == 404)
    offline()
    for op, more in (("list", {}), ("get", {"name": "shiny"})):
        answer = client.attempt(op, resource="trinkets", namespace=namespace, group="example.com", **more)
        assert answer["code"] in (404, 503), answer
    assert "shiny" not in kubectl.run("get", "trinkets", "-n", namespace).stdout
    assert '"a"' not in json.dumps(answer), "its content"
