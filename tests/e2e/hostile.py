#!/usr/bin/python3
"""An API server that misbehaves, over HTTP/1.1 and TLS. Whom it serves is who asks: anyone is `tester`.

  …/configmaps?watch=1      one watch frame that never ends
  …/namespaces/cut/…        a list that breaks off in the middle
  …/namespaces/headers/…    an answer with 2 MB of headers
  …/namespaces/nonsense/…   a body that is not what its Content-Type says
  …/namespaces/silent/…     headers, then nothing more
  anything else             an honest list of two ConfigMaps
"""

import json
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def config_maps(count):
    return {"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "1000"},
            "items": [{"metadata": {"name": f"item-{n}", "namespace": "any", "uid": f"u-{n}", "resourceVersion": "900"},
                       "data": {"payload": "x" * 500}} for n in range(count)]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self, body, code=200):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {},
                      "status": {"userInfo": {"username": "tester", "uid": "1", "groups": ["system:authenticated"]}}}, 201)

    def do_GET(self):
        try:
            if "watch=1" in self.path or "watch=true" in self.path:
                self._endless_frame()
            elif "/namespaces/cut/" in self.path:
                self._cut_short()
            elif "/namespaces/headers/" in self.path:
                self._headers()
            elif "/namespaces/nonsense/" in self.path:
                self._answer(b'{"kind":"ConfigMapList","items":[{"metadata":{"name":"tr' + bytes(range(128, 200)))
            elif "/namespaces/silent/" in self.path:
                self._silent()
            elif self.path.startswith(("/readyz", "/livez", "/healthz")):
                self._answer(b"ok")
            else:
                self._answer(config_maps(2))
        except OSError:
            self.close_connection = True

    def _start_chunked(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _endless_frame(self):
        self._start_chunked()
        self._chunk(b'{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","data":{"a":"')
        while True:
            self._chunk(b"x" * 65536)

    def _cut_short(self):
        self._start_chunked()
        whole = json.dumps(config_maps(100)).encode()
        self._chunk(whole[: len(whole) // 2])
        self.close_connection = True
        self.connection.close()

    def _headers(self):
        self.send_response(200)
        for number in range(250):
            self.send_header(f"X-Big-{number}", "y" * 8000)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _silent(self):
        self._start_chunked()
        self.wfile.flush()
        time.sleep(600)

    def log_message(self, *_):
        pass


def main():
    address, port, certificate, key = sys.argv[1:]
    server = ThreadingHTTPServer((address, int(port)), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("listening", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
