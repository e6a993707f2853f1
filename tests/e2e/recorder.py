"""Judges what a client was shown against what really happened."""

_LIVE = ("ADDED", "MODIFIED", "DELETED")


class Judge:
    """Follows one informer's events, and keeps what is wrong with them in `problems`.

    The client begins with one list or one stream of initial events. From then on:
    - it is never made to list again, and no event is an error;
    - an event's resourceVersion never lies below an earlier one's, bookmarks included. Only a deletion that is
      told later than it happened may repeat the last one (the design's difference after 410);
    - what was added was not there, what was modified or deleted was, as the same object: so nothing comes twice,
      and an object that took another's name comes after that one's deletion;
    - each state shown is one that the server had;
    - a client that resumed from any event would get all that it was not shown: see `_lags`.
    """

    def __init__(self, truth):
        self._truth, self._position = truth, 0
        self.at, self.synced, self.problems = 0, False, []
        self.state = {}  # name: (uid, rv), as the client was shown it
        self._real = {}  # the same, as it was at revision `at`
        self._lagging = set()
        self.counts = dict.fromkeys(("LISTED", "OPEN", "BOOKMARK", *_LIVE), 0)

    def feed(self, events):
        for event in events:
            kind = event["event"]
            if kind in self.counts:
                self.counts[kind] += 1
            if kind == "LISTED":
                self._listed(event)
            elif kind == "OPEN":
                self._opened(event)
            elif kind == "BOOKMARK":
                self._bookmark(event)
            elif kind in _LIVE:
                self._live(kind, event["object"])
            elif kind != "SYNCED":
                self._wrong("an error", event)
        return self

    def end(self, store):
        """At the end: all was shown, and the informer's store holds it."""
        self._advance(10**18)
        if self.state != self._real:
            self._wrong("the final state differs", _difference(self.state, self._real))
        held = {name: rv for name, (_, rv) in self._real.items()}
        if {name: int(rv) for name, rv in store.items()} != held:
            self._wrong("the informer's store differs", len(store))
        return self

    def _wrong(self, what, detail):
        self.problems.append((what, self.at, detail))

    def _listed(self, event):
        if self.synced:
            self._wrong("a relist", event["resourceVersion"])
        self.state = {item["name"]: (item["uid"], int(item["resourceVersion"])) for item in event["items"]}
        self._begin(int(event["resourceVersion"]))

    def _begin(self, rv):
        self.at, self.synced = rv, True
        self._advance(rv)
        if self.state != self._real:
            self._wrong("the first state is none that was", _difference(self.state, self._real))

    def _opened(self, event):
        if event["initial"]:
            if self.synced:
                self._wrong("initial events once more", event)
            self.state = {}
        elif int(event["from"]) != self.at:
            self._wrong("a watch from elsewhere", event["from"])

    def _bookmark(self, event):
        rv = int(event["object"]["resourceVersion"])
        if not self.synced:
            if event.get("initialEventsEnd"):
                self._begin(rv)
            return
        if rv < self.at:
            self._wrong("a bookmark behind", rv)
        self._reach(rv)

    def _live(self, kind, item):
        name, shown = item["name"], (item["uid"], int(item["resourceVersion"]))
        uid, rv = shown
        if not self.synced:
            if kind != "ADDED" or name in self.state:
                self._wrong(f"{kind} among the initial events", item)
            self.state[name] = shown
            return
        if rv < self.at or (rv == self.at and kind != "DELETED"):
            self._wrong(f"{kind} behind", item)
        before = self.state.get(name)
        if kind == "ADDED":
            if before is not None:
                self._wrong("ADDED twice", (item, before))
        elif before is None or before[0] != uid:
            self._wrong(f"{kind} of what is not there", (item, before))
        elif kind == "MODIFIED" and before[1] >= rv:
            self._wrong("MODIFIED to what was before", (item, before))
        if kind == "DELETED":
            late = any(gone != uid for _, gone in self._truth.later(name, before[1] if before else 0))
            if not (self._truth.removal(rv, name) or (rv == self.at and late)):
                self._wrong("DELETED what was not", item)
            self.state.pop(name, None)
        else:
            if not self._truth.put(rv, name, uid):
                self._wrong(f"{kind} of what never was", item)
            self.state[name] = shown
        self._look(name)
        self._reach(max(rv, self.at))

    def _reach(self, rv):
        """The client would resume from here: everything up to here must have been shown, or come again."""
        self.at = max(self.at, rv)
        self._advance(self.at)
        for name in self._lagging:
            if not self._lags(name):
                self._wrong("never shown", (name, self.state.get(name), self._real.get(name)))
        if len(self.problems) > 20:
            raise AssertionError(self.problems[:20])

    def _lags(self, name):
        """A stale object is only late if a change of it is still to come; an object that is gone, if it comes back."""
        later = self._truth.later(name, self.at)
        shown, real = self.state.get(name), self._real.get(name)
        if shown and (real is None or real[0] != shown[0]):
            return any(uid == shown[0] for _, uid in later)
        return bool(later)

    def _advance(self, rv):
        changes = self._truth.changes
        while self._position < len(changes) and changes[self._position][0] <= rv:
            when, name, uid = changes[self._position]
            self._position += 1
            if uid is None:
                self._real.pop(name, None)
            else:
                self._real[name] = (uid, when)
            self._look(name)

    def _look(self, name):
        if self.state.get(name) == self._real.get(name):
            self._lagging.discard(name)
        elif self.synced:
            self._lagging.add(name)


def _difference(one, other):
    names = [name for name in {*one, *other} if one.get(name) != other.get(name)]
    return len(names), [(name, one.get(name), other.get(name)) for name in sorted(names)[:5]]
