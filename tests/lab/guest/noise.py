"""Programs that try to get out by every way there is, ten times a second, as root and as user lab, until ended.

Ports tell the ways apart in the capture (leaks.py). How often was tried stands in /run/lab/noise.count: a run in which
nothing was tried proves nothing.
"""

import os
import signal
import socket
import struct
import threading
import time

INET, INET6 = "203.0.113.80", "2001:db8:80::80"
RESOLVERS = ["192.168.1.1", INET]
ENDPOINTS = ["203.0.113.11", "203.0.113.12", "203.0.113.13"]
LAN_ADDRESS = "192.168.1.10"
QUERY = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\4leak\3lab\0\0\1\0\1"
tried = 0


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def send(family, target, port, data=b"lab leak", device=None, source=None):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        if device:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        if source:
            s.bind((source, 0))
        s.sendto(data, (target, port))


opened = []


def connect(family, target, port, device=None):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setblocking(False)
    opened.append(s)
    if device:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
    s.connect_ex((target, port))


def ping(family, target):
    """By the unprivileged ping socket, which the lab opens to everybody."""
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    with socket.socket(family, socket.SOCK_DGRAM, protocol) as s:
        echo = 8 if family == socket.AF_INET else 128
        s.sendto(struct.pack("!BBHHH", echo, 0, 0, 0, 1) + b"lab leak", (target, 0))


def ip_packet(port):
    data = b"lab leak"
    udp = struct.pack("!HHHH", 7000, port, 8 + len(data), 0) + data
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0,
                       socket.inet_aton(LAN_ADDRESS), socket.inet_aton(INET))  # fmt: skip
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp


def raw():
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
        s.sendto(ip_packet(7003), (INET, 0))


def packet():
    """Past nftables' ip hooks altogether: only the netdev egress hook sees it."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind(("eth0", 0x0800))
        router = bytes.fromhex(open("/run/lab/router.mac").read().strip().replace(":", ""))
        s.send(router + bytes.fromhex("020000000110") + b"\x08\x00" + ip_packet(7004))


def ways(root):
    v4, v6 = socket.AF_INET, socket.AF_INET6
    yield lambda: connect(v4, INET, 7001)
    yield lambda: send(v4, INET, 7002)
    yield lambda: connect(v6, INET6, 7005)
    yield lambda: send(v6, INET6, 7006)
    yield lambda: ping(v4, INET)
    yield lambda: ping(v6, INET6)
    yield lambda: send(v4, INET, 7009, source=LAN_ADDRESS)
    yield lambda: send(v4, INET, 7007, device=b"eth0")
    yield lambda: connect(v4, INET, 7008, device=b"eth0")
    for resolver in RESOLVERS:
        yield lambda: send(v4, resolver, 53, QUERY)
        yield lambda: send(v4, resolver, 53, QUERY, device=b"eth0")
        yield lambda: connect(v4, resolver, 853)
    for endpoint in ENDPOINTS:
        yield lambda: send(v4, endpoint, 51820, b"lab plain text to the endpoint")
        yield lambda: connect(v4, endpoint, 51820)
        yield lambda: ping(v4, endpoint)
    if root:
        yield raw
        yield packet


def libc_lookups():
    while True:
        try:
            socket.getaddrinfo("leak.lab", 80)
        except OSError:
            pass
        time.sleep(0.2)


def run(root):
    global tried
    threading.Thread(target=libc_lookups, daemon=True).start()
    while True:
        for way in ways(root):
            tried += 1
            try:
                way()
            except OSError:
                pass  # refused is how it should be
        while len(opened) > 60:
            opened.pop(0).close()
        if root:
            with open("/run/lab/noise.count.new", "w") as f:
                f.write(f"{tried}\n")
            os.rename("/run/lab/noise.count.new", "/run/lab/noise.count")
        time.sleep(0.1)


child = os.fork()
if child == 0:
    os.setgroups([])
    os.setgid(1000)
    os.setuid(1000)
    run(root=False)


def end(*_):
    os.kill(child, signal.SIGKILL)
    os._exit(0)


signal.signal(signal.SIGTERM, end)
run(root=True)
