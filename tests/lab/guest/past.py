"""past.py LINK: hands frames to a link by a packet socket, past nftables' IP hooks, and prints how many of them reached its
driver. Fails when one did."""

import socket
import struct
import sys

link, count, word = sys.argv[1], 20, b"lab leak"
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(word), 1, 0, 64, 17, 0, socket.inet_aton("192.168.1.10"), socket.inet_aton("203.0.113.80"))
frame = bytes(6 * [0xFF]) + bytes([2, 0, 0, 0, 1, 16]) + b"\x08\x00" + head + struct.pack("!HHHH", 7000, 7004, 8 + len(word), 0) + word

tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL: what leaves as well
tap.bind((link, 3))
tap.settimeout(0.5)
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
    s.bind((link, 0x0800))
    for _ in range(count):
        try:
            s.send(frame)
        except OSError:
            pass  # refused is how it should be
left = 0
try:
    while True:
        left += word in tap.recv(2048)
except TimeoutError:
    pass
print(f"{left} of {count} left by {link}")
sys.exit(1 if left else 0)
