# guests: amd64
# limit: 600
#
# Proton by password and second factor: a test API (tests/proton_api) over real TLS, with a list of 18,000 servers, puts the
# peer on the lab's real WireGuard servers from the Ed25519 key that it is sent, so that only a rightly derived key
# passes traffic. Everything runs at -vv, and in the end no secret stands in a log, an argument or a file of others.
. /lab/guest/lib.sh

SITE=$RUN/proton HOST=api.proton.test USER=tester@example.org PASSWORD='correct horse battery staple'
mkdir -p "$SITE"
api() { on inet curl -s --max-time 30 --cacert "$SITE/ca.pem" --resolve "$HOST:443:$INET" "https://$HOST/_test" "$@"; }
change() { api -d "$1" >/dev/null; }
calls() { api | jq --arg call "$1" '[.seen[] | select(. == $call)] | length'; }
api_start() {
    [ -s "$SITE/list" ] || (cd /lab/proton_api && python3 -B long_list.py $COUNT \
        "NL#12,203.0.113.11,$(cat /lab/keys/vpn1.pub),12,0.5,Amsterdam" \
        "CH#7,203.0.113.12,$(cat /lab/keys/vpn2.pub),4,0.7,Zurich" \
        "NL#31,203.0.113.13,$(cat /lab/keys/vpn3.pub),8,0.25,Rotterdam" \
        "IS-NL#1,203.0.113.13,$(cat /lab/keys/vpn3.pub),1,4,") >"$SITE/list"
    [ -p "$SITE/stdin" ] || mkfifo "$SITE/stdin"
    ip netns exec inet python3 -B /lab/proton_api/server.py --dir "$SITE" --listen "$INET" --port 443 --name "$HOST" \
        --list "$SITE/list" --peer vpn1/wg0 --peer vpn2/wg0 --peer vpn3/wg0 <>"$SITE/stdin" >"$SITE/ports" 2>"$SITE/log" &
    echo $! >"$SITE/pid"
    within 180 test -s "$SITE/ports"
}
api_stop() {
    kill "$(cat "$SITE/pid")"
    within 60 fails test -e "/proc/$(cat "$SITE/pid")"
}
# Every run at -vv; what it says is kept for the end, standard input is passed on.
run() {
    local begun code
    begun=$(uptime_ms)
    timeout 90 pvpn -vv "$@" >"$SITE/out" 2>"$SITE/err"
    code=$?
    cat "$SITE/out" "$SITE/err" >>"$SITE/said"
    note "$*: exit $code after $(($(uptime_ms) - begun)) ms" >&9
    [ $code = 0 ] || tail -n 5 "$SITE/err" | sed 's/^/#   /' >&9
    [ $code != 4 ] || ! told_late "$SITE/err" || return 0
    return $code
}
names() { cut -f 1 "$SITE/out"; }
arguments() { while sleep 0.2; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' '; done >"$SITE/arguments"; }

rm -rf "$CONFIG"
mkdir -p "$CONFIG"
chmod -R 0700 /root/.pvpn-cli
printf '[protonvpn]\napi_url = https://%s\nca_file = %s/ca.pem\n[network]\nlan = 192.168.1.0/24\n[monitor]\ninterval = 5\n' \
    "$HOST" "$SITE" >"$CONFIG/config.ini"
# A binary without optimization unpacks and reads the real length in no time that anybody waits for.
small() { [ "$(stat --format=%s /usr/local/bin/pvpn)" -lt 5000000 ]; }
COUNT=2000
if small; then COUNT=18000; fi
touch "$SITE/begun"
arguments &
watcher=$!
snapshot before
check "the test API answers" api_start
qb_start
qb_torrent >/dev/null
change '{"second_factor":1,"certificate_life":30}'

# A closed machine, and nobody logged in.
check "killswitch on" timeout 30 pvpn killswitch on --yes
capture proton
check "list without a login exits 10" exits 10 run list --provider proton </dev/null
check "and names the command" grep -q 'pvpn init --proton' "$SITE/err"
init() { printf '%s\n%s\n' "$1" "$2" | run init --proton --proton-user $USER --proton-pass - --proton-2fa - --non-interactive; }
check "init --proton by flags, the kill switch closed" init "$PASSWORD" "$(api | jq -r .totp)"
same "the session" '600 root:root' "$(mode "$CONFIG/proton/session.json")"

# The list. The file says nothing of a provider: the one that is set up is meant.
watched() {
    run "$@" </dev/null &
    local key value most=0 pid=
    while [ -z "$pid" ] && kill -0 $! 2>/dev/null; do pid=$(pgrep -x pvpn | head -n 1); done
    while [ -e "/proc/$pid/status" ]; do
        while read -r key value _; do [ "$key" != VmHWM: ] || most=$value; done <"/proc/$pid/status"
        sleep 0.02
    done 2>/dev/null
    echo "$most" >"$SITE/peak"
    wait $!
}
check "list reads $COUNT servers" watched list
peak=$(cat "$SITE/peak") body=$(($(stat --format=%s "$SITE/list") / 1024))
note "peak memory $peak kB for a body of $body kB"
if small; then check "in at most 0.6 times its length" test "$peak" -gt 0 -a $((peak * 10)) -le $((body * 6)); else skip "memory: not a release binary"; fi
same "all but those that are offline" "$((COUNT - (COUNT - 4) / 40))" "$(wc -l <"$SITE/out")"
check "list --cc GB" run list --cc GB </dev/null
same "is the British servers, which Proton calls UK" UK "$(names | sed 's/#.*//' | sort -u)"
run list --sc </dev/null
same "list --sc" 'IS-NL#1 NL - secure-core' "$(cut -f 1-4 "$SITE/out" | tr '\t' ' ')"
check "a filter that leaves nothing exits 11" exits 11 run list --provider proton --cc IS --p2p </dev/null
check "and is named" grep -q -- '--cc IS' "$SITE/err"

# Connected, with a certificate of 30 s.
check "connect --provider proton --p2p --cc NL" run connect --provider proton --p2p --cc NL --ks true </dev/null
change '{"certificate_life":31536000}'
same "the internet host sees the VPN server's address" "$EXIT1" "$(world)"
port=$(port_file)
same "the gateway forwards the published port for TCP" "$port" "$(lease vpn1 tcp)"
same "and for UDP" "$port" "$(lease vpn1 udp)"
same "qBittorrent has it" "$port" "$(qb_pref listen_port)"
check "a BitTorrent handshake from the internet host is answered" within 60 knock "$EXIT1" "$port"
check "health of the session: ok" within 60 status_is .health.session ok
status >"$RUN/status.json"
note "$(cat "$RUN/status.json")"
field() { jq -r "$1" "$RUN/status.json"; }
check "status --json has the shape of schema 1" json "$RUN/status.json" "$(cat /lab/guest/schema.jq)"
same "status: server" "proton NL#12 NL Amsterdam 31 203.0.113.11:51820 $EXIT1" \
    "$(field '.server | "\(.provider) \(.name) \(.country) \(.city) \(.load) \(.endpoint) \(.exit_address)"')"
same "status: features" 'p2p streaming port-forwarding' "$(field '.server.features | join(" ")')"
same "status: choice" 'only 1 true' "$(field '.choice | "\(.by) \(.candidates) \(.reason | startswith("NL#12"))"')"
same "status: port" "held $port" "$(field '"\(.port.state) \(.port.number)"')"
same "status: no problems" '[]' "$(field '.problems | tostring')"
same "the key belongs to what the API was sent" "$(wg show wgpnl public-key)" "$(api | jq -r '.certificates[0].x25519')"
same "the .conf of the server" '600 root:root' "$(mode "$CONFIG/wireguard/NL-12.conf")"

# The certificate is renewed, and the tunnel does not notice.
before=$(wg show wgpnl dump | cut -f 1-4) pid=$(supervisor)
check "the certificate is renewed in time" within 120 grep -q 'certificate renewed, good until' "$CONFIG/pvpn.log"
check "for a year" test "$(jq .certificate.expires_at "$CONFIG/proton/key.json")" -gt $(($(date +%s) + 364 * 86400))
same "for the same key" "true 1" "$(api | jq -r '"\(.certificates[0].renewed) \(.certificates | length)"')"
same "and the device is as it was" "$before" "$(wg show wgpnl dump | cut -f 1-4)"
same "by the same supervisor" "$pid connected" "$(supervisor) $(status_of .state)"
note "memory after a list and a certificate: $(awk '/^(VmRSS|VmHWM|RssAnon)/ { printf "%s %s kB  ", $1, $2 }' "/proc/$pid/status")"
anon=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status")
if small; then check "RssAnon at most 1 MB after the list" test "$anon" -le 1024; else skip "memory: not a release binary"; fi

# The API is gone, the list is old, and the server dies.
check "the wish is widened: nothing changes" run connect --provider proton --p2p --cc NL,CH </dev/null
same "the server stays" NL#12 "$(status_of .server.name)"
api_stop
sed -i -E 's/"(checked_at|loads_at)":[0-9]+/"\1":1700000000/g' "$CONFIG/proton/servers.json"
python3 /lab/guest/traffic.py "$RUN/traffic" &
traffic=$!
sleep 3
gateway vpn1 dead
check "API gone, server dead: another one is taken" within 120 world_is "$EXIT2"
sleep 1.5
kill $traffic
wait $traffic
gap=$(sed 's/.* gap \([0-9]*\) .*/\1/' "$RUN/traffic")
check "traffic again within 10 s ($gap ms)" in_time 10000 "$gap"
gateway vpn1 alive
check "a port again" within 120 status_is .port.state held
check "connect by an entry address, API gone" run connect --provider proton --server 203.0.113.13 </dev/null
same "leads there" "NL#31 $EXIT3" "$(status_of .server.name) $(world)"
same "which is known not to forward" unavailable "$(status_of .port.state)"
check "disconnect, closed" timeout 30 pvpn disconnect --ks true
check "connect --provider file by the text that was kept" run connect --provider file --server 'NL#12' </dev/null
same "works without the API" "file $EXIT1" "$(status_of .server.provider) $(world)"
captured proton
check "on the ISP's side: nothing but WireGuard, the API and the allow list" leaks proton proton
check "disconnect --ks false" timeout 30 pvpn disconnect --ks false
check "the machine is what it was" unchanged before

# The end of the session.
python3 -c 'import json, sys; k = json.load(open(sys.argv[1])); print(k["seed"])' "$CONFIG/proton/key.json" >"$SITE/sought"
jq -r '.access_token, .refresh_token' "$CONFIG/proton/session.json" >>"$SITE/sought"
sed -n 's/^PrivateKey = //p' "$CONFIG/wireguard/NL-12.conf" >>"$SITE/sought"
echo "$PASSWORD" >>"$SITE/sought"
check "logout exits 13 while the API is gone" exits 13 run logout --provider proton </dev/null
check "and leaves no session here" fails test -e "$CONFIG/proton/session.json"
api_start
change '{"second_factor":1}'
check "init --proton once more" init "$PASSWORD" "$(api | jq -r .totp)"
jq -r '.access_token, .refresh_token' "$CONFIG/proton/session.json" >>"$SITE/sought"
api | jq -r '.access[], .refresh[], .spent[], .half[], .totp_secret' >>"$SITE/sought"
check "logout" run logout --provider proton </dev/null
same "the session is over there" '0 0' "$(api | jq -r '"\(.access | length) \(.refresh | length)"')"
same "no request was out of order" '[]' "$(api | jq -c .violations)"
check "a second logout exits 0" run logout --provider proton </dev/null

# Secrets: everywhere that others may read, and in everything that was said at -vv.
kill $watcher
sort -u "$SITE/sought" -o "$SITE/sought"
secrets() { python3 /lab/guest/secrets.py "$SITE/sought" "$@"; }
find / -xdev -newer "$SITE/begun" -type f -perm /044 ! -path '/lab/*' >"$SITE/readable"
find /run /tmp -newer "$SITE/begun" -type f -perm /044 ! -path "$SITE/*" >>"$SITE/readable"
mapfile -t readable <"$SITE/readable"
check "no secret at -vv, in arguments, or in a file that others may read (${#readable[@]} of them)" \
    secrets "$SITE/said" "$SITE/arguments" "$CONFIG/pvpn.log" /run/pvpn /var/lib/pvpn "$RUN/syslog" "${readable[@]}"
check "though they are where they belong" fails secrets "$CONFIG/config.ini"
check "at -vv a lot was said" test "$(cat "$SITE/said" "$CONFIG/pvpn.log" | wc -l)" -gt 200

api_stop
for ns in vpn1 vpn2 vpn3; do
    for key in $(on $ns wg show wg0 peers); do on $ns wg set wg0 peer "$key" remove; done
    on $ns wg set wg0 peer "$(cat /lab/keys/pi.pub)" allowed-ips 10.2.0.2/32
done
rm -rf "$SITE"
finish
