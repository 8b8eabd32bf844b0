"""The server's side of the arithmetic, with other primitives than the client's: Python integers, libcrypt's bcrypt."""

import base64
import ctypes
import hashlib
import hmac
import os
import struct
import sys

# A published message (hatemosphere/protonvpn-wg-confgen, recorded /auth/info), signed by Proton's own key.
MODULUS = """-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

c00y4GQlEtYAgtXho3MKLFzplReRdz+dn0zY4UOxq1ZHgyF4PdBslyeI7bb2FSpYBelVh2nkTAtlgbz6rOYX8NTI8GeohXt9/APsTuBb8TyThVRPsXqj1GMe3qfsUU5Ov86KS6KpTEaiRb80vtdXTMfmyMFm2DNnHVVdOr+kWFIN4LiIWGU1/8UiBc14/33rq9iP5XO6aqkln+Ysau22ySDp+ou3S+x2IeD8XTJfJPnPMxClG5TBTC5hhKGUbreysBfX8a67HlKjB8cDZHlA38NZDb6omtRIbaVMvBGHQrfm93nk7IiAuNfnCOh9LagRxtTtWlSaVN9QnILYuV0B3w==
-----BEGIN PGP SIGNATURE-----
Version: ProtonMail
Comment: https://protonmail.com

wl4EARYIABAFAlwB1j0JEDUFhcTpUY8mAAAqTQEA8wiHwp3u2+LcKafhKgdJ
0wavG9og4xVIkRDiwO9cQS8BAN11A+VAF7s9u9gKU6HtCENEiBWXMxcpuMJI
sZTJdrQF
=nVVU
-----END PGP SIGNATURE-----
"""
N_BYTES = base64.b64decode(MODULUS.split("\n")[3])
N = int.from_bytes(N_BYTES, "little")
SIZE = 256
P25519 = 2**255 - 19


def expand(data):
    return b"".join(hashlib.sha512(data + bytes([i])).digest() for i in range(4))


def number(data):
    return int.from_bytes(data, "little")


def wire(n):
    return n.to_bytes(SIZE, "little")


def bcrypt(password, salt10):
    alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    salt = base64.b64encode((salt10 + b"proton")[:16]).decode().rstrip("=")
    salt = salt.translate(str.maketrans(standard, alphabet))
    crypt = ctypes.CDLL("libcrypt.so.1")
    crypt.crypt.restype = ctypes.c_char_p
    return crypt.crypt(password.encode(), ("$2y$10$" + salt).encode())


class Verifier:
    """What a server keeps of a password."""

    def __init__(self, password, salt=b"0123456789"):
        self.salt = salt
        x = number(expand(bcrypt(password, salt) + N_BYTES))
        self.v = pow(2, x, N)


class Exchange:
    """One /auth/info with its /auth."""

    def __init__(self, verifier):
        self.verifier = verifier
        self.b = int.from_bytes(os.urandom(SIZE), "little") % (N - 2) + 1
        k = number(expand(wire(2) + N_BYTES)) % N
        self.B = (k * verifier.v + pow(2, self.b, N)) % N

    def check(self, a_bytes, proof):
        """The server's proof, or None when the client's is wrong."""
        A = number(a_bytes)
        if A % N == 0:
            return None
        u = number(expand(a_bytes + wire(self.B)))
        s = pow(A * pow(self.verifier.v, u, N) % N, self.b, N)
        if not hmac.compare_digest(expand(a_bytes + wire(self.B) + wire(s)), proof):
            return None
        return expand(a_bytes + proof + wire(s))


def totp(secret, at):
    key = base64.b32decode(secret)
    tag = hmac.new(key, struct.pack(">Q", int(at) // 30), "sha1").digest()
    offset = tag[19] & 15
    return "%06d" % ((struct.unpack(">I", tag[offset:offset + 4])[0] & 0x7FFFFFFF) % 10**6)


def x25519_of(ed25519):
    """The WireGuard public key that belongs to an Ed25519 one: u = (1 + y) / (1 - y)."""
    y = int.from_bytes(ed25519, "little") & (2**255 - 1)
    u = (1 + y) * pow(1 - y, P25519 - 2, P25519) % P25519
    return u.to_bytes(32, "little")


def x25519_public(private):
    """RFC 7748 section 5, the ladder at 9."""
    k = int.from_bytes(private, "little")
    x1, x2, z2, x3, z3, swap = 9, 1, 0, 9, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a % P25519, c * b % P25519, a * a % P25519, b * b % P25519
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P25519, x1 * (da - cb) ** 2 % P25519
        x2, z2 = aa * bb % P25519, e * (aa + 121665 * e) % P25519
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P25519 - 2, P25519) % P25519).to_bytes(32, "little")


if __name__ == "__main__":
    if sys.argv[1:] == ["pubkey"]:
        # As `wg pubkey` does, for machines without it.
        print(base64.b64encode(x25519_public(base64.b64decode(sys.stdin.read()))).decode())
        sys.exit()
    # The vectors of the fact sheet, so that both sides are held to the same outside truth.
    seed_public = base64.b64decode("MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=")[12:]
    assert base64.b64encode(x25519_of(seed_public)) == b"RwHQhIhFH1RaQJ+1iuPlhYHKQKw/fxFGmM1x3qxzygE="
    private = base64.b64decode("OJTupJxYCu+BaTV2K+BJVZ1tFEDe3hLmoSXxhB//jm8=")
    assert base64.b64encode(x25519_public(private)) == b"RwHQhIhFH1RaQJ+1iuPlhYHKQKw/fxFGmM1x3qxzygE="
    assert bcrypt("abc123", base64.b64decode("yKlc5/CvObfoiw==")).endswith(b"egkN22Ep9u51r4dbXpRxMQM/jVLCq6dO")
    assert expand(b"abc")[:8].hex() == "7ce05eda233e545a"
    assert totp("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 59) == "287082"
    print("ok")
