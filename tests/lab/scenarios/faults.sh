# guests: amd64
# limit: 720
#
# Things break while connected: the server under traffic, the gateway for longer than a lease, qBittorrent, the supervisor.
. /lab/guest/lib.sh

configure <<'CONF'
[monitor]
interval = 5
CONF
snapshot before
qb_start
qb_torrent >/dev/null
check "killswitch on" timeout 30 pvpn killswitch on --yes
capture faults
check "connect" connect --cc NL --ks true
port=$(port_file)
first=$(server_ns)
case $first in vpn1) second=vpn3 ;; *) second=vpn1 ;; esac
same "through one of two servers" "$(exit_of "$first")" "$(world)"

# The gateway says nothing for longer than the lease lives.
stamp() { stat --format='%i %Y' /run/pvpn/forwarded_port; }
was=$(stamp)
gateway "$first" silent
sleep 75
same "gateway silent for 75 s: the port file is untouched" "$was $port" "$(stamp) $(port_file)"
same "gateway silent: qBittorrent keeps the port" "$port" "$(qb_pref listen_port)"
same "gateway silent: the state is doubtful" doubtful "$(status_of .port.state)"
gateway "$first" talk
check "gateway back: held" within 90 status_is .port.state held
same "gateway back: the same number, the file untouched" "$was $port" "$(stamp) $(port_file)"

# A third of the datagrams lost each way for longer than a lease.
gateway "$first" lossy
sleep 65
same "a third lost: still held" "held $port" "$(status_of '"\(.port.state) \(.port.number)"')"
gateway "$first" talk

# qBittorrent restarts with another port in its file.
qb_stop
sed -i 's/^Session\\Port=.*/Session\\Port=7777/' /home/lab/.config/qBittorrent/qBittorrent.conf
check "qBittorrent restarts" qb_start
check "qBittorrent restarted: back on the port" within 90 qb_pref_is listen_port "$port"
check "qBittorrent restarted: it listens there" within 60 listens 10.2.0.2 "$port"

# The supervisor dies during a download and is started again.
curl -s -o "$RUN"/download --max-time 300 "http://$INET/slow/1500000" &
download=$!
python3 /lab/guest/traffic.py "$RUN"/traffic &
traffic=$!
sleep 2
kill -9 "$(supervisor)"
sleep 1
check "killed during a download: connect adopts" connect --cc NL
same "killed during a download: the same port" "$port" "$(port_file)"
wait $download
same "killed during a download: the download completes (curl: 0)" 0 $?
same "killed during a download: every byte of it" 1500000 "$(stat --format=%s "$RUN"/download)"
rm -f "$RUN"/download
kill $traffic
wait $traffic
gap=$(sed 's/.* gap \([0-9]*\) .*/\1/' "$RUN"/traffic)
# The kernel retransmits after a round trip and 200 ms (TCP_RTO_MIN); the rest is the emulated processors' own.
check "killed during a download: no packet's answer is missing longer than one retransmission ($gap ms)" in_time 1000 "$gap"
note "traffic: $(cat "$RUN"/traffic)"

# An upgrade replaces the program: its supervisor is said to be another, and hands over.
version=$(pvpn --version | cut -d ' ' -f 2)
sed "s/${version//./\\.}/${version%.*}.9/g" "$(command -v pvpn)" >"$RUN"/pvpn
chmod 0755 "$RUN"/pvpn
older=$(supervisor)
says_another() { "$RUN"/pvpn status --json | jq -r '.problems[].text' | grep "is pvpn $version, this is ${version%.*}.9"; }
check "upgraded: status says so" says_another
check "upgraded: connect takes over" timeout 60 "$RUN"/pvpn connect --provider file --cc NL
check "upgraded: by another process" fails test -e "/proc/$older"
same "upgraded: the same port, no reconnect" "$port 0" "$(port_file) $("$RUN"/pvpn status --json | jq .monitor.reconnects)"
check "and back" timeout 60 pvpn connect --provider file --cc NL
rm "$RUN"/pvpn

# The server dies while traffic flows.
python3 /lab/guest/traffic.py "$RUN"/traffic &
traffic=$!
sleep 4
gateway "$first" dead
check "server dead under traffic: another one is taken" within 120 world_is "$(exit_of $second)"
sleep 1.5
kill $traffic
wait $traffic
note "traffic: $(cat "$RUN"/traffic)"
gap=$(sed 's/.* gap \([0-9]*\) .*/\1/' "$RUN"/traffic)
check "server dead under traffic: traffic again within 10 s ($gap ms)" in_time 10000 "$gap"
check "server dead under traffic: a port again" within 120 status_is .port.state held
check "server dead under traffic: qBittorrent has it" within 90 qb_pref_is listen_port "$(port_file)"
gateway "$first" alive

# The server dies while nothing flows, or a moment after something began to: nobody waits for a tick.
sleep 12 # a tunnel without traffic comes to rest after 8 s
gateway $second dead
python3 /lab/guest/traffic.py "$RUN"/traffic &
traffic=$!
begun=$(uptime_ms)
check "server dead on an idle tunnel: another one is taken once it is used" within 120 world_is "$(exit_of "$first")"
took=$(($(uptime_ms) - begun))
check "server dead on an idle tunnel: traffic within 10 s of the first packet ($took ms)" in_time 10000 $took
kill $traffic
wait $traffic
gateway $second alive

# qBittorrent is not there when the tunnel goes: nobody waits for it.
qb_stop
captured faults
check "on the ISP's side, all along: nothing but WireGuard and the allow list" leaks faults
check "disconnect without qBittorrent" timeout 30 pvpn disconnect --ks false
check "the machine is what it was" unchanged before
finish
