"""The programs that talk to the API server in tests: client-go, Python and curl. None knows of Holdfast."""

import itertools
import json
import queue
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from cluster import BINARIES, REPOSITORY
from process import run_in, spawn_in, stop
from topology import SERVICE_V4


@dataclass(frozen=True)
class Credential:
    """What a client proves itself with: a token file, a key pair, or nothing; and the CA it trusts."""

    ca_file: Path
    token_file: Path | None = None
    pair: object = None

    def flags(self):
        flags = [f"--ca-file={self.ca_file}"]
        if self.token_file:
            flags.append(f"--token-file={self.token_file}")
        if self.pair:
            flags += [f"--client-cert={self.pair.certificate}", f"--client-key={self.pair.key}"]
        return flags


class Failed(AssertionError):
    """A command that ended without ok; `reply` is what the client said."""

    def __init__(self, command, reply):
        super().__init__(f"{command}: {str(reply)[:2000]}")
        self.reply = reply
        self.code = reply.get("code")


class Stream:
    """Events of a watch or an informer; they are kept, so that a test can look back."""

    def __init__(self, client, ident):
        self._client, self.id = client, ident
        self.events, self.end = [], None
        self._changed = threading.Condition()

    def _feed(self, line):
        with self._changed:
            if "event" in line:
                self.events.append(line)
            else:
                self.end = line
            self._changed.notify_all()

    def wait(self, kind=None, name=None, since=0, timeout=30):
        """The first event from position `since` on of that type and object name."""
        def match(event):
            if kind and event["event"] != kind:
                return False
            return name is None or _metadata(event).get("name") == name

        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for event in self.events[since:]:
                    if match(event):
                        return event
                left = deadline - time.monotonic()
                if self.end or left <= 0:
                    raise AssertionError(f"no {kind} {name} within {timeout} s; ended: {self.end}; "
                                         f"log: {self._client.log}; last: {self.events[-5:]}")
                self._changed.wait(left)

    def wait_end(self, timeout=30):
        with self._changed:
            self._changed.wait_for(lambda: self.end, timeout)
            assert self.end, f"the stream did not end within {timeout} s"
            return self.end

    def mark(self):
        return len(self.events)

    def names(self, kind=None, since=0):
        return [_metadata(e)["name"] for e in self.events[since:] if "object" in e and kind in (None, e["event"])]

    def stop(self, timeout=10):
        self._client.command("stop", target=self.id)
        return self.wait_end(timeout)


def _metadata(event):
    described = event.get("object") or {}
    return described.get("metadata", described)


class LineClient:
    """A program that takes JSON commands on stdin and answers on stdout, alive until `close`."""

    def __init__(self, place, argv, log, env=None):
        self.place, self.log = place, log
        self._ids = itertools.count(1)
        self._replies, self._streams = {}, {}
        with open(log, "ab") as errors:
            self._process = spawn_in(place, argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                     text=True, env=env)
        self.pid = self._process.pid
        ready = self._replies[0] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        assert ready.get(timeout=30).get("ready"), f"{argv} did not start, see {log}"

    def _read(self):
        for text in self._process.stdout:
            line = json.loads(text)
            stream = self._streams.get(line["id"])
            if stream:
                stream._feed(line)
            elif line["id"] in self._replies:
                self._replies[line["id"]].put(line)
        gone = {"ok": False, "error": "the client has ended"}
        for waiting in list(self._replies.values()) + [s for s in self._streams.values() if not s.end]:
            waiting.put(gone) if isinstance(waiting, queue.Queue) else waiting._feed(gone)

    def _send(self, ident, op, arguments):
        self._process.stdin.write(json.dumps({"id": ident, "op": op, **arguments}) + "\n")
        self._process.stdin.flush()

    def attempt(self, op, timeout=30, **arguments):
        """Runs a command and returns what the client says, also when that is a failure."""
        ident = next(self._ids)
        replies = self._replies[ident] = queue.Queue()
        self._send(ident, op, {"timeout": timeout, **arguments})
        try:
            reply = replies.get(timeout=timeout + 15)
        except queue.Empty:
            raise AssertionError(f"{op} {arguments}: the client itself hangs, see {self.log}") from None
        finally:
            del self._replies[ident]
        if not reply["ok"]:
            reply.setdefault("code", 0)  # no HTTP answer at all
        return reply

    def command(self, op, timeout=30, **arguments):
        reply = self.attempt(op, timeout, **arguments)
        if not reply.get("ok"):
            raise Failed(f"{op} {arguments}", reply)
        return reply

    def stream(self, op, **arguments):
        ident = next(self._ids)
        stream = self._streams[ident] = Stream(self, ident)
        self._send(ident, op, arguments)
        return stream

    def peers(self):
        """What getpeername says of each live connection."""
        return [peer["getpeername"] for peer in self.command("peers")["peers"]]

    def reconnect(self):
        self.command("reconnect")

    def close(self):
        stop(self._process)


class GoClient(LineClient):
    """client-go, configured as in a cluster. encoding: protobuf (typed) or json (dynamic)."""

    def __init__(self, place, credential, log, host=f"https://{SERVICE_V4}", encoding="protobuf", http1=False,
                 watch_list=True, user_agent="", identities=None):
        """`identities`: further key pairs or token files of the same process, for commands with **{"as": name}."""
        argv = [BINARIES / "hf-client", f"--host={host}", f"--encoding={encoding}", f"--user-agent={user_agent}",
                *credential.flags()]
        if http1:
            argv.append("--http1")
        for name, pair in (identities or {}).items():
            proof = f"token:{pair}" if isinstance(pair, Path) else f"{pair.certificate},{pair.key}"
            argv.append(f"--identity={name}={proof}")
        env = {"KUBE_FEATURE_WatchListClient": "true" if watch_list else "false", "PATH": "/usr/bin:/bin:/usr/sbin"}
        super().__init__(place, argv, log, env)

    def get(self, resource, name, namespace="", **options):
        return self.command("get", resource=resource, name=name, namespace=namespace, **options)["object"]

    def list(self, resource, namespace="", **options):
        return self.command("list", resource=resource, namespace=namespace, **options)

    def names(self, resource, namespace="", **options):
        return sorted(item["name"] for item in self.list(resource, namespace, **options)["items"])

    def watch(self, resource, namespace="", **options):
        return self.stream("watch", resource=resource, namespace=namespace, **options)

    def informer(self, resource, namespace="", **options):
        return self.stream("informer", resource=resource, namespace=namespace, **options)

    def raw(self, path, **options):
        """status, headers and body of a plain GET with the client's credential."""
        return self.command("raw", path=path, **options)

    def who_am_i(self):
        return self.command("selfsubjectreview")


class PyClient(LineClient):
    """Python's http.client: HTTP/1.1 and JSON over IPv4, IPv6 or v4-mapped sockets."""

    def __init__(self, place, credential, log, *flags, address=SERVICE_V4):
        argv = ["/usr/bin/python3", REPOSITORY / "tests/clients/pyclient.py", f"--address={address}",
                *credential.flags(), *flags]
        super().__init__(place, argv, log)

    def get(self, path, **options):
        """The parsed body of a GET; Failed when the code is not 200."""
        reply = self.command("request", path=path, **options)
        if reply["code"] != 200:
            raise Failed(path, reply)
        return json.loads(reply["body"])

    def code(self, path, **options):
        return self.command("request", path=path, **options)["code"]

    def watch(self, path):
        return self.stream("watch", path=path)


@dataclass
class Response:
    code: int  # 0: no HTTP answer
    headers: dict = field(default_factory=dict)
    body: str = ""
    error: str = ""
    exit: int = 0

    def json(self):
        return json.loads(self.body)


def curl(place, credential, path, *flags, host=f"https://{SERVICE_V4}", user_agent="curl-test", timeout=20,
         token=None):
    """One request with curl. `token` overrides the credential's own."""
    argv = ["curl", "--silent", "--show-error", "--include", "--max-time", timeout, "--noproxy", "*",
            "-A", user_agent, "--cacert", credential.ca_file]
    if token is None and credential.token_file:
        token = Path(credential.token_file).read_text().strip()
    if token:
        argv += ["-H", f"Authorization: Bearer {token}"]
    if credential.pair:
        argv += ["--cert", credential.pair.certificate, "--key", credential.pair.key]
    done = run_in(place, [*argv, *flags, host + path], timeout=timeout + 10)
    if done.returncode != 0:
        return Response(0, error=done.stderr, exit=done.returncode, body=done.stdout)
    head, _, body = done.stdout.partition("\n\n")  # text mode made \r\n one \n
    status, *lines = head.splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Response(int(status.split()[1]), headers, body)
