"""Keys and certificates by the openssl command: an authority for the web sites, one for the VPN servers, leaves of
every kind that was ever seen or feared, and the key that signs the server list."""

import base64
import os
import subprocess


def openssl(*args, feed=None):
    done = subprocess.run(["openssl", *args], input=feed, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError("openssl %s: %s" % (args[0], done.stderr.decode()))
    return done.stdout


class Authority:
    """A self-signed authority in a folder of its own: with RSA and SHA-512 as PIA's, or with P-256."""

    def __init__(self, folder, name, rsa):
        self.digest = "sha512" if rsa else "sha256"
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder, exist_ok=True)
        self.pem = os.path.join(self.folder, "ca.pem")
        self.key = os.path.join(self.folder, "ca.key")
        if not os.path.exists(self.pem):
            kind = ("rsa:2048",) if rsa else ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
            openssl("req", "-x509", "-newkey", *kind, "-nodes", "-days", "30", "-" + self.digest,
                    "-subj", "/O=%s/CN=%s" % (name, name), "-addext", "basicConstraints=CA:TRUE", "-keyout", self.key, "-out", self.pem)

    def leaf(self, cn, san=None, expired=False):
        """A certificate with its key, as two paths. `san` like `DNS:a,IP:1.2.3.4`; None for none at all."""
        name = "leaf %s %s %s" % (cn, san, expired)
        base = os.path.join(self.folder, "".join(c if c.isalnum() else "_" for c in name))
        if os.path.exists(base + ".pem"):
            return base + ".pem", base + ".key"
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + cn,
                "-keyout", base + ".key", "-out", base + ".csr")
        with open(base + ".ext", "w") as f:
            f.write("basicConstraints=CA:FALSE\n" + ("subjectAltName=%s\n" % san if san else ""))
        config, index = base + ".cnf", base + ".index"
        open(index, "w").close()
        with open(config, "w") as f:
            f.write("[ca]\ndefault_ca=d\n[d]\ndatabase=%s\nnew_certs_dir=%s\nrand_serial=yes\ndefault_md=%s\n"
                    "policy=p\nunique_subject=no\n[p]\ncommonName=supplied\n" % (index, self.folder, self.digest))
        # Real leaves live 180 days.
        dates = ["20200101000000Z", "20200629000000Z"] if expired else ["20250101000000Z", "20491231000000Z"]
        openssl("ca", "-batch", "-notext", "-config", config, "-cert", self.pem, "-keyfile", self.key,
                "-in", base + ".csr", "-out", base + ".pem", "-extfile", base + ".ext",
                "-startdate", dates[0], "-enddate", dates[1])
        return base + ".pem", base + ".key"


class Signer:
    """The key of the server list."""

    def __init__(self, folder):
        self.key = os.path.join(folder, "list.key")
        self.public = os.path.join(folder, "list.pub.pem")
        if not os.path.exists(self.key):
            openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.key)
            openssl("pkey", "-in", self.key, "-pubout", "-out", self.public)

    def sign(self, data):
        return openssl("dgst", "-sha256", "-sign", self.key, feed=data)


def wireguard_key():
    """A private and a public key of WireGuard's, in base64."""
    pem = openssl("genpkey", "-algorithm", "X25519")
    private = openssl("pkey", "-outform", "DER", feed=pem)[-32:]
    public = openssl("pkey", "-pubout", "-outform", "DER", feed=pem)[-32:]
    return base64.b64encode(private).decode(), base64.b64encode(public).decode()
