#!/usr/bin/env python3
"""Prints a server list of the real one's length and shape, as `server.py --list` takes it.

    long_list.py COUNT [NAME,ADDRESS,KEY,FEATURES,SCORE,CITY]...

The servers named come first, as they are; the rest, up to COUNT, stands in countries of its own (addresses of
198.18.0.0/15, the keys shared by a few), with the lengths and types of entries seen in 2026: 745 bytes each, one in
twelve with a second physical server, some without a city, with an integer score, or offline.
"""

import base64
import hashlib
import json
import sys

import server

NODES = {}
CITIES = {"DE": "Berlin", "US": "New York", "SE": "Stockholm", "JP": "Tokyo", "FR": "Paris", "UK": "London", "ES": "Madrid"}


def template(second):
    """An entry with gaps, as text: made once, since an emulated machine has 18,000 of them to make."""
    entry = server.logical("@name", "@cc", "@features", "@load", "@score", "@entry", "@key", city="@city", status="@status")
    entry.update(ID="@id", Domain="@domain")
    physical = entry["Servers"][0]
    physical.update(ID="@id", Domain="@domain")
    if second:
        entry["Servers"].append(dict(physical, EntryIP="@other", Label="1"))
    text = json.dumps(entry, separators=(",", ":")).replace("%", "%%")
    for name in ("features", "load", "score", "status", "city"):
        text = text.replace(f'"@{name}"', f"%({name})s")
    for name in ("name", "cc", "entry", "other", "key", "id", "domain"):
        text = text.replace(f"@{name}", f"%({name})s")
    return text


def filler(n, templates):
    node = n // 18  # about as many logical servers share an address, a key and a host name
    country = list(CITIES)[node % len(CITIES)]
    if n % 18 == 0 or node not in NODES:
        NODES[node] = base64.b64encode(hashlib.sha256(str(node).encode()).digest()).decode()
    return templates[n % 12 == 0] % {
        "name": f"{country}#{n}", "cc": country, "features": (28, 12, 24)[n % 3], "load": n % 100,
        "score": 1 + n % 97 if n % 85 == 0 else 1 + n * 0.0031250917,
        "city": "null" if n % 17 == 0 else f'"{CITIES[country]}"', "status": int(n % 40 != 0),
        "entry": f"198.18.{node // 250}.{node % 250 + 1}", "other": f"198.19.{node // 250}.{node % 250 + 1}",
        "key": NODES[node], "id": f"{n:086d}==", "domain": f"node-{country.lower()}-{node}.protonvpn.net",
    }


def main():
    servers = []
    for words in sys.argv[2:]:
        name, address, key, features, score, city = words.split(",")
        country = name.split("#")[0][-2:]
        entry = server.logical(name, country, int(features), 31, float(score), address, key, city=city or None)
        entry["Servers"][0]["ExitIP"] = address.replace("203.0.113.", "11.22.33.")
        servers.append(entry)
    texts = [json.dumps(entry, separators=(",", ":")) for entry in servers]
    templates = [template(False), template(True)]
    texts += [filler(n, templates) for n in range(1, int(sys.argv[1]) - len(servers) + 1)]
    sys.stdout.write('{"Code":1000,"ResponseMetadata":{"ListIsTruncated":false},"LogicalServers":[' + ",".join(texts) + "]}")


main()
