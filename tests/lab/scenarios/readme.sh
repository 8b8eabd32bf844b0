# guests: amd64
# limit: 900
# boot: systemd
# carries: pkg
#
# README as a person follows it: every command of its blocks typed as it is written, the cron lines under cron's empty
# environment. It is installed by apt and purged by it; then once more by install.sh, for the last line, uninstall.sh.
. /lab/guest/lib.sh

# What a person's machine has and this one has not: no password is asked here, and the pager is busybox's.
printf '#!/bin/sh\nexec "$@"\n' >/usr/local/bin/sudo
chmod 0755 /usr/local/bin/sudo
ln -sf "$(command -v busybox)" /usr/local/bin/less

rm -f /usr/local/bin/pvpn # the lab's own
package_lists /lab/deb/pvpn_*.deb
cp /lab/deb/pvpn_*.deb /root/pvpn_0.1.0_arm64.deb # this machine's, as the page calls it
check "qbittorrent-nox answers its WebUI" qb_start
mkdir -p "$CONFIG"/wireguard "$RUN"/typed
chmod -R 0700 /root/.pvpn-cli
cp $RUN/wireguard/*.conf "$CONFIG"/wireguard/
# Before the first line that needs it: installing started nothing.
cat >"$RUN"/typed/sudo-pvpn-init.before <<'BEFORE'
. /lab/guest/lib.sh
check "apt install starts nothing" fails supervisor_lives
check "and enables the boot service" systemctl --quiet is-enabled pvpn-killswitch
BEFORE
cat >"$RUN"/typed/sudo-apt-purge-pvpn <<'TYPED'
? Do you want to continue
> y
TYPED
cat >"$RUN"/typed/sudo-apt-purge-pvpn.before <<'BEFORE'
. /lab/guest/lib.sh
cp -a "$CONFIG" "$RUN"/config-kept
check "before the purge: connected and closed" connect --server 'NL#12' --ks true
check "and qBittorrent bound to the tunnel" within 90 qb_pref_is current_network_interface wgpnl
check "to its address" qb_pref_is current_interface_address 10.2.0.2
BEFORE
cat >"$RUN"/typed/sudo-usr-local-libexec-pvpn-uninstall-sh.before <<'BEFORE'
. /lab/guest/lib.sh
check "apt purge opened the machine" world_is "$DIRECT" 20
check "and took the program away" fails sh -c 'command -v pvpn || pgrep -x pvpn'
same "qBittorrent has its earlier binding back" "none, none, 6881" \
    "$(qb_pref '| "\(if .current_network_interface == "" then "none" else . end), \(if .current_interface_address == "" then "none" else . end), \(.listen_port)"')"
check "nothing is left" fails sh -c 'ls -d /var/lib/pvpn /run/pvpn /root/.pvpn-cli /etc/init.d/pvpn* /usr/lib/systemd/system/pvpn* /etc/systemd/system/*/pvpn*'
check "install.sh" sh -c 'cd /lab && sh pkg/install.sh bin/pvpn'
same "makes the configuration directory, private" '700 root:root' "$(mode "$CONFIG")"
check "starts nothing" fails supervisor_lives
check "and enables the boot service" systemctl --quiet is-enabled pvpn-killswitch
mkdir -p "$CONFIG" && cp -a "$RUN"/config-kept/. "$CONFIG"
check "connected once more" connect --server 'NL#12' --ks true
check "qBittorrent is bound again" within 90 qb_pref_is current_network_interface wgpnl
BEFORE
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
check "uninstall.sh, README's last line, opened the machine" world_is "$DIRECT" 20
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
    in_time 100 "$ms"
}
check "nothing has made /var/lib/pvpn yet" fails test -e /var/lib/pvpn
check "disconnected: exit 3" state_is 3
check "disconnected: status in under 100 ms" fast disconnected
same "cron: mails the state once" 1 "$(by_cron "$(cron_line cron)" | grep -c disconnected)"
same "and remembers it where root alone looks" '700 root:root' "$(mode /var/lib/pvpn)"
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
check "the supervisor died: exit 4" within 30 state_is 4
timeout 20 pvpn disconnect --ks true >/dev/null
check "blocked: exit 5" state_is 5
check "blocked: status in under 100 ms" fast blocked
mv "$CONFIG/wireguard" "$RUN/kept"
mkdir -m 0700 "$CONFIG/wireguard"
sed 's/:51820/:51999/' "$RUN/kept/nl-12.conf" >"$CONFIG/wireguard/nl-12.conf"
pvpn connect --server 'NL#12' >/dev/null 2>&1 &
check "connecting: exit 6" within 30 state_is 6
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

# -- what README says of `apt remove` and `apt purge`
check "installed by apt once more" apt --yes install /root/pvpn_0.1.0_arm64.deb
hash -r
mkdir -p "$CONFIG" && cp -a "$RUN"/config-kept/. "$CONFIG"
check "connected" connect --server 'NL#12' --ks true
check "apt remove" apt --yes remove pvpn
check "opens the machine" world_is "$DIRECT" 20
check "keeps the configuration and what it knows" test -s "$CONFIG"/config.ini -a -d /var/lib/pvpn
check "apt purge of what was removed" apt --yes purge pvpn
check "deletes both" fails sh -c 'ls -d /var/lib/pvpn /root/.pvpn-cli'
rm -rf /root/pvpn_*.deb /root/pvpn-backup /root/pvpn-backup.tar.gz /usr/local/bin/sudo /usr/local/bin/less /tmp/gluetun \
    /etc/init.d/.depend.* # update-rc.d's
systemctl daemon-reload
install -m 0755 /lab/bin/pvpn /usr/local/bin/pvpn
finish
