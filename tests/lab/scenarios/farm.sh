# guests: amd64
# limit: 200
#
# `list --fastest ping` in farms of servers whose true delays are known: tc netem makes them, the kernel answers the echoes.
. /lab/guest/lib.sh
. /lab/guest/farm.sh

configure alone </dev/null
farm_up 40
farm_hosts 40 40
farm_confs 40

# farm SEED: forty servers of 60 to 460 ms.
farm() {
    RANDOM=$1
    delays=()
    for ((n = 0; n < 40; n++)); do delays+=($((60000 + (RANDOM * 32768 + RANDOM) % 400000))); done
    farm_delays "${delays[@]}"
}
# judge NAME answered|all: the first is within a tenth of the best (of those that answered), nobody is faster than it can be.
judge() {
    printf '%s\n' "${delays[@]}" | awk -v who="$2" -v name="$1" '
        NR == FNR { delay[NR - 1] = $1; next }
        { lines++; host[lines] = $1; rtt[lines] = $2; if ($2 != "-") { answered++; if ($2 < delay[$1]) bad = bad " h" $1 " in " $2 } }
        END {
            for (n = 0; n < 40; n++) if (best == "" || delay[n] < best) best = delay[n]
            if (who == "answered") { best = ""; for (n = 1; n <= lines; n++) if (rtt[n] != "-" && (best == "" || delay[host[n]] < best)) best = delay[host[n]] }
            chosen = delay[host[1]]
            printf "%s: chose %d us, the best is %d us, %d answered\n", name, chosen, best, answered
            if (bad) print "faster than can be:" bad
            exit !(lines == 40 && !bad && chosen <= best * 1.1 && (who == "answered" ? answered >= 20 : answered == 40))
        }' - "$RUN/measured"
}
# right SEEDS WHO WORDS: how many of the farms were judged right.
right() {
    local seed
    count=0
    for seed in $1; do
        farm "$seed"
        farm_measure "$RUN/measured"
        if judge "farm $seed" "$2" >"$RUN/judged"; then count=$((count + 1)); else sed 's/^/# /' "$RUN/judged"; fi
    done
}

right "$(seq 20)" all
same "the choice is within a tenth of the true best in 20 of 20 farms" 20 "$count"
farm_line loss 20%
right "$(seq 21 25)" answered
same "with a fifth of the packets lost: 5 of 5" 5 "$count"
farm_line delay 10ms 10ms duplicate 40% reorder 30% 50%
right "$(seq 31 34)" all
same "with replies doubled and reordered: 4 of 4" 4 "$count"
farm_line

# The fastest by far answers in the name of the slowest: neither is believed for the other.
farm 40
slowest=0
for ((n = 1; n < 40; n++)); do [ "${delays[n]}" -le "${delays[slowest]}" ] || slowest=$n; done
liar=$(((slowest + 1) % 40))
delays[liar]=5000
farm_delays "${delays[@]}"
farm_host $liar && name=$HOST
farm_host $slowest
on farm nft add element ip farm liars "{ $name : $HOST }"
farm_measure "$RUN/measured"
same "a host that answers for another has no round trip" "$liar -" "$(grep "^$liar " "$RUN/measured")"
own() { awk -v n=$slowest -v least="${delays[slowest]}" '$1 == n { exit !($2 != "-" && $2 >= least) }' "$RUN/measured"; }
check "and the other has its own" own
check "both are behind the best" test "$(head -n 1 "$RUN/measured" | cut -d ' ' -f 1)" != "$slowest"
on farm nft flush map ip farm liars

# A thousand, from one socket. An emulated machine needs its time for three thousand packets there and back, so what is
# judged is the time beside the CPU's, less that of a list that measures nothing; `make bench` tells the whole.
farm_hosts 1000 40
farm_confs 1000
farm_delays $(seq 20000 7500 312500)
# waited COMMAND...: milliseconds in which it did not compute; what it printed is in waited.out.
waited() {
    local TIMEFORMAT='%R %U %S'
    { time "$@" >"$RUN/waited.out" 2>/dev/null; } 2>&1 | awk '{ printf "%d\n", ($1 - $2 - $3) * 1000 }'
}
in_time() {
    local plain all longest answered
    plain=$(waited pvpn list --provider file --json)
    all=$(waited pvpn list --provider file --fastest ping --json)
    longest=$(jq 'map(.rtt_ms // 0) | max | ceil' "$RUN/waited.out")
    answered=$(jq 'map(select(.rtt_ms)) | length' "$RUN/waited.out")
    echo "1,000 targets: waited $all ms, $plain ms of them without measuring; longest answer $longest ms; $answered answered" | tee "$RUN/thousand"
    [ $((all - plain)) -le $((longest + 500)) ] && [ "$answered" = 1000 ]
}
# Whoever else uses the machine that emulates may spoil one.
thrice() { in_time || in_time || in_time; }
check "1,000 targets are measured in the longest answer and 0.5 s" thrice
note "$(cat "$RUN/thousand")"
strace -f -qq -e trace=socket -o "$RUN/sockets" pvpn list --provider file --fastest ping --json >/dev/null
same "by one socket" 1 "$(grep -c 'IPPROTO_ICMP' "$RUN/sockets")"

# Ctrl-C while nobody answers, with the machine closed: at once, and what was opened for the probes is closed again.
farm_confs 40
on farm nft add rule ip farm post icmp type echo-reply drop
check "the kill switch on" timeout 30 pvpn killswitch on
closed=$(nft list ruleset)
check "Ctrl-C ends a silent measurement: exit 130" exits 130 timeout --preserve-status -s INT 1 pvpn list --provider file --fastest ping
same_rules() { nft list ruleset | diff -U 0 <(echo "$closed") -; }
check "and the rules are those of a closed machine" same_rules
check "the kill switch off" timeout 30 pvpn killswitch off
farm_down
finish
