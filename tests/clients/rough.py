#!/usr/bin/python3
"""A client that does not behave. It prints one JSON object when it is done, or for `idle` when all is open.

Modes: garbage, half-hello, big-header, idle N, slow PATH. It knows nothing of Holdfast.
"""

import argparse
import json
import os
import resource
import socket
import ssl
import sys
import time


def dial(options, receive_buffer=None):
    raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    raw.settimeout(options.timeout)
    raw.connect((options.address, options.port))
    return raw


def tls(options, raw):
    return ssl.create_default_context(cafile=options.ca_file).wrap_socket(raw, server_hostname=options.address)


def read_to_end(stream):
    """What came before the other side closed, and how it ended."""
    received = b""
    try:
        while block := stream.recv(65536):
            received += block
        return received, "closed"
    except TimeoutError:
        return received, "open"
    except OSError as error:
        return received, type(error).__name__


def garbage(options):
    raw = dial(options)
    raw.sendall(os.urandom(4096))
    received, end = read_to_end(raw)
    return {"bytes": len(received), "end": end}


def half_hello(options):
    """The first half of a ClientHello, and then nothing."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="kubernetes").do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = outgoing.read()
    raw = dial(options)
    raw.sendall(hello[: len(hello) // 2])
    _, end = read_to_end(raw)
    return {"sent": len(hello) // 2, "end": end}


def big_header(options):
    stream = tls(options, dial(options))
    try:
        stream.sendall(b"GET /version HTTP/1.1\r\nHost: kubernetes\r\nConnection: close\r\nX-Big: " + b"x" * 100_000 + b"\r\n\r\n")
    except OSError as error:
        return {"end": type(error).__name__, "status": ""}
    received, end = read_to_end(stream)
    return {"status": received.split(b"\r\n", 1)[0].decode(errors="replace"), "end": end}


def idle(options):
    """Many connections that say nothing; they stay until stdin ends."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (options.count + 100,) * 2)
    held, failed = [], 0
    for _ in range(options.count):
        try:
            held.append(dial(options))
        except OSError:
            failed += 1
    print(json.dumps({"open": len(held), "failed": failed}), flush=True)
    sys.stdin.read()
    return {"end": "done"}


def slow(options):
    """Asks for a lot and reads one byte a second, until stdin ends."""
    stream = tls(options, dial(options, receive_buffer=4096))
    with open(options.token_file, encoding="ascii") as file:
        token = file.read().strip()
    stream.sendall(f"GET {options.path} HTTP/1.1\r\nHost: kubernetes\r\nAccept: application/json\r\n"
                   f"Authorization: Bearer {token}\r\n\r\n".encode())
    first = stream.recv(1)
    print(json.dumps({"started": bool(first)}), flush=True)
    read, deadline = len(first), time.monotonic() + options.seconds
    while time.monotonic() < deadline:
        time.sleep(1)  # this client's pace is what the test is about
        read += len(stream.recv(1))
    return {"read": read}


def main():
    modes = {"garbage": garbage, "half-hello": half_hello, "big-header": big_header, "idle": idle, "slow": slow}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=modes)
    parser.add_argument("--address", default="198.18.0.1")
    parser.add_argument("--port", type=int, default=443)
    parser.add_argument("--ca-file")
    parser.add_argument("--token-file")
    parser.add_argument("--path", default="/version")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--timeout", type=float, default=30)
    options = parser.parse_args()
    print(json.dumps(modes[options.mode](options)), flush=True)


if __name__ == "__main__":
    main()
