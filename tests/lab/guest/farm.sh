# shellcheck shell=bash
# A farm of servers behind the Pi: one namespace in which all of 10.66.0.0/16 is local, so that the kernel answers the
# echoes, and tc netem gives each host its delay. Peers share no code with pvpn.
#
#   Pi  farm0 10.65.0.1  --  wan 10.65.0.2 [farm]  10.66.N.M
#
# Replies get their delay by class: nft puts the class of the asked host into the packet's priority, before it may
# change the sender, so that a host can answer in another's name at its own speed. What is lost, doubled or overtaken
# on the line is netem's on farm0, on the way there.

# farm_up CLASSES: as many different delays.
farm_up() {
    modprobe -qa sch_netem sch_htb
    ip netns add farm
    ip link add farm0 type veth peer name wan netns farm
    ip address add 10.65.0.1/30 dev farm0
    ip link set farm0 txqueuelen 10000 up
    ip -n farm -batch - <<'IP'
link set lo up
address add 10.65.0.2/30 dev wan
link set wan txqueuelen 10000 up
route add local 10.66.0.0/16 dev lo
IP
    ip route add 10.66.0.0/16 via 10.65.0.2
    {
        echo "qdisc add dev wan root handle 1: htb"
        for ((class = 1; class <= $1; class++)); do
            printf 'class add dev wan parent 1: classid 1:%x htb rate 10gbit quantum 60000\n' $class
            printf 'qdisc add dev wan parent 1:%x netem delay 0ms limit 10000\n' $class
        done
    } | on farm tc -batch -
    on farm nft -f - <<'NFT'
table ip farm {
    map class { type ipv4_addr : classid; }
    map liars { type ipv4_addr : ipv4_addr; }
    chain post {
        type filter hook postrouting priority 0;
        icmp type echo-reply meta priority set ip saddr map @class
        icmp type echo-reply ip saddr set ip saddr map @liars
    }
}
NFT
}

farm_down() {
    ip link delete farm0
    ip netns delete farm
}

# The address of the host with this number, from 0, in HOST: a thousand of them without a thousand processes.
farm_host() { HOST=10.66.$((1 + $1 / 250)).$((1 + $1 % 250)); }

# farm_hosts COUNT CLASSES: which host has which class: in turn.
farm_hosts() {
    {
        printf 'flush map ip farm class\nadd element ip farm class { '
        for ((n = 0; n < $1; n++)); do farm_host $n && printf '%s : 1:%x, ' "$HOST" $((1 + n % $2)); done
        printf '}\n'
    } | on farm nft -f -
}

# farm_delays MICROSECONDS...: of each class.
farm_delays() {
    local class=0 delay
    for delay in "$@"; do
        class=$((class + 1))
        printf 'qdisc change dev wan parent 1:%x netem delay %sus limit 10000\n' $class "$delay"
    done | on farm tc -batch -
}

# farm_line NETEM-WORDS...: the line there; none: an undisturbed one.
farm_line() {
    tc qdisc delete dev farm0 root 2>/dev/null
    [ $# = 0 ] || tc qdisc add dev farm0 root netem limit 10000 "$@"
}

# farm_confs COUNT: the configuration directory's servers become the farm's: `h0`, `h1`, ...
farm_confs() {
    rm -f "$CONFIG"/wireguard/*
    local conf n
    conf=$(sed '/^# NL/d; /^Endpoint/d' "$RUN"/wireguard/nl-12.conf)
    for ((n = 0; n < $1; n++)); do
        farm_host $n
        printf '%s\nEndpoint = %s:51820\n' "$conf" "$HOST" >"$CONFIG/wireguard/h$n.conf"
    done
    chmod 0600 "$CONFIG"/wireguard/*
}

# farm_measure FILE: what pvpn measures, `HOST-NUMBER MICROSECONDS` a line in pvpn's order; `-` for silence.
farm_measure() {
    timeout 20 pvpn list --provider file --fastest ping --json 2>/dev/null |
        jq -r '.[] | "\(.name[1:]) \(if .rtt_ms then .rtt_ms * 1000 | floor else "-" end)"' >"$1"
}
