# guests: amd64
# limit: 300
# boot: systemd
# carries: pkg
#
# README as a person follows it: installed by install.sh, every command of its blocks typed as it is written, the cron
# lines under cron's empty environment.
. /lab/guest/lib.sh

# What a person's machine has and this one has not: no password is asked here, and the pager is busybox's.
printf '#!/bin/sh\nexec "$@"\n' >/usr/local/bin/sudo
chmod 0755 /usr/local/bin/sudo
ln -sf "$(command -v busybox)" /usr/local/bin/less

check "install.sh" sh -c 'cd /lab && sh pkg/install.sh bin/pvpn'
same "makes the configuration directory, private" '700 root:root' "$(mode "$CONFIG")"
check "starts nothing" fails supervisor_lives
check "and enables the boot service" systemctl --quiet is-enabled pvpn-killswitch
check "qbittorrent-nox answers its WebUI" qb_start
mkdir -p "$CONFIG"/wireguard "$RUN"/typed
cp $RUN/wireguard/*.conf "$CONFIG"/wireguard/
chmod 0700 "$CONFIG"/wireguard
cat >"$RUN"/typed/sudo-pvpn-init <<'TYPED'
? Provider (proton, pia, or file
> file
? Tell qBittorrent the port
> 
? Address of its WebUI
> 
? qBittorrent v
? Close the kill switch on connect
> 
? provider's resolver
> 
? more load
> 
? Networks that stay reachable
> 
? next: 
TYPED
cd /root || exit
python3 /lab/guest/readme.py /lab/README.md "$RUN"/typed
same "README's commands were typed" 0 $?
check "uninstall.sh, README's last line, opened the machine" world_is "$DIRECT"
check "and took the program away" fails test -e /usr/local/bin/pvpn
check "qBittorrent has its earlier binding back" qb_pref_is current_network_interface ""
check "nothing is left in /var/lib and /run" fails sh -c 'ls -d /var/lib/pvpn /run/pvpn'
check "the configuration stays, since nobody said otherwise" test -s "$CONFIG"/config.ini

# -- what README says of the unit, and cron
sh /lab/pkg/install.sh /lab/bin/pvpn >/dev/null
said=$(sed -n 's/.*systemd-analyze security pvpn. rates it \([0-9.]*[0-9]\).*/\1/p' /lab/README.md)
same "systemd-analyze security rates the unit as README says" "$said" \
    "$(systemd-analyze security pvpn.service | sed -n 's/.*exposure level for pvpn.service: \([0-9.]*\).*/\1/p')"

cron_line() { grep '^[*0-9]' "/lab/pkg/examples/$1" | sed 's/.* root //; s/\\%/%/g'; }
# As cron runs it: `sh -c`, these variables and no others.
by_cron() { env -i SHELL=/bin/sh HOME=/root LOGNAME=root PATH="${CRON_PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}" sh -c "$1"; }
state_is() { by_cron 'pvpn status --check'; [ $? = "$1" ]; }
# fast WORDS: the best of nine runs, which is the program's own share however busy the host is.
fast() {
    local begun ms
    ms=$(for _ in 1 2 3 4 5 6 7 8 9; do
        begun=${EPOCHREALTIME/./}
        env -i /usr/local/bin/pvpn status >/dev/null
        echo $(((${EPOCHREALTIME/./} - begun) / 1000))
    done | sort -n | head -n 1)
    note "status under an empty environment, $1: $ms ms" >&9
    [ "$ms" -lt 100 ]
}
mkdir -p /var/lib/pvpn
check "disconnected: exit 3" state_is 3
check "disconnected: status in under 100 ms" fast disconnected
same "cron: mails the state once" 1 "$(by_cron "$(cron_line cron)" | grep -c disconnected)"
same "and not again" 0 "$(by_cron "$(cron_line cron)" | wc -l)"
cat >"$CONFIG"/config.ini <<'INI'
[qbittorrent]
enable = false
[port_forwarding]
file = /tmp/gluetun/forwarded_port
INI
check "connect" connect --server 'NL#12' --ks true
check "connected: exit 0" state_is 0
check "connected: status in under 100 ms" fast connected
same "cron: mails the change" 1 "$(by_cron "$(cron_line cron)" | grep -c '^connected')"
same "the second port file, its directory made" "$(port_file)" "$(cat /tmp/gluetun/forwarded_port)"
kill -9 "$(supervisor)"
check "the supervisor died: exit 4" within 3 state_is 4
timeout 20 pvpn disconnect --ks true >/dev/null
check "blocked: exit 5" state_is 5
check "blocked: status in under 100 ms" fast blocked
mv "$CONFIG/wireguard" "$RUN/kept"
mkdir -m 0700 "$CONFIG/wireguard"
sed 's/:51820/:51999/' "$RUN/kept/nl-12.conf" >"$CONFIG/wireguard/nl-12.conf"
pvpn connect --server 'NL#12' >/dev/null 2>&1 &
check "connecting: exit 6" within 5 state_is 6
wait $!
same "a server that does not answer: exit 14" 14 $?
check "open again" timeout 20 pvpn disconnect --ks false

# The backup's line on nine days in a row: one archive for each day of the week.
mkdir "$RUN/shim"
for day in Mon Tue Wed Thu Fri Sat Sun Mon Tue; do
    printf '#!/bin/sh\necho %s\n' $day >"$RUN/shim/date"
    chmod 0755 "$RUN/shim/date"
    CRON_PATH=$RUN/shim:/usr/bin:/bin by_cron "$(cron_line backup.cron)" || not_ok "backup on $day"
done
same "the backup keeps seven" 7 "$(find /root/pvpn-backup -type f | wc -l)"
same "which root alone may read" '600 root:root' "$(mode /root/pvpn-backup/Mon.tar.gz)"
cp -a "$CONFIG" "$RUN/config-before"
rm -rf /root/.pvpn-cli
check "restored by the line in its comment" tar -C /root -xzpf /root/pvpn-backup/Mon.tar.gz
check "everything is back" diff -r "$CONFIG" "$RUN/config-before"

sh /usr/local/libexec/pvpn/uninstall.sh --purge >/dev/null
rm -rf /root/pvpn-backup /root/pvpn-backup.tar.gz /usr/local/bin/sudo /usr/local/bin/less /tmp/gluetun
systemctl daemon-reload
install -m 0755 /lab/bin/pvpn /usr/local/bin/pvpn
finish
