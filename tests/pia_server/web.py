"""HTTPS listeners: each in its network namespace, each with its certificate, with faults put in between."""

import ctypes
import http.server
import json
import os
import socket
import ssl
import threading
import time
import urllib.parse

CLONE_NEWNET = 0x40000000


def enter_namespace(name):
    """Moves the calling thread; what it opens afterwards stays there."""
    with open("/run/netns/" + name) as f:
        if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns " + name)


class Faults:
    """What is to go wrong, by the name of a call: canned replies for so many times, then the truth again."""

    def __init__(self):
        self.lock = threading.Lock()
        self.waiting = {}
        self.log = []

    def put(self, faults):
        with self.lock:
            for call, fault in faults.items():
                self.waiting[call] = [fault, fault.get("times", 1)] if fault else None

    def take(self, call):
        with self.lock:
            entry = self.waiting.get(call)
            if not entry or entry[1] == 0:
                return None
            entry[1] -= 1
            return entry[0]

    def take_log(self):
        with self.lock:
            log, self.log = self.log, []
            return log

    def note(self, call, status, **more):
        with self.lock:
            self.log.append(dict(call=call, status=status, **more))


class Reply(Exception):
    """Ends a call with this reply."""

    def __init__(self, status, body, kind="application/json", headers=()):
        super().__init__(status)
        self.status, self.kind, self.headers = status, kind, dict(headers)
        self.body = body if isinstance(body, (bytes, str)) else json.dumps(body)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A listener sets these: `calls` maps (method, path) to (name, function of a request).
    calls, faults, host = {}, None, None

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer("GET")

    def do_POST(self):
        self.answer("POST")

    def answer(self, method):
        parts = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name, function = self.calls.get((method, parts.path), ("unknown", None))
        fault = self.faults.take(name) if self.faults else None
        try:
            if self.host and self.headers.get("Host", "").split(":")[0].lower() != self.host.lower():
                raise Reply(421, "wrong host", "text/plain")
            if fault:
                if "hang" in fault:
                    time.sleep(fault["hang"])
                if fault.get("cut"):
                    self.close_connection = True
                    return self.faults.note(name, 0)
                if "status" in fault:
                    raise Reply(fault["status"], fault.get("body", ""), fault.get("type", "application/json"),
                                fault.get("headers", {}).items())
            if not function:
                raise Reply(404, "<html>not found</html>", "text/html")
            raise Reply(200, function(self))
        except Reply as reply:
            self.send(name, reply)

    def send(self, name, reply):
        body = reply.body.encode() if isinstance(reply.body, str) else reply.body
        if self.faults and name != "unknown":
            self.faults.note(name, reply.status, peer=self.client_address[0])
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        for key, value in reply.headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that does not like the certificate

    def get_request(self):
        sock, address = super().get_request()
        sock.settimeout(30)
        return sock, address


def listen(address, port, calls, faults=None, leaf=None, namespace=None, host=None):
    """Serves in a thread of its own; returns the port."""
    made, failed = threading.Event(), []

    def run():
        try:
            if namespace:
                enter_namespace(namespace)
            handler = type("Bound", (Handler,), dict(calls=calls, faults=faults, host=host))
            server = Server((address, port), handler, bind_and_activate=False)
            server.socket.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_FREEBIND", 15), 1)
            server.server_bind()
            server.server_activate()
            if leaf:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*leaf)
                # The handshake happens in the connection's own thread, at its first read.
                server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            run.port = server.server_address[1]
        except Exception as e:
            failed.append(e)
            made.set()
            return
        made.set()
        server.serve_forever(poll_interval=3600)

    threading.Thread(target=run, daemon=True).start()
    made.wait()
    if failed:
        raise failed[0]
    return run.port


def write_whole(path, text):
    with open(path + ".tmp", "w") as f:
        f.write(text)
    os.replace(path + ".tmp", path)
