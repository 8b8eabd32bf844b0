# guests: amd64
# limit: 600
#
# Two hundred reconnects in a row by request, and some for a dead server, over links that stay and links that are made
# anew: then memory, descriptors, rules, routes and files are what they were after the first round.
. /lab/guest/lib.sh

configure alone <<'CONF'
[monitor]
interval = 1
CONF
snapshot before
rounds=${ROUNDS:-50}
check "connect" connect --server 'NL#12' --ks true

pid() { cut -d ' ' -f 1 /run/pvpn/supervisor.pid; }
switch() { timeout 60 pvpn -q connect --provider file --server "$1" >"$RUN"/switch.out 2>&1 </dev/null || cat "$RUN"/switch.out; }
# Another server of the same interface, one of another interface, and back: four reconnects.
round() { switch 'NL#31' && switch 'CH#7' && switch 'NL#31' && switch 'NL#12'; }
# What a reconnect could leave behind, but memory.
kept() {
    echo "threads $(find "/proc/$(pid)/task" -mindepth 1 -maxdepth 1 | wc -l)"
    find /run/pvpn /var/lib/pvpn -type f ! -name pvpn.log -printf '%p %m\n' | sort
    echo "journal $(wc -l </run/pvpn/journal) lines"
    ip rule show
    ip -6 rule show
    ip route show table all | sed -E 's/ expires [0-9]+sec//'
    ip -oneline link show | sed -E 's/^[0-9]+: //' | sort
    nft --stateless list ruleset | sed -E "s/dport $(port_file)/dport PORT/; s/proto-dst $(port_file)/proto-dst PORT/"
}
# A question to the resolver or an ear for traffic may be open at the moment.
descriptors() { find "/proc/$(pid)/fd" -type l | wc -l; }
memory() { awk '/^RssAnon/ { print $2 }' "/proc/$(pid)/status"; }

check "a first round" round
first=$(pid)
begun=$(memory)
open=$(descriptors)

# left: the server in use dies, and the other one of its country is taken. Passes once traffic flows again.
left() {
    local was code
    was=$(server_ns)
    gateway "$was" dead
    within 90 leads_elsewhere "$was"
    code=$?
    gateway "$was" alive
    return $code
}
leads_elsewhere() { [ "$(server_ns)" != "$1" ] && world_is "$(exit_of "$(server_ns)")"; }
check "the wish is a country" connect --cc NL
for nth in 1 2; do check "dead server $nth is left" left; done
check "back to the first server" round
kept >"$RUN"/kept.first

at=$(uptime_ms)
done_rounds=0
while [ $done_rounds -lt $rounds ]; do
    said=$(round)
    [ -z "$said" ] || { note "round $done_rounds: $said"; break; }
    done_rounds=$((done_rounds + 1))
    [ $((done_rounds % 10)) != 0 ] || note "after $((4 * done_rounds)): $(memory) KiB"
done
same "$((4 * rounds)) reconnects by request" $rounds $done_rounds
note "a reconnect took $((($(uptime_ms) - at) / 4 / rounds)) ms"
same "by the same supervisor" "$first" "$(pid)"
# What the last reconnect was about may still be at work.
as_first() { kept | diff "$RUN"/kept.first -; }
check "links, rules, routes, rule set, files and threads are what they were" within 60 as_first
few_descriptors() { [ "$(descriptors)" -le $((open + 2)) ]; }
check "descriptors: no more than two beyond the $open after the first round" within 60 few_descriptors
ended=$(memory)
check "memory: $begun KiB after the first round, $ended KiB after the last" test "$ended" -le $((begun + 128))
cp "$CONFIG"/pvpn.log /lab/out/
check "traffic" world_is "$EXIT1" 20
check "disconnect" timeout 30 pvpn disconnect --ks false
check "the machine is what it was" unchanged before
finish
