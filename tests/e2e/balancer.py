#!/usr/bin/python3
"""A TCP balancer, as K3s has one on each agent: copies bytes between its clients and one server.

With --delay, each piece of bytes takes so many seconds longer in either direction: a slow line to one server.
It prints a line for each connection that it took.
"""

import argparse
import collections
import socket
import sys
import threading
import time


def copy(source, sink, delay):
    """Until the source ends; what is under way is still delivered."""
    queue, changed = collections.deque(), threading.Condition()

    def deliver():
        while True:
            with changed:
                changed.wait_for(lambda: queue)
                due, data = queue.popleft()
            time.sleep(max(0, due - time.monotonic()))
            try:
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
            except OSError:
                return

    threading.Thread(target=deliver, daemon=True).start()
    while True:
        try:
            data = source.recv(65536)
        except OSError:
            data = b""
        with changed:
            queue.append((time.monotonic() + delay, data))
            changed.notify()
        if not data:
            return


def serve(client, options):
    try:
        server = socket.create_connection(options.to, timeout=10)
    except OSError:
        client.close()
        return
    server.settimeout(None)
    for one in (client, server):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=copy, args=(server, client, options.delay), daemon=True).start()
    copy(client, server, options.delay)


def endpoint(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", type=endpoint, required=True)
    parser.add_argument("--to", type=endpoint, required=True)
    parser.add_argument("--delay", type=float, default=0)
    options = parser.parse_args()
    listener = socket.create_server(options.listen)
    print("listening", flush=True)
    while True:
        client, peer = listener.accept()
        print("from", peer[0], peer[1], flush=True)
        threading.Thread(target=serve, args=(client, options), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
