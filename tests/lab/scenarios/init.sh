# guests: amd64
# limit: 360
#
# `pvpn init` typed on a pseudo terminal, against a real qbittorrent-nox whose WebUI is not where it is looked for, then
# against one whose password nobody knows: each is offered to let this machine in, while it is stopped, and its file
# keeps its owner and everything else, wherever it is.
. /lab/guest/lib.sh

file=/home/lab/.config/qBittorrent/qBittorrent.conf
mkdir -p "${file%/*}" "$CONFIG"
chmod 0700 /root/.pvpn-cli "$CONFIG"
cat >"$file" <<'CONF'
[LegalNotice]
Accepted=true

[BitTorrent]
Session\Port=8999
Session\DHTEnabled=false

[Preferences]
General\Locale=en
WebUI\Port=9999
CONF
chown -R 1000:1000 /home/lab
printf '# mine\n[network]\nks_default = true   ; sure\n' >"$CONFIG"/config.ini
qb_run() {
    setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/home/lab QT_LOGGING_RULES='*=false' \
        qbittorrent-nox "$@" >"$RUN/qbittorrent.log" 2>&1 </dev/null &
    echo $! >"$RUN/qbittorrent.pid"
}
qb_run
check "its WebUI is elsewhere" within 180 curl -s -o /dev/null --max-time 5 http://127.0.0.1:9999/
cat >"$RUN"/script <<TYPED
? Tell qBittorrent the port (true, false) [true]
> 
? Address of its WebUI [http://127.0.0.1:8080]
> 
? $file belongs to a qBittorrent whose WebUI does not answer
? Switch lab's WebUI on at port 8080
> yes
? It is running
> 
? It is running
! kill $(cat "$RUN/qbittorrent.pid"); while [ -e /proc/$(cat "$RUN/qbittorrent.pid") ]; do sleep 0.2; done
> 
? start qBittorrent again
? written: 
TYPED
check "init --qb, typed" python3 /lab/guest/typed.py "$RUN"/script pvpn init --qb
check "switched on, for this machine alone" grep -qx 'WebUI\\Address=127.0.0.1' "$file"
check "what else was there stays" grep -qx 'Session\\DHTEnabled=false' "$file"
same "it belongs to whom it belonged" 1000:1000 "$(stat --format=%u:%g "$file")"
qb_run
check "started once again, its WebUI answers" within 180 qb_answers
check "and init says so" sh -c 'pvpn init --qb --non-interactive --qb-enable true 2>&1 | tee /dev/stderr | grep -q written'
same "the file of pvpn: what was there, in its place" '# mine|[network]|ks_default = true   ; sure' "$(head -n 3 "$CONFIG"/config.ini | paste -sd '|')"
check "init --qb finds it" python3 /lab/guest/typed.py /dev/stdin pvpn init --qb <<'TYPED'
? Tell qBittorrent the port
> 
? Address of its WebUI
> 
? qBittorrent v
TYPED

# The same with a password that nobody knows: qBittorrent's own first one.
qb_stop
sed -i '/LocalHostAuth/d' "$file"
qb_run
check "it wants a login" within 180 sh -c "curl -s --max-time 5 $QB/app/version | grep -q Forbidden"
cat >"$RUN"/script <<TYPED
? Tell qBittorrent the port
> 
? Address of its WebUI
> 
? wants a login
? ask no password of programs on this machine (yes, no) [no]
> yes
? It is running
! kill $(cat "$RUN/qbittorrent.pid"); while [ -e /proc/$(cat "$RUN/qbittorrent.pid") ]; do sleep 0.2; done
> 
? start qBittorrent again
TYPED
check "init --qb has it let this machine in" python3 /lab/guest/typed.py "$RUN"/script pvpn init --qb
qb_run
check "and it does" within 180 qb_answers

# One that was started with a profile of its own, elsewhere.
qb_stop
elsewhere=/srv/qb/qBittorrent/config/qBittorrent.conf
mkdir -p "${elsewhere%/*}"
sed '/LocalHostAuth/d; s/^WebUI.Port=.*/WebUI\\Port=9998/' "$file" >$elsewhere
chown -R 1000:1000 /srv/qb
qb_run --profile=/srv/qb
check "its WebUI is elsewhere, its settings too" within 180 curl -s -o /dev/null --max-time 5 http://127.0.0.1:9998/
cat >"$RUN"/script <<TYPED
? Tell qBittorrent the port
> 
? Address of its WebUI
> 
? $elsewhere belongs to a qBittorrent whose WebUI does not answer
? Switch lab's WebUI on at port 8080
> yes
? It is running
! kill $(cat "$RUN/qbittorrent.pid"); while [ -e /proc/$(cat "$RUN/qbittorrent.pid") ]; do sleep 0.2; done
> 
? start qBittorrent again
TYPED
check "init --qb finds its settings by the running program" python3 /lab/guest/typed.py "$RUN"/script pvpn init --qb
qb_run --profile=/srv/qb
check "and its WebUI answers" within 180 qb_answers
qb_stop
rm -rf /srv/qb
finish
