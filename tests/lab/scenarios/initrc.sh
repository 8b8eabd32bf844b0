# guests: amd64
# limit: 600
# boot: openrc
# carries: pkg
# before: installed, set up, closed, to be connected at boot
#
# As inits.sh, with OpenRC as Debian packages it, install.sh and uninstall.sh, and the configuration by `pvpn init`. Programs
# try to get out by every way from before the network is up; the ISP's side counts.
#
#   boot 0   no init: installed from a binary, set up by flags and by typed answers, the kill switch closed, enabled
#   boot 1   connected at boot; restarted, told to read its configuration, killed, upgraded, the network restarted; reboot
#   boot 2   the configuration cannot be read: closed all the same, and the LAN gets in; reboot
#   boot 3   the server is dead and the boot service disabled: the boot does not wait, and (the control) the machine leaks
#            until pvpn starts and closes it; the server lives again: connected. Then it is removed, and nothing is left
. /lab/guest/lib.sh
. /lab/guest/boots.sh

is_active() { rc-service pvpn status; }
is_stopped() { ! is_active && ! supervisor_lives && ! pgrep -f '^supervise-daemon pvpn'; }
closed() { [ "$(pvpn killswitch status)" = on ]; }
# The same program but for the version that it tells.
version=$(/lab/bin/pvpn --version | cut -d' ' -f 2)
higher=9${version#?}
higher_version() {
    LC_ALL=C sed "s/${version//./\\.}/$higher/g" /lab/bin/pvpn >/tmp/pvpn
    chmod 0755 /tmp/pvpn
    [ "$(/tmp/pvpn --version)" = "pvpn $higher" ]
}

if [ "$BOOT" = 0 ]; then
    rm -f /usr/local/bin/pvpn # the lab's own
    files >/lab/out/files.before
    touch /lab/noise
    check "it is installed" sh /lab/pkg/install.sh /lab/bin/pvpn
    check "init by flags" pvpn init --qb --qb-enable false --non-interactive
    check "init by typed answers" python3 /lab/guest/typed.py /dev/stdin pvpn init --network <<'TYPED'
? Close the kill switch on connect
> true
? resolver
> 
? load
> 
? Networks that stay reachable
> 192.168.1.0/24
? written
TYPED
    ln -s "$RUN"/wireguard "$CONFIG/wireguard" # made at each boot, by `internet`
    printf '[connect]\nserver = NL#12\n' >>"$CONFIG/config.ini"
    check "killswitch on says nothing of a reboot" sh -c 'pvpn killswitch on --yes 2>&1 | tee /dev/stderr | grep -qx "kill switch on"'
    check "enabled" rc-update add pvpn default
    # As after a reboot: the kernel knows nothing, the disk does.
    nft flush ruleset
    rm -rf /run/pvpn
    exit
fi

note "boot $BOOT: PID 1 is $(readlink /proc/1/exe), $(uptime_s) s after power-on"
pcap=$(boot_pcap "$BOOT")

if [ "$BOOT" = 1 ]; then
    check "connected at boot" within 240 status_is .state connected
    check "and the service is started" is_active
    same "through server 1" "$EXIT1" "$(world)"
    check "its port is held" within 120 status_is .port.state held

    remember
    check "restart" rc-service pvpn restart
    check "L6: restarted: another process; tunnel, port, resolver and rules as they were" took_over
    remember
    sed -i 's|^lan = .*|lan = 192.168.1.0/24, 10.9.0.0/16|' "$CONFIG/config.ini"
    check "reload" rc-service pvpn reload
    check "the configuration is read again" within 120 status_is '.killswitch.lan | index("10.9.0.0/16") != null' true
    same "by the same process" "$pid" "$(supervisor)"
    remember
    kill -9 "$pid"
    check "killed: started again; tunnel, port, resolver and rules as they were" took_over
    remember
    check "a higher version" higher_version
    check "is installed over it" sh /lab/pkg/install.sh /tmp/pvpn
    check "L6: upgraded: another process; tunnel, port, resolver and rules as they were" took_over
    same "of the higher version" "$higher" "$(status_of .version)"
    remember
    check "the network is restarted" rc-service lab-network restart
    check "network restarted: traffic again" within 120 world_is "$EXIT1"
    same "by the same process" "$pid" "$(supervisor)"
    check "with the same tunnel, port, resolver and rules" within 120 is_kept
    check "L5, L6: from power-on on, restarted, killed and upgraded: nothing leaks" eval 'leaks_in "$pcap" >"$RUN"/leaked'
    sed 's/^/# /' "$RUN"/leaked
    echo nonsense >>"$CONFIG/config.ini"
    again
fi

if [ "$BOOT" = 2 ]; then
    check "L5: until the power was off, nothing leaked" leaks_in "$(boot_pcap 1)"
    check "a broken configuration: the service ends" within 120 is_stopped
    check "the kill switch is closed" closed
    check "the world cannot be reached" fails world 2
    check "the LAN can, and gets in, as by ssh" ssh_like
    check "closed at boot, without a tunnel: nothing leaks" leaks_in "$pcap"
    sed -i '/nonsense/d' "$CONFIG/config.ini"
    check "the boot service is disabled" rc-update del pvpn-killswitch boot sysinit
    touch /lab/dead
    again
fi

if [ "$BOOT" = 3 ]; then
    check "until the power was off again, nothing leaked" leaks_in "$(boot_pcap 2)"
    # This runs after every service, so the boot has come to its end.
    check "a dead server holds up no boot: the service is started" is_active
    check "but there is no tunnel" fails status_is .state connected
    check "the service has closed the machine" within 120 closed
    check "L5, control: without the boot service the same machine leaked until then" fails leaks_in "$pcap"
    gateway vpn1 alive
    check "the server lives again: connected" within 300 status_is .state connected
    same "through it" "$EXIT1" "$(world)"
    check "it is removed" sh /usr/local/libexec/pvpn/uninstall.sh --purge
    noise off
    kernel >"$RUN"/kernel.after
    check "nothing is left in the kernel" diff -U 1 "$RUN"/kernel.before "$RUN"/kernel.after
    same "the machine is open, as before" "$DIRECT" "$(world)"
    check "the resolver file is the machine's own" cmp /root/resolv.conf /etc/resolv.conf
    files >/lab/out/files.after
    check "nothing is left on the disk" nothing_more /lab/out/files.before /lab/out/files.after
    check "no process is" fails pgrep -f '^supervise-daemon pvpn|/usr/local/bin/pvpn'
    snapshot pristine # that of the boot was a closed machine's
fi
finish
