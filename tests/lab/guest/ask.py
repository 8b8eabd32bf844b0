"""ask.py SERVER NAME: asks one DNS server for the IPv4 address of a name, by no library, and prints it."""

import socket
import struct
import sys

server, name = sys.argv[1:]
question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + struct.pack("!HH", 1, 1)
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(20)
asker.sendto(struct.pack("!HHHHHH", 4242, 0x0100, 1, 0, 0, 0) + question, (server, 53))
answer = asker.recv(1500)
print(socket.inet_ntoa(answer[-4:]) if struct.unpack("!H", answer[6:8])[0] else "nothing")
