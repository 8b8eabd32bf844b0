//! The snapshot for people: one line that says it all, then aligned lines with the details.

use super::{Health, PortState, QbittorrentState, Snapshot, State, Verdict};
use crate::time::UnixTime;

/// Whether colours may be used; the caller knows the terminal and NO_COLOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Colour,
}

impl Paint {
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    pub fn warn(self, text: &str) -> String {
        self.with("33", text)
    }

    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// An SGR sequence (ECMA-48 section 8.3.117) around the text.
    fn with(self, code: &str, text: &str) -> String {
        match self {
            Paint::Plain => text.to_owned(),
            Paint::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

impl Snapshot {
    /// The text form, each line with its newline. `now` is for ages.
    pub fn text(&self, now: UnixTime, paint: Paint) -> String {
        let mut lines = vec![self.summary(now, paint)];
        let mut row = |name: &str, parts: Vec<String>| {
            if !parts.is_empty() {
                lines.push(format!("  {name:<12}{}", plain(&parts.join(", "))));
            }
        };
        row("server", self.server_parts());
        row("interface", self.interface_parts());
        row("dns", self.dns_parts());
        row("kill switch", self.killswitch_parts());
        row("port", self.port_parts(now));
        row("qbittorrent", self.qbittorrent_parts());
        row("monitor", self.monitor_parts());
        row("health", self.health.parts());
        row(
            "choice",
            self.choice.iter().map(|c| format!("by {} of {}: {}", c.by, c.candidates, c.reason)).collect(),
        );
        for problem in &self.problems {
            let area = miniserde::json::to_string(&problem.area);
            let text = format!("! {}: {}", area.trim_matches('"'), plain(&problem.text));
            lines.push(format!("  {}", paint.warn(&text)));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn summary(&self, now: UnixTime, paint: Paint) -> String {
        let age =
            self.since_at.map(|at| format!(" for {}", span(now.0.saturating_sub(at)))).unwrap_or_default();
        let server = self.server.as_ref().map(|s| {
            let place = [s.city.as_deref(), s.country.as_deref()].into_iter().flatten().collect::<Vec<_>>();
            let place = if place.is_empty() { String::new() } else { format!(" ({})", place.join(", ")) };
            format!(" to {}{place}", s.name)
        });
        let server = plain(&server.unwrap_or_default());
        let problems = match self.problems.len() {
            0 => String::new(),
            1 => ", 1 problem".into(),
            n => format!(", {n} problems"),
        };
        let port = match (self.port.number, self.port.state) {
            (Some(n), PortState::Held) => format!(", port {n}"),
            (Some(n), state) => format!(", port {n} ({})", port_word(state)),
            (None, PortState::Asking) => ", asking for a port".into(),
            (None, _) => String::new(),
        };
        let killswitch = match self.killswitch.on {
            Some(true) => ", kill switch on",
            Some(false) => ", kill switch off",
            None => "",
        };
        match self.state {
            State::Connected => {
                let word =
                    if self.problems.is_empty() { paint.good("connected") } else { paint.warn("connected") };
                format!("{word}{server}{age}{port}{killswitch}{problems}")
            }
            State::Connecting => format!("{}{server}{age}{killswitch}{problems}", paint.warn("connecting")),
            State::Blocked => {
                format!("{}{age}: kill switch on, no tunnel{problems}", paint.bad("blocked"))
            }
            State::Disconnected => format!("{}{age}{killswitch}{problems}", paint.bold("disconnected")),
        }
    }

    fn server_parts(&self) -> Vec<String> {
        let Some(s) = &self.server else { return Vec::new() };
        let mut parts = vec![s.name.clone(), s.provider.clone(), s.endpoint.clone()];
        parts.extend(s.region.clone());
        parts.extend(s.load.map(|l| format!("load {l} %")));
        parts.extend(s.features.iter().cloned());
        parts.extend(s.exit_address.as_ref().map(|a| format!("seen as {a}")));
        parts
    }

    fn interface_parts(&self) -> Vec<String> {
        let Some(i) = &self.interface else { return Vec::new() };
        let mut parts = vec![i.name.clone()];
        parts.extend(i.addresses.iter().cloned());
        parts.extend(i.mtu.map(|m| format!("mtu {m}")));
        parts.extend(i.handshake_age_s.map(|a| format!("handshake {} ago", span(a))));
        parts.extend(i.rx_bytes.map(|b| format!("{} in", bytes(b))));
        parts.extend(i.tx_bytes.map(|b| format!("{} out", bytes(b))));
        parts
    }

    fn dns_parts(&self) -> Vec<String> {
        let mode = match self.dns.mode {
            super::DnsMode::Provider => "provider's",
            super::DnsMode::Machine => "the machine's own",
        };
        [mode.to_owned()].into_iter().chain(self.dns.servers.iter().cloned()).collect()
    }

    fn killswitch_parts(&self) -> Vec<String> {
        let word = match self.killswitch.on {
            Some(true) => "on",
            Some(false) => "off",
            None => "unknown",
        };
        let lan = self.killswitch.lan.join(" ");
        let lan = (!lan.is_empty()).then(|| format!("lan {lan}"));
        [word.to_owned()].into_iter().chain(lan).collect()
    }

    fn port_parts(&self, now: UnixTime) -> Vec<String> {
        let mut parts: Vec<String> = self.port.number.iter().map(u16::to_string).collect();
        parts.push(port_word(self.port.state).to_owned());
        parts.extend(self.port.since_at.map(|at| format!("for {}", span(now.0.saturating_sub(at)))));
        parts.extend(self.port.expires_s.map(|s| format!("expires in {}", span(s))));
        parts
    }

    fn qbittorrent_parts(&self) -> Vec<String> {
        let q = &self.qbittorrent;
        let word = match q.state {
            QbittorrentState::Synced => "synced",
            QbittorrentState::Pending => "pending",
            QbittorrentState::Unreachable => "unreachable",
            QbittorrentState::Refused => "refused",
            QbittorrentState::Off => "off",
        };
        let mut parts = vec![word.to_owned()];
        parts.extend(q.version.clone());
        parts.extend(q.listen_port.map(|p| format!("port {p}")));
        parts.extend(q.interface.as_ref().map(|i| format!("on {i}")));
        parts.extend(q.listening.map(|l| if l { "listening" } else { "not listening" }.to_owned()));
        parts.extend(q.active_torrents.map(|n| format!("{n} active")));
        parts.extend(q.connection.clone());
        parts
    }

    fn monitor_parts(&self) -> Vec<String> {
        let m = &self.monitor;
        let mut parts: Vec<String> = m.rtt_ms.iter().map(|ms| format!("{ms:.1} ms")).collect();
        if m.bad_checks > 0 {
            parts.push(format!("{} bad checks", m.bad_checks));
        }
        if m.reconnects > 0 {
            parts.push(format!("{} reconnects", m.reconnects));
        }
        if m.repairs > 0 {
            parts.push(format!("{} repairs", m.repairs));
        }
        parts
    }
}

impl Health {
    fn rows(&self) -> [(&'static str, Verdict); 7] {
        [
            ("link", self.link),
            ("handshake", self.handshake),
            ("ping", self.ping),
            ("dns", self.dns),
            ("port", self.port),
            ("qbittorrent", self.qbittorrent),
            ("session", self.session),
        ]
    }

    /// The names under each verdict; nothing when nothing is known.
    fn parts(&self) -> Vec<String> {
        let named = |verdict, word: &str| {
            let names: Vec<_> = self.rows().iter().filter(|(_, v)| *v == verdict).map(|(n, _)| *n).collect();
            if names.is_empty() { None } else { Some(format!("{word}: {}", names.join(" "))) }
        };
        [named(Verdict::Bad, "bad"), named(Verdict::Ok, "ok")].into_iter().flatten().collect()
    }
}

fn port_word(state: PortState) -> &'static str {
    match state {
        PortState::Held => "held",
        PortState::Asking => "asking",
        PortState::Doubtful => "doubtful",
        PortState::Unavailable => "unavailable",
        PortState::Off => "off",
    }
}

/// Text from outside without what would move a terminal's cursor.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// `17 s`, `5 min`, `2 h 5 min`, `3 d 4 h`.
fn span(s: u64) -> String {
    let two = |big: u64, unit: &str, small: u64, lesser: &str| match small {
        0 => format!("{big} {unit}"),
        _ => format!("{big} {unit} {small} {lesser}"),
    };
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min", s / 60),
        3600..86_400 => two(s / 3600, "h", s % 3600 / 60, "min"),
        _ => two(s / 86_400, "d", s % 86_400 / 3600, "h"),
    }
}

/// Bytes in binary units with one decimal.
fn bytes(n: u64) -> String {
    let mut value = n as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") }
}
