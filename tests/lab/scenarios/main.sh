# guests: amd64 arm64 trixie
# limit: 240
#
# The main job: a .conf in, a held port and a told qBittorrent out, and nothing left behind.
. /lab/guest/lib.sh

configure </dev/null
same "the internet host sees the direct address before" "$DIRECT" "$(world)"
ipv6() { curl -6 -s --max-time 20 'http://[2001:db8:80::80]/'; }
same "and the IPv6 address" 2001:db8:1::10 "$(ipv6)"
check "qbittorrent-nox answers its WebUI" qb_start
qb_torrent >/dev/null
note "qBittorrent $(qb_version), kernel $(uname -r), page size $(getconf PAGESIZE), pvpn $(stat --format=%s /usr/local/bin/pvpn) bytes"
snapshot before
check "status says disconnected before (exit 3)" exits 3 timeout 5 pvpn status --check

capture main
check "connect exits 0" connect --server 'NL#12' --ks true
same "the internet host sees the VPN server's address" "$EXIT1" "$(world)"
same "names are resolved inside the tunnel" 10.2.0.1 "$(resolver)"
check "strict reverse-path filtering is still on" grep -qx 1 /proc/sys/net/ipv4/conf/all/rp_filter

port=$(port_file)
same "the gateway forwards the published port for TCP" "$port" "$(lease vpn1 tcp)"
same "the gateway forwards the published port for UDP" "$port" "$(lease vpn1 udp)"
same "qBittorrent has it" "$port" "$(qb_pref listen_port)"
same "its port is not random" false "$(qb_pref random_port)"
same "it maps no port by itself" false "$(qb_pref upnp)"
same "it is bound to the tunnel's interface" wgpnl "$(qb_pref current_network_interface)"
same "and to its address" 10.2.0.2 "$(qb_pref current_interface_address)"
check "the kernel shows it listening there" within 60 listens 10.2.0.2 "$port"
check "a BitTorrent handshake from the internet host is answered" within 60 knock "$EXIT1" "$port"

status >"$RUN"/status.json
age=$(($(date +%s) - $(wg show wgpnl latest-handshakes | cut -f 2)))
note "$(cat "$RUN"/status.json)"
check "status --json has the shape of schema 1" json "$RUN"/status.json "$(cat /lab/guest/schema.jq)"
field() { jq -r "$1" "$RUN"/status.json; }
same "status: state" connected "$(field .state)"
same "status: provider and server" 'file NL#12 NL' "$(field '"\(.server.provider) \(.server.name) \(.server.country)"')"
same "status: endpoint, as wg shows it" "$(wg show wgpnl endpoints | cut -f 2)" "$(field .server.endpoint)"
same "status: interface" 'wgpnl 10.2.0.2/32' "$(field '"\(.interface.name) \(.interface.addresses[0])"')"
same "status: MTU, as the kernel has it" "$(cat /sys/class/net/wgpnl/mtu)" "$(field .interface.mtu)"
near() { [ "$2" -ge $(($1 - 3)) ] && [ "$2" -le $(($1 + 3)) ]; }
check "status: handshake age ($(field .interface.handshake_age_s) s), as wg shows it ($age s)" near "$age" "$(field .interface.handshake_age_s)"
more() { [ "$1" -gt 0 ] && [ "$1" -le "$2" ]; }
check "status: bytes received, no more than wg shows" more "$(field .interface.rx_bytes)" "$(wg show wgpnl transfer | cut -f 2)"
same "status: resolver" 10.2.0.1 "$(field .dns.servers[0])"
same "status: kill switch" 'true 192.168.1.0/24' "$(field '"\(.killswitch.on) \(.killswitch.lan[0])"')"
same "status: port" "held $port" "$(field '"\(.port.state) \(.port.number)"')"
check "status: lease of at most its 60 s" json "$RUN"/status.json '.port.expires_s > 0 and .port.expires_s <= 120'
same "status: qBittorrent" "synced $(qb_version) $port wgpnl true" \
    "$(field '.qbittorrent | "\(.state) \(.version) \(.listen_port) \(.interface) \(.listening)"')"
same "status: no problems" '[]' "$(field '.problems | tostring')"
check "status --check exits 0" exits 0 timeout 5 pvpn status --check
check "status for people names the port" sh -c "timeout 5 pvpn status | grep -q $port"
check "killswitch status prints on" test "$(timeout 5 pvpn killswitch status)" = on

same "config directory" '700 root:root' "$(mode "$CONFIG")"
same "control socket" '600 root:root' "$(mode /run/pvpn/control.sock)"
same "status file" '644 root:root' "$(mode /run/pvpn/status.json)"
same "port file" '644 root:root' "$(mode /run/pvpn/forwarded_port)"
same "/run/pvpn" '755 root:root' "$(mode /run/pvpn)"
same "/var/lib/pvpn" '700 root:root' "$(mode /var/lib/pvpn)"
same "the private key stands in the configuration's files and nowhere else" 3 \
    "$(grep -rlF "$(cat /lab/keys/pi)" /run/pvpn /var/lib/pvpn "$CONFIG" "$RUN"/connect.out | grep -c wireguard/)"

keys=$(wg show wgpnl latest-handshakes)
pid=$(supervisor)
check "a second connect finds it connected" connect --server 'NL#12'
same "by the same supervisor" "$pid" "$(supervisor)"
same "and the same handshake" "$keys" "$(wg show wgpnl latest-handshakes)"
check "IPv6, which this tunnel does not carry, is answered at once (curl: 7, not 28)" exits 7 ipv6
captured main
check "on the ISP's side: nothing but WireGuard and the allow list" leaks main since-tunnel

begun=$(uptime_ms)
check "disconnect --ks false exits 0" timeout 30 pvpn disconnect --ks false
note "disconnect took $(($(uptime_ms) - begun)) ms"
check "links, addresses, routes, rules, sysctls, rule sets and the resolver file are what they were" unchanged before
same "the internet host sees the direct address again" "$DIRECT" "$(world)"
same "names are resolved by the ISP again" 192.168.1.1 "$(resolver)"
same "qBittorrent has its own port back" 6881 "$(qb_pref listen_port)"
same "and stays bound to the tunnel's interface" wgpnl "$(qb_pref current_network_interface)"
check "no port is published" fails test -e /run/pvpn/forwarded_port
check "status says disconnected (exit 3)" exits 3 timeout 5 pvpn status --check
check "no supervisor is left" within 10 fails supervisor_lives
check "a second disconnect exits 0" timeout 30 pvpn disconnect --ks false
finish
