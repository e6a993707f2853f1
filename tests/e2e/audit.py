"""What really reached the API server: its audit log, one JSON object per line."""

import json


class Audit:
    def __init__(self, path):
        self._path = path

    def mark(self):
        """A position: requests that are logged later come after it."""
        return self._path.stat().st_size if self._path.exists() else 0

    def requests(self, since=0, verb=None, user=None, resource=None, namespace=None, name=None, path=None):
        """Requests after a mark, one entry each (a watch counts when it starts), narrowed by what is given.

        `path` is a prefix of the request's URI; `verb` is Kubernetes' own: get, list, watch, create, …
        """
        found = {}
        for event in self._events(since):
            reference = event.get("objectRef", {})
            wanted = ((verb, event["verb"]), (user, event["user"].get("username")),
                      (resource, reference.get("resource")), (namespace, reference.get("namespace")),
                      (name, reference.get("name")))
            if all(want is None or want == got for want, got in wanted):
                if path is None or event["requestURI"].startswith(path):
                    found.setdefault(event["auditID"], event)
        return list(found.values())

    def sources(self, **filters):
        """The addresses that requests came from: the node's when an agent forwarded them."""
        return {event["sourceIPs"][-1] for event in self.requests(**filters)}

    def count(self, **filters):
        return len(self.requests(**filters))

    def open_watches(self, since=0, **filters):
        """Watches that have begun and not ended, narrowed as with `requests`."""
        begun = {event["auditID"]: event for event in self.requests(since, verb="watch", **filters)}
        for event in self._events(since):
            if event["stage"] in ("ResponseComplete", "Panic"):
                begun.pop(event["auditID"], None)
        return list(begun.values())

    def most_watches(self, since=0, **filters):
        """How many watches were open at once at most. API servers may log an end a little late."""
        mine = {event["auditID"] for event in self.requests(since, verb="watch", **filters)}
        moments = []
        for event in self._events(since):
            if event["auditID"] in mine and event["stage"] in ("ResponseStarted", "ResponseComplete"):
                moments.append((event["stageTimestamp"], 1 if event["stage"] == "ResponseStarted" else -1))
        most = now = 0
        for _, step in sorted(moments):
            now += step
            most = max(most, now)
        return most

    def _events(self, since):
        if not self._path.exists():
            return
        with open(self._path, "rb") as log:
            log.seek(since)
            for line in log:
                if line.endswith(b"\n"):  # else it is being written
                    yield json.loads(line)
