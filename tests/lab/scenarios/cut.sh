# guests: amd64 arm64
# limit: 120
# boot: cut
#
# The power goes while connected: the disk holds pvpn's resolver file, the kernel forgets everything else.
. /lab/guest/lib.sh

configure </dev/null
check "connect" connect --cc NL --ks false
same "the resolver file is pvpn's" 'nameserver 10.2.0.1' "$(grep nameserver /etc/resolv.conf)"
sync # the case to show is the one in which the disk has it
echo "lab: cut"
sleep 60
