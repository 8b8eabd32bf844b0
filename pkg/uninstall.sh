#!/bin/sh
# Undoes install.sh: stops and disables the services, disconnects, opens the kill switch, puts the resolver file and
# qBittorrent's binding back, removes the program, asks before it deletes the configuration, and looks whether the
# network works. Run again, it finds nothing to do.
#
#   uninstall.sh [--purge | --keep] [--force]
#
#   --purge   delete the configuration without asking (passwords, tokens, keys, logs)
#   --keep    keep it without asking; so does a run without a terminal
#   --force   remove the program even if the machine could not be opened
#
#   PREFIX, DESTDIR    as for install.sh; with DESTDIR files are removed and nothing else is done
set -eu

: "${PREFIX=/usr/local}"
DESTDIR=${DESTDIR-}
: "${BINDIR=$PREFIX/bin}" "${LIBDIR=$PREFIX/libexec/pvpn}" "${DOCDIR=$PREFIX/share/doc/pvpn}"
: "${MANDIR=$PREFIX/share/man}" "${BASHDIR=$PREFIX/share/bash-completion/completions}"
: "${ZSHDIR=$PREFIX/share/zsh/site-functions}" "${FISHDIR=$PREFIX/share/fish/vendor_completions.d}"
: "${UNITDIR=/etc/systemd/system}" "${INITDIR=/etc/init.d}"
: "${NMDIR=/etc/NetworkManager/conf.d}" "${NETWORKDIR=/etc/systemd/network}"
: "${NETWORKDDIR=/etc/systemd/networkd.conf.d}" "${UDEVDIR=/etc/udev/rules.d}"
pvpn=$BINDIR/pvpn

die() {
    echo "uninstall.sh: $*" >&2
    exit 1
}

stop_services() {
    if command -v systemctl >/dev/null 2>&1; then
        for unit in pvpn.service pvpn-killswitch.service; do
            [ -e "$UNITDIR/$unit" ] || continue
            [ ! -d /run/systemd/system ] || systemctl --quiet stop "$unit"
            systemctl --quiet disable "$unit"
        done
    fi
    if command -v rc-service >/dev/null 2>&1; then
        for service in pvpn pvpn-killswitch; do
            if [ -e "$INITDIR/$service" ]; then
                rc-service --quiet --ifstarted "$service" stop || true
                rc-update --quiet --all del "$service" >/dev/null 2>&1 || true
            fi
        done
    fi
}

# `disconnect` is no error when there is no tunnel. PVPN_UNINSTALL also gives qBittorrent its earlier binding back.
open_machine() {
    [ -x "$pvpn" ] || return 0
    # From a chroot it would be another machine's network.
    if command -v ischroot >/dev/null 2>&1 && ischroot; then return; fi
    if PVPN_UNINSTALL=1 "$pvpn" disconnect --ks false; then
        return
    fi
    if [ "$force" = yes ]; then
        echo "uninstall.sh: the machine could not be opened; rules that remain go with the next boot" >&2
    else
        die "the machine could not be opened, so nothing is removed; \`$pvpn doctor\` says why, --force removes anyway"
    fi
}

# Everything that install.sh lays out; the pages in doc/ by their ending.
remove_files() {
    for file in "$BINDIR/pvpn" "$MANDIR/man8/pvpn.8" "$BASHDIR/pvpn" "$ZSHDIR/_pvpn" "$FISHDIR/pvpn.fish" \
        "$DOCDIR/config.ini.example" "$DOCDIR/examples/cron" "$DOCDIR/examples/backup.cron" \
        "$DOCDIR/examples/qbittorrent-after-pvpn.conf" "$DOCDIR/examples/dhcpcd.conf" \
        "$UNITDIR/pvpn.service" "$UNITDIR/pvpn-killswitch.service" "$UNITDIR/nftables.service.d/pvpn.conf" \
        "$INITDIR/pvpn" "$INITDIR/pvpn-killswitch" \
        "$NMDIR/90-pvpn.conf" "$NETWORKDIR/00-pvpn.network" "$NETWORKDDIR/90-pvpn.conf" "$UDEVDIR/90-pvpn.rules" \
        "$LIBDIR/supervised" "$LIBDIR/uninstall.sh"; do
        rm -f "$DESTDIR$file"
    done
    rm -f "$DESTDIR$DOCDIR"/*.md
}

# Those that install.sh made, the deepest first, unless they hold something of somebody else's.
remove_directories() {
    list=$DESTDIR$LIBDIR/directories
    [ -f "$list" ] || return 0
    directories=$(LC_ALL=C sort -ru "$list")
    rm "$list"
    echo "$directories" | while read -r dir; do
        rmdir "$DESTDIR$dir" 2>/dev/null || true
    done
}

remove_configuration() {
    home=$(awk -F: '$3 == 0 { print $6; exit }' "$DESTDIR/etc/passwd" 2>/dev/null) || home=
    config=$DESTDIR${home:-/root}/.pvpn-cli
    [ -d "$config/pvpn" ] || return 0
    # Nothing but what install.sh made: there is nothing to ask about.
    if rmdir "$config/pvpn" 2>/dev/null; then
        rmdir "$config" 2>/dev/null || true
        return
    fi
    if [ "$configuration" = ask ] && [ -t 0 ]; then
        printf 'Delete the configuration in %s (passwords, tokens, keys, logs)? [y/N] ' "$config/pvpn"
        read -r answer || answer=
        case $answer in [yY]*) configuration=purge ;; esac
    fi
    if [ "$configuration" = purge ]; then
        rm -rf "$config/pvpn"
        rmdir "$config" 2>/dev/null || true
    else
        echo "The configuration stays in $config/pvpn; it holds passwords and keys."
    fi
}

# Said, not failed: a machine may have had no network before.
check_network() {
    if grep -q '^# Written by pvpn' /etc/resolv.conf 2>/dev/null; then
        echo "network: /etc/resolv.conf is still pvpn's; the earlier one is /etc/resolv.conf.pvpnbak"
    elif ! ip route show default 2>/dev/null | grep -q .; then
        echo "network: there is no default route"
    elif timeout 10 getent hosts debian.org >/dev/null 2>&1; then
        echo "network: works"
    else
        echo "network: there is a default route, but names do not resolve"
    fi
}

configuration=ask
force=no
for flag; do
    case $flag in
    --purge) configuration=purge ;;
    --keep) configuration=keep ;;
    --force) force=yes ;;
    -h | --help)
        sed -n '2,/^set -eu/{/^set/d;s/^# \{0,1\}//;p;}' "$0"
        exit 0
        ;;
    *) die "unknown argument $flag: --purge, --keep or --force" ;;
    esac
done

if [ -n "$DESTDIR" ]; then
    remove_files
    remove_configuration
    remove_directories
    exit 0
fi
[ "$(id -u)" -eq 0 ] || die "needs root: sudo $0 $*"
stop_services
open_machine
remove_files
if [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then
    systemctl daemon-reload
fi
remove_configuration
remove_directories
rm -rf /run/pvpn /var/lib/pvpn
check_network
