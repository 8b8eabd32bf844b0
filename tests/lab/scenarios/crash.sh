# guests: amd64
# limit: 400
#
# Killed while it changes the machine, at several depths, and while connected: `disconnect --ks false` leaves the machine
# as it was, each time. strace delivers SIGKILL with the n-th message to the kernel, or with the n-th time the journal is
# brought to disk, wherever that falls.
. /lab/guest/lib.sh

configure alone </dev/null
snapshot before
ended_or_connected() { [ ! -e /proc/"$tracer" ] || status_is .state connected; }
killed=0
for at in sendto:4 fsync:2 sendto:10 fsync:4 sendto:16 fsync:6 sendto:24 sendto:32 sendto:40; do
    call=${at%:*} n=${at#*:}
    timeout 240 strace -f -qq -o /dev/null -e trace="$call" -e inject="$call:signal=KILL:when=$n" \
        pvpn connect --provider file --server 'NL#12' --ks true --foreground >"$RUN"/crash.out 2>&1 </dev/null &
    tracer=$!
    within 180 ended_or_connected >/dev/null
    if [ ! -e /proc/$tracer ]; then
        killed=$((killed + 1))
        leftovers=$(unchanged before | grep -c '^[-+][^-+]')
        check "killed at $call $n ($leftovers lines differ): disconnect --ks false" timeout 30 pvpn disconnect --ks false
    else
        check "connected before $call $n: disconnect --ks false" timeout 30 pvpn disconnect --ks false
    fi
    wait $tracer 2>/dev/null
    check "after $call $n the machine is what it was" unchanged before
done
check "it was killed at five depths or more ($killed)" test $killed -ge 5

check "connect" connect --server 'NL#12' --ks true
kill -9 "$(supervisor)"
sleep 0.5
check "killed while connected: the kill switch stays closed" test "$(timeout 5 pvpn killswitch status)" = on
check "killed while connected: disconnect --ks false" timeout 30 pvpn disconnect --ks false
check "killed while connected: the machine is what it was" unchanged before

check "connect, again" connect --server 'NL#12' --ks true
kill -9 "$(supervisor)"
check "a new connect adopts what it finds" connect --server 'NL#12'
check "and disconnect --ks false leaves nothing" timeout 30 pvpn disconnect --ks false
check "after adoption: the machine is what it was" unchanged before
finish
