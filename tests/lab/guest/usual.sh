#!/bin/bash
# The main job as people's scripts do it: wg-quick, natpmpc for both protocols, curl and jq for qBittorrent. No kill switch.
#
#   usual.sh up CONF     connected, a port mapped, qBittorrent told and asked whether it took it
#   usual.sh renew       one round of the loop that keeps the mapping, as Proton's manual shows it, every 45 s
set -eu
gateway=10.2.0.1
api=http://127.0.0.1:8080/api/v2

# natpmpc may take a late answer for another's: asked again, as the loop would.
map() {
    local port=
    until [ -n "$port" ]; do
        port=$(natpmpc -g $gateway -a 1 0 "$1" 60 | sed -n 's/^Mapped public port \([0-9]*\).*/\1/p')
    done
    echo "$port"
}
tell() {
    curl -s --data-urlencode "json={\"listen_port\":$1,\"random_port\":false,\"upnp\":false}" $api/app/setPreferences
    [ "$(curl -s $api/app/preferences | jq .listen_port)" = "$1" ]
}

[ "$1" = renew ] || wg-quick up "$2"
map udp >/dev/null
tell "$(map tcp)"
