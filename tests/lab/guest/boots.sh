# shellcheck shell=bash
# For the scenarios that boot with a real init (inits.sh, initrc.sh): what a machine holds, the control of a service, and
# what a restart must leave as it was. They define `is_active` for their init.

# Every file but what other programs write: the lab, the lists of dpkg, apt, insserv and OpenRC, what a boot makes, Python's
# bytecode.
files() {
    find / -xdev \( -path /lab -o -path /tmp -o -path /run -o -path /proc -o -path /sys -o -path /dev -o -path /home -o -path /srv \
        -o -path /root/.ssh -o -path /root/resolv.conf -o -path /var/log -o -path /var/tmp -o -path /var/cache \
        -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd -o -path /var/lib/urandom -o -path /var/lib/random-seed \
        -o -path /var/lib/dbus -o -path /var/lib/private -o -path '/usr/lib/rc/cache' \
        -o -path /etc/resolv.conf -o -path /etc/mtab -o -path /etc/motd -o -path /etc/adjtime -o -path '/etc/.pwd.lock' \
        -o -path '/etc/*shadow*' -o -path '/etc/group-' -o -path '/etc/passwd-' -o -path '/etc/init.d/.depend.*' \
        -o -path /etc/systemd/system/network.target.wants -o -name __pycache__ \) -prune \
        -o -printf '%p %y %m %u:%g %l\n' | sort
}
nothing_more() { ! comm -13 "$1" "$2" | grep .; }
kernel() { /lab/guest/snapshot-machine | sed '/^== etc$/,/^== wire/d'; }

# remember, then took_over: another process, and the link, the port, the resolver file and the rules as they were.
remember() { pid=$(supervisor) kept=$(what_is_kept); }
what_is_kept() {
    echo "link $(cat /sys/class/net/wgpnl/ifindex), port $(port_file), resolver $(cksum </etc/resolv.conf)," \
        "rules $(nft --stateless list table inet pvpn | cksum)"
}
is_kept() { [ "$(what_is_kept)" = "$kept" ]; }
another_process() { [ -n "$(supervisor)" ] && [ "$(supervisor)" != "$pid" ]; }
taken_over() {
    another_process && is_active && status_is .state connected && status_is .port.state held && is_kept
}
took_over() {
    within 240 taken_over || { status; echo "was: pid $pid, $kept"; echo "is: pid $(supervisor), $(what_is_kept)"; return 1; }
}

# A program that answers a TCP connection from the LAN, as sshd would.
ssh_like() {
    busybox nc -l -p 22 -e /bin/echo SSH-2.0-lab &
    within 60 eval 'ss -Hltn sport = :22 | grep -q .' || return
    [ "$(on near timeout 20 bash -c 'read -r line </dev/tcp/192.168.1.10/22; echo "$line"')" = SSH-2.0-lab ]
}
