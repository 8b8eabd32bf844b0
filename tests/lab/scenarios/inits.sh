# guests: amd64
# limit: 120
# boot: systemd
#
# The lab's own three services under a real init, over a reboot: what the scenarios of boot and shutdown stand on.
. /lab/guest/lib.sh

note "boot $BOOT: PID 1 is $(readlink /proc/1/exe), $(uptime_s) s after power-on"
check "boot $BOOT: the internet host sees the direct address" world_is "$DIRECT"
captured boot
check "boot $BOOT: the capture begins before the first packet" fails leaks boot
[ "$BOOT" = 2 ] || again
finish
