# guests: amd64 arm64
# limit: 300
#
# What leaves the machine while programs try to get out by every way, all along, and the kill switch is closed: connect,
# switch to another country, switch within one, reconnect, kill -9 and adoption. Then the control: the same programs and the
# same tunnel with the kill switch's rules taken away, and with it never closed.
. /lab/guest/lib.sh

configure alone </dev/null
snapshot before
check "the noise makers run" noise on
check "killswitch on exits 0" timeout 30 pvpn killswitch on --yes
sleep 0.5
capture closed
check "closed: the internet host cannot be reached" fails world 3
check "closed: the LAN can" ping -c 1 -W 3 192.168.1.20
check "status says blocked (exit 5)" exits 5 timeout 5 pvpn status --check
check "connect" connect --server 'NL#12' --ks true
same "through server 1" "$EXIT1" "$(world)"
check "switch to another country" connect --cc CH
same "through server 2" "$EXIT2" "$(world)"
check "only its interface is there" test "$(wg show interfaces)" = wgpch
check "switch back, to a server by name" connect --server 'NL#31'
same "through server 3" "$EXIT3" "$(world)"
check "switch within a country" connect --server 'NL#12'
same "through server 1, again" "$EXIT1" "$(world)"
kill -9 "$(supervisor)"
sleep 1
check "a dead supervisor is status exit 4" exits 4 timeout 5 pvpn status --check
same "the tunnel still works" "$EXIT1" "$(world)"
check "connect adopts" connect --server 'NL#12'
check "disconnect leaves the kill switch closed" timeout 30 pvpn disconnect
check "blocked: the internet host cannot be reached" fails world 3
check "status says blocked (exit 5), again" exits 5 timeout 5 pvpn status --check
check "reconnect" connect --server 'NL#12'
same "through server 1, after all" "$EXIT1" "$(world)"
captured closed
check "on the ISP's side: nothing but WireGuard and the allow list" leaks closed
leaks closed | sed 's/^/# /'

# Control: whoever counts must be able to count.
kill -STOP "$(supervisor)"
nft list tables | grep pvpn | while read -r _ family table; do nft delete table "$family" "$table"; done
capture flushed
sleep 3
captured flushed
check "control: with the rules taken away, packets get out" fails leaks flushed
kill -CONT "$(supervisor)"
check "disconnect --ks false" timeout 30 pvpn disconnect --ks false

check "connect with the kill switch open" connect --server 'NL#12' --ks false
capture open
sleep 3
captured open
check "control: with the kill switch open, bound sockets get out" fails leaks open
same "and the tunnel takes the rest" "$EXIT1" "$(world)"
check "disconnect" timeout 30 pvpn disconnect

# From open to closed in one connect: closed before the tunnel is up.
capture closing
check "connect closes" connect --server 'NL#12' --ks true
captured closing
check "on the ISP's side, since the tunnel's first packet: nothing else" leaks closing since-tunnel
check "disconnect --ks false, again" timeout 30 pvpn disconnect --ks false
noise off
check "the machine is what it was" unchanged before
finish
