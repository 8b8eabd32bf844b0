"""Figures -> rows -> text, Markdown and JSON. Knows no machine: samples come in as {name: [numbers]}."""

import statistics

NOT_REACHED = "not reached"


class Row:
    """One line: ours beside theirs, their ratio, and what is to be reached."""

    def __init__(self, what, ours, theirs="", ratio=None, reach="", reached=None):
        self.what, self.ours, self.theirs = what, ours, theirs
        self.ratio, self.reach, self.reached = ratio, reach, reached

    def cells(self):
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        mark = {None: "", True: "", False: f" ({NOT_REACHED})"}[self.reached]
        return [self.what, self.ours, self.theirs, ratio, self.reach + mark]

    def json(self):
        return dict(vars(self))


class Samples:
    """What a guest measured; medians of it."""

    def __init__(self, text):
        self.all, self.words = {}, {}
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            try:
                self.all.setdefault(name, []).append(float(value))
            except ValueError:
                self.words[name] = value

    def median(self, name):
        return statistics.median(self.all[name])

    def has(self, *names):
        return all(self.all.get(name) for name in names)


def number(n):
    """Three significant digits, or whole."""
    return f"{n:,.0f}" if abs(n) >= 100 else f"{n:.1f}" if abs(n) >= 10 else f"{n:.2f}"


def compare(samples, what, ours, theirs, unit="ms", reach="", most=None, extra=0.0):
    """Medians side by side. `most`: the greatest ratio that reaches it, `extra`: allowed beyond that, in the unit."""
    if not samples.has(ours, theirs):
        return Row(what, "not measured", reach=reach)
    a, b = samples.median(ours), samples.median(theirs)
    reached = None if most is None else a <= b * most + extra
    return Row(what, f"{number(a)} {unit}", f"{number(b)} {unit}", a / b if b else None, reach, reached)


def guest_rows(s):
    """The table of one guest."""
    rtt = s.median("rtt") if s.has("rtt") else 0
    rows = [
        compare(s, "`connect` to the first answered packet, kill switch on; `wg-quick up`", "connect.pvpn.first", "connect.quick.ms", reach="1/8 and a round trip", most=1 / 8, extra=rtt),
        compare(s, "`connect`, whole command; `wg-quick up`", "connect.pvpn.ms", "connect.quick.ms"),
        compare(s, "`disconnect`; `wg-quick down`", "disconnect.pvpn.ms", "disconnect.quick.ms", reach="1/5", most=1 / 5),
        compare(s, "connected, port held, qBittorrent told; script of wg-quick, natpmpc, curl, jq", "whole.pvpn.ms", "whole.script.ms"),
        compare(s, "`status`; `wg show`", "status.pvpn.ms", "status.wg.ms", reach="1", most=1),
        compare(s, "`status`; a Python start", "status.pvpn.ms", "status.python.ms"),
        compare(s, "`status`, peak memory; `wg show`", "status.pvpn.kb", "status.wg.kb", "kB"),
        compare(s, "`status`, peak memory; a Python start", "status.pvpn.kb", "status.python.kb", "kB"),
        compare(s, "one NAT-PMP mapping of both protocols; `natpmpc` twice", "map.pvpn.ms", "map.natpmpc.ms"),
        *icmp_rows(s),
        compare(s, "18,000 servers read; Python's `json`", "list.pvpn.ms", "list.python.ms", reach="1", most=1),
        compare(s, "18,000 servers read; `serde_json` into structs", "list.pvpn.ms", "list.serde.ms"),
        compare(s, "the same, peak memory; the body", "list.pvpn.kb", "list.body", "kB", reach="0.6", most=0.6),
        compare(s, "the same, peak memory; Python's `json`", "list.pvpn.kb", "list.python.kb", "kB"),
        compare(s, "the same, peak memory; `serde_json`", "list.pvpn.kb", "list.serde.kb", "kB"),
        *idle_rows(s),
        *lasting_rows(s),
        *policy_rows(s),
        compare(s, "throughput, kill switch on; plain `wg-quick`", "throughput.closed", "throughput.quick", "Mbit/s"),
        compare(s, "throughput, kill switch off; plain `wg-quick`", "throughput.open", "throughput.quick", "Mbit/s"),
        *failover_rows(s),
    ]
    return rows


def icmp_rows(s):
    what = "round trips to 1,000 hosts, three each; `fping -C 3 -i 1`"
    if not s.has("icmp.pvpn.ms", "icmp.plain.ms", "icmp.fping.ms", "icmp.longest"):
        return [Row(what, "not measured")]
    ours, theirs = s.median("icmp.pvpn.ms") - s.median("icmp.plain.ms"), s.median("icmp.fping.ms")
    most = s.median("icmp.longest") + 500
    rows = [Row(what, f"{number(ours)} ms", f"{number(theirs)} ms", ours / theirs, f"longest answer and 0.5 s: {number(most)} ms", ours <= most)]
    cpu = s.median("icmp.pvpn.cpu") - s.median("icmp.plain.cpu")
    rows.append(Row("the same, CPU", f"{number(cpu)} ms", f"{number(s.median('icmp.fping.cpu'))} ms", cpu / s.median("icmp.fping.cpu")))
    if s.has("icmp.difference_us"):
        words = f"{s.median('icmp.compared'):.0f} hosts: fping says {s.median('icmp.difference_us') / 1000:.2f} ms more in the median, {s.median('icmp.worst_us') / 1000:.1f} ms apart at most"
        rows.append(Row("the same, one by one", words))
    return rows


def idle_rows(s):
    if not s.has("idle.rss", "idle.anon"):
        return [Row("supervisor, connected, idle", "not measured")]
    rss, anon = s.median("idle.rss"), s.median("idle.anon")
    loop = f"{number(s.median('loop.rss'))} kB" if s.has("loop.rss") else ""
    rows = [
        Row("supervisor, idle, VmRSS; the shell loop asleep; gluetun (quoted: 45 to 60 MB, image 43 MB)", f"{number(rss)} kB", loop, None, "4,096 kB", rss <= 4096),
        Row("supervisor, idle, RssAnon", f"{number(anon)} kB", f"{number(s.median('loop.anon'))} kB" if s.has("loop.anon") else "", None, "1,024 kB", anon <= 1024),
    ]
    wakes = {name[11:]: v[0] for name, v in s.all.items() if name.startswith("idle.wakes.")}
    beyond = sum(n for why, n in wakes.items() if why != "lease")
    words = ", ".join(f"{why} {n:.0f}" for why, n in sorted(wakes.items(), key=lambda w: -w[1]))
    if s.has("idle.switches"):
        rows.append(Row("timers a minute, idle, by reason", words or "none", "", None, "6 beyond the lease", beyond <= 6))
        rows.append(Row("wake-ups a minute, answers and the lease included", f"{s.median('idle.switches'):.0f}"))
    if s.has("idle.cpu_s_per_h", "renew.script.cpu"):
        ours, theirs = s.median("idle.cpu_s_per_h"), s.median("renew.script.cpu") / 1000 * 3600 / 45
        rows.append(Row("CPU an hour, idle; a loop of natpmpc and curl every 45 s", f"{number(ours)} s", f"{number(theirs)} s", ours / theirs))
    return rows


def lasting_rows(s):
    rows = []
    if s.has("switches.last.anon", "switches.first.anon"):
        def at(when):
            return f"RssAnon {number(s.median(f'switches.{when}.anon'))} kB, {s.median(f'switches.{when}.fds'):.0f} descriptors"
        reached = s.median("switches.last.fds") <= s.median("switches.first.fds") and s.median("switches.last.anon") <= 1024
        rows.append(Row(f"{s.median('switches.done'):.0f} changes of server by one supervisor; after 20 of them", at("last"), at("first"), None, "no more descriptors, 1,024 kB", reached))
    if s.has("soak.day", "soak.hour"):
        day, hour = s.median("soak.day"), s.median("soak.hour")
        rows.append(Row("24 h of simulated events and 200 changes of server, RssAnon; after the first hour", f"{number(day)} kB", f"{number(hour)} kB", day / hour))
    return rows


def policy_rows(s):
    if not s.has("policy.pvpn"):
        return []
    rules = f"{s.median('policy.rules'):.0f} rules"
    return [
        compare(s, f"policy change, {rules}; `nft -f` of the same", "policy.pvpn", "policy.nft.ms"),
        compare(s, f"policy change, {rules}; `iptables-restore` and `ip6tables-restore` of as many", "policy.pvpn", "policy.iptables.ms"),
    ]


def failover_rows(s):
    if not s.has("failover.pvpn", "connect.quick.ms", "disconnect.quick.ms"):
        return [Row("killed server to traffic on the next", "not measured")]
    ours = s.median("failover.pvpn") / 1000
    # Dead in the middle of an interval, two more, the last ping's own patience, down and up as measured here.
    theirs = 30 + 2 * 60 + 5 + (s.median("connect.quick.ms") + s.median("disconnect.quick.ms")) / 1000
    return [Row("killed server to traffic on the next; a loop of 60 s × 3 pings (computed)", f"{number(ours)} s", f"{number(theirs)} s", ours / theirs, "10 s", ours < 10)]


def markdown(title, rows):
    head = ["What; beside it", "pvpn", "people use", "ratio", "to reach"]
    lines = [f"**{title}**", "", "| " + " | ".join(head) + " |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def text(title, rows):
    table = [[cell.replace("`", "") for cell in row.cells()] for row in rows]
    widths = [max(len(line[n]) for line in table) for n in range(5)]
    widths = [min(width, most) for width, most in zip(widths, (78, 60, 24, 6, 60))]
    lines = [title, "=" * len(title)]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in table]
    return "\n".join(lines) + "\n"


def between(document, begin, end, middle):
    """The document with what stands between the two marks replaced."""
    head, mark, rest = document.partition(begin)
    _, end_mark, tail = rest.partition(end)
    if not mark or not end_mark:
        raise ValueError(f"{begin} or {end} is missing")
    return f"{head}{begin}\n\n{middle}\n{end}{tail}"
