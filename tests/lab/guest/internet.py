"""The hosts of the small internet that answer something, in one process (one Python start instead of eight).

A socket belongs to the network namespace it was made in, so each is made inside its host's namespace:

- isp, vpn1..3: a DNS server. `which.lab` is answered with the address of the server that was asked.
- inet: HTTP on port 80. `/` answers the caller's address, `/bytes/N` sends N bytes, `/slow/N` N bytes at about
  100 kB a second. UDP 7777 answers each datagram with itself. 
- vpn2, vpn3: a NAT-PMP gateway with the manners of Proton's: a request with internal port 0 and external port 1 gets
  a port of the gateway's choice, the same for UDP and TCP, to the client's own port of that number; lifetime 60 s.

Orders, read at every request: /run/lab/NS.order holds `refuse RESULT` or `grant PORT`. What is leased stands in
/run/lab/NS.leases, one `PROTOCOL EXTERNAL INTERNAL EXPIRES` a line (seconds since boot), NS.asked counts requests.
"""

import ctypes
import os
import random
import selectors
import socket
import struct
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RUN = "/run/lab/"
CLONE_NEWNET = 0x40000000
LIFETIME_S = 60
libc = ctypes.CDLL(None, use_errno=True)


def enter(ns):
    """Moves this thread into a namespace; the sockets it makes afterwards stay there."""
    with open(f"/run/netns/{ns}", "rb") as f:
        if libc.setns(f.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {ns}")


def udp(ns, address, port):
    enter(ns)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((address, port))
    return s


class Dns:
    NAMES = {"inet.lab": "203.0.113.80", "vpn1.lab": "203.0.113.11", "vpn2.lab": "203.0.113.12", "vpn3.lab": "203.0.113.13",
             "www.pia.test": "203.0.113.80", "list.pia.test": "203.0.113.80",
             "api.proton.test": "203.0.113.80"}

    def __init__(self, ns, address):
        self.names = dict(self.NAMES, **{"which.lab": address})
        self.socket = udp(ns, address, 53)

    def ready(self):
        query, peer = self.socket.recvfrom(1500)
        if len(query) < 17:
            return
        labels, at = [], 12
        while at < len(query) and query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
            at += 1 + query[at]
        question = query[12 : at + 5]
        kind = struct.unpack("!H", query[at + 1 : at + 3])[0]
        found = self.names.get(".".join(labels).lower())
        answers = b""
        if found and kind == 1:
            answers = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + socket.inet_aton(found)
        flags = 0x8180 if found else 0x8183
        head = query[:2] + struct.pack("!HHHHH", flags, 1, 1 if answers else 0, 0, 0)
        self.socket.sendto(head + question + answers, peer)


class Gateway:
    """RFC 6886 as Proton's gateways speak it."""

    def __init__(self, ns, exit_address):
        self.ns, self.exit = ns, exit_address
        self.born = time.monotonic()
        self.leases = {}  # (protocol, external) -> (client, internal, expires)
        self.asked = 0
        self.socket = udp(ns, "10.2.0.1", 5351)

    def order(self):
        try:
            with open(f"{RUN}{self.ns}.order") as f:
                return f.read().split()
        except FileNotFoundError:
            return []

    def ready(self):
        request, peer = self.socket.recvfrom(1500)
        if len(request) < 2 or request[0] != 0 or request[1] > 127:
            return
        self.asked += 1
        epoch = int(time.monotonic() - self.born)
        opcode = request[1]
        if opcode == 0:
            reply = struct.pack("!BBHI", 0, 128, 0, epoch) + socket.inet_aton(self.exit)
        elif opcode in (1, 2) and len(request) >= 12:
            internal, external, lifetime = struct.unpack("!HHI", request[4:12])
            result, external, lifetime = self.map("udp" if opcode == 1 else "tcp", peer[0], internal, external, lifetime)
            reply = struct.pack("!BBHIHHI", 0, 128 + opcode, result, epoch, internal, external, lifetime)
        else:
            reply = struct.pack("!BBHI", 0, 128 + opcode, 5, epoch)
        self.socket.sendto(reply, peer)
        self.publish()

    def map(self, protocol, client, internal, external, lifetime):
        order = self.order()
        if order[:1] == ["refuse"]:
            return int(order[1]), 0, 0
        if lifetime == 0:
            for key in [k for k, v in self.leases.items() if k[0] == protocol and v[0] == client]:
                self.forget(key)
            return 0, 0, 0
        mine = {k[1] for k, v in self.leases.items() if v[0] == client}
        if order[:1] == ["grant"]:
            chosen = int(order[1])
        elif mine:
            chosen = external if external in mine else min(mine)
        elif external > 1024:
            chosen = external
        else:
            chosen = random.randint(30000, 65000)
        key = (protocol, chosen)
        if key not in self.leases:
            for old in [k for k, v in self.leases.items() if k[0] == protocol and v[0] == client]:
                self.forget(old)
            self.nft(f"add element ip forwarded {protocol}_ports {{ {chosen} : {client} . {internal or chosen} }}")
        self.leases[key] = (client, internal or chosen, time.monotonic() + LIFETIME_S)
        return 0, chosen, LIFETIME_S

    def forget(self, key):
        del self.leases[key]
        self.nft(f"delete element ip forwarded {key[0]}_ports {{ {key[1]} }}")

    def expire(self):
        everything = self.order()[:1] == ["forget"]
        late = [k for k, v in self.leases.items() if everything or v[2] < time.monotonic()]
        for key in late:
            self.forget(key)
        if late:
            self.publish()

    def nft(self, words):
        subprocess.run(["ip", "netns", "exec", self.ns, "nft", words], check=False)

    def publish(self):
        text = "".join(f"{p} {e} {v[1]} {int(v[2])}\n" for (p, e), v in sorted(self.leases.items()))
        for name, content in (("leases", text), ("asked", f"{self.asked}\n")):
            with open(f"{RUN}{self.ns}.{name}.new", "w") as f:
                f.write(content)
            os.rename(f"{RUN}{self.ns}.{name}.new", f"{RUN}{self.ns}.{name}")


class Echo:
    def __init__(self, ns, address, port):
        self.socket = udp(ns, address, port)

    def ready(self):
        data, peer = self.socket.recvfrom(2000)
        self.socket.sendto(data, peer)


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        caller = self.client_address[0].removeprefix("::ffff:")
        words = self.path.strip("/").split("/")
        try:
            if words[0] in ("bytes", "slow"):
                self.send_body(int(words[1]), slow=words[0] == "slow")
            else:
                self.reply(f"{caller}\n".encode())
        except OSError:
            pass

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_body(self, size, slow):
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        block = bytes(10_000) if slow else bytes(65_536)
        while size > 0:
            self.wfile.write(block[: min(size, len(block))])
            size -= len(block)
            if slow:
                time.sleep(0.1)

    def log_message(self, *_):
        pass


class Web(ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.bind(self.server_address)  # HTTPServer's own asks a resolver for the host's name


def main():
    hosts = [Dns("isp", "192.168.1.1"), Dns("inet", "203.0.113.80"), Echo("inet", "203.0.113.80", 7777)]
    hosts += [Dns(f"vpn{n}", "10.2.0.1") for n in (1, 2, 3)]
    gateways = [Gateway("vpn2", "11.22.33.12"), Gateway("vpn3", "11.22.33.13")]
    enter("inet")
    web = Web(("::", 80), Page)
    threading.Thread(target=web.serve_forever, daemon=True).start()

    chosen = selectors.DefaultSelector()
    for host in hosts + gateways:
        host.socket.setblocking(False)
        chosen.register(host.socket, selectors.EVENT_READ, host)
    open(RUN + "internet.ready", "w").close()
    while True:
        for key, _ in chosen.select(1.0):
            try:
                key.data.ready()
            except OSError as e:
                print(f"{type(key.data).__name__}: {e}", flush=True)
        for gateway in gateways:
            gateway.expire()


main()
