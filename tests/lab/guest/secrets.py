"""secrets.py FILE PLACE...: looks in files and folders for the secrets that FILE holds, one a line, and passes when there are none.

Each is looked for as it is, as base64, and as hex and decimal bytes with the usual signs between them; a key in base64
also as the bytes it stands for. What is found is printed with its place, never with itself.
"""

import base64
import os
import sys


def bytes_of(secret):
    yield secret.encode()
    try:
        raw = base64.b64decode(secret, validate=True)
        if len(raw) >= 16:
            yield raw
    except ValueError:
        pass


def spellings(secret):
    yield "as it is", secret.encode()
    for raw in bytes_of(secret):
        yield "in base64", base64.b64encode(raw).rstrip(b"=")
        for between in ("", " ", ":", ", "):
            text = raw.hex(between) if len(between) == 1 else between.join(f"{b:02x}" for b in raw)
            yield "in hex", text.encode()
            yield "in hex", text.upper().encode()
        for between in (" ", ",", ", "):
            yield "in decimal", between.join(map(str, raw)).encode()


def files(place):
    if not os.path.isdir(place):
        yield place
    for folder, _, names in os.walk(place):
        for name in names:
            yield os.path.join(folder, name)


def main():
    with open(sys.argv[1], encoding="ascii") as f:
        secrets = [line.strip() for line in f if line.strip()]
    sought = [(at + 1, how, text) for at, secret in enumerate(secrets) for how, text in spellings(secret)]
    found = looked = 0
    for path in (p for place in sys.argv[2:] for p in files(place)):
        if not os.path.isfile(path):
            continue
        with open(path, "rb") as f:
            content = f.read()
        looked += 1
        for at, how, text in sought:
            if text in content:
                found += 1
                print(f"secret {at} {how} in {path}")
    print(f"{len(secrets)} secrets, {looked} files, {found} found")
    sys.exit(1 if found or not looked or not secrets else 0)


main()
