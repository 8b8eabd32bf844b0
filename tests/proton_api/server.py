#!/usr/bin/env python3
"""A stand-in for Proton's VPN API, over real TLS, for tests: standard library and the openssl program only.

    server.py --dir DIR [--listen 127.0.0.1] [--port 0] [--name localhost]... [--entry IP] [--wg-key KEY]
              [--wg-interface wg0] [--peer NAMESPACE/INTERFACE]... [--tunnel-address 10.2.0.2] [--list FILE]

Writes DIR/ca.pem (give it as ca_file) and prints one line of JSON: {"port":..,"wrong_host_port":..}. The second port
serves a certificate for another name. With --wg-interface and --peer each certificate installs its peer by `wg set`, here
or in other network namespaces, from the Ed25519 key that was sent, so that only a rightly derived key passes traffic.

GET /_test returns what was seen; POST /_test changes the world (see World.change). Neither is Proton's.
"""

import argparse
import base64
import email.utils
import gzip
import hashlib
import http.server
import json
import os
import re
import secrets
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import srp_side

VPN_SCOPES = ["self", "parent", "user", "loggedin", "vpn", "verified", "settings"]
APP_VERSION = re.compile(r"^(linux-vpn|linux-vpn-gui|linux-vpn-cli|android_tv-vpn|browser-vpn)@(\d+)\.\d+[^ A-Z]*$")
KEYS = ["+HCLUCm6PdbDIaKtEM3pOWBEKSB/UdpBwRY5cNl6ZnI=", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]


def logical(name, country, features, load, score, entry, key, tier=2, city="Amsterdam", status=1, host=None):
    domain = name.lower().replace("#", "-") + ".protonvpn.net"
    ident = base64.urlsafe_b64encode(hashlib.sha512(name.encode()).digest()).decode()
    return {
        "Name": name, "EntryCountry": host or country, "ExitCountry": country, "Domain": domain, "Tier": tier,
        "Features": features, "Region": None, "City": city, "State": None, "Score": score, "HostCountry": host,
        "OrganizationID": None, "VPNGatewayID": None, "ID": ident, "Location": {"Lat": 52.37, "Long": 4.89},
        "Status": status, "Load": load,
        "Servers": [{
            "EntryIP": entry, "ExitIP": entry, "Domain": domain, "ID": ident[::-1], "Label": "0",
            "X25519PublicKey": key, "Generation": 0, "Status": status, "ServicesDown": 0, "ServicesDownReason": None,
        }],
    }


def default_list(entry, key):
    return {"Code": 1000, "ResponseMetadata": {"ListIsTruncated": False}, "LogicalServers": [
        logical("NL#12", "NL", 4, 31, 1.5, entry, key),
        logical("NL#13", "NL", 4, 95, 2, entry, key),
        logical("NL#14", "NL", 4, 5, 0.5, entry, key, status=0),
        logical("UK#2", "UK", 28, 20, 3.25, "203.0.113.22", KEYS[1], city="London"),
        logical("IS-NL#1", "NL", 1, 10, 4, "203.0.113.23", KEYS[1], city=None, host="IS"),
        logical("CH#5-TOR", "CH", 2, 10, 5, "203.0.113.24", KEYS[1], city="Zurich"),
        logical("DE#7", "DE", 8, 12, 2.5, "203.0.113.25", KEYS[1], city="Berlin"),
        logical("NL-FREE#1", "NL", 0, 80, 9, "203.0.113.26", KEYS[1], tier=0),
    ]}


class World:
    """Everything that is true of the one account and the API."""

    def __init__(self, options):
        self.lock = threading.RLock()
        self.options = options
        self.user, self.password = "tester@example.org", "correct horse battery staple"
        self.verifier = srp_side.Verifier(self.password)
        self.totp_secret, self.second_factor = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 0
        self.plan = {"PlanTitle": "VPN Plus", "PlanName": "vpn2024", "MaxTier": 2, "MaxConnect": 10}
        self.delinquent = 0
        self.exchanges, self.access, self.refresh, self.half = {}, {}, {}, set()
        self.spent, self.forks, self.certificates, self.used_codes = {}, {}, {}, set()
        self.token_life, self.certificate_life = 86400, 365 * 86400
        self.wrong_server_proof = self.weak_modulus = False
        self.faults, self.seen, self.violations = [], [], []
        self.list = json.dumps(default_list(options.entry, options.wg_key)).encode()
        if options.list:
            with open(options.list, "rb") as f:
                self.list = f.read()
        self.packed = (None, b"")
        self.modified = email.utils.formatdate(int(time.time()), usegmt=True)

    def change(self, what):
        """Any plain attribute by name; `password`; `expire_access`, `expire_refresh`; `forget_codes`; `approve` a code; `loads`."""
        if "password" in what:
            self.verifier = srp_side.Verifier(what["password"])
        if what.pop("expire_access", False):
            self.access.clear()
        if what.pop("expire_refresh", False):
            self.spent.update(self.refresh)
            self.refresh.clear()
        if what.pop("forget_codes", False):
            self.used_codes.clear()
        if "approve" in what:
            code = what.pop("approve")
            for fork in self.forks.values():
                fork["approved"] |= fork["code"] == code
        if "loads" in what:
            document = json.loads(self.list)
            for server in document["LogicalServers"]:
                server.update(what["loads"].get(server["Name"], {}))
            self.list = json.dumps(document).encode()
            what.pop("loads")
        for key, value in what.items():
            if not hasattr(self, key):
                raise KeyError(key)
            setattr(self, key, value)

    def report(self):
        return {
            "seen": self.seen, "violations": self.violations, "access": list(self.access),
            "refresh": list(self.refresh), "spent": list(self.spent), "half": list(self.half),
            "forks": list(self.forks.values()), "certificates": list(self.certificates.values()),
            "user": self.user, "password": self.password, "totp_secret": self.totp_secret,
            "totp": srp_side.totp(self.totp_secret, time.time()),
        }

    def session(self, scopes):
        access, refresh, uid = secrets.token_hex(16), secrets.token_hex(16), secrets.token_hex(16)
        self.access[access] = {"uid": uid, "scopes": scopes, "ends": time.time() + self.token_life}
        self.refresh[refresh] = {"uid": uid, "scopes": scopes}
        return {"UID": uid, "UserID": "u==", "AccessToken": access, "RefreshToken": refresh, "TokenType": "Bearer",
                "ExpiresIn": self.token_life, "Scope": " ".join(scopes), "Scopes": scopes, "LocalID": 0,
                "EventID": "e==", "PasswordMode": 1}

    def fault_for(self, method, path):
        for fault in self.faults:
            if fault.get("times", 1) > 0 and path.startswith(fault["path"]) and fault.get("method", method) == method:
                fault["times"] = fault.get("times", 1) - 1
                return fault
        return None


class Refused(Exception):
    def __init__(self, status, code, error="No.", details=None):
        super().__init__(error)
        self.status, self.body = status, {"Code": code, "Error": error, "Details": details or {}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world = None

    def log_message(self, *_):
        pass

    # One way in for all methods.
    def do_GET(self):
        self.answer()

    do_POST = do_DELETE = do_GET

    def answer(self):
        path = self.path.split("?")[0]
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        with self.world.lock:
            if path == "/_test":
                if self.command == "POST":
                    self.world.change(json.loads(raw))
                return self.reply(200, self.world.report())
            self.world.seen.append(f"{self.command} {path}")
            fault = self.world.fault_for(self.command, path)
        if fault and self.stumble(fault):
            return None
        try:
            with self.world.lock:
                self.check_headers(raw)
                status, body, headers = self.route(path, raw)
        except Refused as no:
            status, body, headers = no.status, no.body, {}
        return self.reply(status, body, headers, fault)

    def reply(self, status, body, headers=None, fault=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "application/json"
        fault = fault or {}
        if fault.get("kind") == "truncate":
            data = data[:len(data) // 2]
        if fault.get("kind") == "lose":
            # The deed is done, the reply never arrives.
            return self.cut()
        if fault.get("kind") == "late":
            time.sleep(fault.get("pause", 0.5))
        packed = "gzip" in (self.headers.get("Accept-Encoding") or "") and len(data) > 1000
        if packed:
            data = self.pack(data)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", "0" if status == 304 else str(len(data)))
        self.send_header("Connection", "close")
        if packed:
            self.send_header("Content-Encoding", "gzip")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        if status == 304:
            return None
        if fault.get("kind") == "slow":
            for at in range(0, len(data)):
                self.wfile.write(data[at:at + 1])
                self.wfile.flush()
                time.sleep(fault.get("pause", 0.2))
            return None
        return self.wfile.write(data)

    def pack(self, data):
        """The list is long, and the same for everybody: packed once."""
        with self.world.lock:
            if data is not self.world.list:
                return gzip.compress(data, 1)
            if self.world.packed[0] is not data:
                self.world.packed = (data, gzip.compress(data, 1))
            return self.world.packed[1]

    def stumble(self, fault):
        """Answers wrongly in place of the API; False for faults that only spoil the reply."""
        kind = fault["kind"]
        if kind in ("truncate", "slow", "lose", "late"):
            return False
        if kind == "close":
            self.cut()
        elif kind == "html":
            page = b"<html><body>" + b"Gateway says no. " * 50 + b"</body></html>"
            self.send_response(fault.get("status", 502))
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            if "retry_after" in fault:
                self.send_header("Retry-After", str(fault["retry_after"]))
            self.end_headers()
            self.wfile.write(page)
        elif kind == "code":
            self.reply(fault["status"], {"Code": fault["code"], "Error": fault.get("error", "No."),
                                         "Details": fault.get("details", {})})
        else:
            raise KeyError(kind)
        return True

    def cut(self):
        """Resets the connection."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def check_headers(self, raw):
        version = self.headers.get("x-pm-appversion")
        if not version:
            raise Refused(400, 5001, "Missing x-pm-appversion header")
        match = APP_VERSION.match(version)
        if not match:
            raise Refused(400, 5002, "Invalid app version")
        if int(match.group(2)) < 4:
            raise Refused(422, 5003, "This version of the app is no longer supported")
        if raw and self.headers.get("Content-Type") != "application/json":
            raise Refused(400, 6001, "Request body could not be parsed")
        if not self.headers.get("User-Agent"):
            self.world.violations.append("no user agent")

    def bearer(self, scope=None):
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        known = self.world.access.get(token)
        if not known or known["uid"] != self.headers.get("x-pm-uid") or known["ends"] < time.time():
            raise Refused(401, 401, "Invalid access token")
        if scope and scope not in known["scopes"]:
            raise Refused(403, 9100, "Insufficient scope")
        return token, known

    def route(self, path, raw):
        path = re.sub(r"^/(core/v4/)?auth(/v4)?", "/auth", path)
        body = json.loads(raw) if raw else {}
        known = {
            ("GET", "/tests/ping"): lambda: {"Code": 1000},
            ("POST", "/auth/info"): lambda: self.auth_info(body),
            ("POST", "/auth"): lambda: self.auth(body),
            ("POST", "/auth/2fa"): lambda: self.auth_2fa(body),
            ("POST", "/auth/refresh"): lambda: self.auth_refresh(body),
            ("DELETE", "/auth"): self.auth_end,
            ("POST", "/auth/sessions"): lambda: {"Code": 1000, **self.world.session(["guest"])},
            ("GET", "/auth/sessions/forks"): self.fork,
            ("GET", "/vpn/v2"): self.plan,
            ("GET", "/vpn/v1/logicals"): self.logicals,
            ("GET", "/vpn/v1/loads"): self.loads,
            ("POST", "/vpn/v1/certificate"): lambda: self.certificate(body),
        }
        found = known.get((self.command, path))
        if found is None and path.startswith("/auth/sessions/forks/"):
            found = lambda: self.fork_poll(path.rsplit("/", 1)[1])
        if found is None:
            raise Refused(404, 404, "Path not found")
        result = found()
        return result if isinstance(result, tuple) else (200, result, {})

    def auth_info(self, body):
        exchange, name = srp_side.Exchange(self.world.verifier), secrets.token_hex(16)
        self.world.exchanges[name] = exchange
        message = srp_side.MODULUS
        if self.world.weak_modulus:
            message = message.replace("c00y", "c01y", 1)
        return {"Code": 1000, "Modulus": message, "Version": 4, "SRPSession": name, "Username": "",
                "ServerEphemeral": base64.b64encode(srp_side.wire(exchange.B)).decode(),
                "Salt": base64.b64encode(exchange.verifier.salt).decode()}

    def auth(self, body):
        exchange = self.world.exchanges.pop(body.get("SRPSession"), None)
        if exchange is None:
            self.world.violations.append("an SRP session was used twice")
            raise Refused(422, 2501, "Session expired")
        ephemeral, proof = (base64.b64decode(body[k]) for k in ("ClientEphemeral", "ClientProof"))
        server_proof = exchange.check(ephemeral, proof)
        if body.get("Username") != self.world.user or server_proof is None:
            raise Refused(422, 8002, "Incorrect login credentials. Please try again")
        if self.world.wrong_server_proof:
            server_proof = bytes(256)
        factor = self.world.second_factor
        session = self.world.session(["twofactor"] if factor else VPN_SCOPES)
        if factor:
            self.world.half.add(session["AccessToken"])
        return {"Code": 1000, **session, "ServerProof": base64.b64encode(server_proof).decode(),
                "2FA": {"Enabled": factor, "TOTP": factor & 1,
                        "FIDO2": {"AuthenticationOptions": None, "RegisteredKeys": []}}}

    def auth_2fa(self, body):
        token, known = self.bearer()
        code, now = body.get("TwoFactorCode"), time.time()
        right = [srp_side.totp(self.world.totp_secret, now + drift) for drift in (-30, 0, 30)]
        if code in self.world.used_codes or code not in right:
            raise Refused(422, 8002, "Incorrect login credentials. Please try again")
        self.world.used_codes.add(code)
        self.world.half.discard(token)
        for session in list(self.world.access.values()) + list(self.world.refresh.values()):
            if session["uid"] == known["uid"]:
                session["scopes"] = VPN_SCOPES
        return {"Code": 1000, "Scope": " ".join(VPN_SCOPES), "Scopes": VPN_SCOPES}

    def auth_refresh(self, body):
        token = body.get("RefreshToken")
        if token in self.world.spent:
            self.world.violations.append("a refresh token was used twice")
            for other in [t for t, s in self.world.refresh.items() if s["uid"] == self.world.spent[token]["uid"]]:
                del self.world.refresh[other]
        known = self.world.refresh.pop(token, None)
        if known is None or known["uid"] != self.headers.get("x-pm-uid"):
            raise Refused(422, 10013, "Invalid refresh token", [])
        self.world.spent[token] = known
        for old in [t for t, s in self.world.access.items() if s["uid"] == known["uid"]]:
            del self.world.access[old]
        fresh = self.world.session(known["scopes"])
        for kind, key in (("access", "AccessToken"), ("refresh", "RefreshToken")):
            getattr(self.world, kind)[fresh[key]]["uid"] = known["uid"]
        return {"Code": 1000, **fresh, "UID": known["uid"], "Uid": known["uid"], "RefreshCounter": 1}

    def auth_end(self):
        _, known = self.bearer()
        for table in (self.world.access, self.world.refresh):
            for token in [t for t, s in table.items() if s["uid"] == known["uid"]]:
                del table[token]
        return {"Code": 1000}

    def fork(self):
        if not (self.headers.get("x-pm-appversion") or "").startswith("android_tv-vpn@"):
            raise Refused(422, 2011, "Client may not fork")
        selector, code = secrets.token_urlsafe(15), secrets.token_hex(4).upper()
        self.world.forks[selector] = {"selector": selector, "code": code, "approved": False}
        return {"Code": 1000, "Selector": selector, "UserCode": code}

    def fork_poll(self, selector):
        fork = self.world.forks.get(selector)
        if fork is None:
            raise Refused(422, 2501, "Does not exist")
        if not fork["approved"]:
            raise Refused(422, 2011, "Not approved yet")
        del self.world.forks[selector]
        return {"Code": 1000, **self.world.session(VPN_SCOPES), "Payload": None}

    def plan(self):
        self.bearer("vpn")
        return {"Code": 1000, "VPN": {"ExpirationTime": 1, "Name": "openvpn-name", "Password": "openvpn-password",
                                      "GroupID": "g", "Status": 1, **self.world.plan, "Groups": ["vpn-paid"]},
                "Services": 5, "Subscribed": 4, "Delinquent": self.world.delinquent, "Credit": 0, "Warnings": []}

    def logicals(self):
        self.bearer("vpn")
        if self.headers.get("If-Modified-Since") == self.world.modified:
            return 304, b"", {"Last-Modified": self.world.modified}
        return 200, self.world.list, {"Last-Modified": self.world.modified}

    def loads(self):
        self.bearer("vpn")
        servers = json.loads(self.world.list)["LogicalServers"]
        return {"Code": 1000, "LogicalServers": [{k: s[k] for k in ("ID", "Load", "Score", "Status")} for s in servers]}

    def certificate(self, body):
        self.bearer("vpn")
        pem = body.get("ClientPublicKey", "")
        match = re.fullmatch(r"-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/=]+)\n-----END PUBLIC KEY-----\n", pem)
        der = base64.b64decode(match.group(1)) if match else b""
        if not der.startswith(bytes.fromhex("302a300506032b6570032100")) or len(der) != 44:
            raise Refused(400, 2001, "Invalid client public key")
        if pem in self.world.certificates and not body.get("Renew"):
            raise Refused(409, 2500, "Client public key already has a certificate")
        features = body.get("Features") or {}
        if body.get("Mode") != "persistent" or "min" not in body.get("Duration", ""):
            self.world.violations.append("not a persistent certificate")
        public = base64.b64encode(srp_side.x25519_of(der[12:])).decode()
        now = int(time.time())
        ends = now + self.world.certificate_life
        self.world.certificates[pem] = {"x25519": public, "ends": ends, "features": features,
                                        "device": body.get("DeviceName"), "renewed": bool(body.get("Renew"))}
        self.install(public)
        forwards = bool(features.get("PortForwarding")) and self.world.plan["MaxTier"] >= 2
        return {"Code": 1000, "SerialNumber": "154197323", "ClientKey": pem, "Certificate": "-----BEGIN CERTIFICATE-----",
                "ExpirationTime": ends, "RefreshTime": now + self.world.certificate_life * 3 // 4, "Mode": "persistent",
                "DeviceName": body.get("DeviceName"), "ServerPublicKeyMode": "EC",
                "Features": {"port-forwarding": forwards, "vpn-accelerator": features.get("SplitTCP"),
                             "netshield-level": features.get("NetShieldLevel"), "moderate-nat": False}}

    def install(self, public):
        options = self.world.options
        places = [([], options.wg_interface)] if options.wg_interface else []
        for peer in options.peer or []:
            namespace, interface = peer.split("/")
            places.append((["ip", "netns", "exec", namespace], interface))
        for prefix, interface in places:
            allowed = options.tunnel_address + "/32"
            subprocess.run([*prefix, "wg", "set", interface, "peer", public, "allowed-ips", allowed], check=True)


def make_certificates(directory, names):
    """A CA of this run, a certificate for `names` and one for another host."""

    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, cwd=directory, capture_output=True)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem")
    for name, alternatives in (("right", names), ("wrong", ["elsewhere.example"])):
        kinds = [("IP:" if re.fullmatch(r"[0-9.]+|.*:.*", n) else "DNS:") + n for n in alternatives]
        with open(os.path.join(directory, name + ".ext"), "w", encoding="ascii") as f:
            f.write("subjectAltName=" + ",".join(kinds) + "\nbasicConstraints=CA:FALSE\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x",
                "-keyout", name + ".key", "-out", name + ".csr")
        openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", name + ".ext", "-out", name + ".pem")


def serve(directory, name, address, port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(directory, name + ".pem"), os.path.join(directory, name + ".key"))

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def finish_request(self, request, client_address):
            # The handshake happens on the request's own thread.
            request.settimeout(60)
            try:
                with context.wrap_socket(request, server_side=True) as wrapped:
                    super().finish_request(wrapped, client_address)
            except (OSError, ValueError):
                pass

        def handle_error(self, request, client_address):
            kind = sys.exc_info()[0]
            if not issubclass(kind, (OSError, ValueError)):
                super().handle_error(request, client_address)

    server = Server((address, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", required=True)
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--name", action="append")
    parser.add_argument("--entry", default="203.0.113.11")
    parser.add_argument("--wg-key", default=KEYS[0])
    parser.add_argument("--wg-interface")
    parser.add_argument("--peer", action="append")
    parser.add_argument("--tunnel-address", default="10.2.0.2")
    parser.add_argument("--list")
    options = parser.parse_args()
    make_certificates(options.dir, options.name or ["localhost", "127.0.0.1"])
    Handler.world = World(options)
    ports = {"port": serve(options.dir, "right", options.listen, options.port),
             "wrong_host_port": serve(options.dir, "wrong", options.listen, 0)}
    print(json.dumps(ports), flush=True)
    # Whoever started us keeps our standard input open for as long as we are wanted.
    sys.stdin.read()


if __name__ == "__main__":
    main()
