# guests: amd64
# limit: 300
#
# A board without a battery for its clock: at power-on it is 1970, and WireGuard's peer rejects every handshake that is
# dated before the last one. A closed machine can't ask for the time, so pvpn asks once, by its own marked socket.
. /lab/guest/lib.sh

configure alone </dev/null
printf '[Time]\nNTP=%s\n' $INET >"$RUN"/timesyncd.conf
mkdir -p /etc/systemd
[ ! -e /etc/systemd/timesyncd.conf ] || cp -a /etc/systemd/timesyncd.conf "$RUN"/timesyncd.was
snapshot before
cp "$RUN"/timesyncd.conf /etc/systemd/timesyncd.conf

# The wall clock by the clock that never jumps, whatever is done to it below.
offset=$(($(date +%s) - $(uptime_s)))
true_now() { echo $(($(uptime_s) + offset)); }
set_clock() { date -s "@$1" >/dev/null; }
is_right() { local off=$(($(date +%s) - $(true_now))); [ $off -ge -3 ] && [ $off -le 3 ]; }

# A time server that counts its questions.
ntp() {
    ip netns exec inet python3 - "$offset" "$RUN"/asked 203.0.113.80 <<'PY' &
import socket, struct, sys, time
offset, asked, address = int(sys.argv[1]), 0, sys.argv[3]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((address, 123))
open(sys.argv[2], "w").write("0")
while True:
    request, peer = s.recvfrom(512)
    asked += 1
    open(sys.argv[2], "w").write(str(asked))
    now = int(time.clock_gettime(time.CLOCK_BOOTTIME)) + offset + 2208988800
    s.sendto(struct.pack("!BBbb8s4s8s8sIIII", 0x24, 2, 6, -20, bytes(8), b"LAB.", bytes(8), request[40:48],
                         now & 0xFFFFFFFF, 0, now & 0xFFFFFFFF, 0), peer)
PY
    ntp=$!
    within 60 test -s "$RUN"/asked
}

check "connect with the right clock" connect --server 'NL#12' --ks true
check "the clock of its handshake is kept" within 60 test -s /var/lib/pvpn/clock
check "disconnect, closed" timeout 30 pvpn disconnect --ks true

# 1970, and nobody to ask.
set_clock 100000 # the kernel takes no clock below its uptime
capture clock
check "1970 and no time server: connect fails and says why" sh -c '! timeout 60 pvpn connect --provider file --server "NL#12" --ks true >/run/lab/connect.out 2>&1 && grep -q "pvpn: the clock shows 1970" /run/lab/connect.out'
sed 's/^/#   /' "$RUN"/connect.out
set_clock "$(true_now)"
captured clock
wireguard() { python3 /lab/guest/leaks.py "$RUN"/clock.pcap | grep -o '[0-9]* WireGuard'; }
check "no handshake was begun" test -z "$(wireguard)"

# 1970, and a time server.
ntp
set_clock 100000 # the kernel takes no clock below its uptime
check "1970 with a time server: connect" connect --server 'NL#12' --ks true
check "the clock is right" is_right
same "one question was enough" 1 "$(cat "$RUN"/asked)"

# Back by a day while connected, and forward by ten years and back.
set_clock $(($(true_now) - 86400))
check "back by a day while connected: set right" within 60 is_right
same "still connected" connected "$(status_of .state)"
set_clock $(($(true_now) + 315576000))
sleep 3
same "ten years ahead: still connected" connected "$(status_of .state)"
check "ten years ahead: traffic" world_is "$EXIT1" 20
set_clock "$(true_now)"
sleep 3
check "and back: traffic" world_is "$EXIT1" 20
same "and back: no reconnect" 0 "$(status_of .monitor.reconnects)"
check "and back: no problem is left" within 60 status_is '.problems | tostring' '[]'
grep -h clock: "$CONFIG"/pvpn.log | sed 's/^/# /'
kill $ntp
check "disconnect" timeout 30 pvpn disconnect --ks false
rm /etc/systemd/timesyncd.conf
[ ! -e "$RUN"/timesyncd.was ] || cp -a "$RUN"/timesyncd.was /etc/systemd/timesyncd.conf
check "the machine is what it was" unchanged before
finish
