"""A PIA to test against, in the standard library and openssl: account site, signed list, VPN servers with addKey and a
port forwarding gateway. It shares nothing with the client but the public sheet of facts.

    pia.py CONFIG.json

The configuration, everything optional but `folder`, `regions` and `users`:

    {"folder": "/tmp/pia",                  certificates and keys are made here, or used again: web/ca.pem, vpn/ca.pem,
                                            list.pub.pem
     "account": {"address": "127.0.0.1", "port": 0, "namespace": null},
     "list": {...}, "control": {...},       likewise; the names localhost and *.pia.test are in the certificate
     "users": {"p1234567": "secret"},
     "wg_port": 1337, "gateway_port": 19999, "days": 62, "numbers": [40123, 50321],
     "dedicated": {"DIPtoken": {"id": "swiss", "ip": "..", "cn": "..", "status": "active", "dip_expire": 0, "groups": []}},
     "regions": [{"id": "swiss", "name": "Switzerland", "country": "CH", "port_forward": true, "geo": false,
                  "offline": false, "servers": [{"ip": "203.0.113.7", "cn": "zurich406", "meta": "203.0.113.8",
                     "vip": "10.44.128.1", "namespace": "vpn1", "interface": "wg0", "nft": true,
                     "certificate": "san"}]}]}

`certificate` is `san`, `cn` (common name alone), `expired`, `other` (another name), `foreign` (another authority).
A server without `vip` is only listed. With `interface` peers are added by `wg set`, with `nft` bound ports of the address
`exit` (or else `ip`) are forwarded; both in `namespace` where there is one.

It prints one line of JSON with the ports once all is listening, and then takes plain HTTP on `control`:

    GET /log                                every call so far: name and status, in order
    GET /take                               the same, and they are forgotten
    GET /state                              peers and bound ports of each server
    POST /faults {"token": {"status": 429, "headers": {"Retry-After": "7"}, "body": "..", "times": 2}}
         calls: token expire dedicated list addkey signature bind; also {"hang": SECONDS}, {"cut": true}; null mends it
    POST /do {"revoke": true, "drop_keys": true, "list": "tampered", "busy": [40123], "clear_log": true}
         list: tampered, unsigned, null; `lose`: regions to leave out
"""

import fcntl
import json
import os
import sys
import threading
import time

from certs import Authority, Signer, wireguard_key
from sites import Account, List, Tokens
from vpn import Ports, Vpn
from web import Faults, listen


class Pia:
    def __init__(self, config):
        folder = config["folder"]
        os.makedirs(folder, exist_ok=True)
        # Several of us may share the folder; what one makes the others find.
        self.lock = open(os.path.join(folder, "lock"), "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.config, self.faults, self.tokens = config, Faults(), Tokens()
        self.web, self.vpn_ca = Authority(folder, "web", rsa=False), Authority(folder, "vpn", rsa=True)
        self.ports = Ports(config.get("days", 62), config.get("numbers", [40123, 50321, 43210]))
        dedicated = config.get("dedicated", {})
        wg_port = config.get("wg_port", 1337)
        self.account = Account(config["users"], self.tokens, dedicated)
        self.list = List(list(config["regions"]), wg_port, Signer(folder))
        self.servers = []
        by_cn = {s["cn"]: s for r in config["regions"] for s in r.get("servers", []) if "vip" in s}
        for server in by_cn.values():
            entry = dict(server, wg_port=wg_port)
            self.servers.append(Vpn(entry, self.tokens, self.ports, dedicated, wireguard_key()))

    def certificate(self, server):
        kind, cn = server.get("certificate", "san"), server["cn"]
        authority = Authority(self.config["folder"], "foreign", rsa=True) if kind == "foreign" else self.vpn_ca
        if kind == "cn":
            return authority.leaf(cn)
        name = "elsewhere001" if kind == "other" else cn
        return authority.leaf(name, "DNS:" + name, expired=kind == "expired")

    def start(self):
        web = self.web.leaf("localhost", "DNS:localhost,DNS:www.pia.test,DNS:list.pia.test,IP:127.0.0.1"
                            + "".join(",IP:" + a for a in self.config.get("web_addresses", [])))
        ports = {
            "account": self.site("account", self.account.calls(), web),
            "list": self.site("list", self.list.calls(), web),
            "control": self.site("control", self.control(), None, faults=False),
        }
        gateway_port = self.config.get("gateway_port", 19999)
        configs = {s["cn"]: s for r in self.config["regions"] for s in r.get("servers", [])}
        for vpn in self.servers:
            leaf = self.certificate(configs[vpn.cn])
            vpn.start()
            listen(vpn.ip, vpn.wg_port, vpn.outside(), self.faults, leaf, vpn.namespace, vpn.cn)
            listen(vpn.vip, gateway_port, vpn.inside(), self.faults, leaf, vpn.namespace, vpn.cn)
        self.lock.close()
        return ports

    def site(self, name, calls, leaf, faults=True):
        where = self.config.get(name, {})
        return listen(where.get("address", "127.0.0.1"), where.get("port", 0), calls,
                      self.faults if faults else None, leaf, where.get("namespace"))

    def control(self):
        return {
            ("GET", "/log"): ("control", lambda _: json.dumps(self.faults.log)),
            ("GET", "/take"): ("control", lambda _: json.dumps(self.faults.take_log())),
            ("GET", "/state"): ("control", lambda _: json.dumps([s.state() for s in self.servers])),
            ("POST", "/faults"): ("control", lambda r: self.faults.put(json.loads(r.body)) or "{}"),
            ("POST", "/do"): ("control", lambda r: self.do(json.loads(r.body)) or "{}"),
        }

    def do(self, wanted):
        if wanted.get("revoke"):
            self.tokens.revoke_all()
        if wanted.get("clear_log"):
            self.faults.take_log()
        if "list" in wanted:
            self.list.fault = wanted["list"]
        if "lose" in wanted:
            self.list.regions = [r for r in self.config["regions"] if r["id"] not in wanted["lose"]]
        for server in self.servers:
            if wanted.get("drop_keys"):
                server.drop_keys()
            if "busy" in wanted:
                server.busy = set(wanted["busy"])


def main():
    with open(sys.argv[1]) as f:
        pia = Pia(json.load(f))
    ports = pia.start()
    print(json.dumps(ports), flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    while True:
        time.sleep(30)
        for server in pia.servers:
            server.forget_late_ports()


if __name__ == "__main__":
    main()
