# guests: trixie
# limit: 150
#
# trixie's systemd-resolved, really running, though nothing else of systemd does: told by D-Bus, what somebody else tells
# it is put right, and what it knew before stands afterwards.
. /lab/guest/lib.sh

stub() { python3 /lab/guest/ask.py 127.0.0.53 which.lab; }
stub_is() { [ "$(stub)" = "$1" ]; }
link_is() { [ "$(resolvectl "$1" wgpnl | sed 's/.*: //')" = "$2" ]; }

configure alone </dev/null
mkdir -p /run/dbus /run/systemd/resolve /etc/systemd/resolved.conf.d
chown systemd-resolve:systemd-resolve /run/systemd/resolve
printf '[Resolve]\nDNS=192.168.1.1\nDNSStubListener=udp\nLLMNR=no\nMulticastDNS=no\nFallbackDNS=\n' >/etc/systemd/resolved.conf.d/lab.conf
dbus-daemon --system --nofork --nopidfile >"$RUN"/dbus.log 2>&1 &
dbus=$!
check "the bus is there" within 60 test -S /run/dbus/system_bus_socket
/usr/lib/systemd/systemd-resolved >"$RUN"/resolved.log 2>&1 &
resolved=$!
check "$(/usr/lib/systemd/systemd-resolved --version 2>/dev/null | head -n 1) answers by the LAN's server" within 60 stub_is 192.168.1.1 ||
    sed 's/^/#   /' "$RUN"/resolved.log
cp -Pp /etc/resolv.conf "$RUN"/resolv.conf
ln -sfn ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf

check "connect" connect --server 'NL#12' --ks true
check "resolved asks the tunnel's server, by our link" link_is dns 10.2.0.1
check "for every name" link_is domain '~.'
same "its stub gives the tunnel's answer" 10.2.0.1 "$(stub)"
same "no problem" '[]' "$(status_of '.problems | tostring')"
repairs=$(status_of .monitor.repairs)
resolvectl revert wgpnl
check "reverted by somebody: told again" within 60 link_is dns 10.2.0.1
check "for every name, too" within 60 link_is domain '~.'
resolvectl dns wgpnl 192.168.1.1
check "told otherwise by somebody: told again" within 60 link_is dns 10.2.0.1
check "both are counted" within 60 sh -c "[ \$(pvpn status --json | jq .monitor.repairs) -ge $((repairs + 2)) ]"
same "its stub gives the tunnel's answer" 10.2.0.1 "$(stub)"
check "disconnect" timeout 20 pvpn disconnect --ks false
check "it answers by the LAN's server again" within 60 stub_is 192.168.1.1
same "its file stands where it stood" ../run/systemd/resolve/stub-resolv.conf "$(readlink /etc/resolv.conf)"

cp -Pp --remove-destination "$RUN"/resolv.conf /etc/resolv.conf
kill $resolved $dbus
wait $resolved $dbus
rm -rf /run/dbus/* /run/systemd/resolve /etc/systemd/resolved.conf.d
finish
