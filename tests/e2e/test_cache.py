"""What an operator sees of the cache and does with it: rules, `holdfast cache`, disks that fail."""

import json
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


def test_nothing_of_it_can_be_read_from_the_disk(site, make_agent):
    """Names, values, tokens: nowhere in the cache's directory, in whatever file."""
    namespace = site.namespace("plainspace")
    site.objects.config_map(namespace, "plainname", {"plainkey": "plainvalue"}, {"plainlabel": "plain"})
    site.cluster.api("POST", f"/api/v1/namespaces/{namespace}/secrets",
                     {"metadata": {"name": "plainsecret"}, "stringData": {"password": "plainpassword"}})
    site.objects.allow("ServiceAccount", "apps/reader", [([""], ["secrets"], ["get", "list"])], "plain-secrets")
    agent = make_agent().start()
    for path in (maps(namespace), maps(namespace, "plainname"), maps(namespace, "plainmissing"),
                 maps(namespace) + "?labelSelector=plainlabel%3Dplain", f"/api/v1/namespaces/{namespace}/secrets",
                 "/api", "/version"):
        assert curl(site.pod_a, site.token_a, path).code in (200, 404), path
    agent.wait_written()
    agent.stop()
    token = site.token_a.token_file.read_text()
    wanted = [b"plain", b"configmaps", b"ConfigMap", token.encode(), token.split(".")[1][:40].encode(), b"apps:reader"]
    files = [f for f in (agent.dir / "cache").rglob("*") if f.is_file() and "tls" not in f.parts]
    assert len(files) > 4
    for file in files:
        text = file.read_bytes()
        for word in wanted:
            assert word not in text, f"{word!r} in {file}"


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
