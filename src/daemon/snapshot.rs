//! The supervisor's state as one [`Snapshot`].

use super::Daemon;
use super::clients::PORT;
use super::lease::PortState;
use super::phase::Purpose;
use super::sync::SyncState;
use crate::status::{self, Area, DnsMode, QbittorrentState, ServerInfo, Snapshot, State, Verdict};
use crate::time::Instant;

impl Daemon {
    pub(super) fn state_word(&self) -> State {
        if self.up.is_some() {
            State::Connected
        } else if self.phase.is_running() {
            State::Connecting
        } else if self.killswitch {
            State::Blocked
        } else {
            State::Disconnected
        }
    }

    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let mut s = Snapshot::new(self.state_word());
        s.since_at = Some(self.state_since.0).filter(|at| *at > 0);
        s.killswitch.on = Some(self.killswitch);
        s.killswitch.lan = self.lan().iter().map(ToString::to_string).collect();
        s.monitor.reconnects = self.reconnects;
        if let Some(text) = self.clock.trouble(self.wall) {
            s.problem(Area::Clock, text);
        }
        if self.killswitch && !self.unguarded.is_empty() {
            let links = self.unguarded.join(", ");
            let text = format!(
                "packet sockets on {links} are not stopped: the kernel has no egress hook (5.16) there"
            );
            s.problem(Area::Killswitch, text);
        }
        if let Some(e) = &self.forgotten {
            s.problem(Area::Killswitch, e.to_string());
        }
        if let Some(trouble) = &self.policy_trouble {
            s.problem(Area::Killswitch, trouble.clone());
        }
        if let Some(e) = self.phase.trouble().or(self.last_error.as_ref()) {
            s.problem(Area::Tunnel, e.to_string());
        }
        if let Some(e) = &self.config_trouble {
            s.problem(Area::Config, format!("{e}; what was read before stays in force"));
        }
        self.describe_repairs(now, &mut s);
        self.describe_tunnel(now, &mut s);
        self.describe_port(now, &mut s);
        self.describe_qbittorrent(&mut s);
        s
    }

    fn describe_tunnel(&self, now: Instant, s: &mut Snapshot) {
        let Some(up) = &self.up else {
            s.server = self.phase.server().map(ServerInfo::from);
            return;
        };
        let tunnel = &up.ready.connection.tunnel;
        s.server = Some(ServerInfo::from(up.server()));
        let age = up.look.handshake.map(|_| now.since(up.shaken_at).as_secs());
        s.interface = Some(status::Interface {
            name: up.interface.clone(),
            addresses: tunnel.addresses.iter().map(ToString::to_string).collect(),
            mtu: up.look.mtu,
            handshake_age_s: age,
            rx_bytes: up.looked_at.map(|_| up.look.rx_bytes),
            tx_bytes: up.looked_at.map(|_| up.look.tx_bytes),
        });
        let uses_provider = self.wish.as_ref().is_some_and(|w| w.dns) && !tunnel.dns.is_empty();
        let (mode, servers) = if uses_provider {
            (DnsMode::Provider, &tunnel.dns)
        } else {
            (DnsMode::Machine, &self.surroundings.resolvers)
        };
        if !uses_provider {
            let who: Vec<String> = servers.iter().map(ToString::to_string).collect();
            let who = if who.is_empty() { "the machine's resolver".to_owned() } else { who.join(", ") };
            s.problem(Area::Dns, format!("names are asked of {who}: whoever runs it can read them"));
        }
        s.dns = status::Dns { mode, servers: servers.iter().map(ToString::to_string).collect() };
        s.choice = Some(status::Choice {
            by: up.choice.by.clone(),
            candidates: u32::try_from(up.choice.candidates).unwrap_or(u32::MAX),
            reason: up.choice.reason.clone(),
        });
        let monitor = up.monitor.view();
        s.monitor.rtt_ms = monitor.rtt.map(|rtt| (rtt.as_secs_f64() * 10_000.0).round() / 10.0);
        s.monitor.bad_checks = monitor.bad_checks;
        s.health.link = if self.has_no_way() { Verdict::Bad } else { Verdict::Ok };
        s.health.handshake = monitor.handshake;
        s.health.ping = monitor.ping;
        s.health.dns = self.names.verdict();
        if s.health.dns == Verdict::Bad {
            s.problem(
                Area::Dns,
                format!("the tunnel's resolver {} does not answer", s.dns.servers.join(", ")),
            );
        }
        self.describe_session(s);
        if let Some(Purpose::Replace(reason)) = self.phase.purpose() {
            s.problem(Area::Monitor, format!("{reason}; another server is being taken"));
        }
    }

    fn describe_port(&self, now: Instant, s: &mut Snapshot) {
        let view = self.holder.view(now);
        s.port = status::Port {
            state: match view.state {
                PortState::Off => status::PortState::Off,
                PortState::Asking => status::PortState::Asking,
                PortState::Held => status::PortState::Held,
                PortState::Doubtful => status::PortState::Doubtful,
                PortState::Unavailable => status::PortState::Unavailable,
            },
            number: view.number,
            since_at: self.port_since.map(|at| at.0),
            expires_s: view.expires_at.map(|at| at.since(now).as_secs()),
        };
        // The list's word counts first: a gateway may stand behind another one.
        if let (Some(server), Some(up)) = (&mut s.server, &self.up) {
            if up.server().exit_address.is_none() {
                server.exit_address = view.exit_address.map(|a| a.to_string());
            }
        }
        // What `connect` called exit 12 then.
        let is_late = self.up.as_ref().is_some_and(|up| now.since(up.since) >= PORT);
        s.health.port = match view.state {
            PortState::Held => Verdict::Ok,
            PortState::Off => Verdict::Off,
            PortState::Asking if !is_late => Verdict::Unknown,
            PortState::Asking | PortState::Doubtful | PortState::Unavailable => Verdict::Bad,
        };
        let why = match (view.state, view.text) {
            (PortState::Asking, text) if is_late => {
                let text = text.unwrap_or_else(|| "the gateway has granted none".to_owned());
                Some(format!("no port yet: {text}; asking goes on"))
            }
            (PortState::Doubtful, None) => Some(status::UNCONFIRMED.to_owned()),
            (PortState::Held | PortState::Doubtful, text) => text,
            _ => None,
        };
        if self.up.is_none() {
            return;
        }
        if let Some(why) = why {
            s.problem(Area::Port, why);
        }
        for target in self.publisher.failing() {
            s.problem(
                Area::Port,
                format!("{} cannot be told the number; see the log, trying on", target.name()),
            );
        }
    }

    fn describe_qbittorrent(&self, s: &mut Snapshot) {
        let view = self.sync.view();
        let state = match view.state {
            SyncState::Synced => QbittorrentState::Synced,
            SyncState::Pending => QbittorrentState::Pending,
            SyncState::Unreachable => QbittorrentState::Unreachable,
            SyncState::Refused => QbittorrentState::Refused,
            SyncState::Off => QbittorrentState::Off,
        };
        s.qbittorrent = status::Qbittorrent {
            state,
            version: view.version.clone(),
            listen_port: view.listen_port,
            interface: view.interface.clone(),
            listening: view.listening,
            active_torrents: view.active_torrents,
            connection: view.connection.clone(),
        };
        s.health.qbittorrent = match state {
            QbittorrentState::Synced => Verdict::Ok,
            QbittorrentState::Off => Verdict::Off,
            QbittorrentState::Pending => Verdict::Unknown,
            QbittorrentState::Unreachable | QbittorrentState::Refused => Verdict::Bad,
        };
        if self.up.is_some() && s.health.qbittorrent == Verdict::Bad {
            let text = view.text.clone().unwrap_or_else(|| "not reachable".to_owned());
            s.problem(Area::Qbittorrent, text);
        }
    }
}
