#!/usr/bin/python3
"""An edge site to try things in: node, two pods, cloud and API server, until Ctrl-C. With --agent, Holdfast too.

It prints the command lines that act inside it; the line is cut and restored from its prompt.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from agent import binary
from cluster import BINARIES, Cluster
from conftest import new_agent
from edge import Site
from link import Cut, Link
from process import place_argv
from topology import SERVICE_V4, Topology


def shell(argv):
    return " ".join(f"'{a}'" if " " in str(a) else str(a) for a in argv)


def describe(site, agent):
    for name, place in site.pods.items():
        inside = [a for a in place_argv(place, []) if a not in ("setpriv", "--pdeathsig", "KILL")]
        flags = site.credentials[name].flags()
        token = site.credentials[name].token_file
        print(f"\n{name} (uid {place.uid}), a shell in it:\n  {shell(inside)} bash")
        print(f"  there: {BINARIES}/hf-client {shell(flags)}")
        print(f"  there: curl --cacert {site.cluster.ca_file} -H \"Authorization: Bearer $(cat {token})\" "
              f"https://{SERVICE_V4}/api/v1/namespaces/apps/pods")
    print(f"\nlogs and data of the cluster: {site.cluster.dir}")
    if agent:
        print(f"the agent: log {agent.log}, configuration {agent.config_file}\n"
              f"  status: {shell(place_argv(agent.place, [binary(), 'status', '--admin-socket', agent.socket]))}")


def prompt(link):
    print("\ncommands: cut refused|reset|dropped, restore, quit")
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["cut"] and words[1:2] and words[1] in {c.value for c in Cut}:
            link.cut(Cut(words[1]))
        elif words == ["restore"]:
            link.restore()
        elif words == ["quit"]:
            return
        print("the line is", f"cut ({link.cut_as.value})" if link.cut_as else "whole", flush=True)
    signal.pause()  # no terminal: until a signal


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    topology = cluster = site = agent = None
    with tempfile.TemporaryDirectory(prefix="hfs-") as folder:
        try:
            topology = Topology()
            cluster = Cluster(topology)
            site = Site(topology, cluster, Path(folder))
            agent = new_agent(site) if options.agent else None
            if agent:
                agent.start()
            describe(site, agent)
            prompt(Link(topology))
        except KeyboardInterrupt:
            pass
        finally:
            for made in (agent, site, cluster, topology):
                if made:
                    made.close()


if __name__ == "__main__":
    main()
