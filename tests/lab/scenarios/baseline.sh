# guests: amd64
# limit: 240
#
# The lab itself, without pvpn: people's own tools do the main job on the same parts, so that a red scenario elsewhere
# is pvpn's and not the lab's. And the leak counter counts: wg-quick lets a socket bound to the LAN out.
. /lab/guest/lib.sh

same "the internet host sees the direct address" "$DIRECT" "$(world)"
same "names are resolved by the ISP" 192.168.1.1 "$(resolver)"
check "qbittorrent-nox answers its WebUI" qb_start
note "qBittorrent $(qb_version), kernel $(uname -r), page size $(getconf PAGESIZE)"
qb_torrent >/dev/null

grep -v '^DNS' "$RUN"/wireguard/nl-12.conf >"$RUN"/wgbase.conf
grep -v '^DNS' "$RUN"/wireguard/ch-7.conf >"$RUN"/wgother.conf
capture baseline
noise on
begun=$(uptime_ms)
check "wg-quick up" wg-quick up "$RUN"/wgbase.conf
note "wg-quick up took $(($(uptime_ms) - begun)) ms"
check "the internet host sees the VPN server's address" within 60 world_is "$EXIT1"

mini_refuses_zero() { timeout 20 natpmpc -g 10.2.0.1 -a 1 0 udp 60 2>&1 | tee "$RUN"/natpmpc.out | grep -qi 'refused\|not authorized\|failed\|-100'; }
check "miniupnpd refuses internal port 0" mini_refuses_zero
mapped() { timeout 20 natpmpc -g 10.2.0.1 -a "$1" "$2" "$3" 60 | sed -n 's/^Mapped public port \([0-9]*\).*/\1/p'; }
# natpmpc takes a late second answer to its first question for the answer to its second: so within some tries.
mini_maps() { [ "$(mapped 6881 6881 tcp)" = 6881 ] && [ "$(lease vpn1 tcp)" = 6881 ]; }
check "miniupnpd maps port 6881 for TCP, and its own rule set says so" within 120 mini_maps
curl -s --data-urlencode 'json={"listen_port":6881,"random_port":false,"upnp":false,"current_network_interface":"wgbase","current_interface_address":"10.2.0.2"}' "$QB"/app/setPreferences
check "qBittorrent listens on the tunnel's address" within 60 listens 10.2.0.2 6881
check "a BitTorrent handshake from the internet host is answered" within 60 knock "$EXIT1" 6881
check "wg-quick down" wg-quick down "$RUN"/wgbase.conf

check "wg-quick up, the other server" wg-quick up "$RUN"/wgother.conf
check "the internet host sees the other server's address" within 60 world_is "$EXIT2"
proton_maps() {
    port=$(mapped 1 0 tcp)
    [ "${port:-0}" -ge 30000 ] && [ "$port" = "$(lease vpn2 tcp)" ]
}
check "the gateway with Proton's manners chooses a port itself and forwards it" within 120 proton_maps
check "wg-quick down, the other server" wg-quick down "$RUN"/wgother.conf
noise off
captured baseline
check "the counter counts what wg-quick lets out" fails leaks baseline
leaks baseline | sed 's/^/# /'
rm -f "$RUN"/wgbase.conf "$RUN"/wgother.conf
# wg-quick leaves the first; the second the kernel's WireGuard itself sets when one of its interfaces comes up.
sysctl -qw net.ipv4.conf.all.src_valid_mark=0 net.ipv4.conf.all.send_redirects=1
finish
