# guests: amd64 arm64
# limit: 600
#
# What leaves the machine while programs try to get out by every way, all along, and the kill switch is closed: connect,
# switch to another country, switch within one, a hostile lease, reconnect, kill -9 and adoption, a server with IPv6
# outside and inside, the machine's own resolver. Then the control: the same programs and the same tunnel with the kill
# switch's rules taken away, and with it never closed.
. /lab/guest/lib.sh

configure alone </dev/null
# Another program's rules, as Docker and ufw make them.
iptables -N DOCKER-USER
iptables -A FORWARD -j DOCKER-USER
iptables -A INPUT -p tcp --dport 22 -j ACCEPT
iptables -A OUTPUT -j ACCEPT
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
theirs() { for table in filter nat; do nft --stateless list table ip $table 2>/dev/null; done; }
theirs >"$RUN"/theirs
snapshot before
check "the noise makers run" noise on
check "killswitch on exits 0" timeout 30 pvpn killswitch on --yes
sleep 0.5
capture closed
check "closed: the internet host cannot be reached" fails world 3
check "closed: the LAN can" ping -c 1 -W 20 192.168.1.20
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

# A lease whose giver wants to see the traffic: option 121 names the host, half the internet and all of it by a better
# metric; the resolver and the search domain are the giver's as well.
hostile() {
    local what=$1
    for net in $INET/32 0.0.0.0/1 128.0.0.0/1 198.51.100.0/24 10.2.0.0/24 0.0.0.0/0; do
        ip route "$what" "$net" via 192.168.1.1 dev eth0 proto dhcp metric 5
    done
    for net in 2001:db8:80::/64 2000::/3 ::/0; do
        ip -6 route "$what" "$net" via 2001:db8:1::1 dev eth0 proto ra metric 5
    done
}
capture lease
check "a hostile lease comes" hostile add
printf 'nameserver %s\nsearch evil.lab\n' "$INET" >/etc/resolv.conf.new
mv /etc/resolv.conf.new /etc/resolv.conf
names() { [ "$(resolver 2)" = 10.2.0.1 ]; }
check "its resolver is not asked" within 60 names
check "nor its search domain" fails grep -q evil /etc/resolv.conf
same "its routes are not followed" "$EXIT1" "$(world)"
sleep 2
check "it goes" hostile delete
cp /root/resolv.conf /etc/resolv.conf.new # the resolver file of its owner's is what stands in the end
mv /etc/resolv.conf.new /etc/resolv.conf
check "an honest one's resolver is not asked either" within 60 names
captured lease
check "L7: a hostile lease: routes, resolver and search domain: nothing leaks" leaks lease

kill -9 "$(supervisor)"
check "a dead supervisor is status exit 4" within 30 exits 4 timeout 5 pvpn status --check
same "the tunnel still works" "$EXIT1" "$(world)"
check "connect adopts" connect --server 'NL#12'
check "disconnect leaves the kill switch closed" timeout 30 pvpn disconnect
check "blocked: the internet host cannot be reached" fails world 3
check "status says blocked (exit 5), again" exits 5 timeout 5 pvpn status --check
check "reconnect" connect --server 'NL#12'
same "through server 1, after all" "$EXIT1" "$(world)"

theirs >"$RUN"/theirs.after
check "rules made by iptables are what they were" diff "$RUN"/theirs "$RUN"/theirs.after

# IPv6 to the server, and inside the tunnel.
ip -n vpn3 -batch - <<'IP'
address add 2001:db8:80::13/64 dev wan0 nodad
route add 2001:db8:1::/64 via 2001:db8:80::5
address add fd42::1/64 dev wg0 nodad
IP
on vpn3 wg set wg0 peer "$(cat /lab/keys/pi.pub)" allowed-ips 10.2.0.2/32,fd42::2/128
on vpn3 nft 'table ip6 lab { chain post { type nat hook postrouting priority 90; oifname "wan0" ip6 saddr fd42::/64 masquerade; }; }'
sed 's/^Address = .*/Address = 10.2.0.2\/32, fd42::2\/128/; s/^Endpoint = .*/Endpoint = [2001:db8:80::13]:51820/; s/^# NL#31/# SE#6/' \
    "$RUN"/wireguard/nl-31.conf >"$CONFIG/wireguard/se-6.conf"
world6() { curl -s --max-time 20 'http://[2001:db8:80::80]/'; }
check "switch to a server by IPv6" connect --server 'SE#6'
same "through server 3" "$EXIT3" "$(world)"
same "IPv6 goes through it as well" 2001:db8:80::13 "$(world6)"
check "back to one without: IPv6 goes nowhere" connect --server 'NL#12'
check "not even bare" fails world6
rm "$CONFIG/wireguard/se-6.conf"
ip -n vpn3 address delete 2001:db8:80::13/64 dev wan0
on vpn3 nft delete table ip6 lab
captured closed
check "on the ISP's side: nothing but WireGuard and the allow list" leaks closed
leaks closed | sed 's/^/# /'

# The machine's own resolver, which the owner asked for; its file is a symlink meanwhile.
timeout 30 pvpn disconnect
mv /etc/resolv.conf "$RUN"/stub.conf
ln -s "$RUN"/stub.conf /etc/resolv.conf
capture names
check "connect with the machine's own resolver" connect --server 'NL#12' --dns false
same "names are asked of it" 192.168.1.1 "$(resolver)"
check "problems say who can read them" within 30 sh -c 'timeout 5 pvpn status --json | jq -r ".problems[].text" | grep -F 192.168.1.1'
sleep 2
captured names
check "its own resolver is asked, and nothing else leaks" leaks names resolver=192.168.1.1
check "control: it was asked" fails leaks names
check "the tunnel's resolver instead" connect --server 'NL#31' --dns true
same "is asked" 10.2.0.1 "$(resolver)"
check "disconnect, with the kill switch closed" timeout 30 pvpn disconnect
same "the symlink is one again" "$RUN"/stub.conf "$(readlink /etc/resolv.conf)"
rm /etc/resolv.conf
mv "$RUN"/stub.conf /etc/resolv.conf
check "connect, for the control" connect --server 'NL#12'

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
for table in filter nat; do nft delete table ip $table; done
finish
