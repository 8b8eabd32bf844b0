"""PIA's web sites: accounts, and the signed list of servers."""

import base64
import hashlib
import hmac
import json
import os
import urllib.parse

from web import Reply


class Tokens:
    """Tokens that say whose they are; the ones revoked are remembered."""

    def __init__(self):
        self.key = os.urandom(16)
        self.count = 0
        self.revoked = set()
        self.epoch = 0

    def make(self, user):
        self.count += 1
        text = "%s.%d.%d" % (user, self.epoch, self.count)
        # Long, and with characters that a query must escape.
        return base64.b64encode(("%s+/%s" % (text, self.mac(text))).encode()).decode()

    def mac(self, text):
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()

    def is_good(self, token):
        try:
            text, mac = base64.b64decode(token, validate=True).decode().split("+/")
        except ValueError:
            return False
        epoch = int(text.split(".")[1])
        return mac == self.mac(text) and epoch == self.epoch and token not in self.revoked

    def revoke_all(self):
        self.epoch += 1


class Account:
    def __init__(self, users, tokens, dedicated):
        self.users, self.tokens, self.dedicated = users, tokens, dedicated

    def calls(self):
        base = "/api/client/v2/"
        return {
            ("POST", base + "token"): ("token", self.token),
            ("POST", base + "expire_token"): ("expire", self.expire),
            ("POST", base + "dedicated_ip"): ("dedicated", self.dedicated_ip),
        }

    def token(self, request):
        kind = request.headers.get("Content-Type", "")
        if kind.startswith("application/json"):
            fields = json.loads(request.body)
        else:
            fields = dict(urllib.parse.parse_qsl(request.body.decode(), keep_blank_values=True))
        user = fields.get("username", "")
        if user not in self.users or self.users[user] != fields.get("password"):
            raise Reply(401, {"message": "HTTP Basic: Access denied."})
        return json.dumps({"token": self.tokens.make(user)})

    def authorized(self, request):
        word, _, token = request.headers.get("Authorization", "").partition(" ")
        if word != "Token" or not self.tokens.is_good(token):
            raise Reply(401, "HTTP Token: Access denied.", "text/plain")
        return token

    def expire(self, request):
        self.tokens.revoked.add(self.authorized(request))
        return json.dumps({"status": "success"})

    def dedicated_ip(self, request):
        self.authorized(request)
        asked = json.loads(request.body)["tokens"]
        known = [dict(self.dedicated[t], dip_token=t) for t in asked if t in self.dedicated]
        return json.dumps(known or [{"status": "invalid"}])


class List:
    """The list; each of its two faults is a way of not being PIA's."""

    def __init__(self, regions, wg_port, signer):
        self.regions, self.wg_port, self.signer = regions, wg_port, signer
        self.fault = None

    def calls(self):
        return {("GET", "/vpninfo/servers/v6"): ("list", self.list)}

    def list(self, _):
        line = json.dumps(self.content(), separators=(",", ":")).encode()
        signature = self.signer.sign(line)
        if self.fault == "tampered":
            line = line.replace(b'"offline":false', b'"offline":true', 1)
        text = base64.b64encode(signature).decode()
        if self.fault == "unsigned":
            return line + b"\n"
        rows = "\n".join(text[n:n + 60] for n in range(0, len(text), 60))
        return line + b"\n\n" + rows.encode()

    def content(self):
        groups = {
            "wg": [{"name": "wireguard", "ports": [self.wg_port]}],
            "awg": [{"name": "amnezia", "ports": [1]}],
            "meta": [{"name": "meta", "ports": [443, 8080]}],
            "ovpnudp": [{"name": "openvpn_udp", "ports": [8080, 853, 123, 53]}],
        }
        return {"regions": [self.region(r) for r in self.regions if not r.get("hidden")], "groups": groups}

    @staticmethod
    def region(r):
        wg = [{"ip": s["ip"], "cn": s["cn"]} for s in r.get("servers", [])]
        servers = {"ovpnudp": [dict(s, van=True) for s in wg]}
        if wg:
            servers["wg"] = wg
            servers["meta"] = [{"ip": s.get("meta", s["ip"]), "cn": s["cn"]} for s in r["servers"]]
        return {
            "servers": servers, "id": r["id"], "name": r.get("name", r["id"]), "country": r.get("country", "CH"),
            "auto_region": True, "dns": r["id"] + ".pvt.site", "port_forward": r.get("port_forward", True),
            "geo": r.get("geo", False), "offline": r.get("offline", False),
        }
