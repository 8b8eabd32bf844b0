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

CITIES = {"DE": "Berlin", "US": "New York", "SE": "Stockholm", "JP": "Tokyo", "FR": "Paris", "UK": "London", "ES": "Madrid"}


def filler(n):
    country = list(CITIES)[n % len(CITIES)]
    node = n // 18  # about as many logical servers share an address
    address = f"198.18.{node // 250}.{node % 250 + 1}"
    key = base64.b64encode(hashlib.sha256(str(node).encode()).digest()).decode()
    score = 1 + n % 97 if n % 85 == 0 else 1 + n * 0.0031250917
    status, city = int(n % 40 != 0), None if n % 17 == 0 else CITIES[country]
    entry = server.logical(f"{country}#{n}", country, (28, 12, 24)[n % 3], n % 100, score, address, key, city=city, status=status)
    # A host name belongs to a node, not to a logical server.
    entry["Domain"] = entry["Servers"][0]["Domain"] = f"node-{country.lower()}-{node}.protonvpn.net"
    if n % 12 == 0:
        entry["Servers"].append(dict(entry["Servers"][0], EntryIP=f"198.19.{node // 250}.{node % 250 + 1}", Label="1"))
    return entry


def main():
    servers = []
    for words in sys.argv[2:]:
        name, address, key, features, score, city = words.split(",")
        country = name.split("#")[0][-2:]
        entry = server.logical(name, country, int(features), 31, float(score), address, key, city=city or None)
        entry["Servers"][0]["ExitIP"] = address.replace("203.0.113.", "11.22.33.")
        servers.append(entry)
    servers += [filler(n) for n in range(1, int(sys.argv[1]) - len(servers) + 1)]
    json.dump({"Code": 1000, "ResponseMetadata": {"ListIsTruncated": False}, "LogicalServers": servers}, sys.stdout, separators=(",", ":"))


main()
