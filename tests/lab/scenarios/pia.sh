# guests: amd64
# limit: 400
#
# PIA by user and password: a test PIA (tests/pia_server) over real TLS, with an authority and a signing key of its own, adds
# the peers to the lab's real WireGuard servers and forwards the bound port for real.
. /lab/guest/lib.sh

SITE=$RUN/pia
USER=p1234567 PASSWORD='s3cr&t+Pass%#word'
control() { curl -s --max-time 20 "http://127.0.0.1:9090/$1" ${2:+-d "$2"}; }
# calls: those since the last look, as `addkey addkey bind`.
calls() { control take | jq -r '[.[].call] | join(" ")'; }
calls_had() { calls >>"$SITE/calls" && grep -qw "$1" "$SITE/calls"; }
bound_at() { control state | jq -r --arg cn "$1" --arg port "$2" '.[] | select(.cn == $cn) | .bound[$port] // "nobody"'; }

# gateway_of NS OCTET NETWORK: what a PIA server has beside its key: an address inside, resolvers, a way out.
gateway_of() {
    ip -n "$1" -batch - <<IP
link add pia0 type wireguard
address add $3.1/24 dev pia0
address add 10.0.0.243/32 dev pia0
link set pia0 mtu 1420 up
IP
    on "$1" nft -f - <<NFT
table ip pia_lab {
    chain in { type nat hook prerouting priority -100; ip daddr 10.0.0.240/29 dnat to 10.2.0.1; }
    chain out { type nat hook postrouting priority 90; oifname "wan0" ip saddr $3.0/24 snat to 11.22.33.$2; }
}
NFT
}
server() { printf '"servers":[{"ip":"203.0.113.%s","cn":"%s","vip":"%s","namespace":"%s","interface":"pia0","nft":true,"exit":"11.22.33.%s"}]' \
    "$2" "$4" "$3.1" "$1" "$2"; }
site_start() {
    gateway_of vpn1 11 10.44.128
    gateway_of vpn2 12 10.45.128
    gateway_of vpn3 13 10.46.128
    mkdir -p "$SITE"
    cat >"$SITE/site.json" <<JSON
{"folder":"$SITE/keys","users":{"$USER":"$PASSWORD"},
 "account":{"address":"$INET","port":443,"namespace":"inet"},"list":{"address":"$INET","port":8443,"namespace":"inet"},
 "control":{"port":9090},
 "regions":[{"id":"swiss","name":"Switzerland","country":"CH",$(server vpn1 11 10.44.128 zurich406)},
  {"id":"uk","name":"UK London","country":"GB",$(server vpn2 12 10.45.128 Server-12619-0a)},
  {"id":"ch-so","name":"CH Streaming","country":"CH",$(server vpn2 12 10.45.128 Server-12619-0a)},
  {"id":"us_atlanta","name":"US Atlanta","country":"US","port_forward":false,$(server vpn3 13 10.46.128 Server-10759-2a)}]}
JSON
    sleep 1000 2>/dev/null | python3 -B /lab/pia_server/pia.py "$SITE/site.json" >"$SITE/ports" 2>"$SITE/log" &
}
site_stop() {
    kill "$(pgrep -f pia_server/pia.py)" "$(pgrep -xf 'sleep 1000')"
    for ns in vpn1 vpn2 vpn3; do
        ip -n $ns link delete pia0
        on $ns nft delete table ip pia_lab
        on $ns nft delete table ip pia_test 2>/dev/null
    done
}
# addresses: what the kernel shows on the tunnel's interface.
addresses() { ip -json address show dev wgpch | jq -r '[.[0].addr_info[] | select(.family == "inet") | "\(.local)/\(.prefixlen)"] | join(" ")'; }
connect_pia() {
    local begun code
    begun=$(uptime_ms)
    timeout 90 pvpn -vv connect --provider pia "$@" >"$RUN/connect.out" 2>&1 </dev/null
    code=$?
    note "connect --provider pia $*: exit $code after $(($(uptime_ms) - begun)) ms" >&9
    cat "$RUN/connect.out" >>"$SITE/connects"
    [ $code != 4 ] || ! told_late "$RUN/connect.out" || return 0
    return $code
}

configure </dev/null
rm -r "$CONFIG/wireguard"
site_start
cat >>"$CONFIG/config.ini" <<INI
[pia]
token_url = https://www.pia.test/api/client/v2/token
serverlist_url = https://list.pia.test:8443/vpninfo/servers/v6
ca_file = $SITE/keys/web/ca.pem
server_ca_file = $SITE/keys/vpn/ca.pem
serverlist_key_file = $SITE/keys/list.pub.pem
INI
sed -i 's/^provider = file$/provider = pia/' "$CONFIG/config.ini"
check "qbittorrent-nox answers its WebUI" qb_start
qb_torrent >/dev/null
check "the test PIA listens" within 240 test -s "$SITE/ports" || cat "$SITE/log"
snapshot before

# -- credentials in

# It waits for the line of --qb-pass; what was given as a flag is gone from its argv by then.
mkfifo "$SITE/line"
pvpn init --pia --pia-user $USER --pia-pass "$PASSWORD" --pia-region 'Switzerland, uk' --qb --qb-pass - --non-interactive \
    <"$SITE/line" >"$SITE/init.out" 2>&1 &
init=$!
exec 8>"$SITE/line"
wiped() { tr '\0' ' ' <"/proc/$init/cmdline" | grep -q 'pia-pass' && ! tr '\0' ' ' <"/proc/$init/cmdline" | grep -qF "$PASSWORD"; }
check "init: the password is wiped from its own argv" within 60 wiped
echo unused >&8
exec 8>&-
wait $init
same "init --pia by flags exits 0" 0 $?
same "the configuration is root's alone" '600 root:root' "$(mode "$CONFIG/config.ini")"
check "list --provider pia: one row a region, and which forwards ports" sh -c '
    pvpn list --provider pia --json >/run/lab/list.json
    test "$(jq -r "[.[] | .name + \":\" + (.features | join(\"+\"))] | join(\" \")" /run/lab/list.json)" = \
        "ch-so:p2p+streaming+port-forwarding swiss:p2p+port-forwarding uk:p2p+port-forwarding us_atlanta:" || { cat /run/lab/list.json; exit 1; }'
note "init and list called: $(calls)"

# -- open machine

ipv6() { curl -6 -s --max-time 20 'http://[2001:db8:80::80]/'; }
check "connect --provider pia, kill switch open" connect_pia --ks false
same "no more calls than these" "addkey signature bind" "$(calls)"
same "the internet host sees the VPN server's address" "$EXIT1" "$(world)"
check "IPv6 is answered unreachable at once with the kill switch open (curl: 7)" exits 7 ipv6
same "names are resolved inside the tunnel" 10.2.0.1 "$(resolver)"
port=$(port_file)
same "the port is the one bound at the gateway" 10.44.128.10 "$(bound_at zurich406 "$port")"
check "qBittorrent listens there" within 60 listens 10.44.128.10 "$port"
check "a BitTorrent handshake from the internet host reaches qBittorrent" within 60 knock "$EXIT1" "$port"
status >"$RUN/status.json"
field() { jq -r "$1" "$RUN/status.json"; }
check "status --json has the shape of schema 1" json "$RUN/status.json" "$(cat /lab/guest/schema.jq)"
same "status: state and server" 'connected pia swiss CH swiss 203.0.113.11:1337' \
    "$(field '"\(.state) \(.server | "\(.provider) \(.name) \(.country) \(.region) \(.endpoint)")"')"
same "status: the port with its days" "held $port 61" "$(field '.port | "\(.state) \(.number) \(.expires_s / 86400 | floor)"')"
same "status: resolvers" '10.0.0.243 10.0.0.242' "$(field '.dns.servers | join(" ")')"
check "status: no problems" json "$RUN/status.json" '.problems == []'
check "status --check exits 0" exits 0 timeout 5 pvpn status --check
check "no .conf is written" fails test -e "$CONFIG/wireguard"
check "disconnect restores" timeout 30 pvpn disconnect --ks false
check "the machine is what it was" unchanged before

# -- closed from the start

check "killswitch on" pvpn killswitch on --yes
capture pia
noise on
calls >/dev/null
check "connect with the kill switch closed from the start" connect_pia --ks true --server zurich406
same "no login, no list, the kept port" "addkey bind" "$(calls)"
same "the internet host sees the VPN server's address" "$EXIT1" "$(world)"
same "the same port as before" "$port" "$(port_file)"
check "IPv6 is unreachable with the kill switch closed (curl: 7)" exits 7 ipv6

# The server was started again: it knows neither key nor port.
control do '{"drop_keys":true}' >/dev/null
# Traffic flows (the noise's), by which that is noticed in seconds.
: >"$SITE/calls"
check "the server drops the key: another addKey, on the same token" within 120 calls_had addkey
check "and traffic flows again" within 60 sh -c "curl -s --max-time 3 http://$INET/ | grep -q 11.22.33"
check "the port is held" within 90 status_is .port.state held
same "the same port" "$port" "$(port_file)"
calls >>"$SITE/calls"
check "without a login" fails grep -qw token "$SITE/calls"
same "at the same server, and so in place: the same interface" "wgpch zurich406" \
    "$(status_of '"\(.interface.name) \(.server.id | sub(".*/"; ""))"')"
address=$(status_of '.interface.addresses | join(" ")')
same "it has the other key's address and no earlier one" "$address" "$(addresses)"
check "which is another than before" test "$address" != 10.44.128.11/32
check "a BitTorrent handshake is answered there" within 60 knock "$EXIT1" "$port"
note "calls: $(tr '\n' ' ' <"$SITE/calls")"
noise off
captured pia
check "on the ISP's side: WireGuard, addKey, the two sites, the allow list" leaks pia pia

# -- a switch in place that fails

# Another server of this country gives us an address, and then does not answer.
on vpn2 nft -f - <<'NFT'
table ip deaf { chain in { type filter hook input priority 0; udp dport 1337 drop; }; }
NFT
check "connect to a server of this country that does not answer exits 14" exits 14 connect_pia --server ch-so
check "the earlier one carries the traffic" within 60 world_is "$EXIT1"
same "with its address alone" "$address" "$(addresses)"
check "a BitTorrent handshake is answered there still" within 60 knock "$EXIT1" "$port"
on vpn2 nft delete table ip deaf

# -- the supervisor dies

pid=$(supervisor)
interface=$(status_of .interface.name)
key=$(wg show "$interface" peers)
kill -9 "$pid"
within 60 fails test -e "/proc/$pid"
calls >/dev/null
check "kill -9, then connect adopts" connect_pia
check "by another process" test "$(supervisor)" != "$pid"
same "the same peer" "$key" "$(wg show "$interface" peers)"
same "the same port" "$port" "$(port_file)"
check "held" within 90 status_is .port.state held
same "asked for nothing but the binding" bind "$(calls | tr ' ' '\n' | sort -u | paste -sd' ')"

# -- what nobody else may read

{
    printf '%s\n' "$PASSWORD" "$(wg show "$interface" private-key)"
    jq -r .token "$CONFIG/pia/auth.json"
    jq -r '.payload, .signature' "$CONFIG/pia/port.json"
} >"$SITE/secrets"
chmod 0600 "$SITE/secrets"
same "five secrets to look for" 5 "$(grep -c ........ "$SITE/secrets")"
spoken() { grep -RlF -f "$SITE/secrets" "$@"; }
check "none in the output of connect -vv" fails spoken "$SITE/connects" "$SITE/init.out"
check "none in the log at -vv" fails spoken "$CONFIG/pvpn.log" "$RUN/syslog"
check "the log has something to say" grep -q bindPort "$CONFIG/pvpn.log"
check "none in a program's argv" fails grep -lF -f "$SITE/secrets" /proc/[0-9]*/cmdline
readable() { find /run/pvpn /var/lib/pvpn "$CONFIG" /etc /tmp -xdev -type f -perm /044 -exec grep -lF -f "$SITE/secrets" {} +; }
same "none in a file that others can read" none "$(readable | grep . || echo none)"
check "none in status" sh -c "pvpn status --json | grep -cF -f $SITE/secrets | grep -qx 0"

# -- another region by preference, and out

check "connect with another order of regions takes the other server" sh -c "
    sed -i 's/^region *=.*/region = us_atlanta/' $CONFIG/config.ini
    timeout 90 pvpn connect --provider pia >/run/lab/connect.out 2>&1 </dev/null; cat /run/lab/connect.out
    test \"\$(pvpn status --json | jq -r '.server.name + .port.state')\" = us_atlantaunavailable"
same "the internet host sees it" "$EXIT3" "$(world)"
check "disconnect restores" timeout 30 pvpn disconnect --ks false
check "the machine is what it was" unchanged before
same "the internet host sees the direct address" "$DIRECT" "$(world)"
calls >/dev/null
check "logout --provider pia" timeout 30 pvpn logout --provider pia
same "the token is ended" expire "$(calls)"
check "and gone from the disk" fails test -e "$CONFIG/pia/auth.json"
cp "$CONFIG/pvpn.log" "/lab/out/pia-pvpn.log"
site_stop
finish
