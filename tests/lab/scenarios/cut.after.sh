# The second boot of the disk that was cut off: the next command run as root puts the resolver file back first.
. /lab/guest/lib.sh

same "after the cut: the disk still has pvpn's resolver file" 'nameserver 10.2.0.1' "$(grep nameserver /etc/resolv.conf)"
check "after the cut: disconnect exits 0" timeout 30 pvpn disconnect
check "after the cut: the resolver file is the machine's own" cmp /root/resolv.conf /etc/resolv.conf
check "after the cut: its copy is gone" fails test -e /etc/resolv.conf.pvpnbak
same "after the cut: names are resolved by the ISP" 192.168.1.1 "$(resolver)"
snapshot pristine # what the disk brought is not this boot's doing
finish
