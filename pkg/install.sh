#!/bin/sh
# Installs pvpn from a binary. Starts nothing; run again, it upgrades: a running service is handed over to the binary
# without losing the tunnel.
#
#   ./install.sh [BINARY]      ./pvpn, or what `make` built for this machine, when none is named
#
#   PREFIX=/usr/local   where the program goes
#   DESTDIR=            a directory that takes the place of / (packages, the card of another machine): files are laid out
#                       for both service managers, and none is told
#   INIT=               systemd, openrc, both or none; recognised when not given
#
# The configuration directory (root's home, .pvpn-cli/pvpn) is made with mode 0700; nothing in it is touched.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
DESTDIR=${DESTDIR-}
PREFIX=${PREFIX-/usr/local}
: "${BINDIR=$PREFIX/bin}" "${LIBDIR=$PREFIX/libexec/pvpn}" "${DOCDIR=$PREFIX/share/doc/pvpn}"
: "${MANDIR=$PREFIX/share/man}" "${BASHDIR=$PREFIX/share/bash-completion/completions}"
: "${ZSHDIR=$PREFIX/share/zsh/site-functions}" "${FISHDIR=$PREFIX/share/fish/vendor_completions.d}"
: "${UNITDIR=/etc/systemd/system}" "${INITDIR=/etc/init.d}"
: "${NMDIR=/etc/NetworkManager/conf.d}" "${NETWORKDIR=/etc/systemd/network}"
: "${NETWORKDDIR=/etc/systemd/networkd.conf.d}" "${UDEVDIR=/etc/udev/rules.d}"

die() {
    echo "install.sh: $*" >&2
    exit 1
}

# root's home by the user database, which is where pvpn looks.
root_home() {
    home=$(awk -F: '$3 == 0 { print $6; exit }' "$DESTDIR/etc/passwd" 2>/dev/null) || home=
    echo "${home:-/root}"
}

find_binary() {
    for file in "$here/pvpn" "$here/../pvpn" "$here/../target/x86_64-unknown-linux-gnu/release/pvpn" "$here/../target/release/pvpn" \
        "$here/../target/aarch64/aarch64-unknown-linux-gnu/release/pvpn"; do
        if [ -f "$file" ] && "$file" --version >/dev/null 2>&1; then
            echo "$file"
            return
        fi
    done
    die "no pvpn for this machine found; name it: $0 BINARY"
}

service_manager() {
    if [ -n "$DESTDIR" ]; then
        echo both
    elif [ -d /run/systemd/system ]; then
        echo systemd
    elif [ -d /run/openrc ] || command -v openrc-run >/dev/null 2>&1; then
        echo openrc
    elif command -v systemctl >/dev/null 2>&1; then
        echo systemd # in an image that is being made
    else
        echo none
    fi
}

# make_dir DIRECTORY: with those above it. uninstall.sh takes away those that were not there, by what is written down
# here, and leaves every other one.
made=
make_dir() {
    [ ! -d "$DESTDIR$1" ] || return 0
    make_dir "$(dirname "$1")"
    mkdir "$DESTDIR$1"
    made="$made$1
"
}

# However it ends.
leave() {
    [ -z "$target" ] || rm -f "$target.new"
    [ -z "$made" ] || printf %s "$made" >>"$DESTDIR$LIBDIR/directories"
}

# put MODE SOURCE TARGET: as a whole or not at all, also over a program that runs. The texts name the program's place
# and root's home as a Debian package has them.
target=
put() {
    target=$DESTDIR$3
    make_dir "$(dirname "$3")"
    case $2 in
    */systemd/* | */openrc/* | */udev/* | */uninstall.sh)
        sed -e "s|/usr/bin/pvpn|$BINDIR/pvpn|g" -e "s|/usr/libexec/pvpn|$LIBDIR|g" -e "s|/root/|$home/|g" \
            -e "s|^RequiresMountsFor=/root\$|RequiresMountsFor=$home|" \
            -e "s|^: \"\${PREFIX=/usr/local}\"|: \"\${PREFIX=$PREFIX}\"|" "$2" >"$target.new"
        ;;
    *) cp "$2" "$target.new" ;;
    esac
    chmod "$1" "$target.new"
    mv -f "$target.new" "$target"
}

install_program() {
    put 0755 "$binary" "$BINDIR/pvpn"
    put 0644 "$here/doc/pvpn.8" "$MANDIR/man8/pvpn.8"
    put 0644 "$here/completions/pvpn.bash" "$BASHDIR/pvpn"
    put 0644 "$here/completions/_pvpn" "$ZSHDIR/_pvpn"
    put 0644 "$here/completions/pvpn.fish" "$FISHDIR/pvpn.fish"
    put 0644 "$here/config.ini.example" "$DOCDIR/config.ini.example"
    for example in cron backup.cron qbittorrent-after-pvpn.conf; do
        put 0644 "$here/examples/$example" "$DOCDIR/examples/$example"
    done
    put 0644 "$here/neighbours/dhcpcd.conf" "$DOCDIR/examples/dhcpcd.conf"
    for page in "$here"/doc/*.md; do
        [ ! -f "$page" ] || put 0644 "$page" "$DOCDIR/${page##*/}"
    done
    put 0755 "$here/uninstall.sh" "$LIBDIR/uninstall.sh"
}

# Those who configure every interface they see. Without them on the machine their directories are not made.
install_neighbours() {
    if [ -n "$DESTDIR" ] || [ -d /etc/NetworkManager ]; then
        put 0644 "$here/neighbours/NetworkManager.conf" "$NMDIR/90-pvpn.conf"
    fi
    if [ -n "$DESTDIR" ] || [ -d /etc/systemd/network ]; then
        put 0644 "$here/neighbours/pvpn.network" "$NETWORKDIR/00-pvpn.network"
        put 0644 "$here/neighbours/networkd.conf" "$NETWORKDDIR/90-pvpn.conf"
    fi
}

install_services() {
    case $INIT in systemd | both)
        put 0644 "$here/systemd/pvpn.service" "$UNITDIR/pvpn.service"
        put 0644 "$here/systemd/pvpn-killswitch.service" "$UNITDIR/pvpn-killswitch.service"
        put 0644 "$here/systemd/nftables.service.d.conf" "$UNITDIR/nftables.service.d/pvpn.conf"
        ;;
    esac
    case $INIT in openrc | both)
        put 0755 "$here/openrc/supervised" "$LIBDIR/supervised"
        put 0755 "$here/openrc/pvpn" "$INITDIR/pvpn"
        put 0755 "$here/openrc/pvpn-killswitch" "$INITDIR/pvpn-killswitch"
        ;;
    esac
    # udev reads it by itself.
    if [ -n "$DESTDIR" ] || [ -d "${UDEVDIR%/*}" ]; then
        put 0644 "$here/udev/90-pvpn.rules" "$UDEVDIR/90-pvpn.rules"
    fi
}

# The boot service does nothing unless the kill switch was closed, so it is always enabled.
tell_systemd() {
    systemctl --quiet enable pvpn-killswitch.service
    [ -d /run/systemd/system ] || return 0
    systemctl daemon-reload
    # networkd reads its files when it starts, which is when they matter.
    if systemctl --quiet is-active NetworkManager.service; then
        systemctl reload NetworkManager.service || true
    fi
    if systemctl --quiet is-active pvpn.service; then
        echo "handing the running tunnel over to the installed version"
        systemctl restart pvpn.service
    fi
}

# Debian's OpenRC brings interfaces up in the sysinit runlevel, before the boot runlevel.
tell_openrc() {
    rc-update --quiet add pvpn-killswitch boot || true
    if [ -e /etc/debian_version ] || [ -e /etc/runlevels/sysinit/networking ]; then
        rc-update --quiet add pvpn-killswitch sysinit || true
    fi
    # Where OpenRC has not booted (an image that is being made), it takes every service for one that starts.
    if [ -e /run/openrc/softlevel ] && rc-service --quiet pvpn status >/dev/null 2>&1; then
        echo "handing the running tunnel over to the installed version"
        rc-service pvpn restart
    fi
}

say_next() {
    echo "pvpn is installed in $BINDIR. Next:"
    echo "    pvpn init                           ask a few questions, write $home/.pvpn-cli/pvpn/config.ini"
    case $INIT in
    systemd) echo "    systemctl enable --now pvpn         connect, also after each boot" ;;
    openrc) echo "    rc-update add pvpn default && rc-service pvpn start" ;;
    none) echo "    pvpn connect                        (no service manager found: nothing closes the kill switch at boot)" ;;
    esac
    echo "    $LIBDIR/uninstall.sh    undo all of this"
}

case ${1-} in
-h | --help)
    sed -n '2,/^set -eu/{/^set/d;s/^# \{0,1\}//;p;}' "$0"
    exit 0
    ;;
-*) die "unknown flag $1; the only argument is a binary" ;;
esac
umask 022
if [ -z "$DESTDIR" ] && [ "$(id -u)" -ne 0 ]; then
    die "needs root: sudo $0 $*"
fi
binary=${1-$(find_binary)}
[ -f "$binary" ] || die "$binary: no such file"
home=$(root_home)
INIT=${INIT-$(service_manager)}
case $INIT in systemd | openrc | both | none) ;; *) die "INIT=$INIT: systemd, openrc, both or none" ;; esac

mkdir -p "$DESTDIR/"
trap leave EXIT
trap 'exit 130' HUP INT TERM # else dash ends without the former
make_dir "$LIBDIR"
install_program
install_neighbours
install_services
if [ "${CONFIG_DIR-make}" = make ]; then
    make_dir "$home"
    (umask 077 && mkdir -p "$DESTDIR$home/.pvpn-cli/pvpn")
    chmod 0700 "$DESTDIR$home/.pvpn-cli" "$DESTDIR$home/.pvpn-cli/pvpn"
fi
if [ -z "$DESTDIR" ]; then
    case $INIT in systemd | both) tell_systemd ;; esac
    case $INIT in openrc | both) tell_openrc ;; esac
    say_next
fi
