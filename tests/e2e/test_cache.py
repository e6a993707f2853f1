"""What an operator sees of the cache and does with it: rules, `holdfast cache`, disks that fail."""

import json
import secrets
import subprocess

import pytest

from clients import curl
from conftest import new_agent
from link import Cut
from process import eventually, run


@pytest.fixture
def make_agent(site):
    """Agents of a test's own, not started yet."""
    made = []

    def make(**changes):
        made.append(new_agent(site, **changes))
        return made[-1]

    yield make
    for agent in made:
        agent.close()


@pytest.fixture
def cut(link):
    def do(agent):
        agent.wait_written()
        link.cut(Cut.REFUSED)
        agent.wait_offline()

    yield do
    link.restore()


def maps(namespace, name=""):
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")


def read(site, namespace, name=""):
    return curl(site.pod_a, site.token_a, maps(namespace, name))


def test_rules_bypass_and_memory(site, make_agent, cut, link):
    kept, memory, bypass = site.namespace("rules"), site.namespace("rules"), site.namespace("rules")
    for namespace in (kept, memory, bypass):
        site.objects.config_maps(namespace, 2)
    agent = make_agent(cache={"rules": [{"resource": "configmaps", "namespace": memory, "action": "memory"},
                                        {"resource": "configmaps", "namespace": bypass, "action": "bypass"}]})
    agent.start()
    for namespace in (kept, memory, bypass):
        assert read(site, namespace).code == 200
    lists = json.loads(agent.command("cache", "ls", "--resource", "configmaps", "-o", "json").stdout)
    assert {l["namespace"]: l["on_disk"] for l in lists} == {kept: True, memory: False}
    cut(agent)
    assert [read(site, n).code for n in (kept, memory, bypass)] == [200, 200, 503]
    agent.restart()
    assert [read(site, n).code for n in (kept, memory, bypass)] == [200, 503, 503]


def on_disk(agent, words):
    """Which of these stand in clear in whatever file of the cache, keys excepted."""
    keys = ("cache.key", "cache.key.tpm", "serving.pem", "request.json")
    files = [f for f in (agent.dir / "cache").rglob("*") if f.is_file() and f.name not in keys and "tls" not in f.parts]
    assert len(files) > 4
    return [(word, file.name) for file in files for word in words if word in file.read_bytes()]


def test_nothing_of_it_can_be_read_from_the_disk(site, make_agent, clients, link):
    """Names, values, Secrets, tokens: nowhere in the cache's directory, in whatever file."""
    namespace, objects = site.namespace("plainspace"), site.objects
    objects.config_map(namespace, "plainname", {"plainkey": "plainvalue"}, {"plainlabel": "plain"})
    site.cluster.api("POST", f"/api/v1/namespaces/{namespace}/secrets",
                     {"metadata": {"name": "plainsecret"}, "stringData": {"password": "plainpassword"}})
    pod = site.cluster.api("POST", f"/api/v1/namespaces/{namespace}/pods", {
        "metadata": {"name": "plainpod"},
        "spec": {"nodeName": "edge-1", "serviceAccountName": "default", "terminationGracePeriodSeconds": 0,
                 "volumes": [{"name": "s", "secret": {"secretName": "plainsecret"}}],
                 "containers": [{"name": "main", "image": "none"}]}})
    objects.allow("ServiceAccount", "apps/reader", [([""], ["secrets"], ["get", "list"])], "plain-secrets")
    # Of what a kubelet is shown Secrets are on disk, and tokens where a rule says so.
    agent = make_agent(cache={"rules": [{"resource": "serviceaccounts/token", "action": "cache"}]}).start()
    secret = f"/api/v1/namespaces/{namespace}/secrets/plainsecret"
    token_path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "plainpod", "uid": pod["metadata"]["uid"]}
    asked = json.dumps({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
                        "spec": {"expirationSeconds": 3607, "boundObjectRef": bound}})
    kubelet = {encoding: clients.go(site.host, site.kubelet, encoding=encoding) for encoding in ("json", "protobuf")}

    def token():
        return kubelet["json"].attempt("raw", path=token_path, method="POST", body=asked,
                                       headers={"Content-Type": "application/json"})

    eventually(lambda: curl(site.host, site.kubelet, secret).code == 200, what="the kubelet's right to its pod's Secret")
    for client in kubelet.values():
        client.get("secrets", "plainsecret", namespace)
    given = json.loads(token()["body"])["status"]["token"]
    follower = clients.go(site.pod_a, site.token_a).informer("configmaps", namespace)
    follower.wait("SYNCED")
    objects.replace_config_map(namespace, "plainname", {"plainkey": "plainlater"})
    follower.wait("MODIFIED", "plainname")
    for path in (maps(namespace), maps(namespace, "plainname"), maps(namespace, "plainmissing"),
                 maps(namespace) + "?labelSelector=plainlabel%3Dplain", f"/api/v1/namespaces/{namespace}/secrets",
                 "/api", "/version"):
        assert curl(site.pod_a, site.token_a, path).code in (200, 404), path
    agent.wait_written()
    agent.stop()
    tokens = (site.token_a.token_file.read_text(), given)
    wanted = [b"plain", b"configmaps", b"ConfigMap", b"apps:reader", *(t.encode() for t in tokens),
              *(t.split(".")[1][:40].encode() for t in tokens)]
    assert on_disk(agent, wanted) == []

    # It was there: what is asked for now comes from the disk. And what was a log is a table now.
    link.cut(Cut.REFUSED)
    agent.start()
    agent.wait_offline()
    assert "password" in curl(site.host, site.kubelet, secret).body
    assert given in token()["body"]
    agent.stop()
    assert on_disk(agent, wanted) == []


def test_another_key_means_a_fresh_cache(site, make_agent, cut, link):
    namespace = site.namespace("rekeyed")
    site.objects.config_maps(namespace, 2)
    agent = make_agent(cache={"key": "file"}).start()
    assert read(site, namespace).code == 200
    agent.wait_written()
    agent.stop()
    key = agent.dir / "cache" / "cache.key"
    key.write_bytes(secrets.token_bytes(32))
    agent.start()
    assert "starting afresh" in agent.log.read_text()
    assert agent.status()["cache"]["key"] == "file"
    cut(agent)
    assert read(site, namespace).code == 503
    link.restore()
    agent.wait_online()
    assert read(site, namespace).code == 200
    agent.stop()

    # A key that others can read is not used: what is remembered is in memory, and it says why.
    key.chmod(0o644)
    agent.start()
    assert "mode 0600" in agent.status()["cache"]["problem"]
    assert agent.status()["cache"]["key"] == "memory"
    assert read(site, namespace).code == 200
    cut(agent)
    assert read(site, namespace).code == 200


def test_damaged_files_are_said_and_survived(site, make_agent, cut, link):
    namespace = site.namespace("damaged")
    site.objects.config_maps(namespace, 20, size=2000)
    agent = make_agent().start()
    for kind in (".log", ".sst"):
        assert read(site, namespace).code == 200
        agent.wait_written()
        agent.stop()
        store = agent.dir / "cache" / "store"
        hit = [file for file in store.iterdir() if file.suffix == kind and file.stat().st_size > 1000]
        assert hit, kind
        for file in hit:
            with open(file, "r+b") as data:
                data.seek(file.stat().st_size // 2)
                data.write(secrets.token_bytes(64))
        before = len(agent.log.read_text())
        agent.start()
        assert read(site, namespace).code == 200
        told = agent.log.read_text()[before:]
        assert "torn or damaged" in told or "starting afresh" in told or agent.metric("holdfast_cache_corrupt_records_total") > 0
        cut(agent)
        assert read(site, namespace).code == 200, "it was read since"
        link.restore()
        agent.wait_online()


def test_the_cache_command(site, make_agent, cut):
    namespace = site.namespace("command")
    site.objects.config_maps(namespace, 3)
    site.cluster.api("POST", f"/api/v1/namespaces/{namespace}/secrets",
                     {"metadata": {"name": "s"}, "stringData": {"password": "hush-hush"}})
    site.objects.allow("ServiceAccount", "apps/reader", [([""], ["secrets"], ["get", "list"])], "command-secrets")
    agent = make_agent().start()
    assert read(site, namespace).code == 200
    assert curl(site.pod_a, site.token_a, f"/api/v1/namespaces/{namespace}/secrets").code == 200
    assert curl(site.pod_b, site.token_b, maps(namespace)).code == 200
    agent.wait_written()
    who = "system:serviceaccount:apps:reader"

    def lists(*flags):
        done = agent.command("cache", "ls", "-o", "json", *flags)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    mine = eventually(lambda: lists("--principal", who, "--resource", "configmaps"), what="the list")
    assert [(l["namespace"], l["items"], l["state"]) for l in mine] == [(namespace, 4, "served")] \
        or [(l["namespace"], l["items"], l["state"]) for l in mine] == [(namespace, 3, "served")]
    assert int(mine[0]["resource_version"]) > 0 and mine[0]["bytes"] > 0
    table = agent.command("cache", "ls").stdout
    assert who in table and "STATE" in table and namespace in table

    got = json.loads(agent.command("cache", "get", mine[0]["id"][:12], "item-00001").stdout)
    assert [o["metadata"]["name"] for o in got["items"]] == ["item-00001"]
    assert agent.command("cache", "get", "ffffffffffff").returncode == 1
    secret = lists("--resource", "secrets")[0]
    refused = agent.command("cache", "get", secret["id"])
    assert refused.returncode == 1 and "--show-secrets" in refused.stderr and "s" not in refused.stdout
    shown = agent.command("cache", "get", secret["id"], "--show-secrets").stdout
    assert json.loads(shown)["items"][0]["metadata"]["name"] == "s"
    assert secret["on_disk"] is False

    usage = json.loads(agent.command("cache", "usage", "-o", "json", "--principal", who).stdout)
    assert {u["resource"] for u in usage} >= {"configmaps", "secrets"} and all(u["bytes"] > 0 for u in usage)
    assert who in agent.command("cache", "usage").stdout

    assert agent.command("cache", "rm").returncode == 2
    done = agent.command("cache", "rm", "--principal", who, "--resource", "configmaps")
    assert done.returncode == 0 and "removed" in done.stdout
    eventually(lambda: not lists("--principal", who, "--resource", "configmaps"), what="it to be gone")
    cut(agent)
    assert read(site, namespace).code == 503
    assert curl(site.pod_b, site.token_b, maps(namespace)).code == 200  # somebody else's stays
    assert agent.command("cache", "rm", "--all").returncode == 0
    eventually(lambda: not lists(), what="everything to be gone")
    assert agent.command("cache").returncode == 2
    assert "rm" in agent.command("cache", "--help").stdout


def test_a_cache_that_cannot_be_opened_stops_nobody(site, make_agent, cut, tmp_path):
    """A read-only disk at the start: in memory, and it says so; on disk once that can be written."""
    namespace = site.namespace("readonly")
    site.objects.config_maps(namespace, 2)
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,ro", "hf-test", disk], check=True)
    try:
        agent = make_agent(cache={"dir": str(disk / "cache")})
        agent.start()
        status = agent.status()
        assert "ead-only" in status["cache"]["problem"]
        assert "In memory only" in agent.command("status").stdout
        assert agent.metric("holdfast_cache_persistent") == 0
        assert read(site, namespace).code == 200
        cut(agent)
        assert read(site, namespace).code == 200
        # The mount is read-only by itself, also where `ip netns exec` gave the agent a copy of it.
        run("nsenter", "-t", str(agent.pids()[0]), "-m", "mount", "-o", "remount,rw", str(disk))
        eventually(lambda: agent.metric("holdfast_cache_persistent") == 1, timeout=90, what="the cache on disk")
        assert agent.status()["cache"]["problem"] == ""
        agent.close()
    finally:
        run("umount", "-l", str(disk), check=False)


def test_a_full_disk_takes_nothing_away(site, make_agent, cut, link, tmp_path):
    """2 MB of disk: what is forwarded is forwarded, and a kubelet's pods are never served with one missing."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "hf-test", disk], check=True)
    try:
        namespace, other = site.namespace("full"), site.namespace("full")
        site.objects.config_maps(namespace, 2)
        pods = "/api/v1/pods?fieldSelector=spec.nodeName%3Dedge-1"
        agent = make_agent(cache={"dir": str(disk / "cache")})
        agent.start()
        assert read(site, namespace).code == 200
        before = curl(site.host, site.kubelet, pods)
        assert before.code == 200
        agent.wait_written()
        site.objects.config_maps(other, 20, size=200_000)
        for number in range(20):
            assert read(site, other, f"item-{number:05}").code == 200
        agent.wait_written()
        eventually(lambda: agent.metric("holdfast_cache_write_errors_total") > 0, what="the disk to be full")
        site.objects.pod("apps", "while-full", "edge-1")
        after = curl(site.host, site.kubelet, pods)
        assert after.code == 200 and "while-full" in after.body
        cut(agent)
        served = curl(site.host, site.kubelet, pods)
        assert served.code == 503 or "while-full" in served.body
        assert read(site, namespace).code == 200  # what worked goes on working
        assert agent.is_ready()
        agent.close()
    finally:
        site.cluster.request("DELETE", "/api/v1/namespaces/apps/pods/while-full?gracePeriodSeconds=0")
        run("umount", "-l", str(disk), check=False)
