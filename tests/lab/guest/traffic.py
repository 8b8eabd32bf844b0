"""traffic.py FILE: an echo by UDP with the internet host every 50 ms, until ended by SIGTERM.

FILE is written anew every second: `sent N received N gap MS silent MS` (the longest time between two replies that
came, and the time since the last).
"""

import os
import signal
import socket
import sys
import time

PEER = ("203.0.113.80", 7777)
EVERY_S = 0.05
sent = received = 0
last = longest = None
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def tell():
    with open(sys.argv[1] + ".new", "w") as f:
        silent = int((time.monotonic() - last) * 1000) if last else 0
        f.write(f"sent {sent} received {received} gap {int((longest or 0) * 1000)} silent {silent}\n")
    os.rename(sys.argv[1] + ".new", sys.argv[1])


def end(*_):
    tell()
    os._exit(0)


signal.signal(signal.SIGTERM, end)
next_send = next_tell = time.monotonic()
while True:
    now = time.monotonic()
    if now >= next_send:
        next_send = now + EVERY_S
        sent += 1
        try:
            s.sendto(b"lab echo", PEER)
        except OSError:
            pass
    if now >= next_tell:
        next_tell = now + 1
        tell()
    s.settimeout(max(0.001, next_send - time.monotonic()))
    try:
        s.recv(100)
    except OSError:
        continue
    now = time.monotonic()
    received += 1
    if last:
        longest = max(longest or 0, now - last)
    last = now
