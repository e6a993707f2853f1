"""Ways in which an agent breaks. Each is a context manager that undoes itself."""

import ctypes
import itertools
import os
import signal
from contextlib import contextmanager
from pathlib import Path

from process import alive, eventually, run

_libc = ctypes.CDLL(None, use_errno=True)
_PTRACE_SEIZE, _PTRACE_INTERRUPT, _PTRACE_DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000  # linux/wait.h: waits for a thread, too


def worker(agent):
    """The process that serves: the watchdog parent's only child, or the agent itself."""
    children = [pid for pid in agent.pids() if _parent(pid) == agent.process.pid]
    return children[0] if children else agent.process.pid


def _parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@contextmanager
def killed(agent):
    agent.kill()
    yield
    agent.start()


@contextmanager
def stopped(agent):
    """SIGSTOP of parent and worker: nobody is left who could react."""
    agent.signal_all(signal.SIGSTOP)
    yield
    agent.signal_all(signal.SIGCONT)
    _whole_again(agent)


@contextmanager
def worker_stopped(agent):
    """The worker alone hangs: the parent has to see it."""
    pid = worker(agent)
    os.kill(pid, signal.SIGSTOP)
    yield
    if alive(pid):
        os.kill(pid, signal.SIGCONT)
    _whole_again(agent)


@contextmanager
def thread_blocked(agent):
    """One I/O thread stands still while the rest of the process runs on."""
    tid = io_threads(worker(agent))[0]
    _ptrace(_PTRACE_SEIZE, tid)
    _ptrace(_PTRACE_INTERRUPT, tid)
    os.waitpid(tid, _WALL)
    yield
    if _libc.ptrace(_PTRACE_DETACH, tid, None, None) != 0:
        # Killed meanwhile: its process can't end before the tracer has collected the thread.
        os.waitpid(tid, _WALL)
    _whole_again(agent)


def io_threads(pid):
    """Threads that wait in epoll and are named as I/O threads, else all but the first."""
    threads = {int(task.name): (task / "comm").read_text().strip() for task in Path(f"/proc/{pid}/task").iterdir()}
    named = [tid for tid, name in threads.items() if "io" in name]
    return named or sorted(threads)[1:] or [pid]


def _ptrace(request, tid):
    if _libc.ptrace(request, tid, None, None) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {tid}")


@contextmanager
def no_descriptors(agent):
    """Every descriptor that the worker may have is in use: it can accept nothing more."""
    pid = worker(agent)
    # The limit is on numbers, and the agent keeps some high ones on purpose: what counts is the lowest free one.
    open_now = {int(fd.name) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    used = next(number for number in itertools.count() if number not in open_now)
    before = run("prlimit", "--pid", pid, "--nofile", "--output", "SOFT,HARD", "--noheadings", "--raw").stdout.split()
    run("prlimit", "--pid", pid, f"--nofile={used}:{before[1]}")
    yield
    if alive(pid):
        run("prlimit", "--pid", pid, f"--nofile={before[0]}:{before[1]}")
    _whole_again(agent)


def _whole_again(agent):
    eventually(agent.is_ready, timeout=60, what="the agent to serve again")


ALL = (killed, stopped, worker_stopped, thread_blocked, no_descriptors)
