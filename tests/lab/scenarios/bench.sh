# limit: 900
#
# What `make bench` measures in a guest: runs in turn (A B A B) beside what people use today, in the same boot. Nothing is
# judged here: /lab/out/bench gets one `NAME VALUE` a line (ms, kB, or what the name says) below a line `part NAME` for each
# part, tests/bench/run makes the table. `--env PARTS=list,idle` measures only these.
. /lab/guest/lib.sh
. /lab/guest/farm.sh

OUT=/lab/out/bench
BENCH=/lab/bin/pvpn-bench
: >$OUT
put() { printf '%s %s\n' "$1" "$2" >>$OUT; }
# spend NAME COMMAND...: one run: NAME.ms, NAME.cpu, NAME.kb.
spend() {
    local name=$1 ms cpu kb
    shift
    if read -r ms cpu kb < <("$BENCH" spend "$@" 2>/dev/null); then
        put "$name.ms" "$ms" && put "$name.cpu" "$cpu" && put "$name.kb" "$kb"
    else
        note "failed: $*"
    fi
}
# answered NAME COMMAND...: NAME.first and NAME.ms.
answered() {
    local name=$1 first ms
    shift
    if read -r first ms < <("$BENCH" answered 10.2.0.1 "$@" 2>/dev/null); then
        put "$name.first" "$first" && put "$name.ms" "$ms"
    else
        note "failed: $*"
    fi
}
repeat() { local n=$1; shift; for ((; n > 0; n--)); do "$@"; done; }
# memory NAME PID: NAME.rss and NAME.anon. RssAnon of `status` lags behind by up to 64 pages a thread; this one does not.
memory() {
    put "$1.rss" "$(awk '$1 == "Rss:" { print $2 }' "/proc/$2/smaps_rollup")"
    put "$1.anon" "$(awk '$1 == "Anonymous:" { print $2 }' "/proc/$2/smaps_rollup")"
}
# The first second is left out: a transfer that begins is slow.
mbits() { put "throughput.$1" "$(iperf3 -c "$INET" -O 1 -t 3 -J | jq '.end.sum_received.bits_per_second / 1e6')"; }
restore_sysctls() { sysctl -qw net.ipv4.conf.all.src_valid_mark=0 net.ipv4.conf.all.send_redirects=1; }
without_port() {
    configure alone <<'CONF'
[port_forwarding]
enable = false
CONF
}
grep -v '^DNS' "$RUN/wireguard/nl-12.conf" >"$RUN/wgbase.conf"
grep -v '^DNS' "$RUN/wireguard/ch-7.conf" >"$RUN/wgother.conf"

# connect, status, disconnect
connect_part() {
    without_port
    for round in 1 2 3 4 5; do
        spend connect.quick wg-quick up "$RUN/wgbase.conf"
        spend disconnect.quick wg-quick down "$RUN/wgbase.conf"
        restore_sysctls
        answered connect.pvpn pvpn connect --provider file --server 'NL#12' --ks true
        put rtt "$(ping -c 1 -W 2 10.2.0.1 | sed -n 's/.*time=\([0-9.]*\) ms/\1/p')"
        repeat 4 eval 'spend status.pvpn pvpn status; spend status.wg wg show'
        spend status.python python3 -c 'import argparse, json, socket, subprocess, urllib.request'
        spend disconnect.pvpn pvpn disconnect --ks false
    done
}

# rounds of three tunnels to one server, each round begun with another one
throughput_part() {
    without_port
    on inet iperf3 -s -D -I "$RUN/iperf3.pid" >/dev/null
    for round in 0 1 2 3 4 5; do
        for turn in 0 1 2; do
            case $(((round + turn) % 3)) in
            0)
                wg-quick up "$RUN/wgbase.conf" >/dev/null 2>&1
                mbits quick
                wg-quick down "$RUN/wgbase.conf" >/dev/null 2>&1
                restore_sysctls
                ;;
            1)
                pvpn -q connect --provider file --server 'NL#12' --ks true >/dev/null
                mbits closed
                pvpn disconnect --ks false >/dev/null
                ;;
            2)
                pvpn -q connect --provider file --server 'NL#12' >/dev/null
                mbits open
                pvpn disconnect --ks false >/dev/null
                ;;
            esac
        done
    done
    kill "$(cat "$RUN/iperf3.pid")"
}

# the whole job, and one mapping
whole_part() {
    configure </dev/null
    qb_start
    for round in 1 2 3; do
        spend whole.script /lab/guest/usual.sh up "$RUN/wgother.conf"
        if [ $round = 1 ]; then
            repeat 5 eval 'spend map.pvpn "$BENCH" map 10.2.0.1; spend map.natpmpc sh -c "natpmpc -g 10.2.0.1 -a 1 0 udp 60 && natpmpc -g 10.2.0.1 -a 1 0 tcp 60"'
            repeat 3 spend renew.script /lab/guest/usual.sh renew
            bash -c 'sleep 2; :' &
            sleep 1
            memory loop $!
            wait $!
        fi
        wg-quick down "$RUN/wgother.conf" >/dev/null 2>&1
        restore_sysctls
        spend whole.pvpn pvpn connect --provider file --server 'CH#7' --ks true
        spend whole.undone pvpn disconnect --ks false
    done
    qb_stop
}

# connected, with a port, nothing else going on; a qBittorrent has traffic of its own
idle_part() {
    local pid lines minutes=1
    configure alone </dev/null
    pvpn -v connect --provider file --server 'CH#7' --ks true >/dev/null 2>&1
    sleep 20
    pid=$(supervisor)
    ran() { cut -d ' ' -f 1 "/proc/$pid/schedstat"; }
    woken() { awk '/ctxt/ { n += $2 } END { print n }' "/proc/$pid/status"; }
    local ran_before woken_before
    ran_before=$(ran) woken_before=$(woken)
    lines=$(wc -l <"$CONFIG/pvpn.log")
    sleep $((minutes * 60))
    put idle.cpu_s_per_h "$(awk -v a="$ran_before" -v b="$(ran)" -v m=$minutes 'BEGIN { print (b - a) / 1e9 * 60 / m }')"
    put idle.switches "$((($(woken) - woken_before) / minutes))"
    tail -n +$((lines + 1)) "$CONFIG/pvpn.log" | sed -n 's/.*woken for \([a-z]*\).*/\1/p' | sort | uniq -c |
        while read -r count why; do put "idle.wakes.$why" "$(awk -v n="$count" -v m=$minutes 'BEGIN { print n / m }')"; done
    memory idle "$pid"
    cp "$CONFIG/pvpn.log" /lab/out/bench-idle.log
    pvpn disconnect --ks false >/dev/null
}

# a server that dies under traffic
failover_part() {
    configure alone </dev/null
    for round in 1 2; do
        pvpn connect --provider file --cc NL --ks true >/dev/null 2>&1
        first=$(server_ns)
        case $first in vpn1) second=vpn3 ;; *) second=vpn1 ;; esac
        python3 /lab/guest/traffic.py "$RUN/traffic" &
        traffic=$!
        sleep 3
        gateway "$first" dead
        within 40 world_is "$(exit_of $second)"
        sleep 1.5
        kill $traffic
        wait $traffic
        put failover.pvpn "$(sed 's/.* gap \([0-9]*\) .*/\1/' "$RUN/traffic")"
        gateway "$first" alive
        pvpn disconnect --ks false >/dev/null
    done
    cp "$CONFIG/pvpn.log" /lab/out/bench-failover.log
}

# two hundred changes of server by one supervisor, and as many in a day that takes seconds
lasting_part() {
    without_port
    switched=0
    for ((n = 0; n < 200; n++)); do
        case $((n % 2)) in 0) to='NL#12' ;; *) to='NL#31' ;; esac
        ! pvpn -q connect --provider file --server "$to" --ks true >/dev/null 2>&1 || switched=$((switched + 1))
        case $n in 19) when=first ;; 199) when=last ;; *) continue ;; esac
        # What the new tunnel is asked first has a socket of its own for a moment.
        sleep 4
        pid=$(supervisor)
        memory "switches.$when" "$pid"
        put "switches.$when.fds" "$(find "/proc/$pid/fd" -type l | wc -l)"
    done
    put switches.done $switched
    pvpn disconnect --ks false >/dev/null
    "$BENCH" soak | while read -r when kb fds turns; do
        put "soak.$when.kb" "$kb"
        put "soak.$when.fds" "$fds"
        put "soak.$when.turns" "$turns"
    done
}

# reading a server list
list_part() {
    "$BENCH" body "$RUN/body.json"
    cat >"$RUN/body.py" <<'PY'
import json, sys, time
begun = time.monotonic()
with open(sys.argv[1]) as f:
    servers = json.load(f)["LogicalServers"]
took = time.monotonic() - begun
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"{took * 1000:.3f} {peak}")
PY
    reads() {
        local name=$1 ms kb
        shift
        read -r ms kb < <("$@")
        put "list.$name.ms" "$ms"
        put "list.$name.kb" "$kb"
    }
    repeat 5 eval 'reads pvpn "$BENCH" list "$RUN/body.json"; reads python python3 "$RUN/body.py" "$RUN/body.json"; reads serde "$BENCH" serde "$RUN/body.json"'
    put list.body "$(($(stat --format=%s "$RUN/body.json") / 1024))"
    rm -f "$RUN/body.json" "$RUN/body.py"
}

# a change of the rules
policy_part() {
    "$BENCH" policy 40 >"$RUN/policy"
    head -n 40 "$RUN/policy" | while read -r ms; do put policy.pvpn "$ms"; done
    put policy.rules "$(tail -n 1 "$RUN/policy")"
    { printf 'table inet pvpn\ndelete table inet pvpn\n'; nft list table inet pvpn; } >"$RUN/policy.nft"
    rules() {
        printf '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n'
        for ((n = 0; n < $2; n++)); do printf -- '-A OUTPUT -d %s -p udp -m udp --dport %d -j ACCEPT\n' "$1" $((1000 + n)); done
        printf 'COMMIT\n'
    }
    rules 192.168.1.0/24 $(($(tail -n 1 "$RUN/policy") / 2)) >"$RUN/rules4"
    rules fe80::/10 $(($(tail -n 1 "$RUN/policy") / 2)) >"$RUN/rules6"
    repeat 10 eval 'spend policy.nft nft -f "$RUN/policy.nft"; spend policy.iptables sh -c "iptables-restore $RUN/rules4 && ip6tables-restore $RUN/rules6"'
    nft delete table inet pvpn
    nft delete table ip filter
    nft delete table ip6 filter
    rm -f "$RUN"/policy* "$RUN"/rules?
}

# a thousand round trips
icmp_part() {
    configure alone </dev/null
    farm_up 40
    farm_hosts 1000 40
    farm_confs 1000
    farm_delays $(seq 20000 7500 312500)
    for ((n = 0; n < 1000; n++)); do farm_host $n && echo "$HOST"; done >"$RUN/hosts"
    for round in 1 2 3; do
        spend icmp.plain pvpn list --provider file --json
        spend icmp.pvpn pvpn list --provider file --fastest ping --json
        spend icmp.fping sh -c "fping -q -C 3 -i 1 -p 400 -f $RUN/hosts; :"
    done
    farm_measure "$RUN/measured"
    fping -q -C 3 -i 1 -p 400 -f "$RUN/hosts" 2>"$RUN/fping"
    put icmp.longest "$(awk '$2 != "-" && $2 > most { most = $2 } END { print most / 1000 }' "$RUN/measured")"
    # Each host's least of three, one by one: how much more fping saw.
    awk '
        NR == FNR { if ($2 != "-") ours[$1] = $2; next }
        { least = ""; for (n = 3; n <= NF; n++) if ($n != "-" && (least == "" || $n < least)) least = $n
          split($1, part, "."); host = (part[3] - 1) * 250 + part[4] - 1
          if (least != "" && host in ours) print least * 1000 - ours[host] }' "$RUN/measured" "$RUN/fping" | sort -n >"$RUN/differences"
    put icmp.compared "$(wc -l <"$RUN/differences")"
    put icmp.difference_us "$(awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }' "$RUN/differences")"
    put icmp.worst_us "$(awk '{ d = $1 < 0 ? -$1 : $1; if (d > most) most = d } END { print most }' "$RUN/differences")"
    farm_down
}

PARTS=${PARTS:-connect,throughput,whole,idle,failover,lasting,list,policy,icmp}
for part in ${PARTS//,/ }; do
    begun=$(uptime_s)
    put part "$part"
    "${part}_part"
    note "$part: $(($(uptime_s) - begun)) s"
done
put part guest
put kernel "$(uname -r)"
rm -f "$RUN"/wgbase.conf "$RUN"/wgother.conf
note "$(wc -l <$OUT) figures"
ok "measured"
finish
