"""occupy.py PORT: another client of vpn1's miniupnpd, 10.2.0.9, maps a port for itself, TCP and UDP, for good.

Run inside vpn1. Passes when both were granted.
"""

import socket
import struct
import sys

port = int(sys.argv[1])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.2.0.9", 0))
s.settimeout(20)
for opcode in (1, 2):
    s.sendto(struct.pack("!BBHHHI", 0, opcode, 0, port, port, 180), ("10.2.0.1", 5351))
    reply = s.recv(100)
    _, _, result, _, _, granted, _ = struct.unpack("!BBHIHHI", reply[:16])
    print(f"opcode {opcode}: result {result}, port {granted}")
    if result != 0 or granted != port:
        sys.exit(1)
