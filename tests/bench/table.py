"""Figures -> rows -> text, Markdown and JSON. Knows no machine: samples come in as {name: [numbers]}."""

import statistics

NOT_REACHED = "not reached"
NOT_MEASURED = "not measured"

# What it would take, where a figure is not reached.
CONNECT_TAKES = "a quarter of it is files synced to disk, so that a power cut finds the machine closed and its resolver file, a fifth a dozen policy rules set one by one; fewer syncs would promise less, rules sent together would save half of their share"
LIST_TAKES = "a reader compiled for speed instead of size"
ICMP_TAKES = "a CPU that sends and hears 6,000 datagrams in half a second; what they cost here is the CPU of the row below"


class Row:
    """One line: ours beside theirs, their ratio, what is to be reached, and what it would take where it is not."""

    def __init__(self, what, ours, theirs="", ratio=None, reach="", reached=None, takes=""):
        self.what, self.ours, self.theirs = what, ours, theirs
        self.ratio, self.reach, self.reached, self.takes = ratio, reach, reached, takes

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

    def spread(self, name):
        """Least and greatest, where there is more than one."""
        return f" ({number(min(self.all[name]))} to {number(max(self.all[name]))})" if len(self.all[name]) > 1 else ""

    def has(self, *names):
        return all(self.all.get(name) for name in names)


def merged(old, new):
    """Two outputs of a guest as one: each part (what follows a line `part NAME`) as it was measured last."""
    parts = {}
    for text in (old, new):
        for part in text.split("part ")[1:]:
            name, _, lines = part.partition("\n")
            parts[name] = lines
    return "".join(f"part {name}\n{lines}" for name, lines in parts.items())


def number(n):
    """Three significant digits, or whole."""
    return f"{n:,.0f}" if abs(n) >= 100 else f"{n:.1f}" if abs(n) >= 10 else f"{n:.2f}"


def compare(samples, what, ours, theirs, unit="ms", reach="", most=None, extra=0.0, takes="", spread=False):
    """Medians side by side. `most`: the greatest ratio that reaches it, `extra`: allowed beyond that, in the unit."""
    if not samples.has(ours, theirs):
        return Row(what, NOT_MEASURED, reach=reach)
    a, b = samples.median(ours), samples.median(theirs)
    reached = None if most is None else a <= b * most + extra
    words = [f"{number(n)} {unit}{samples.spread(name) if spread else ''}" for n, name in ((a, ours), (b, theirs))]
    return Row(what, *words, a / b if b else None, reach, reached, takes)


def single(samples, what, unit, ours, theirs=None, reach="", most=None):
    """One figure to be at most so much, and what stands beside it."""
    if not samples.has(*[name for name in (ours, theirs) if name]):
        return Row(what, NOT_MEASURED, reach=reach)
    a = samples.median(ours)
    beside = f"{number(samples.median(theirs))} {unit}" if theirs else ""
    return Row(what, f"{number(a)} {unit}", beside, None, reach, None if most is None else a <= most)


def guest_rows(s):
    """The table of one guest: the same lines whatever was measured."""
    rtt = s.median("rtt") if s.has("rtt") else 0
    rules = f"policy change, {s.median('policy.rules'):.0f} rules" if s.has("policy.rules") else "policy change"
    return [
        compare(s, "`connect` to the first answered packet, kill switch on; `wg-quick up`", "connect.pvpn.first", "connect.quick.ms", reach="1/8 and a round trip", most=1 / 8, extra=rtt, takes=CONNECT_TAKES),
        compare(s, "`connect`, whole command; `wg-quick up`", "connect.pvpn.ms", "connect.quick.ms"),
        compare(s, "`disconnect`; `wg-quick down`", "disconnect.pvpn.ms", "disconnect.quick.ms", reach="1/5", most=1 / 5),
        compare(s, "connected, port held, qBittorrent told; script of wg-quick, natpmpc, curl, jq", "whole.pvpn.ms", "whole.script.ms"),
        compare(s, "`status`; `wg show`", "status.pvpn.ms", "status.wg.ms", reach="1", most=1),
        compare(s, "`status`; a Python start", "status.pvpn.ms", "status.python.ms"),
        compare(s, "`status`, peak memory; `wg show`", "status.pvpn.kb", "status.wg.kb", "kB"),
        compare(s, "`status`, peak memory; a Python start", "status.pvpn.kb", "status.python.kb", "kB"),
        compare(s, "one NAT-PMP mapping of both protocols; `natpmpc` twice", "map.pvpn.ms", "map.natpmpc.ms"),
        *icmp_rows(s),
        compare(s, "18,000 servers read; Python's `json`", "list.pvpn.ms", "list.python.ms", reach="1", most=1, takes=LIST_TAKES),
        compare(s, "18,000 servers read; `serde_json` into structs", "list.pvpn.ms", "list.serde.ms"),
        compare(s, "the same, peak memory; the body", "list.pvpn.kb", "list.body", "kB", reach="0.6", most=0.6),
        compare(s, "the same, peak memory; Python's `json`", "list.pvpn.kb", "list.python.kb", "kB"),
        compare(s, "the same, peak memory; `serde_json`", "list.pvpn.kb", "list.serde.kb", "kB"),
        single(s, "supervisor, idle, resident; the shell loop asleep; gluetun (quoted: 45 to 60 MB, image 43 MB)", "kB", "idle.rss", "loop.rss", "4,096 kB", 4096),
        single(s, "supervisor, idle, anonymous memory; the shell loop asleep", "kB", "idle.anon", "loop.anon", "1,024 kB", 1024),
        *wake_rows(s),
        *lasting_rows(s),
        compare(s, f"{rules}; `nft -f` of the same", "policy.pvpn", "policy.nft.ms"),
        compare(s, f"{rules}; `iptables-restore` and `ip6tables-restore` of as many", "policy.pvpn", "policy.iptables.ms"),
        compare(s, "throughput and its spread, kill switch on; plain `wg-quick`", "throughput.closed", "throughput.quick", "Mbit/s", spread=True),
        compare(s, "throughput and its spread, kill switch off; plain `wg-quick`", "throughput.open", "throughput.quick", "Mbit/s", spread=True),
        *failover_rows(s),
    ]


def icmp_rows(s):
    what = "round trips to 1,000 hosts, up to three each; `fping -C 3 -i 1`"
    same = ("the same, CPU", "the same, one by one")
    if not s.has("icmp.pvpn.ms", "icmp.plain.ms", "icmp.fping.ms", "icmp.longest", "icmp.compared", "icmp.difference_us", "icmp.worst_us"):
        return [Row(text, NOT_MEASURED) for text in (what, *same)]
    ours, theirs = s.median("icmp.pvpn.ms") - s.median("icmp.plain.ms"), s.median("icmp.fping.ms")
    most = s.median("icmp.longest") + 500
    cpu = s.median("icmp.pvpn.cpu") - s.median("icmp.plain.cpu")
    words = f"{s.median('icmp.compared'):.0f} hosts: fping says {s.median('icmp.difference_us') / 1000:.2f} ms more in the median, {s.median('icmp.worst_us') / 1000:.1f} ms apart at most"
    return [
        Row(what, f"{number(ours)} ms", f"{number(theirs)} ms", ours / theirs, f"longest answer and 0.5 s: {number(most)} ms", ours <= most, ICMP_TAKES),
        Row(same[0], f"{number(cpu)} ms", f"{number(s.median('icmp.fping.cpu'))} ms", cpu / s.median("icmp.fping.cpu")),
        Row(same[1], words),
    ]


def wake_rows(s):
    """What wakes an idle supervisor; the lease's own renewals are no part of what is to be reached."""
    timers, wakes, cpu = "timers a minute, idle, by reason", "wake-ups a minute, answers and the lease included", "CPU an hour, idle; a loop of natpmpc and curl every 45 s"
    by_reason = {name[11:]: v[0] for name, v in s.all.items() if name.startswith("idle.wakes.")}
    if not by_reason or not s.has("idle.switches"):
        rows = [Row(timers, NOT_MEASURED, reach="6 beyond the lease"), Row(wakes, NOT_MEASURED)]
    else:
        beyond = sum(n for why, n in by_reason.items() if why != "lease")
        words = ", ".join(f"{why} {n:g}" for why, n in sorted(by_reason.items(), key=lambda w: -w[1]))
        rows = [Row(timers, words, "", None, "6 beyond the lease", beyond <= 6), Row(wakes, f"{s.median('idle.switches'):.0f}")]
    if not s.has("idle.cpu_s_per_h", "renew.script.cpu"):
        return rows + [Row(cpu, NOT_MEASURED)]
    ours, theirs = s.median("idle.cpu_s_per_h"), s.median("renew.script.cpu") / 1000 * 3600 / 45
    return rows + [Row(cpu, f"{number(ours)} s", f"{number(theirs)} s", ours / theirs)]


def lasting_rows(s):
    switches, day = "changes of server by one supervisor; after 20 of them", "24 h of simulated events and 200 changes of server; after the first hour"
    rows = []
    if s.has("switches.done", "switches.last.anon", "switches.first.anon", "switches.last.fds", "switches.first.fds"):
        last, first = (holds(s, f"switches.{when}.anon", f"switches.{when}.fds") for when in ("last", "first"))
        reached = s.median("switches.last.fds") <= s.median("switches.first.fds") and s.median("switches.last.anon") <= 1024
        rows.append(Row(f"{s.median('switches.done'):.0f} {switches}", last, first, None, "no more descriptors, 1,024 kB", reached))
    else:
        rows.append(Row(f"200 {switches}", NOT_MEASURED))
    if s.has("soak.day.kb", "soak.hour.kb", "soak.day.fds", "soak.hour.fds"):
        last, first = (holds(s, f"soak.{when}.kb", f"soak.{when}.fds") for when in ("day", "hour"))
        rows.append(Row(day, last, first, s.median("soak.day.kb") / s.median("soak.hour.kb")))
    else:
        rows.append(Row(day, NOT_MEASURED))
    return rows


def holds(s, kb, fds):
    return f"{number(s.median(kb))} kB anonymous, {s.median(fds):.0f} descriptors"


def failover_rows(s):
    what = "killed server to traffic on the next, the slower of two; a loop of 60 s × 3 pings (computed)"
    if not s.has("failover.pvpn", "connect.quick.ms", "disconnect.quick.ms"):
        return [Row(what, NOT_MEASURED, reach="10 s")]
    ours = max(s.all["failover.pvpn"]) / 1000
    # Dead in the middle of an interval, two more, the last ping's own patience, down and up as measured here.
    theirs = 30 + 2 * 60 + 5 + (s.median("connect.quick.ms") + s.median("disconnect.quick.ms")) / 1000
    return [Row(what, f"{number(ours)} s", f"{number(theirs)} s", ours / theirs, "10 s", ours < 10)]


def shortfalls(rows):
    """What is not reached, and what it would take."""
    return [f"{row.what.partition(';')[0]}: {row.takes or 'not known yet'}" for row in rows if row.reached is False]


def markdown(title, rows):
    head = ["What; beside it", "pvpn", "people use", "ratio", "to reach"]
    lines = [f"**{title}**", "", "| " + " | ".join(head) + " |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    if missed := shortfalls(rows):
        lines += ["", "Not reached, and what it would take:", ""] + [f"- {line}" for line in missed]
    return "\n".join(lines) + "\n"


def text(title, rows):
    table = [[cell.replace("`", "") for cell in row.cells()] for row in rows]
    widths = [max(len(line[n]) for line in table) for n in range(5)]
    widths = [min(width, most) for width, most in zip(widths, (78, 60, 24, 6, 60))]
    lines = [title, "=" * len(title)]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in table]
    lines += [f"not reached: {line.replace('`', '')}" for line in shortfalls(rows)]
    return "\n".join(lines) + "\n"


def between(document, begin, end, middle):
    """The document with what stands between the two marks replaced."""
    head, mark, rest = document.partition(begin)
    _, end_mark, tail = rest.partition(end)
    if not mark or not end_mark:
        raise ValueError(f"{begin} or {end} is missing")
    return f"{head}{begin}\n\n{middle}\n{end}{tail}"
