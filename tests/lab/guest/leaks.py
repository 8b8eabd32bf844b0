"""leaks.py FILE [since-tunnel] [pia] [proton] [resolver=ADDRESS]: sorts the packets that left the Pi (a capture of the ISP's
side) and passes when none leaked. With `since-tunnel` the packets before the first WireGuard one are left out. With `pia`
the WireGuard servers listen on port 1337, and what pvpn asks outside may leave as well: addKey at the servers, the two web
sites, their names. With `proton` the same holds for TLS to the test API, and its name. With `resolver` this one may be
asked for names, as with `connect --dns false`.

A packet may leave when it is WireGuard to a known endpoint, or what the contract lets out of a closed machine: ARP,
DHCP, neighbour and router discovery, mDNS, the LAN but for its ports 53 and 853, and pvpn's own echo requests to the
servers it chooses from. WireGuard means the datagram's own bytes too, not only where it goes: plain text to the
endpoint's port is a leak. And an echo request that carries noise.py's word is somebody else's.

Prints one line of counts, and what leaked by kind with the first packet of each.
"""

import ipaddress
import struct
import sys

OPTIONS = sys.argv[2:]
SERVERS = {ipaddress.ip_address(f"203.0.113.{n}") for n in (11, 12, 13)}
ENDPOINTS = {(address, 1337 if "pia" in OPTIONS else 51820) for address in SERVERS}
ENDPOINTS.add((ipaddress.ip_address("2001:db8:80::13"), 51820))  # the third one's other address
WEB = {(ipaddress.ip_address("203.0.113.80"), port) for port in (443, 8443)}
SITES = b"\x03pia\x04test\0"  # the end of their names in a DNS question
API = (ipaddress.ip_address("203.0.113.80"), 443)
RESOLVERS = {word.removeprefix("resolver=") for word in OPTIONS if word.startswith("resolver=")}
LAN = ipaddress.ip_network("192.168.1.0/24")
MDNS = {ipaddress.ip_address("224.0.0.251"), ipaddress.ip_address("ff02::fb")}
DISCOVERY = {133, 134, 135, 136, 137}  # ICMPv6: router and neighbour discovery, RFC 4861
# Sizes of handshake messages and of a cookie, and what transport data is a multiple of: the WireGuard paper, 5.4.
SIZES = {1: 148, 2: 92, 3: 64}
# The ports by which noise.py tells its ways out apart.
WAYS = {
    7001: "TCP", 7002: "UDP", 7003: "UDP of a ping-less raw socket", 7004: "UDP by a packet socket",
    7005: "TCP over IPv6", 7006: "UDP over IPv6", 7007: "UDP bound to eth0", 7008: "TCP bound to eth0",
    7009: "UDP from the LAN address", 53: "DNS", 853: "DNS over TLS", 51820: "plain text to the endpoint",
}  # fmt: skip


def frames(path):
    with open(path, "rb") as f:
        data = f.read()
    order = "<" if data[:4] == b"\xd4\xc3\xb2\xa1" else ">"
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, kept, length = struct.unpack(order + "IIII", data[at : at + 16])
        if at + 16 + kept > len(data):  # it is being written, or the power went meanwhile
            return
        yield seconds + fraction / 1e6, data[at + 16 : at + 16 + kept], length
        at += 16 + kept


def wireguard(payload, length):
    """Whether a datagram of this length, of which these bytes were kept, is a WireGuard message."""
    if len(payload) < 4 or payload[1:4] != b"\0\0\0":
        return False
    kind = payload[0]
    return length == SIZES[kind] if kind in SIZES else kind == 4 and length >= 32 and length % 16 == 0


def is_pias(protocol, target, port, rest):
    if protocol == 17:
        return port == 53 and SITES in rest
    return port == 1337 and target in SERVERS or (target, port) in WEB


def judge(frame):
    """The kind of a frame, and whether it may leave."""
    ethertype = struct.unpack("!H", frame[12:14])[0]
    if ethertype == 0x0806:
        return "ARP", True
    if ethertype == 0x0800:
        head = (frame[14] & 15) * 4
        protocol = frame[23]
        target = ipaddress.ip_address(frame[30:34])
        if struct.unpack("!H", frame[20:22])[0] & 0x1FFF:
            return f"fragment to {target}", target in LAN
        rest = frame[14 + head :]
    elif ethertype == 0x86DD:
        protocol, rest = frame[20], frame[54:]
        target = ipaddress.ip_address(frame[38:54])
        if protocol == 0:  # hop-by-hop options, as multicast reports carry
            protocol, rest = rest[0], rest[(rest[1] + 1) * 8 :]
    else:
        return f"ethertype {ethertype:#06x}", False

    if protocol in (6, 17):
        source, port = struct.unpack("!HH", rest[:4])
        name = f"{WAYS.get(port, 'UDP' if protocol == 17 else 'TCP')} to {target} port {port}"
        if protocol == 17:
            if (target, port) in ENDPOINTS and wireguard(rest[8:], struct.unpack("!H", rest[4:6])[0] - 8):
                return "WireGuard", True
            if (source, port) in ((68, 67), (546, 547)):
                return "DHCP", True
            if port == 5353 and target in MDNS:
                return "mDNS", True
        if "pia" in OPTIONS and is_pias(protocol, target, port, rest):
            return "PIA", True
        if "proton" in OPTIONS and ((target, port) == API or port == 53 and b"\x06proton\x04test\0" in rest):
            return "Proton's API", True
        if str(target) in RESOLVERS and port in (53, 853):
            return "names", True
        if target in LAN and port not in (53, 853):
            return "LAN", True
        return name, False
    if protocol == 58:
        return f"ICMPv6 type {rest[0]} to {target}", rest[0] in DISCOVERY
    if target in LAN:
        return "LAN", True
    if protocol == 1 and rest[0] == 8 and target in SERVERS and b"lab leak" not in rest:
        return "probe", True
    return f"ICMP to {target}" if protocol == 1 else f"protocol {protocol} to {target}", False


def main():
    counts, leaked, total, passed = {}, {}, 0, 0
    start = None
    waiting = "since-tunnel" in OPTIONS
    for at, frame, _ in frames(sys.argv[1]):
        if waiting and judge(frame)[0] != "WireGuard":
            continue
        waiting = False
        start = start or at
        total += 1
        kind, may = judge(frame)
        if may:
            counts[kind] = counts.get(kind, 0) + 1
            passed += 1
        else:
            first, n = leaked.get(kind, (at - start, 0))
            leaked[kind] = (first, n + 1)
    parts = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
    print(f"{total} packets left: {parts or 'none allowed'}; {total - passed} leaked")
    for kind, (first, n) in sorted(leaked.items()):
        print(f"leaked: {n} x {kind}, first after {first:.3f} s")
    sys.exit(1 if leaked or waiting else 0)


main()
