#!/usr/bin/python3
"""A mesh sidecar as far as the network sees it: nftables sends a pod's connections here, it dials on.

It runs inside the pod's namespace. Its own connections carry a mark that the rule leaves alone.
"""

import socket
import struct
import sys
import threading

PORT = 15001
MARK = 0x539
RULES = f"""
table ip hfsidecar {{
  chain output {{
    type nat hook output priority -100;
    meta mark {MARK:#x} accept
    ip daddr 127.0.0.0/8 accept
    meta l4proto tcp counter redirect to :{PORT}
  }}
}}
"""
_SO_ORIGINAL_DST = 80  # linux/netfilter_ipv4.h


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        sink.close()


def serve(client):
    raw = client.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
    port, address = struct.unpack_from("!2xH4s", raw)
    upstream = socket.socket()
    upstream.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
    try:
        upstream.connect((socket.inet_ntoa(address), port))
    except OSError:
        client.close()
        return
    threading.Thread(target=copy, args=(upstream, client), daemon=True).start()
    copy(client, upstream)


def main():
    listener = socket.create_server(("0.0.0.0", PORT))
    print("listening", flush=True)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
