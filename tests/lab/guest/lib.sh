# shellcheck shell=bash
# What scenarios are written with: checks that print one line each, and the lab's hosts and troubles by name.
# A scenario is straight-line shell; it never stops at a failed check, so that one run shows everything, and its last
# line is `finish`.
set -u

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8
SCENARIO=${SCENARIO:-lab}
RUN=/run/lab
INET=203.0.113.80
DIRECT=203.0.113.5
EXIT1=11.22.33.11 EXIT2=11.22.33.12 EXIT3=11.22.33.13
CONFIG=/root/.pvpn-cli/pvpn
export INET DIRECT EXIT1 EXIT2 EXIT3 CONFIG

# -- lines for the host

exec 9>&1 # past `check`, which keeps what its command prints

say() { printf '%s\n' "$*"; }
note() { printf '# %s\n' "$*"; }
ok() { say "ok $SCENARIO: $*"; }
not_ok() { say "not ok $SCENARIO: $*"; }
skip() { say "skip $SCENARIO: $*"; }

# check WORDS COMMAND...: passes when the command does; its output is shown when it does not.
check() {
    local words=$1 output code
    shift
    output=$("$@" 2>&1)
    code=$?
    if [ $code = 0 ]; then
        ok "$words"
    else
        not_ok "$words"
        note "exit $code: $*"
        printf '%s\n' "$output" | head -n 40 | sed 's/^/#   /'
    fi
    [ $code = 0 ]
}

# same WORDS WANTED GOT: nothing is never the same as nothing.
same() {
    if [ -n "$2" ] && [ "$2" = "$3" ]; then
        ok "$1"
    else
        not_ok "$1"
        printf 'wanted: %s\ngot:    %s\n' "$2" "$3" | sed 's/^/#   /'
        return 1
    fi
}

# again: ends this boot in the init's own way; the scenario is run once more in the next, with BOOT one higher.
again() {
    note "reboot"
    sync
    case $(readlink /proc/1/exe) in
    */systemd) systemctl reboot ;;
    */init) init 6 ;;
    *) busybox reboot -f ;;
    esac
    sleep 600
}
# cut_off: the power goes, without warning; then the same.
cut_off() {
    note "the power goes"
    echo b >/proc/sysrq-trigger
    sleep 600
}
finish() { touch /run/lab/finished; }

# fails COMMAND...: for checks that something does not happen.
fails() { ! "$@"; }

# within SECONDS COMMAND...: asks until the command passes. The seconds are no promise of anybody's: they end a run that
# would hang, so they are many times what is needed; what is promised is asked of in_time.
within() {
    local until=$(($(uptime_ms) + $1 * 1000))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(uptime_ms)" -lt $until ] || { "$@"; return; }
        sleep 0.2
    done
}

# in_time LIMIT_MS MS: MS is something, and under the limit. Where it is not, the limit is as many times as long as this
# machine is slower than one on free processors; never more than four times.
in_time() {
    local slow
    [ "$2" -gt 0 ] || return
    [ "$2" -ge "$1" ] || return 0
    slow=$(slowness)
    note "the machine takes $slow % of the time it took on free processors" >&9
    [ $(($2 * 100)) -lt $(($1 * slow)) ]
}
# slowness: in hundredths, 100 to 400, by a bit of work that took STRIDE_MS in this emulation on two free cores.
slowness() {
    local begun=${EPOCHREALTIME/./} i
    for ((i = 0; i < 10000; i++)); do :; done
    i=$(((${EPOCHREALTIME/./} - begun) / 10 / STRIDE_MS))
    echo $((i < 100 ? 100 : i > 400 ? 400 : i))
}
STRIDE_MS=400
# soon SECONDS COMMAND...: as within, but seconds in which it has to be: it passes when asked so early, in the sense of in_time.
soon() {
    local limit=$1 begun
    shift
    begun=$(uptime_ms)
    within 90 asked "$@" && in_time $((limit * 1000)) $((asked_at - begun + 1))
}
asked() { asked_at=$(uptime_ms); "$@"; }

uptime_ms() { local up _; read -r up _ </proc/uptime; up=${up/./}; echo "${up}0"; }
uptime_s() { local up _; read -r up _ </proc/uptime; echo "${up%.*}"; }

# -- the internet, seen from the Pi and looking at it

world() { curl -s --max-time "${1:-20}" "http://$INET/"; }
# world_is ADDRESS [SECONDS]: by one request, which is given up after so long.
world_is() { [ "$(world "${2:-3}")" = "$1" ]; }
resolver() { timeout "${1:-20}" getent ahostsv4 which.lab | awk '{ print $1; exit }'; }
on() { local ns=$1; shift; ip netns exec "$ns" "$@"; }
gateway() { /lab/guest/gateway "$@"; }

# knock ADDRESS PORT: a BitTorrent handshake from the internet host; passes when a BitTorrent program answers it.
knock() { timeout 20 ip netns exec inet python3 /lab/guest/knock.py "$1" "$2"; }

# lease NS PROTOCOL: the port that the gateway forwards to the same port of the Pi, as the gateway itself tells.
lease() {
    # nft prints the protocol as miniupnpd matched it: a byte of the IPv4 header
    local number=0x6
    [ "$2" = tcp ] || number=0x11
    if [ "$1" = vpn1 ]; then
        on vpn1 nft list chain inet mini prerouting_miniupnpd |
            sed -nE "s/.*(@nh,72,8 $number|l4proto $2|ip protocol $2) .*dport ([0-9]+) .*dnat.* 10\.2\.0\.2:\\2$/\\2/p" | head -n 1
    else
        awk -v p="$2" '$1 == p && $2 == $3 { print $2; exit }' "$RUN/$1.leases"
    fi
}

# -- what leaves the Pi

# capture NAME: begins a capture on the ISP's side; captured NAME ends it.
capture() { capture_to "$RUN/$1.pcap" "$1"; }
capture_to() {
    ip netns exec lan tcpdump -i pi -Q in -U --immediate-mode -n -s 256 -B 4096 -Z root -w "$1" >"$RUN/$2.tcpdump" 2>&1 &
    echo $! >"$RUN/$2.pid"
    within 60 grep -q 'listening on' "$RUN/$2.tcpdump"
}
# boot_pcap [BOOT]: what left during a boot, from before the network until the power was off.
boot_pcap() {
    local boot=0
    [ ! -e /lab/at ] || read -r _ boot </lab/at
    # Until the scenario begins, the file still says which boot was the last one.
    echo "/lab/out/boot${1:-$((boot + 1))}.pcap"
}
captured() {
    local last
    # What tcpdump has not read when it is ended is lost: so until it has written down what left last, the kernel's own
    # question for a neighbour, which no rule keeps from leaving. A number of its own each time: it is asked three times over.
    last=192.168.1.$((captures = captures % 100 + 101))
    ip neigh replace "$last" dev eth0 use
    within 60 has_left "$RUN/$1.pcap" "$last" || not_ok "the capture $1 saw the last packet that left"
    ip neigh delete "$last" dev eth0
    kill -INT "$(cat "$RUN/$1.pid")"
    within 60 fails test -e "/proc/$(cat "$RUN/$1.pid")"
    cp "$RUN/$1.pcap" "/lab/out/$SCENARIO-$1.pcap"
}
captures=0
has_left() { tcpdump -Z root -c 1 -nr "$1" "arp dst host $2" 2>/dev/null | grep -q .; }
# leaks NAME [since-tunnel] [pia] [proton] [resolver=ADDRESS]: what in a capture is neither WireGuard nor on the allow
# list; passes when that is nothing. since-tunnel: what left before the first WireGuard packet does not count, since the
# machine was open then.
leaks() { leaks_in "$RUN/$1.pcap" "${@:2}"; }
leaks_in() { python3 /lab/guest/leaks.py "$@"; }

# noise on|off: programs, root's and another user's, that try to get out by every way there is, all along.
noise() {
    if [ "$1" = on ]; then
        python3 /lab/guest/noise.py >"$RUN/noise.log" 2>&1 &
        echo $! >"$RUN/noise.pid"
        within 120 test -s "$RUN/noise.count"
    else
        kill "$(cat "$RUN/noise.pid")"
        sleep 0.3
        note "noise: $(cat "$RUN/noise.count" 2>/dev/null) attempts"
        rm -f "$RUN/noise.pid" "$RUN/noise.count"
    fi
}

# -- qBittorrent, as user lab

QB=http://127.0.0.1:8080/api/v2
qb_start() {
    local dir=/home/lab/.config/qBittorrent
    if [ ! -e $dir/qBittorrent.conf ]; then
        mkdir -p $dir
        cat >$dir/qBittorrent.conf <<'CONF'
[LegalNotice]
Accepted=true

[BitTorrent]
Session\Port=8999
Session\DHTEnabled=false
Session\LSDEnabled=false
Session\PeXEnabled=false

[Preferences]
WebUI\Address=127.0.0.1
WebUI\Port=8080
WebUI\LocalHostAuth=false
CONF
        chown -R 1000:1000 /home/lab
    fi
    setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/home/lab QT_LOGGING_RULES='*=false' \
        qbittorrent-nox >"$RUN/qbittorrent.log" 2>&1 </dev/null &
    echo $! >"$RUN/qbittorrent.pid"
    within 180 qb_answers
}
qb_answers() { [ -n "$(qb_version)" ]; }
qb_version() { curl -s --max-time 5 "$QB/app/version"; }
qb_stop() {
    [ -s "$RUN/qbittorrent.pid" ] || return 0
    kill "$(cat "$RUN/qbittorrent.pid")"
    within 60 fails test -e "/proc/$(cat "$RUN/qbittorrent.pid")" || kill -9 "$(cat "$RUN/qbittorrent.pid")"
    rm -f "$RUN/qbittorrent.pid"
}
qb_pref() { curl -s --max-time 20 "$QB/app/preferences" | jq -r ".$1"; }
qb_pref_is() { [ "$(qb_pref "$1")" = "$2" ]; }
# A torrent that nobody has, so that a handshake from outside can be answered: knock.py names it too.
qb_torrent() {
    curl -s --max-time 20 -F urls='magnet:?xt=urn:btih:6c61626c61626c61626c61626c61626c61626c61&dn=lab' "$QB/torrents/add"
}
# listens ADDRESS PORT: asks the kernel, not qBittorrent.
listens() { ss -Hltn "src $1:$2" | grep -q .; }

# -- pvpn

# configure: the contract's directory with the three servers and a configuration for the lab's LAN. Further lines come
# from standard input, so that a scenario can set keys of its own. `configure alone` leaves qBittorrent out.
configure() {
    local enable=true
    [ "${1:-}" != alone ] || enable=false
    rm -rf "$CONFIG"
    mkdir -p "$CONFIG/wireguard"
    chmod -R 0700 /root/.pvpn-cli
    cp $RUN/wireguard/*.conf "$CONFIG/wireguard/"
    {
        printf '[vpn]\nprovider = file\n[network]\nlan = 192.168.1.0/24\n'
        printf '[qbittorrent]\nenable = %s\nurl = http://127.0.0.1:8080\n' $enable
        cat
    } >"$CONFIG/config.ini"
    chmod 0600 "$CONFIG"/config.ini "$CONFIG"/wireguard/*
}
# json FILE FILTER: passes when the file holds JSON for which the filter is true.
json() {
    local got
    got=$(jq -r "$2" "$1")
    [ "$got" = true ] || { echo "${got:-no JSON}"; return 1; }
}
status() { timeout 5 pvpn status --json; }
status_of() { status | jq -r "$1"; }
status_is() { [ "$(status_of "$1")" = "$2" ]; }
# server_ns: the namespace of the server that the tunnel leads to; exit_of NS: the address it leaves by.
server_ns() { status_of .server.endpoint | sed 's/.*\.1\([123]\):.*/vpn\1/'; }
exit_of() { echo "11.22.33.1${1#vpn}"; }
supervisor() { pgrep -x pvpn | head -n 1; }
supervisor_lives() { pgrep -x pvpn >/dev/null; }
test_port() { [ "$(port_file)" = "$1" ]; }
port_file() { cat /run/pvpn/forwarded_port; }

# -- the machine

snapshot() { /lab/guest/snapshot-machine >"$RUN/$1"; }
# unchanged BEFORE: compares the machine with an earlier snapshot, line by line.
unchanged() {
    snapshot now
    diff -U 1 "$RUN/$1" "$RUN/now"
}

# connect ARGS...: keeps what it printed in $RUN/connect.out, shows it as notes, passes on its exit code.
connect() {
    local begun code
    begun=$(uptime_ms)
    timeout 90 pvpn connect --provider file "$@" >"$RUN/connect.out" 2>&1 </dev/null
    code=$?
    note "connect $*: exit $code after $(($(uptime_ms) - begun)) ms" >&9
    sed 's/^/#   /' "$RUN/connect.out" >&9
    [ $code != 4 ] || ! told_late "$RUN/connect.out" || return 0
    return $code
}
# told_late FILE: a connect that said this waited its ten seconds for qBittorrent on a machine that is slower than it should
# be, and qBittorrent is told after all. On one that is not, they have to do.
told_late() {
    grep -q 'qBittorrent is not told' "$1" && [ "$(slowness)" -ge 150 ] && within 120 status_is .qbittorrent.state synced
}
# exits CODE COMMAND...
exits() {
    local wanted=$1 code
    shift
    "$@"
    code=$?
    [ $code = "$wanted" ] || { echo "exit code $code, not $wanted"; return 1; }
}
mode() { stat --format='%a %U:%G' "$1"; }

# package_lists PACKAGE: dpkg's and apt's, as on a machine that has what the package depends on, and no way to fetch more.
package_lists() {
    mkdir -p /var/lib/dpkg/{info,updates,triggers,parts} /var/lib/apt/lists/partial /var/cache/apt/archives/partial /etc/apt
    touch /var/lib/dpkg/{status,available}
    rm -f /etc/apt/sources.list
    local name _
    dpkg-deb -f "$1" Depends | tr , '\n' | while read -r name _; do
        [ -n "$name" ] || continue
        printf 'Package: %s\nStatus: install ok installed\nMaintainer: lab\nArchitecture: %s\nVersion: 99\nDescription: lab\n\n' \
            "$name" "$(dpkg --print-architecture)" >>/var/lib/dpkg/status
        touch "/var/lib/dpkg/info/$name.list"
    done
}

# settle: after a scenario. What it left is a failure of that scenario, and is taken away with the lab's own tools.
settle() {
    local ns
    [ ! -s "$RUN/noise.pid" ] || noise off
    qb_stop
    rm -rf /home/lab/.config /home/lab/.local /home/lab/.cache
    if ! check "leaves the machine as it found it" unchanged pristine; then
        timeout 15 pvpn disconnect --ks false >/dev/null 2>&1
        # Only what pvpn's name stands on: the rest of the machine is the lab's own.
        local pid link
        for pid in $(pgrep -x pvpn); do kill -9 "$pid"; done
        for link in $(ip -o link show type wireguard | awk -F': ' '{ print $2 }'); do ip link delete "$link"; done
        nft list tables | grep pvpn | while read -r _ family table; do nft delete table "$family" "$table"; done
        rm -rf /run/pvpn /var/lib/pvpn /etc/resolv.conf.pvpnbak
        [ ! -e /root/resolv.conf ] || cp --remove-destination /root/resolv.conf /etc/resolv.conf
    fi
    # When nobody asks for a port any more.
    for ns in vpn1 vpn2 vpn3; do
        gateway $ns talk
        gateway $ns fresh
    done
    rm -rf "$CONFIG"
}
