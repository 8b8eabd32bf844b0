# limit: 300
#
# `make demo`: the main job as a person would see it, on the emulated Raspberry Pi 5. Prints what it types and what comes back.
. /lab/guest/lib.sh

title() { printf '\n\033[1m%s\033[0m\n' "$*"; }
typed() { printf '\033[36m# %s\033[0m\n' "$*"; }
run() { typed "$*"; timeout 90 "$@" 2>&1 </dev/null; }

title "An emulated Raspberry Pi 5: Cortex-A76, Linux $(uname -r)"
configure </dev/null
qb_start
qb_torrent >/dev/null
snapshot before
echo "three .conf files from a provider's web page; qBittorrent $(qb_version) on port $(qb_pref listen_port), bound to nothing"
echo "the internet host sees $(world), the house's own address"

title "Connect, kill switch closed"
capture demo
run pvpn connect --provider file --server 'NL#12' --ks true
echo "the internet host sees $(world), the VPN server's"
run pvpn status

port=$(port_file)
title "The port"
echo "granted by a real miniupnpd:    $(lease vpn1 tcp)"
echo "/run/pvpn/forwarded_port:       $port"
echo "inside qBittorrent:             $(qb_pref listen_port), bound to $(qb_pref current_network_interface) $(qb_pref current_interface_address)"
check "a BitTorrent handshake from the internet host to $EXIT1:$port is answered" within 10 knock "$EXIT1" "$port"

title "The gateway loses a third of its packets, each way, for 35 s"
gateway vpn1 lossy
for _ in 1 2 3 4 5 6 7; do
    sleep 5
    status_of '"port \(.port.number) \(.port.state), lease ends in \(.port.expires_s) s"'
done
gateway vpn1 talk
check "the port is still $port" test "$(port_file)" = "$port"

title "kill -9 the supervisor"
typed "kill -9 $(supervisor)"
kill -9 "$(supervisor)"
sleep 1
echo "the internet host sees $(world): tunnel and kill switch stand"
run pvpn connect --provider file --server 'NL#12'
check "adopted, port $port" test "$(port_file)" = "$port"

title "What left the Pi since the tunnel came up, counted on the ISP's side"
captured demo
leaks demo since-tunnel
check "nothing but WireGuard and the contract's allow list" leaks demo since-tunnel

title "Disconnect"
run pvpn disconnect --ks false
echo "the internet host sees $(world) again"
typed "diff machine-before machine-after"
check "links, addresses, routes, rules, sysctls, rule sets, resolver file: no difference" unchanged before
unchanged before
finish
