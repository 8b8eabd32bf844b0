# guests: amd64
# limit: 900
# boot: systemd
# carries: pkg
#
# Those who own the network on other people's machines, each really running: systemd-networkd with systemd-resolved,
# NetworkManager, dhcpcd, resolvconf, openresolv. Names go to the tunnel alone, what they rewrite is put back, they leave
# our link alone by the files in pkg/neighbours, and on disconnect their newest text stands. networkd renews a lease that
# has turned hostile while the kill switch is closed.
. /lab/guest/lib.sh

# put PACKAGE: its files, as dpkg would, into a machine whose /lib leads to /usr/lib.
put() { tar -C "/opt/packages/$1" -c . | tar -C / -x --keep-directory-symlink; }
state() { # everything but what a neighbour itself may write meanwhile
    ip rule; ip -6 rule; ip route show table all | grep -v fe80 | sort
    ip -brief address show | grep -v lo; nft --stateless list ruleset
    stat --format=%N /etc/resolv.conf
}
named() { timeout 5 getent ahostsv4 which.lab | awk '{ print $1; exit }'; }
link_is() { [ "$(resolvectl "$1" wgpnl | sed 's/.*: //')" = "$2" ]; }
link_state() { [ "$(networkctl --no-legend list "$1" | awk '{ print $5 }')" = "$2" ]; }
named_is() { [ "$(named)" = "$1" ]; }
ours_stands() { head -n 1 /etc/resolv.conf | grep -q '^# Written by pvpn'; }
theirs_stands() { ! ours_stands && grep -q "$1" /etc/resolv.conf; }
repairs() { status_of .monitor.repairs; }

# net-off: the card as a machine has it before anybody configured it.
net_off() { ip address flush dev eth0; ip route flush dev eth0 2>/dev/null; rm -f /etc/resolv.conf; }

sysctl -a -r '^net\.' 2>/dev/null | grep -vE 'flush|stable_secret|nf_conntrack_(count|buckets)' >"$RUN"/sysctl.before
cp -p /etc/nsswitch.conf "$RUN"/nsswitch.conf
configure alone <<CONF
[connect]
server = "NL#12"
[check]
ip_url = http://$INET/
CONF
rm -f /etc/systemd/system/systemd-udev*
put network-manager
rm -f /usr/sbin/resolvconf # resolved's, under that name: dhcpcd would call it
systemctl daemon-reload
systemctl --quiet start systemd-udevd.service systemd-udev-trigger.service dbus.service
check "install.sh lays out what tells them to leave our link alone" /lab/pkg/install.sh /lab/bin/pvpn
for file in /etc/NetworkManager/conf.d/90-pvpn.conf /etc/systemd/network/00-pvpn.network /etc/systemd/networkd.conf.d/90-pvpn.conf; do
    check "$file" test -s $file
done

# A lease that was honest is renewed by its own client while the kill switch is closed, and says other things then.
on isp ip address add 192.168.1.254/24 dev lan0
on isp python3 /lab/guest/dhcp.py 2>"$RUN"/dhcp.err &
dhcp=$!
dhcp_says() { echo "$1" >"$RUN"/dhcp.says; }
acked() { tail -n 1 "$RUN"/dhcp.log | grep -qx "ack $1"; }
has_route() { ip route show "$1" | grep -q 'via 192.168.1.254 dev eth0'; }
idle_routes() { timeout 30 pvpn check 2>/dev/null | grep '^ok  *routes: .* not followed'; }
renewed() { # NAME COMMAND: the command that makes the client renew
    local name=$1
    shift
    check "$name: connect, kill switch on" connect --server 'NL#12' --ks true
    capture "$name-lease"
    noise on
    dhcp_says hostile
    "$@"
    check "$name renews its lease by unicast, from a server beyond the LAN" within 120 acked 'unicast hostile' || tail -n 3 "$RUN"/dhcp.log
    for net in 0.0.0.0/1 128.0.0.0/1 $INET 10.2.0.0/24; do check "$name follows its option 121: $net" within 90 has_route $net; done
    check "$name: traffic goes through the tunnel all the same" within 90 world_is "$EXIT1"
    check "$name: and names" within 90 named_is 10.2.0.1
    check "$name: check tells of the routes" idle_routes
    sleep 1
    captured "$name-lease"
    check "$name: a hostile renewal: nothing leaks" leaks "$name-lease"
    kill -STOP "$(supervisor)"
    for family in inet netdev; do nft delete table $family pvpn; done
    capture "$name-control"
    sleep 2
    captured "$name-control"
    check "$name, control: with the rules taken away, packets get out" fails leaks "$name-control"
    kill -CONT "$(supervisor)"
    noise off
    check "$name: disconnect" timeout 20 pvpn disconnect --ks false
}

# -- systemd-networkd and systemd-resolved, nsswitch asking resolved by its own way
net_off
cat >/etc/systemd/network/10-eth0.network <<'CONF'
[Match]
Name=eth0
[Network]
Address=192.168.1.10/24
Gateway=192.168.1.1
DNS=192.168.1.1
Domains=home.arpa
LLMNR=no
MulticastDNS=no
IPv6AcceptRA=no
CONF
sed -i 's/^hosts:.*/hosts: files resolve [!UNAVAIL=return] dns/' /etc/nsswitch.conf
ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
systemctl --quiet start systemd-networkd.service systemd-resolved.service
check "networkd: the machine is on the net" within 90 world_is "$DIRECT"
check "resolved answers by the LAN's server" within 90 named_is 192.168.1.1
state >"$RUN"/networkd.before
note "systemd-analyze security pvpn: $(systemd-analyze security pvpn.service 2>/dev/null | tail -n 1 | sed 's/[^ -~]//g')"
capture networkd
check "the service connects" systemctl start pvpn.service
check "and says so" within 60 status_is '"\(.state) \(.problems | tostring)"' 'connected []'
check "resolved asks the tunnel's server, by our link" within 60 link_is dns 10.2.0.1
check "for every name" within 60 link_is domain '~.'
check "programs that ask resolved directly get the tunnel's answer" within 60 named_is 10.2.0.1
same "so do those that ask the stub" 10.2.0.1 "$(python3 /lab/guest/ask.py 127.0.0.53 which.lab)"
check "the resolver file is ours" ours_stands
check "networkd leaves our link alone" within 60 link_state wgpnl unmanaged
captured networkd
check "no question left outside the tunnel since it was up" fails sh -c "python3 /lab/guest/leaks.py $RUN/networkd.pcap since-tunnel | grep DNS"
resolvectl dns wgpnl 192.168.1.1
check "resolved told otherwise by somebody: told again" within 90 sh -c 'resolvectl dns wgpnl | grep -q 10.2.0.1'
check "names go to the tunnel again" within 90 named_is 10.2.0.1
systemctl restart systemd-resolved.service
check "resolved restarted: names go to the tunnel" within 90 named_is 10.2.0.1
was=$(repairs)
rules=$(ip rule show; ip route show table 4214)
systemctl restart systemd-networkd.service
sleep 2
same "networkd restarted: our rules and routes stand" "$rules" "$(ip rule show; ip route show table 4214)"
same "without a repair, so it never took them away" "$was" "$(repairs)"
check "traffic goes through the tunnel" within 90 world_is "$EXIT1"
check "disconnect" systemctl stop pvpn.service
check "the kill switch was never closed" test "$(timeout 5 pvpn killswitch status)" = off
check "resolved answers by the LAN's server again" within 90 named_is 192.168.1.1
state >"$RUN"/networkd.after
check "the machine is what it was" diff "$RUN"/networkd.before "$RUN"/networkd.after
check "connect --dns false" connect --server 'NL#12' --dns false
check "negative control: then resolved asks the LAN's" within 60 named_is 192.168.1.1
timeout 20 pvpn disconnect >/dev/null
cat >/etc/systemd/network/10-eth0.network <<'CONF'
[Match]
Name=eth0
[Network]
DHCP=ipv4
LLMNR=no
MulticastDNS=no
IPv6AcceptRA=no
CONF
dhcp_says honest
networkctl reload
check "networkd: has a lease" within 120 acked 'broadcast honest'
check "networkd: the machine is on the net by it" within 90 world_is "$DIRECT"
renewed networkd networkctl renew eth0
systemctl --quiet stop systemd-networkd.socket systemd-networkd.service systemd-resolved.service
rm /etc/systemd/network/10-eth0.network
cp -p "$RUN"/nsswitch.conf /etc/nsswitch.conf

# rewritten NAME COMMAND...: its owner writes the resolver file while connected, naming 192.168.1.20; ours is back, and
# theirs stands after the disconnect.
rewritten() {
    local name=$1 was
    shift
    state >"$RUN/$name.before"
    check "$name: connect" connect --server 'NL#12' --ks true
    check "$name: names go to the tunnel" within 20 named_is 10.2.0.1
    check "$name: traffic goes through it" within 20 world_is "$EXIT1"
    sleep 1
    was=$(repairs)
    "$@"
    check "$name writes while connected: ours stands again" within 20 ours_stands
    check "$name: names go to the tunnel" within 20 named_is 10.2.0.1
    note "$name: $(($(repairs) - was)) repairs"
    check "$name: traffic goes through the tunnel" within 20 world_is "$EXIT1"
    check "$name: disconnect" timeout 20 pvpn disconnect --ks false
    check "$name: its newest text stands" theirs_stands 192.168.1.20
    check "$name: no backup is left" fails test -e /etc/resolv.conf.pvpnbak
    state >"$RUN/$name.after"
    check "$name: rules, routes, addresses, rule sets are what they were" diff "$RUN/$name.before" "$RUN/$name.after"
}

# -- NetworkManager
net_off
cat >/etc/NetworkManager/conf.d/00-lab.conf <<'CONF'
[main]
auth-polkit=false
plugins=keyfile
[device-lab]
# Its udev rules take this card for one end of a container's, for it is a veth.
match-device=interface-name:eth0
managed=1
CONF
mkdir -p /etc/NetworkManager/system-connections
cat >/etc/NetworkManager/system-connections/eth0.nmconnection <<'CONF'
[connection]
id=eth0
uuid=11111111-2222-3333-4444-555555555555
type=ethernet
interface-name=eth0
[ipv4]
method=manual
address1=192.168.1.10/24,192.168.1.1
dns=192.168.1.1;
[ipv6]
method=disabled
CONF
chmod 0600 /etc/NetworkManager/system-connections/*
systemctl --quiet start NetworkManager.service
nmcli --wait 90 connection up eth0 >/dev/null 2>&1
check "NetworkManager: the machine is on the net" within 90 world_is "$DIRECT" || nmcli device | sed 's/^/#   /'
check "NetworkManager owns the resolver file" within 90 grep -q NetworkManager /etc/resolv.conf
nm_rewrites() {
    check "NetworkManager leaves our link alone" within 60 sh -c 'nmcli -t -f DEVICE,STATE device | grep -qx wgpnl:unmanaged'
    nmcli connection modify eth0 ipv4.dns '192.168.1.1,192.168.1.20' && nmcli device reapply eth0 >/dev/null
}
rewritten NetworkManager nm_rewrites
systemctl --quiet stop NetworkManager.service
rm -rf /etc/NetworkManager /var/lib/NetworkManager /run/NetworkManager

# -- dhcpcd
net_off
dhcpcd_says() {
    printf 'interface eth0\nnoipv6\nnoarp\nstatic ip_address=192.168.1.10/24\nstatic routers=192.168.1.1\nstatic domain_name_servers=%s\n' "$1" >/etc/dhcpcd.conf
}
cp -p /etc/dhcpcd.conf "$RUN"/dhcpcd.conf
dhcpcd_says 192.168.1.1
dhcpcd --quiet eth0 2>"$RUN"/dhcpcd.log
check "dhcpcd: the machine is on the net" within 90 world_is "$DIRECT"
check "dhcpcd owns the resolver file" within 20 grep -q dhcpcd /etc/resolv.conf
dhcpcd_rewrites() { dhcpcd_says '192.168.1.1 192.168.1.20'; dhcpcd --quiet -n eth0 2>>"$RUN"/dhcpcd.log; within 30 grep -qs 192.168.1.20 /etc/resolv.conf.pvpnbak; }
rewritten dhcpcd dhcpcd_rewrites
dhcpcd --quiet -x eth0 2>/dev/null
check "dhcpcd ends" within 30 fails pgrep -x dhcpcd
cp -p "$RUN"/dhcpcd.conf /etc/dhcpcd.conf

# -- resolvconf, then openresolv: told by their own program
net_off
sysctl -qep "$RUN"/sysctl.before # IPv6, which was switched off here
/lab/guest/network
check "the lab's own network" within 90 world_is "$DIRECT"
lan_says() { printf 'nameserver %s\n' "$@" | resolvconf -a eth0.lab; }
resolvconf_rewrites() {
    same "$1 has our record" "nameserver 10.2.0.1" "$(resolvconf -l | grep '10\.2')"
    lan_says 192.168.1.1 192.168.1.20
}
for name in resolvconf openresolv; do
    put $name
    rm -f /etc/resolv.conf
    if [ $name = resolvconf ]; then
        mkdir -p /run/resolvconf/interface
        resolvconf --enable-updates
        ln -s ../run/resolvconf/resolv.conf /etc/resolv.conf
    fi
    lan_says 192.168.1.1
    check "$name owns the resolver file" within 90 grep -q 'by resolvconf' /etc/resolv.conf
    rewritten $name resolvconf_rewrites $name
    check "$name has no record of ours any more" fails sh -c "resolvconf -l | grep 10.2.0.1"
    rm -rf /run/resolvconf
    (cd /opt/packages/$name && find . -type f) | while read -r file; do rm -f "/$file"; done
    rm -rf /etc/resolvconf
done

# -- back to the lab's own network
kill $dhcp
on isp ip address delete 192.168.1.254/24 dev lan0
cp "$CONFIG"/pvpn.log /lab/out/
check "uninstall.sh" /usr/local/libexec/pvpn/uninstall.sh --purge
install -m 0755 /lab/bin/pvpn /usr/local/bin/pvpn
rm -rf /etc/resolv.conf.bak /etc/unbound # openresolv makes them
net_off
ip link set eth0 down
sysctl -qep "$RUN"/sysctl.before
ip link set eth0 addrgenmode eui64 up
rm -f /root/resolv.conf
/lab/guest/network
sysctl -qep "$RUN"/sysctl.before
finish
