# guests: amd64 arm64
# limit: 360
#
# `check`, `check --drop` and `doctor` on a machine that is well, and on one that is not.
. /lab/guest/lib.sh

configure alone <<CONF
[check]
ip_url = http://$INET/
CONF
check "check without a connection exits 3" exits 3 pvpn check
check "connect exits 0" connect --server 'NL#12' --ks true
check "it says that a reboot opens the machine" grep -q 'pvpn-killswitch is not enabled' "$RUN"/connect.out

line() { timeout 30 pvpn check 2>/dev/null | grep "^$1 $2:"; }
capture check
begun=$(uptime_ms)
check "check exits 0" exits 0 timeout 30 pvpn check
note "check took $(($(uptime_ms) - begun)) ms"
timeout 30 pvpn check --json >"$RUN"/check.json
note "$(cat "$RUN"/check.json)"
check "each line says ok, failed or unknown, and why" json "$RUN"/check.json \
    'length >= 7 and all(.[]; (.result | IN("ok", "failed", "unknown")) and (.text | length) > 9)'
check "the world sees the server's address" json "$RUN"/check.json \
    "any(.[]; .name == \"address\" and .result == \"ok\" and (.text | contains(\"$EXIT1\")))"
check "bound sockets get nowhere" json "$RUN"/check.json 'any(.[]; .name == "bound" and .result == "ok")'
check "the tunnel's resolver answers" json "$RUN"/check.json \
    'any(.[]; .name == "resolver" and .result == "ok" and (.text | contains("10.2.0.1")))'
check "the port is not known from inside" json "$RUN"/check.json 'any(.[]; .name == "port" and .result != "ok")'
check "check --drop without a terminal is refused" exits 1 pvpn check --drop
curl -s --max-time 20 --limit-rate 2k "http://$INET/slow" >/dev/null &
check "check --drop --yes exits 0" exits 0 timeout 45 pvpn check --drop --yes
same "afterwards the tunnel carries traffic again" "$EXIT1" "$(world)"
check "pvpn list works beside it" sh -c 'pvpn list | grep -q ^NL#12'
captured check
check "on the ISP's side: nothing but WireGuard and the allow list" leaks check since-tunnel

ip route add 198.51.100.0/24 via 192.168.1.1
ip route add 0.0.0.0/1 via 192.168.1.1
check "injected routes are not followed" line ok routes
ip route delete 0.0.0.0/1
ip rule add to 198.51.100.0/24 lookup main priority 100
check "one that is followed is found" line failed routes
ip rule delete priority 100
ip route delete 198.51.100.0/24

kill -9 "$(supervisor)"
nft flush ruleset
capture bare
check "without its rules the machine fails" exits 4 timeout 30 pvpn check
captured bare
strangers() { leaks bare | grep '^leaked' | grep -vE ' to (192\.0\.2\.1|2001:db8::1|ff02::16)( |,)'; }
check "control: what it tries left" sh -c "python3 /lab/guest/leaks.py $RUN/bare.pcap | grep 192.0.2.1"
check "all of it to nobody's addresses, so that it names nobody" fails strangers
check "bound sockets are seen leaving" line failed bound
check "killswitch restore closes it again, the tunnel goes on" exits 0 pvpn killswitch restore
check "bound sockets get nowhere again" line ok bound
same "and traffic still flows" "$EXIT1" "$(world)"

pvpn doctor --bundle "$RUN"/report >"$RUN"/doctor 2>&1
note "doctor: exit $?"
sed 's/^/#   /' "$RUN"/doctor
check "doctor finds WireGuard in the kernel" grep -q '^ok wireguard' "$RUN"/doctor
check "doctor knows that the supervisor died" grep -q '^failed supervisor' "$RUN"/doctor
same "its report is private" '600 root:root' "$(mode "$RUN"/report)"
check "and names no address" fails grep -E '([0-9]{1,3}\.){3}[0-9]{1,3}|2001:db8' "$RUN"/report
check "nor a key" fails grep -F "$(cat /lab/keys/pi)" "$RUN"/report
check "disconnect --ks false exits 0" timeout 30 pvpn disconnect --ks false
finish
