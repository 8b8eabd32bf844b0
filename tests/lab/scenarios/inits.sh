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
# OpenRC's are told in initrc.sh. On arm64 boot 1 alone.
. /lab/guest/lib.sh
. /lab/guest/boots.sh

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
install_it() { if has_apt; then apt --yes install "$1"; else dpkg --force-depends -i "$1"; fi; }
remove_it() { if has_apt; then apt --yes purge pvpn; else dpkg --purge pvpn; fi; }
is_active() { [ "$(systemctl is-active pvpn)" = active ]; }
property() { systemctl show pvpn --value -p "$1"; }

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
    udevadm settle --timeout=180
    ip link set "$(card)" up
}
card() { basename /sys/bus/virtio/drivers/virtio_net/virtio*/net/*; }
past_it() { python3 /lab/guest/past.py "$(card)"; }

if [ "$BOOT" = 0 ]; then
    rm -f /usr/local/bin/pvpn # the lab's own
    ln -sf /lib/systemd/system/nftables.service /etc/systemd/system/sysinit.target.wants/
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
    check "and enabled" systemctl enable pvpn
    check "killswitch on says nothing of a reboot" sh -c 'pvpn killswitch on --yes 2>&1 | tee /dev/stderr | grep -qx "kill switch on"'
    # As after a reboot: the kernel knows nothing, the disk does.
    nft flush ruleset
    rm -rf /run/pvpn
    exit
fi

note "boot $BOOT: PID 1 is $(readlink /proc/1/exe), $(uptime_s) s after power-on"
pcap=$(boot_pcap "$BOOT")

if [ "$BOOT" = 1 ]; then
    check "connected at boot" within 120 status_is .state connected
    check "and the service manager was told" within 60 is_active
    same "through server 1" "$EXIT1" "$(world)"
    check "its port is held" within 120 status_is .port.state held

    remember
    check "restart" systemctl restart pvpn
    check "L6: restarted: another process; tunnel, port, resolver and rules as they were" took_over
    remember
    kill -9 "$(supervisor)"
    check "killed: started again; tunnel, port, resolver and rules as they were" took_over
    if [ "$(uname -m)" = x86_64 ]; then
        higher_package >/dev/null
        remember
        check "upgrade to a higher version" install_it /tmp/higher.deb
        check "L6: upgraded: another process; tunnel, port, resolver and rules as they were" took_over

        ip link set eth0 down
        ip address flush dev eth0
        sleep 2
        check "the network is set up again" /lab/guest/network
        check "network restarted: traffic again" within 60 world_is "$EXIT1"
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
    same "the service ended once, with exit code 78" 'failed 78 0' \
        "$(property ActiveState) $(property ExecMainStatus) $(property NRestarts)"
    check "closed at boot, without a tunnel: nothing leaks" leaks_in "$pcap"

    udev_runs
    check "a card appears, and no supervisor runs" new_card
    check "packet sockets get nothing out by it" past_it
    rm "$(find /lib/udev /etc/udev -name 90-pvpn.rules)"
    check "another time, without pvpn's udev rule" new_card
    check "control: they do" fails past_it
    modprobe -r virtio_net
    check "both services are disabled" systemctl disable pvpn pvpn-killswitch
    systemctl is-enabled pvpn pvpn-killswitch 2>&1 | sed 's/^/# /'
    again
fi

if [ "$BOOT" = 3 ]; then
    check "until the power was off again, nothing leaked" leaks_in "$(boot_pcap 2)"
    kernel >"$RUN"/kernel.before
    check "L5, control: without the boot service the same machine leaks" fails leaks_in "$pcap"
    sed -i '/nonsense/d' "$CONFIG/config.ini"
    check "the next connect, by hand, closes it again" connect
    remember
    check "the service is started beside that" systemctl start pvpn
    check "it takes over: another process; tunnel, port, resolver and rules as they were" took_over
    check "and the service manager was told" is_active
    check "connected" within 120 status_is .state connected
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
