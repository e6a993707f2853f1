"""Child processes in a network namespace and a cgroup, and waiting with a deadline."""

import ctypes
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Place:
    """Where a process runs: a named network namespace and a cgroup2 folder (None: leave it as it is)."""

    netns: str
    cgroup: Path | None = None


def place_argv(place, argv):
    """The command line that moves itself into the place and then becomes argv, keeping its pid.

    The process enters the cgroup before anything of argv runs. It dies with the thread that started
    it, so that a killed test run leaves nothing behind: start processes from the main thread.
    """
    enter = ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net=/var/run/netns/{place.netns}", "--"]
    argv = [str(a) for a in argv]
    if place.cgroup is None:
        return enter + argv
    join = ["/bin/sh", "-c", 'echo 0 > "$0" && exec "$@"', str(place.cgroup / "cgroup.procs")]
    return join + enter + argv


def spawn_in(place, argv, **popen):
    """Starts argv in the place and returns the Popen; its pid is argv's own."""
    popen.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(place_argv(place, argv), **popen)


def run_in(place, argv, timeout=60, check=False, **popen):
    """Runs argv in the place to its end; output is captured as text."""
    result = subprocess.run(
        place_argv(place, argv), timeout=timeout, capture_output=True, text=True, errors="replace",
        stdin=subprocess.DEVNULL, **popen
    )
    if check and result.returncode != 0:
        raise AssertionError(f"{argv}: exit {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def run(*argv, check=True, timeout=60):
    """Runs a tool where the test itself is."""
    result = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=timeout)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def stop(process, how=signal.SIGKILL, timeout=20):
    """Ends a process that the test started; a stopped one too."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout)


@contextmanager
def in_netns(name):
    """Sockets that this thread makes inside the block belong to the namespace, also afterwards."""
    with open("/proc/thread-self/ns/net") as home, open(f"/var/run/netns/{name}") as there:
        _setns(there.fileno())
        try:
            yield
        finally:
            _setns(home.fileno())


def _setns(fd):
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def eventually(probe, timeout=30, every=0.05, what=""):
    """Calls probe until it returns something true, and returns that. AssertionError counts as not yet."""
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = probe()
            if value:
                return value
            last = value
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or getattr(probe, '__name__', probe)}; last: {last!r}")
        time.sleep(every)


def tail(path, lines=40):
    """The end of a log, for a message about a failure."""
    try:
        return "\n".join(Path(path).read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return str(error)


def alive(pid):
    return os.path.exists(f"/proc/{pid}")
