# `true` when `status --json` has the shape of schema 1: every key of the contract, each null or of its type.
# Otherwise the paths that are missing or wrong.
def wanted: {
  schema: "number", version: "string", state: "string", since_at: "number", server: "object", interface: "object",
  dns: "object", killswitch: "object", port: "object", qbittorrent: "object", monitor: "object", health: "object",
  choice: "object", problems: "array",
  "server.provider": "string", "server.id": "string", "server.name": "string", "server.country": "string",
  "server.city": "string", "server.region": "string", "server.load": "number", "server.features": "array",
  "server.endpoint": "string", "server.exit_address": "string",
  "interface.name": "string", "interface.addresses": "array", "interface.mtu": "number",
  "interface.handshake_age_s": "number", "interface.rx_bytes": "number", "interface.tx_bytes": "number",
  "dns.mode": "string", "dns.servers": "array", "killswitch.on": "boolean", "killswitch.lan": "array",
  "port.state": "string", "port.number": "number", "port.since_at": "number", "port.expires_s": "number",
  "qbittorrent.state": "string", "qbittorrent.version": "string", "qbittorrent.listen_port": "number",
  "qbittorrent.interface": "string", "qbittorrent.listening": "boolean", "qbittorrent.active_torrents": "number",
  "qbittorrent.connection": "string", "monitor.rtt_ms": "number", "monitor.bad_checks": "number",
  "monitor.reconnects": "number", "health.link": "string", "health.handshake": "string", "health.ping": "string",
  "health.dns": "string", "health.port": "string", "health.qbittorrent": "string", "health.session": "string",
  "choice.by": "string", "choice.candidates": "number", "choice.reason": "string"
};
. as $status
| [wanted | to_entries[]
   | (.key / ".") as $path
   | . as $want
   | ($path[:-1] | reduce .[] as $k ($status; if type == "object" then .[$k] else null end)) as $parent
   | select($parent != null)
   | if ($parent | has($path[-1]) | not) then "\($want.key): missing"
     elif ($parent[$path[-1]] | type) as $t | $t != $want.value and $t != "null" then "\($want.key): not a \($want.value)"
     else empty end]
| if length == 0 then true else join(", ") end
