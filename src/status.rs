//! One snapshot of how it is: JSON of schema 1 for programs (`product.md`, status --json), text for people, and the
//! exit code. The fields stand in the order of the contract; unknown is `None` (`null`), never a made-up value.
//! Endings of the names: `_s` seconds, `_ms` milliseconds, `_at` Unix seconds.

pub mod finding;
pub mod listing;
mod text;

use crate::error::Exit;
use crate::provider::{ProviderKind, Server};
use miniserde::{Deserialize, Serialize, json};

pub use text::Paint;

/// The version of the JSON's shape. Keys may be added within it.
pub const SCHEMA: u32 = 1;

/// What is the matter with a doubtful port.
pub const UNCONFIRMED: &str = "the gateway has not confirmed it lately";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub schema: u32,
    pub version: String,
    pub state: State,
    /// When this state was entered.
    pub since_at: Option<u64>,
    pub server: Option<ServerInfo>,
    pub interface: Option<Interface>,
    pub dns: Dns,
    pub killswitch: Killswitch,
    pub port: Port,
    pub qbittorrent: Qbittorrent,
    pub monitor: Monitor,
    pub health: Health,
    pub choice: Option<Choice>,
    pub problems: Vec<Problem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    #[serde(rename = "connected")]
    Connected,
    #[serde(rename = "connecting")]
    Connecting,
    #[serde(rename = "blocked")]
    Blocked,
    #[serde(rename = "disconnected")]
    Disconnected,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerInfo {
    pub provider: String,
    pub id: String,
    pub name: String,
    pub country: Option<String>,
    pub city: Option<String>,
    pub region: Option<String>,
    /// Percent.
    pub load: Option<u8>,
    pub features: Vec<String>,
    pub endpoint: String,
    pub exit_address: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    pub name: String,
    pub addresses: Vec<String>,
    pub mtu: Option<u32>,
    pub handshake_age_s: Option<u64>,
    pub rx_bytes: Option<u64>,
    pub tx_bytes: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Dns {
    pub mode: DnsMode,
    pub servers: Vec<String>,
}

/// Whose resolver programs ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum DnsMode {
    /// The tunnel's, through the tunnel.
    #[serde(rename = "provider")]
    Provider,
    /// The machine's own (`--dns false`, or no tunnel).
    #[default]
    #[serde(rename = "machine")]
    Machine,
}

#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Killswitch {
    pub on: Option<bool>,
    pub lan: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Port {
    pub state: PortState,
    pub number: Option<u16>,
    pub since_at: Option<u64>,
    pub expires_s: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PortState {
    #[serde(rename = "held")]
    Held,
    #[serde(rename = "asking")]
    Asking,
    /// Still published, not confirmed lately.
    #[serde(rename = "doubtful")]
    Doubtful,
    #[serde(rename = "unavailable")]
    Unavailable,
    #[default]
    #[serde(rename = "off")]
    Off,
}

#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Qbittorrent {
    pub state: QbittorrentState,
    pub version: Option<String>,
    pub listen_port: Option<u16>,
    pub interface: Option<String>,
    /// What the kernel shows; `None` where it cannot be seen.
    pub listening: Option<bool>,
    pub active_torrents: Option<u32>,
    pub connection: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum QbittorrentState {
    #[serde(rename = "synced")]
    Synced,
    #[serde(rename = "pending")]
    Pending,
    #[serde(rename = "unreachable")]
    Unreachable,
    /// Credentials, or banned.
    #[serde(rename = "refused")]
    Refused,
    #[default]
    #[serde(rename = "off")]
    Off,
}

#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Monitor {
    pub rtt_ms: Option<f64>,
    pub bad_checks: u32,
    pub reconnects: u32,
    /// How often something that another program took away was put back.
    pub repairs: u32,
}

#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Health {
    pub link: Verdict,
    pub handshake: Verdict,
    pub ping: Verdict,
    pub dns: Verdict,
    pub port: Verdict,
    pub qbittorrent: Verdict,
    pub session: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Verdict {
    #[serde(rename = "ok")]
    Ok,
    #[serde(rename = "bad")]
    Bad,
    #[default]
    #[serde(rename = "unknown")]
    Unknown,
    #[serde(rename = "off")]
    Off,
}

/// Why this server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// `ping`, `api`, or `name` where a person chose.
    pub by: String,
    pub candidates: u32,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub area: Area,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Area {
    #[serde(rename = "tunnel")]
    Tunnel,
    #[serde(rename = "dns")]
    Dns,
    #[serde(rename = "killswitch")]
    Killswitch,
    #[serde(rename = "port")]
    Port,
    #[serde(rename = "qbittorrent")]
    Qbittorrent,
    #[serde(rename = "monitor")]
    Monitor,
    #[serde(rename = "session")]
    Session,
    #[serde(rename = "clock")]
    Clock,
    #[serde(rename = "config")]
    Config,
    #[serde(rename = "supervisor")]
    Supervisor,
}

impl Snapshot {
    /// A snapshot of this state in which all else is unknown.
    pub fn new(state: State) -> Snapshot {
        Snapshot {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state,
            since_at: None,
            server: None,
            interface: None,
            dns: Default::default(),
            killswitch: Default::default(),
            port: Default::default(),
            qbittorrent: Default::default(),
            monitor: Default::default(),
            health: Default::default(),
            choice: None,
            problems: Vec::new(),
        }
    }

    pub fn problem(&mut self, area: Area, text: impl Into<String>) {
        self.problems.push(Problem { area, text: text.into() });
    }

    /// One object on one line, newline included.
    pub fn emit(&self) -> String {
        let mut line = json::to_string(self);
        line.push('\n');
        line
    }

    /// Reads what [`Snapshot::emit`] wrote; keys of a later version are passed over.
    pub fn parse(text: &str) -> Option<Snapshot> {
        json::from_str(text).ok().filter(|s: &Snapshot| s.schema == SCHEMA)
    }

    /// The exit code of `status`.
    pub fn exit(&self) -> Exit {
        match self.state {
            State::Connected if self.problems.is_empty() => Exit::Done,
            State::Connected => Exit::Problems,
            State::Connecting => Exit::Connecting,
            State::Blocked => Exit::Blocked,
            State::Disconnected => Exit::Disconnected,
        }
    }
}

impl From<&Server> for ServerInfo {
    fn from(server: &Server) -> ServerInfo {
        ServerInfo {
            provider: ProviderKind::name(server.provider).to_owned(),
            id: server.id.clone(),
            name: server.name.clone(),
            country: server.country.map(|c| c.to_string()),
            city: server.city.clone(),
            region: server.region.clone(),
            load: server.load,
            features: server.features.words().into_iter().map(str::to_owned).collect(),
            endpoint: server.endpoint.to_string(),
            exit_address: server.exit_address.map(|a| a.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
