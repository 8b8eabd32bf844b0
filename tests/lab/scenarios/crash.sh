# guests: amd64 arm64
# limit: 400
#
# Killed while it changes the machine, at several depths, and while connected: `disconnect --ks false` leaves the machine
# as it was, each time. strace delivers SIGKILL with the n-th message to the kernel, wherever that falls.
. /lab/guest/lib.sh

configure </dev/null
snapshot before
ended_or_connected() { [ ! -e /proc/"$tracer" ] || status_is .state connected; }
killed=0
for n in 4 9 14 19 24 29 36 45; do
    timeout 60 strace -f -qq -o /dev/null -e trace=none -e inject=sendto,sendmsg:signal=KILL:when=$n \
        pvpn connect --provider file --cc NL --ks true --foreground >"$RUN"/crash.out 2>&1 </dev/null &
    tracer=$!
    within 45 ended_or_connected >/dev/null
    if [ ! -e /proc/$tracer ]; then
        killed=$((killed + 1))
        leftovers=$(unchanged before | grep -c '^[-+][^-+]')
        wait $tracer 2>/dev/null
        check "killed at message $n ($leftovers lines of the machine differ), disconnect --ks false" timeout 30 pvpn disconnect --ks false
        check "killed at message $n: the machine is what it was" unchanged before
    else
        check "at message $n it was connected already, disconnect --ks false" timeout 30 pvpn disconnect --ks false
        wait $tracer 2>/dev/null
        break
    fi
done
check "it was killed at three depths or more ($killed)" test $killed -ge 3

check "connect" connect --cc NL --ks true
kill -9 "$(supervisor)"
sleep 0.5
check "killed while connected: the kill switch stays closed" test "$(timeout 5 pvpn killswitch status)" = on
check "killed while connected: disconnect --ks false" timeout 30 pvpn disconnect --ks false
check "killed while connected: the machine is what it was" unchanged before

check "connect, again" connect --cc NL --ks true
kill -9 "$(supervisor)"
check "a new connect adopts what it finds" connect --cc NL
check "and disconnect --ks false leaves nothing" timeout 30 pvpn disconnect --ks false
check "after adoption: the machine is what it was" unchanged before
finish
