# guests: amd64
# limit: 360
#
# Ports that are not granted as asked: taken by somebody else, refused for a while, changed by the gateway. What people see
# (file, qBittorrent, the hook) changes when the number does, once.
. /lab/guest/lib.sh

# shellcheck disable=SC2016 # the hook's own arguments
printf '#!/bin/sh\necho "$1 $2" >>/run/lab/hooked\n' >/usr/local/bin/on-port
chmod 0755 /usr/local/bin/on-port
rm -f "$RUN"/hooked
configure <<'CONF'
[port_forwarding]
on_change = /usr/local/bin/on-port {port} {interface}
file = /tmp/forwarded
CONF
snapshot before
qb_start
qb_torrent >/dev/null
hooked() { cat "$RUN"/hooked 2>/dev/null; }

# Somebody else has port 6881 of server 1.
on vpn1 ip address add 10.2.0.9/32 dev wg0
check "another client takes port 6881" on vpn1 python3 /lab/guest/occupy.py 6881
check "connect, port 6881 taken" connect --server 'NL#12' --ks true
port=$(port_file)
check "another port is held ($port)" test "$port" -gt 1024 -a "$port" != 6881
same "forwarded to the same port here, TCP" "$port" "$(lease vpn1 tcp)"
same "and UDP" "$port" "$(lease vpn1 udp)"
check "a BitTorrent handshake from the internet host is answered" within 60 knock "$EXIT1" "$port"
same "the second place has it" "$port" "$(cat /tmp/forwarded)"
check "the hook ran" within 30 test -s "$RUN"/hooked
same "once" "$port wgpnl" "$(hooked)"
on vpn1 ip address del 10.2.0.9/32 dev wg0

# A server whose gateway refuses: what was granted before stays published until another number is.
echo refuse 4 >"$RUN"/vpn2.order
check "switch to a gateway without a port" connect --cc CH
same "the port stays published, as doubtful" "doubtful $port" "$(status_of .port.state) $(port_file)"

# The same from the start: there is nothing to publish.
check "disconnect, closed" timeout 30 pvpn disconnect --ks true
echo refuse 4 >"$RUN"/vpn2.order
check "connect to a gateway without a port exits 12" exits 12 connect --cc CH
same "asking goes on" asking "$(status_of .port.state)"
check "and status tells of it" exits 4 timeout 5 pvpn status --check
check "no port is published meanwhile" fails test -e /run/pvpn/forwarded_port
rm "$RUN"/vpn2.order
check "granted later: held" within 90 status_is .port.state held
port=$(port_file)
same "as the gateway has it" "$port" "$(lease vpn2 tcp)"
check "qBittorrent has it" within 90 qb_pref_is listen_port "$port"

# The gateway gives another number.
lines=$(hooked | wc -l)
echo grant 45678 >"$RUN"/vpn2.order
check "another number: published within a renewal" within 120 test_port 45678
check "another number: qBittorrent has it" within 90 qb_pref_is listen_port 45678
check "another number: a BitTorrent handshake is answered" within 60 knock "$EXIT2" 45678
same "another number: the hook ran once more" "$((lines + 1)) 45678 wgpch" "$(hooked | wc -l) $(hooked | tail -n 1)"
rm "$RUN"/vpn2.order

# A supervisor that dies gives nothing back: the disconnect after it does.
kill -9 "$(supervisor)"
check "disconnect without a supervisor" timeout 30 pvpn disconnect --ks false
same "qBittorrent has its own port back" 6881 "$(qb_pref listen_port)"
check "the second place is gone" fails test -e /tmp/forwarded

# Routes of the owner's own: no route leads to where the gateway's answers come from, and the lab's check is strict.
sed -i 's/^Address/Table = off\nAddress/' "$CONFIG/wireguard/nl-31.conf"
check "connect with Table = off" connect --server 'NL#31' --ks true
same "its gateway's answers are heard" held "$(status_of .port.state)"
check "disconnect" timeout 30 pvpn disconnect --ks false
check "the machine is what it was" unchanged before
rm -f /usr/local/bin/on-port
finish
