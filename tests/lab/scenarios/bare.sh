# guests: amd64
# limit: 180
# boot: bare
#
# A kernel without WireGuard: one clear sentence.
. /lab/guest/lib.sh

mkdir -p "$RUN"/wireguard
key=$(wg genkey)
printf '[Interface]\nPrivateKey = %s\nAddress = 10.2.0.2/32\n\n[Peer]\nPublicKey = %s\nAllowedIPs = 0.0.0.0/0\nEndpoint = 203.0.113.11:51820\n' \
    "$key" "$(wg genkey | wg pubkey)" >"$RUN"/wireguard/nl-1.conf
configure alone </dev/null
snapshot before
timeout 60 pvpn connect --provider file >/dev/null 2>"$RUN"/errors </dev/null
same "connect without WireGuard in the kernel exits 1" 1 $?
note "$(cat "$RUN"/errors)" # after the phases that it went through
same "it says so in one line" 1 "$(grep -c '^pvpn: ' "$RUN"/errors)"
check "which names WireGuard" grep -qi wireguard "$RUN"/errors
check "the machine is what it was" unchanged before
finish
