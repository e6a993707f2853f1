"""The narrated demo; started by scripts/demo.sh. Uses the same edge site as the end-to-end tests."""

import argparse
import signal
import sys
import tempfile
import textwrap
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/e2e"))

from agent import Agent  # noqa: E402
from clients import GoClient  # noqa: E402
from cluster import Cluster  # noqa: E402
from edge import Site  # noqa: E402
from link import Cut, Link  # noqa: E402
from process import eventually  # noqa: E402
from topology import SERVICE_V4, Topology  # noqa: E402

BOLD, DIM, GREEN, RED, PLAIN = ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 5
WIDTH, LABEL = 110, 34  # columns: of the text, of what is shown

HOW = {
    Cut.REFUSED: "whoever sends something gets a reset",
    Cut.RESET: "open connections are reset at once, new ones refused",
    Cut.DROPPED: "packets vanish, nobody is told anything",
}


class Failed(Exception):
    """Something did not turn out as the demo says."""


class Narrator:
    def __init__(self):
        self._step = 0

    def step(self, title, text=""):
        self._step += 1
        print(f"\n{BOLD}{self._step}. {title}{PLAIN}", flush=True)
        for line in textwrap.wrap(text, WIDTH - 3):
            print(f"{DIM}   {line}{PLAIN}", flush=True)

    def shows(self, what, value, good=True):
        mark = f"{GREEN}✓{PLAIN}" if good else f"{RED}✗{PLAIN}"
        lines = textwrap.wrap(str(value), WIDTH - LABEL - 6, break_on_hyphens=False) or [""]
        print(f"   {mark} {what:<{LABEL}} {lines[0]}")
        for line in lines[1:]:
            print(" " * (LABEL + 6) + line)
        sys.stdout.flush()
        if not good:
            raise Failed(what)

    def output(self, command, text):
        print(f"   {DIM}$ {command}{PLAIN}")
        for line in text.rstrip().splitlines():
            print(f"   {DIM}|{PLAIN} {line}")
        sys.stdout.flush()


def sources(agent):
    count = {source: int(agent.metric("holdfast_requests_total", source=source)) for source in ("upstream", "cache", "local")}
    return f"{count['upstream']} by the API server, {count['cache']} from the cache, {count['local']} refused by the agent"


def tell(say, how, closing):
    say.step("An edge site is set up",
             "A cloud, a node and two pods as network namespaces with no route out of this machine; in the cloud a real "
             "etcd and kube-apiserver.")
    folder = Path(closing(tempfile.TemporaryDirectory(prefix="hf-demo-"), "cleanup").name)
    topology = closing(Topology())
    cluster = closing(Cluster(topology))
    site = closing(Site(topology, cluster, folder))
    site.grant_agent()
    link = Link(topology)
    namespace = site.namespace("shop")
    site.objects.config_maps(namespace, 5)
    say.shows("the API server", f"https://{SERVICE_V4}, in the cloud, behind the node")

    say.step("The agent starts on the node", "`holdfast agent`. Its eBPF programs are attached to a cgroup of the demo's own.")
    agent = closing(Agent(topology, cluster)).start()
    say.shows("GET /readyz", f"HTTP {agent.admin('/readyz')[0]}")

    say.step("A pod runs an ordinary client-go program",
             "It has its token, the cluster's CA and the service's address. It was never told about Holdfast.")
    client = closing(GoClient(site.pod_a, site.token_a, folder / "client.log"))
    names = client.names("configmaps", namespace)
    say.shows("it lists ConfigMaps", ", ".join(names), len(names) >= 5)
    say.shows("it believes to be connected to", ", ".join(client.peers()))
    informer = client.informer("configmaps", namespace)
    eventually(lambda: len(informer.names()) >= 5, 30, what="the informer's objects")
    say.shows("its informer holds", f"{len(informer.names())} objects, and watches for more")
    redirected = int(agent.metric("holdfast_connections_open", verdict="redirected"))
    say.shows("but the kernel redirected it", f"{redirected} open connection(s) end at the agent", redirected >= 1)
    say.output("holdfast status", agent.command("status").stdout)

    agent.wait_written()
    say.step(f"The line to the cloud is cut: {HOW[how]}", "In the pod nothing is restarted and nothing is configured.")
    link.cut(how)
    agent.wait_offline()
    say.shows("the link, as the agent sees it", "offline")
    again = client.names("configmaps", namespace)
    say.shows("the same program lists again", ", ".join(again), again == names)
    say.shows("it gets one object", client.get("configmaps", names[0], namespace)["metadata"]["name"])
    refused = client.attempt("list", resource="pods", namespace=namespace)
    say.shows("what it never read: no invention", f"{refused['code']}: {refused.get('message', '')}", refused["code"] == 503)
    other = closing(GoClient(site.pod_b, site.token_b, folder / "other.log"))
    refused = other.attempt("list", resource="configmaps", namespace=namespace)
    say.shows("another pod, which never read it", f"{refused['code']}: {refused.get('message', '')}", refused["code"] == 503)
    say.shows("answered so far", sources(agent))

    say.step("The line is repaired; meanwhile something changed in the cloud")
    seen = informer.mark()
    cluster.api("POST", f"/api/v1/namespaces/{namespace}/configmaps",
                {"metadata": {"name": "made-meanwhile"}, "data": {"k": "v"}})
    link.restore()
    began = time.monotonic()
    informer.wait(name="made-meanwhile", since=seen, timeout=60)
    say.shows("the informer is told", f"made-meanwhile was added, {time.monotonic() - began:.1f} s after the repair")
    agent.wait_online()
    say.output("holdfast status", agent.command("status").stdout)

    say.step("The agent is killed (kill -9)", "Sockets go straight to the API server, as if it had never been there.")
    agent.kill()
    eventually(lambda: not agent.pids(), 20, what="the agent to be gone")
    client.reconnect()
    names = client.names("configmaps", namespace)
    say.shows("the program lists, directly", ", ".join(names), "made-meanwhile" in names)
    print(f"\n{BOLD}That is the main job.{PLAIN} Everything that was set up is removed now.", flush=True)


def interrupted(*_):
    raise KeyboardInterrupt


def remove(open_things):
    """Whatever happens on the way; a second Ctrl-C must not leave half of it behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for end in reversed(open_things):
        try:
            end()
        except Exception as error:  # the rest must go, too
            print(f"demo: while removing: {error}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(prog="scripts/demo.sh", description="Shows Holdfast's main job on this machine.")
    parser.add_argument("--cut", choices=[cut.value for cut in Cut], default=Cut.DROPPED.value,
                        help="how the line fails (default: dropped)")
    how = Cut(parser.parse_args().cut)
    signal.signal(signal.SIGINT, interrupted)  # also where the shell had it ignored
    signal.signal(signal.SIGTERM, interrupted)
    open_things = []

    def closing(thing, end="close"):
        open_things.append(getattr(thing, end))
        return thing

    try:
        tell(Narrator(), how, closing)
        return 0
    except KeyboardInterrupt:
        print("\nInterrupted: removing what was set up.", file=sys.stderr)
        return 130
    except (Failed, AssertionError, RuntimeError, OSError) as error:
        print(f"\n{RED}The demo failed:{PLAIN} {error}", file=sys.stderr)
        return 1
    finally:
        remove(open_things)


if __name__ == "__main__":
    sys.exit(main())
