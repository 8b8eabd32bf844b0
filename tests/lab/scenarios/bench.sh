# limit: 600
#
# `make bench`: medians of runs in turn (A B A B) beside what people use today, in the same boot.
. /lab/guest/lib.sh

us() { echo "${EPOCHREALTIME/./}"; }
# timed FILE COMMAND...: appends the command's milliseconds to the file.
timed() {
    local file=$RUN/bench-$1 begun
    shift
    begun=$(us)
    "$@" >/dev/null 2>&1 </dev/null || echo "bench: failed: $*"
    echo $((($(us) - begun) / 100)) >>"$file"
}
# In tenths of a millisecond, so that `wg show` has two digits.
median() { sort -n "$RUN/bench-$1" | awk '{ v[NR] = $1 } END { print (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2) / 10 }'; }
# row WORDS OURS THEIRS REACH
row() {
    local ours theirs
    ours=$(median "$2") theirs=$(median "$3")
    printf '%-34s %10s ms %10s ms   %6s   %s\n' "$1" "$ours" "$theirs" "$(awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "%.2f", a / b }')" "$4"
}

configure alone <<'CONF'
[port_forwarding]
enable = false
CONF
grep -v '^DNS' "$RUN/wireguard/nl-12.conf" >"$RUN/wgbase.conf"
quick() { wg-quick "$1" "$RUN/wgbase.conf"; }

for _ in 1 2 3 4 5; do
    timed quick-up quick up
    timed quick-first ping -c 1 -W 5 10.2.0.1
    [ -s "$RUN/bench-show" ] || for _ in $(seq 20); do timed show wg show; done
    timed quick-down quick down
    timed connect pvpn connect --provider file --server 'NL#12' --ks true
    timed connect-first ping -c 1 -W 5 10.2.0.1
    [ -s "$RUN/bench-status" ] || for _ in $(seq 20); do timed status pvpn status; timed show wg show; done
    rss=$(awk '/^(VmRSS|RssAnon)/ { printf "%s %s kB  ", $1, $2 }' "/proc/$(supervisor)/status")
    timed disconnect pvpn disconnect --ks false
done
sysctl -qw net.ipv4.conf.all.src_valid_mark=0 net.ipv4.conf.all.send_redirects=1

printf '\n%s, Linux %s, medians of 5 (status: 20) in turn\n' "$(uname -m)" "$(uname -r)"
printf '%-34s %13s %13s   %6s   %s\n' what pvpn 'people use' ratio 'to reach'
row 'connect beside wg-quick up' connect quick-up '0.125'
row 'disconnect beside wg-quick down' disconnect quick-down '0.20'
row 'status beside wg show' status show '1.0'
printf '%-34s %s\n' 'supervisor, connected and idle' "$rss"
printf '%-34s %s bytes\n' 'binary' "$(stat --format=%s /usr/local/bin/pvpn)"
rm -f "$RUN"/bench-* "$RUN/wgbase.conf"
ok "the table is complete"
finish
