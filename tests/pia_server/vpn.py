"""A VPN server of PIA's: addKey outside, getSignature and bindPort inside. With a WireGuard interface named it adds the
peers for real, and with nft it forwards the bound ports for real."""

import base64
import datetime
import hashlib
import hmac
import ipaddress
import json
import os
import subprocess
import threading
import time

from web import Reply

BIND_LIFE = 20 * 60


def run(namespace, *command):
    if namespace:
        command = ("ip", "netns", "exec", namespace) + command
    subprocess.run(command, check=True)


class Ports:
    """What all gateways know: ports are signed by one, and bound on any."""

    def __init__(self, days, numbers):
        self.key = os.urandom(16)
        self.days, self.numbers = days, list(numbers)
        self.count = 0
        self.lock = threading.Lock()

    def sign(self):
        with self.lock:
            port = self.numbers[self.count % len(self.numbers)] + self.count // len(self.numbers)
            self.count += 1
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=self.days)
        # Nine digits of a second, as seen.
        text = end.strftime("%Y-%m-%dT%H:%M:%S.") + "%09dZ" % (end.microsecond * 1000 + 7)
        inner = {"token": base64.b64encode(os.urandom(24)).decode(), "port": port, "expires_at": text}
        # Odd spacing: whoever writes it anew breaks the signature.
        payload = base64.b64encode(json.dumps(inner, separators=(", ", " : ")).encode()).decode()
        return payload, self.mac(payload)

    def mac(self, payload):
        return base64.b64encode(hmac.new(self.key, payload.encode(), hashlib.sha256).digest()).decode()

    def check(self, payload, signature):
        if signature != self.mac(payload):
            raise Reply(400, {"status": "ERROR", "message": "invalid signature"})
        inner = json.loads(base64.b64decode(payload))
        end = datetime.datetime.fromisoformat(inner["expires_at"][:19] + "+00:00")
        if end < datetime.datetime.now(datetime.timezone.utc):
            raise Reply(400, {"status": "ERROR", "message": "payload expired"})
        return inner["port"]


class Vpn:
    def __init__(self, config, tokens, ports, dedicated, keys):
        self.cn, self.ip, self.vip = config["cn"], config["ip"], config["vip"]
        self.namespace, self.interface = config.get("namespace"), config.get("interface")
        self.nft, self.exit = config.get("nft", False), config.get("exit", self.ip)
        self.wg_port, self.forwards = config.get("wg_port", 1337), config.get("forwards", True)
        self.private, self.public = keys
        self.tokens, self.ports, self.dedicated = tokens, ports, dedicated
        self.network = ipaddress.ip_network(config.get("network", self.vip + "/24"), strict=False)
        self.next_host = config.get("first_host", 10)
        self.lock = threading.Lock()
        self.peers = {}  # account -> (public key, address)
        self.bound = {}  # port -> (address, until)
        self.busy = set()
        self.resolvers = config.get("dns", ["10.0.0.243", "10.0.0.242"])

    def start(self):
        if self.interface:
            path = "/tmp/pia-%s.key" % self.interface
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
                f.write(self.private)
            run(self.namespace, "wg", "set", self.interface, "private-key", path, "listen-port", str(self.wg_port))
            os.unlink(path)

    def outside(self):
        return {("GET", "/addKey"): ("addkey", self.add_key)}

    def inside(self):
        return {
            ("GET", "/getSignature"): ("signature", self.signature),
            ("GET", "/bindPort"): ("bind", self.bind),
            ("GET", "/ping"): ("ping", lambda _: "{}"),
        }

    def account(self, request):
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            user, _, password = base64.b64decode(text).decode().partition(":")
            token = user.removeprefix("dedicated_ip_")
            if self.dedicated.get(token, {}).get("ip") == password == self.ip:
                return user
        token = request.query.get("pt", "")
        if not self.tokens.is_good(token):
            raise Reply(200, {"status": "ERROR", "message": "Login failed!"})
        return base64.b64decode(token).decode().split(".")[0]

    def add_key(self, request):
        account, key = self.account(request), request.query.get("pubkey", "")
        try:
            if len(base64.b64decode(key, validate=True)) != 32:
                raise ValueError
        except ValueError:
            raise Reply(200, {"status": "ERROR", "message": "bad public key"})
        with self.lock:
            old = self.peers.pop(account, None)
            address = str(self.network[self.next_host])
            self.next_host += 1
            if self.interface:
                if old:
                    run(self.namespace, "wg", "set", self.interface, "peer", old[0], "remove")
                run(self.namespace, "wg", "set", self.interface, "peer", key, "allowed-ips", address + "/32")
            self.peers[account] = (key, address)
        return json.dumps({
            "status": "OK", "server_key": self.public, "server_port": self.wg_port, "server_ip": self.ip,
            "server_vip": self.vip, "peer_ip": address, "peer_pubkey": key, "dns_servers": self.resolvers,
        })

    def drop_keys(self):
        """As a server that was started again: no peer, no port."""
        with self.lock:
            for key, _ in self.peers.values():
                if self.interface:
                    run(self.namespace, "wg", "set", self.interface, "peer", key, "remove")
            self.peers.clear()
            self.bound.clear()
            self.load_nft()

    def client(self, request):
        """Only who came through the tunnel is known here."""
        address = request.client_address[0]
        if address not in [a for _, a in self.peers.values()]:
            raise Reply(401, {"status": "ERROR", "message": "Unauthorized client"})
        return address

    def signature(self, request):
        self.client(request)
        if not self.tokens.is_good(request.query.get("token", "")):
            raise Reply(401, {"status": "ERROR", "message": "Login failed!"})
        payload, signature = self.ports.sign()
        return json.dumps({"status": "OK", "payload": payload, "signature": signature})

    def bind(self, request):
        address = self.client(request)
        port = self.ports.check(request.query.get("payload", ""), request.query.get("signature", ""))
        with self.lock:
            if port in self.busy:
                text = "Port %d is busy. Please use another server" % port
                raise Reply(409, {"status": "", "message": text})
            old = self.bound.get(port)
            self.bound[port] = (address, time.monotonic() + BIND_LIFE)
            if not old or old[0] != address:
                self.load_nft()
        message = "timer refreshed" if old and old[0] == address else "port scheduled for add"
        return json.dumps({"status": "OK", "message": message})

    def load_nft(self):
        """The bound ports, TCP and UDP, to their peers; what was forgotten is not among them."""
        now = time.monotonic()
        self.bound = {p: b for p, b in self.bound.items() if b[1] > now}
        if not self.nft:
            return
        rules = "".join(
            "add rule ip pia_test in ip daddr %s meta l4proto { tcp, udp } th dport %d dnat to %s\n"
            % (self.exit, port, address) for port, (address, _) in self.bound.items())
        text = ("add table ip pia_test\ndelete table ip pia_test\nadd table ip pia_test\n"
                "add chain ip pia_test in { type nat hook prerouting priority dstnat; }\n" + rules)
        command = ["nft", "-f", "-"]
        if self.namespace:
            command = ["ip", "netns", "exec", self.namespace] + command
        subprocess.run(command, input=text.encode(), check=True)

    def forget_late_ports(self):
        with self.lock:
            if any(until < time.monotonic() for _, until in self.bound.values()):
                self.load_nft()

    def state(self):
        with self.lock:
            return {"cn": self.cn, "peers": {a: list(p) for a, p in self.peers.items()},
                    "bound": {str(p): b[0] for p, b in self.bound.items()}}
