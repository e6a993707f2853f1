"""Cutting the line between node and cloud, in the three ways in which lines fail."""

import enum

from topology import in_namespace

API_PORT = 443

# What the server would still send is dropped too, but for the resets that tell the clients.
_REFUSE = """
table inet hfcut {
  chain input {
    type filter hook input priority -10;
    iifname "node" tcp dport %(port)d counter reject with tcp reset
  }
  chain output {
    type filter hook output priority -10;
    oifname "node" tcp sport %(port)d tcp flags & rst == 0 counter drop
  }
}
"""

_DROP = """
table inet hfcut {
  chain input { type filter hook input priority -10; iifname "node" counter drop; }
  chain output { type filter hook output priority -10; oifname "node" counter drop; }
}
"""

_NODE_SIDE = "dst 198.19.0.0/16 or dst [fd99::/16]"  # the first matches v4-mapped addresses too


class Cut(enum.Enum):
    REFUSED = "refused"  # whoever sends something gets a reset: the server is gone
    RESET = "reset"  # established connections are reset at once, new ones refused
    DROPPED = "dropped"  # packets vanish: nobody is told anything


class Link:
    """The cloud's end of the line; everything is done with the rules of the cloud's own namespace."""

    def __init__(self, topology, port=API_PORT):
        self._netns = topology.cloud.netns
        self._port = port
        self.cut_as = None

    def cut(self, how):
        self.restore()
        self._rules(_DROP if how is Cut.DROPPED else _REFUSE % {"port": self._port})
        if how is Cut.RESET:
            # The administrator sits in the cloud itself, at the service address: its connections stay.
            in_namespace(self._netns, "ss", "-K", "-t", "state", "established",
                         f"( sport = :{self._port} and ( {_NODE_SIDE} ) )")
        self.cut_as = how

    def restore(self):
        in_namespace(self._netns, "nft", "delete", "table", "inet", "hfcut", check=False)
        self.cut_as = None

    def _rules(self, text):
        in_namespace(self._netns, "nft", text)
