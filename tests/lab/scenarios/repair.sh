# guests: amd64
# limit: 720
#
# Other programs take things away while connected: the rule set, rules, routes, the resolver file, the link, the cable.
# Each is put back and counted within seconds, traffic goes on, and nothing gets out meanwhile.
. /lab/guest/lib.sh

configure alone <<'CONF'
[monitor]
interval = 5
CONF
snapshot before
cp /etc/resolv.conf "$RUN"/resolv.conf
check "connect" connect --server 'NL#12' --ks true
repairs() { status_of .monitor.repairs; }
same "what connect itself did is no repair" 0 "$(sleep 2; repairs)"

python3 /lab/guest/traffic.py "$RUN"/traffic &
traffic=$!

# gone WORDS COMMAND...: takes something away; it has to be back, counted, with traffic and names, in 5 s.
back_and_counted() { [ "$(repairs)" -gt "$1" ] && world_is "$EXIT1" 2 && names; }
names() { [ "$(resolver 2)" = 10.2.0.1 ]; }
gone() {
    local words=$1 was
    shift
    was=$(repairs)
    "$@"
    check "$words: put back and counted, traffic and names again within 5 s" soon 5 back_and_counted "$was"
}
ours() { ip rule show; ip route show table 4214; nft list ruleset; }
within_ms() { local begun; begun=$(uptime_ms); within 60 nft list chain inet pvpn output && note "back after $(($(uptime_ms) - begun)) ms"; }

settled=$(ours)
gone "nft flush ruleset" sh -c 'nft flush ruleset'
nft flush ruleset
within_ms
check "again: traffic and names" soon 5 back_and_counted 1
gone "one of pvpn's chains flushed" nft flush chain inet pvpn output

# What follows opens nothing, so nothing gets out while programs try.
capture repair
noise on
gone "ip rule flush" sh -c 'ip rule flush; ip rule add from all lookup main pref 32766; ip rule add lookup default pref 32767'
gone "ip -6 rule flush" sh -c 'ip -6 rule flush; ip -6 rule add from all lookup main pref 32766'
gone "ip route flush table 4214" ip route flush table 4214
gone "the address taken" ip address flush dev wgpnl
gone "resolv.conf rewritten" sh -c 'echo nameserver 192.168.1.1 >/etc/resolv.conf.new; mv /etc/resolv.conf.new /etc/resolv.conf'
gone "resolv.conf rewritten as it was" sh -c "cat $RUN/resolv.conf >/etc/resolv.conf.new; mv /etc/resolv.conf.new /etc/resolv.conf"
gone "a line appended to resolv.conf" sh -c 'echo nameserver 192.168.1.1 >>/etc/resolv.conf'
# As a shell's `>` with a slow program behind it: cut while pvpn looks, written after that.
slow_writer() { echo nameserver 192.168.1.19 >/etc/resolv.conf; { sleep 0.7; echo nameserver 192.168.1.20; } >/etc/resolv.conf; }
gone "resolv.conf written slowly, in place" slow_writer
same "and its text is kept for the way back" "nameserver 192.168.1.20" "$(cat /etc/resolv.conf.pvpnbak)"
cp --remove-destination "$RUN"/resolv.conf /etc/resolv.conf
check "the first text again" within 5 cmp "$RUN"/resolv.conf /etc/resolv.conf.pvpnbak
gone "the tunnel's link set down" ip link set wgpnl down
gone "the tunnel's link deleted" ip link delete wgpnl
gone "arp_ignore and src_valid_mark lowered" sysctl -qw net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.all.src_valid_mark=0
settings() { sysctl -n net.ipv4.conf.all.arp_ignore net.ipv4.conf.all.src_valid_mark | paste -sd' '; }
settings_are() { [ "$(settings)" = "$1" ]; }
check "and the settings are back" within 60 settings_are '2 1'
check "the port is held after all that" within 120 status_is .port.state held
same "rules, routes and rule set are what they were" "$settled" "$(ours)"
check "no problem is left once it is quiet" within 300 status_is '.problems | tostring' '[]'

# The cable, as a DHCP client sees it: the address stays, the route comes back with the carrier.
was=$(repairs)
gateway=$(ip route show default | awk '{ print $3; exit }')
route=$(ip route show default)
route6=$(ip -6 route show default)
ip link set eth0 down
check "cable out: said" within 60 status_is .health.link bad
sleep 8
same "cable out: still connected to the same server" 'connected NL#12' "$(status_of '"\(.state) \(.server.name)"')"
ip link set eth0 up
ip address replace 192.168.1.10/24 dev eth0
ip route replace $route
check "cable in: traffic again within 4 s" soon 4 world_is "$EXIT1" 2
check "cable in: health is ok" within 60 status_is .health.link ok
same "a cable is no repair" "$was" "$(repairs)"
same "a cable changes no server" 0 "$(status_of .monitor.reconnects)"
ip -6 address replace 2001:db8:1::10/64 dev eth0 nodad
ip -6 route replace $route6

# Another address and route, as by a new lease.
ip address add 192.168.1.77/24 dev eth0
ip route delete $route
ip route add default via "$gateway" dev eth0 src 192.168.1.77
check "another source address: traffic goes on" soon 4 world_is "$EXIT1" 2
ip route delete default
ip route add $route
ip address delete 192.168.1.77/24 dev eth0
check "and back" soon 4 world_is "$EXIT1" 2

# A lease that names another router.
on isp ip address add 192.168.1.254/24 dev lan0
ip route delete default
ip route add default via 192.168.1.254 dev eth0 proto dhcp src 192.168.1.10 metric 100
check "another router: traffic goes on" soon 4 world_is "$EXIT1" 2
check "another router: noticed" within 60 grep -q 'the way out is eth0 via 192.168.1.254' "$CONFIG"/pvpn.log
ip route delete default
ip route add $route
on isp ip address delete 192.168.1.254/24 dev lan0
check "and back to the first" soon 4 world_is "$EXIT1" 2
same "another router changes no server" 0 "$(status_of .monitor.reconnects)"

# The control socket.
rm /run/pvpn/control.sock
check "control socket removed: made anew" within 60 test -S /run/pvpn/control.sock
same "its mode" '600 root:root' "$(mode /run/pvpn/control.sock)"
check "and status answers" status_is .state connected
head -c 200000 /dev/urandom | timeout 5 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/run/pvpn/control.sock")
try: s.sendall(sys.stdin.buffer.read())
except OSError: pass'
check "garbage at the control socket: status answers" status_is .state connected

# A quarrel: somebody flushes the tunnel's table as soon as it is there.
while :; do ip route flush table 4214; sleep 0.3; done &
quarrel=$!
within 120 sh -c 'timeout 5 pvpn status --json | jq -r ".problems[].text" | grep -q "again and again"'
check "a quarrel is a problem" sh -c 'timeout 5 pvpn status --json | jq -r ".problems[].text" | grep "again and again"'
kill $quarrel
noise off
kill $traffic
wait $traffic 2>/dev/null
note "traffic: $(cat "$RUN"/traffic)"
note "repairs: $(repairs)"
grep -h repair: "$CONFIG"/pvpn.log | sed 's/^/# /'
cp "$CONFIG"/pvpn.log /lab/out/
captured repair
check "on the ISP's side, all along: nothing but WireGuard and the allow list" leaks repair
check "disconnect" timeout 30 pvpn disconnect --ks false
check "the machine is what it was" unchanged before
finish
