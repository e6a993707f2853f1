"""What kubectl tunnels through the API server; run once without an agent and once through it."""

import re
import socket

from process import in_netns, stop


def exec_runs(kubectl):
    done = kubectl.run("-n", "apps", "exec", "pod-b", "--", "echo", "hello")
    assert done.stdout == "pod-b: echo hello\n", done


def exec_copies_stdin(kubectl, size=300_000):
    """More than any window holds, so that both directions have to flow."""
    text = "0123456789abcde\n" * (size // 16)
    done = kubectl.run("-n", "apps", "exec", "-i", "pod-b", "--", "cat", text=text)
    assert done.returncode == 0, done.stderr
    assert done.stdout == text


def exec_passes_the_exit_code(kubectl):
    assert kubectl.run("-n", "apps", "exec", "pod-b", "--", "exit").returncode == 3


def attach(kubectl):
    done = kubectl.run("-n", "apps", "attach", "-i", "pod-b", text="typed\n")
    assert "attached to pod-b" in done.stdout, done
    assert "typed" in done.stdout


def port_forward(kubectl, netns):
    """Several connections at once over one tunnel."""
    process = kubectl.spawn("-n", "apps", "port-forward", "--address=127.0.0.1", "pod-b", ":8080")
    try:
        port = int(re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())[1])
        with in_netns(netns):
            connections = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(3)]
        for number, connection in enumerate(connections):
            connection.sendall(b"ping %d" % number)
        for number, connection in enumerate(connections):
            assert connection.recv(100) == b"ping %d" % number
            connection.close()
    finally:
        stop(process)


def logs_follow(kubectl):
    process = kubectl.spawn("-n", "apps", "logs", "-f", "pod-b")
    try:
        lines = [process.stdout.readline() for _ in range(5)]
        assert lines == [f"line {n} of pod-b\n" for n in range(1, 6)]
    finally:
        stop(process)


def everything(kubectl, netns):
    exec_runs(kubectl)
    exec_copies_stdin(kubectl)
    exec_passes_the_exit_code(kubectl)
    attach(kubectl)
    port_forward(kubectl, netns)
    logs_follow(kubectl)
