# guests: amd64 arm64
# limit: 900
# boot: systemd
# carries: pkg
# card: late
# before: installed, closed, to be connected at boot
#
# A machine with pvpn's own units, from power-on to power-off and over reboots, counted on the ISP's side while programs
# try to get out by every way from before the network is up. Debian's nftables.service is enabled as well: it flushes
# everybody's rules when it starts, and would when it stops.
#
#   boot 0   no init: the package is installed, the kill switch closed, the services enabled
#   boot 1   connected at boot; restarted, killed, upgraded, the network restarted; reboot
#   boot 2   the configuration cannot be read: closed all the same, and the LAN gets in; a card appears late; both services
#            disabled; reboot
#   boot 3   the control: without the boot service the machine leaks. Then it is purged, and nothing is left
#
# With OpenRC (initrc.sh): install.sh and uninstall.sh. On arm64 boot 1 alone.
. /lab/guest/lib.sh

case $(readlink /proc/1/exe) in *systemd) init=systemd ;; *) init=openrc ;; esac
[ "$BOOT" != 0 ] || init=$([ "$SCENARIO" = inits ] && echo systemd || echo openrc)

# Every file but what other programs write: the lab, dpkg's and insserv's lists, what a boot makes, Python's bytecode.
files() {
    find / -xdev \( -path /lab -o -path /tmp -o -path /run -o -path /proc -o -path /sys -o -path /dev -o -path /home -o -path /srv \
        -o -path /root/.ssh -o -path /root/resolv.conf -o -path /var/log -o -path /var/tmp -o -path /var/cache \
        -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd -o -path /var/lib/urandom -o -path /var/lib/random-seed \
        -o -path /var/lib/dbus -o -path /var/lib/private \
        -o -path /etc/resolv.conf -o -path /etc/mtab -o -path /etc/motd -o -path /etc/adjtime -o -path '/etc/.pwd.lock' \
        -o -path '/etc/*shadow*' -o -path '/etc/group-' -o -path '/etc/passwd-' -o -path '/etc/init.d/.depend.*' \
        -o -path /etc/systemd/system/network.target.wants -o -name __pycache__ \) -prune \
        -o -printf '%p %y %m %u:%g %l\n' | sort
}
nothing_more() { ! comm -13 "$1" "$2" | grep .; }
kernel() { /lab/guest/snapshot-machine | sed '/^== etc$/,/^== wire/d'; }
package() { echo /lab/deb/pvpn_*.deb; }
has_apt() { command -v apt >/dev/null; }
# The same package, a higher version.
higher_package() {
    rm -rf /tmp/higher
    dpkg-deb -R "$(package)" /tmp/higher
    sed -i 's/^Version: .*/Version: 99.0/' /tmp/higher/DEBIAN/control
    dpkg-deb -Znone -b /tmp/higher /tmp/higher.deb
}
# As README says, where there is apt.
install_it() {
    case $init in
    systemd) if has_apt; then apt --yes install "$1"; else dpkg --force-depends -i "$1"; fi ;;
    openrc) sh /lab/pkg/install.sh /lab/bin/pvpn ;;
    esac
}
enable() { if [ "$init" = systemd ]; then systemctl enable pvpn; else rc-update add pvpn default; fi; }
service() { if [ "$init" = systemd ]; then systemctl "$1" pvpn; else rc-service pvpn "$1"; fi; }
disable_all() {
    case $init in
    systemd) systemctl disable pvpn pvpn-killswitch ;;
    openrc) rc-update --all del pvpn; rc-update --all del pvpn-killswitch ;;
    esac
}
remove_it() {
    case $init in
    systemd) if has_apt; then apt --yes purge pvpn; else dpkg --purge pvpn; fi ;;
    openrc) sh /usr/local/libexec/pvpn/uninstall.sh --purge ;;
    esac
}
is_active() {
    case $init in
    systemd) [ "$(systemctl is-active pvpn)" = active ] ;;
    openrc) rc-service pvpn status ;;
    esac
}
property() { systemctl show pvpn --value -p "$1"; }
# Another process, the same link, handshake and port: what was, and whether it is so again.
remember() { pid=$(supervisor) link=$(cat /sys/class/net/wgpnl/ifindex) port=$(port_file); }
another_process() { [ -n "$(supervisor)" ] && [ "$(supervisor)" != "$pid" ]; }
taken_over() {
    another_process && is_active && status_is .state connected && status_is .port.state held &&
        [ "$(cat /sys/class/net/wgpnl/ifindex) $(port_file)" = "$link $port" ]
}
took_over() {
    within 40 taken_over || { status; echo "was: pid $pid, link $link, port $port"; return 1; }
}
# A card whose driver is loaded late, as a USB one's, and what udev has named it.
udev_runs() {
    rm -f /etc/systemd/system/systemd-udevd* # not what would announce every device at the next boot
    systemctl daemon-reload
    systemctl start systemd-udevd.service
}
new_card() {
    modprobe -rq virtio_net
    udevadm control --reload # else looked at every 3 s
    modprobe virtio_net
    udevadm settle --timeout=60
    ip link set "$(card)" up
}
card() { basename /sys/bus/virtio/drivers/virtio_net/virtio*/net/*; }
past_it() { python3 /lab/guest/past.py "$(card)"; }
# Programs for a TCP connection from the LAN, as by ssh.
ssh_like() {
    busybox nc -l -p 22 -e /bin/echo SSH-2.0-lab &
    sleep 0.5
    [ "$(on near timeout 5 bash -c 'read -r line </dev/tcp/192.168.1.10/22; echo "$line"')" = SSH-2.0-lab ]
}

if [ "$BOOT" = 0 ]; then
    rm -f /usr/local/bin/pvpn # the lab's own
    [ "$init" = openrc ] || ln -sf /lib/systemd/system/nftables.service /etc/systemd/system/sysinit.target.wants/
    files >/lab/out/files.before
    touch /lab/noise
    mkdir -p "$CONFIG"
    package_lists "$(package)"
    chmod -R 0700 /root/.pvpn-cli
    ln -s "$RUN"/wireguard "$CONFIG/wireguard" # made at each boot, by `internet`
    cat >"$CONFIG/config.ini" <<'CONF'
[vpn]
provider = file
[connect]
server = NL#12
[network]
lan = 192.168.1.0/24
ks_default = true
[qbittorrent]
enable = false
CONF
    chmod 0600 "$CONFIG/config.ini"
    check "it is installed" install_it "$(package)"
    check "and enabled" enable
    check "killswitch on says nothing of a reboot" sh -c 'pvpn killswitch on --yes 2>&1 | tee /dev/stderr | grep -qx "kill switch on"'
    # As after a reboot: the kernel knows nothing, the disk does.
    nft flush ruleset
    rm -rf /run/pvpn
    exit
fi

note "boot $BOOT: PID 1 is $(readlink /proc/1/exe), $(uptime_s) s after power-on"
pcap=$(boot_pcap "$BOOT")

if [ "$BOOT" = 1 ]; then
    check "connected at boot" within 60 status_is .state connected
    check "and the service manager was told" within 10 is_active
    same "through server 1" "$EXIT1" "$(world)"
    check "its port is held" within 40 status_is .port.state held

    remember
    check "restart" service restart
    check "L6: restarted: another process, the same tunnel and port" took_over
    remember
    kill -9 "$(supervisor)"
    check "killed: started again, the same tunnel and port" took_over
    if [ "$(uname -m)" = x86_64 ]; then
        [ "$init" = openrc ] || higher_package >/dev/null
        remember
        check "upgrade to a higher version" install_it /tmp/higher.deb
        check "L6: upgraded: another process, the same tunnel and port" took_over

        ip link set eth0 down
        ip address flush dev eth0
        sleep 2
        check "the network is set up again" /lab/guest/network
        check "network restarted: traffic again" within 20 world_is "$EXIT1"
    fi
    same "through server 1, after all" "$EXIT1" "$(world)"
    check "L5, L6: from power-on on, restarted, killed and upgraded: nothing leaks" leaks_in "$pcap"
    leaks_in "$pcap" | sed 's/^/# /'
    if [ "$(uname -m)" = x86_64 ]; then
        echo nonsense >>"$CONFIG/config.ini"
        again
    fi
    check "it is removed" remove_it
    snapshot pristine # that of the boot was a closed machine's
fi

if [ "$BOOT" = 2 ]; then
    check "L5: until the power was off, nothing leaked" leaks_in "$(boot_pcap 1)"
    same "a broken configuration: the kill switch is closed" on "$(pvpn killswitch status)"
    check "the world cannot be reached" fails world 2
    check "the LAN can, and gets in, as by ssh" ssh_like
    if [ "$init" = systemd ]; then
        same "the service ended once, with exit code 78" 'failed 78 0' \
            "$(property ActiveState) $(property ExecMainStatus) $(property NRestarts)"
    else
        check "the service is stopped" within 20 fails is_active
    fi
    check "closed at boot, without a tunnel: nothing leaks" leaks_in "$pcap"

    if [ "$init" = systemd ]; then
        udev_runs
        check "a card appears, and no supervisor runs" new_card
        check "packet sockets get nothing out by it" past_it
        rm "$(find /lib/udev /etc/udev -name 90-pvpn.rules)"
        check "another time, without pvpn's udev rule" new_card
        check "control: they do" fails past_it
        modprobe -r virtio_net
    fi
    check "both services are disabled" disable_all
    systemctl is-enabled pvpn pvpn-killswitch 2>&1 | sed 's/^/# /'
    again
fi

if [ "$BOOT" = 3 ]; then
    check "until the power was off again, nothing leaked" leaks_in "$(boot_pcap 2)"
    kernel >"$RUN"/kernel.before
    check "L5, control: without the boot service the same machine leaks" fails leaks_in "$pcap"
    sed -i '/nonsense/d' "$CONFIG/config.ini"
    check "the next start closes it again and connects" service start
    check "connected" within 40 status_is .state connected
    same "and the kill switch is on" on "$(pvpn killswitch status)"
    check "it is removed" remove_it
    noise off
    kernel >"$RUN"/kernel.after
    check "nothing is left in the kernel" diff -U 1 "$RUN"/kernel.before "$RUN"/kernel.after
    same "the machine is open, as before" "$DIRECT" "$(world)"
    check "the resolver file is the machine's own" cmp /root/resolv.conf /etc/resolv.conf
    files >/lab/out/files.after
    check "nothing is left on the disk" nothing_more /lab/out/files.before /lab/out/files.after
    snapshot pristine # that of the boot had the package's files in /etc
fi
finish
