#!/usr/bin/python3
"""A Kubernetes client of another HTTP stack: Python's http.client over ssl, HTTP/1.1 and JSON.

It takes one JSON command per line on stdin and prints one JSON object per line on stdout, as hf-client does.
Commands: request, watch, peers, reconnect, stop. It knows nothing of Holdfast.
"""

import argparse
import http.client
import json
import os
import socket
import ssl
import sys
import threading
import time

_output = threading.Lock()


def emit(**reply):
    with _output:
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


class Client:
    def __init__(self, options):
        self.options = options
        self.context = ssl.create_default_context(cafile=options.ca_file)
        if options.client_cert:
            self.context.load_cert_chain(options.client_cert, options.client_key)
        self.lock = threading.Lock()
        self.shared = None
        self.open = {}
        self.watches = {}

    def connect(self):
        """A TLS connection; the socket's family and source port are as the command line says."""
        o = self.options
        # A v4-mapped client has an IPv6 socket and dials ::ffff:a.b.c.d, as dual-stack programs do.
        address = f"::ffff:{o.address}" if o.v4_mapped else o.address
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        raw = socket.socket(family, socket.SOCK_STREAM)
        raw.settimeout(o.timeout)
        if o.source_port:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            raw.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", o.source_port))
        try:
            raw.connect((address, o.port))
            connection = http.client.HTTPSConnection(o.address, o.port)
            connection.sock = self.context.wrap_socket(raw, server_hostname=o.server_name or o.address)
        except BaseException:
            raw.close()
            raise
        self.open[id(connection)] = connection
        return connection

    def drop(self, connection):
        self.open.pop(id(connection), None)
        connection.close()

    def headers(self, command):
        headers = {"Accept": "application/json", "User-Agent": self.options.user_agent}
        if self.options.token_file:
            with open(self.options.token_file, encoding="ascii") as file:
                headers["Authorization"] = "Bearer " + file.read().strip()
        headers.update(command.get("headers", {}))
        return headers

    def request(self, command):
        """One request on the kept-alive connection, or on a new one when that was lost."""
        with self.lock:
            for attempt in (1, 2):
                reused = self.shared is not None
                try:
                    if not reused:
                        self.shared = self.connect()
                    self.shared.request(command.get("method", "GET"), command["path"], body=command.get("body"),
                                        headers=self.headers(command))
                    response = self.shared.getresponse()
                    body = response.read()
                    break
                except (OSError, http.client.HTTPException):
                    if self.shared is not None:
                        self.drop(self.shared)
                        self.shared = None
                    if attempt == 2 or not reused:
                        raise
            if response.will_close:
                self.drop(self.shared)
                self.shared = None
        return {"code": response.status, "headers": {k.lower(): v for k, v in response.getheaders()},
                "bytes": len(body), "body": body.decode(errors="replace")}

    def watch(self, command):
        """Streams events, each as a line, over a connection of its own."""
        connection = self.watches[command["id"]] = self.connect()
        try:
            connection.sock.settimeout(None)
            connection.request("GET", command["path"], headers=self.headers(command))
            response = connection.getresponse()
            if response.status != 200:
                return {"code": response.status, "body": response.read().decode(errors="replace")}
            emit(id=command["id"], event="OPEN")
            events = 0
            while line := response.readline():
                event, events = json.loads(line), events + 1
                emit(id=command["id"], event=event["type"], object=event["object"])
            return {"code": 200, "events": events, "end": "closed"}
        finally:
            del self.watches[command["id"]]
            self.drop(connection)

    def stop(self, command):
        watch = self.watches.get(command["target"])
        if watch:
            watch.sock.shutdown(socket.SHUT_RDWR)
        return {}

    def peers(self, _):
        """getpeername of each live connection, asked of the kernel now."""
        return {"peers": [{"getpeername": show(c.sock.getpeername()), "local": show(c.sock.getsockname())}
                          for c in list(self.open.values()) if c.sock]}

    def reconnect(self, _):
        with self.lock:
            closed = self.shared is not None
            if closed:
                self.drop(self.shared)
                self.shared = None
        return {"closed": int(closed)}


def show(address):
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def run(client, command):
    started = time.monotonic()
    try:
        operation = {"request": client.request, "watch": client.watch, "peers": client.peers,
                     "reconnect": client.reconnect, "stop": client.stop}[command["op"]]
        reply = {"ok": True, **operation(command)}
    except Exception as error:  # whatever it is, the test shall see it
        reply = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    emit(id=command["id"], seconds=time.monotonic() - started, **reply)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="198.18.0.1")
    parser.add_argument("--port", type=int, default=443)
    parser.add_argument("--server-name", help="name to verify, when it is not the address")
    parser.add_argument("--ca-file", required=True)
    parser.add_argument("--token-file")
    parser.add_argument("--client-cert")
    parser.add_argument("--client-key")
    parser.add_argument("--v4-mapped", action="store_true")
    parser.add_argument("--source-port", type=int)
    parser.add_argument("--user-agent", default="pyclient")
    parser.add_argument("--timeout", type=float, default=30)
    client = Client(parser.parse_args())
    emit(id=0, ready=True, pid=os.getpid())
    for line in sys.stdin:
        threading.Thread(target=run, args=(client, json.loads(line)), daemon=True).start()


if __name__ == "__main__":
    main()
