"""knock.py ADDRESS PORT: says a BitTorrent handshake for the lab's torrent and passes when it is answered by one.

A completed TCP connection alone could be any listener's; this answer is only qBittorrent's.
"""

import socket
import sys

NAME = b"\x13BitTorrent protocol"
TORRENT = (b"lab" * 7)[:20]  # the info hash of the magnet link in lib.sh

with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as s:
    s.settimeout(10)
    s.sendall(NAME + bytes(8) + TORRENT + b"-LB0001-abcdefghijkl")
    got = b""
    while len(got) < len(NAME):
        block = s.recv(68)
        if not block:
            break
        got += block
print(f"answer: {got[:20]!r}")
sys.exit(0 if got.startswith(NAME) else 1)
