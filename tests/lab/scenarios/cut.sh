# guests: amd64 arm64
# limit: 240
# boot: alone
#
# The power goes while connected: the disk holds pvpn's resolver file, the kernel forgets everything else. In the second
# boot the next command run as root puts the file back first.
. /lab/guest/lib.sh

if [ "$BOOT" = 1 ]; then
    configure alone </dev/null
    check "connect" connect --server 'NL#12' --ks false
    same "the resolver file is pvpn's" 'nameserver 10.2.0.1' "$(grep nameserver /etc/resolv.conf)"
    sync # the case to show is the one in which the disk has it
    cut_off
fi

same "after the cut: the disk still has pvpn's resolver file" 'nameserver 10.2.0.1' "$(grep nameserver /etc/resolv.conf)"
check "after the cut: disconnect exits 0" timeout 30 pvpn disconnect
check "after the cut: the resolver file is the machine's own" cmp /root/resolv.conf /etc/resolv.conf
check "after the cut: its copy is gone" fails test -e /etc/resolv.conf.pvpnbak
same "after the cut: names are resolved by the ISP" 192.168.1.1 "$(resolver)"
snapshot pristine # what the disk brought is not this boot's doing
finish
