//! Where servers and keys come from. A provider lists servers and, for a chosen one, logs in and returns the
//! [`Tunnel`] to bring up together with how its port is held. Nothing here changes the machine.

pub mod file;
mod key;
pub mod pia;
pub mod proton;
mod store;

use crate::error::Result;
use crate::time::UnixTime;
use crate::tunnel::Tunnel;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    Proton,
    Pia,
    File,
}

impl ProviderKind {
    pub const fn name(self) -> &'static str {
        match self {
            ProviderKind::Proton => "proton",
            ProviderKind::Pia => "pia",
            ProviderKind::File => "file",
        }
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ProviderKind {
    type Err = ();
    fn from_str(s: &str) -> std::result::Result<ProviderKind, ()> {
        [ProviderKind::Proton, ProviderKind::Pia, ProviderKind::File]
            .into_iter()
            .find(|k| k.name() == s)
            .ok_or(())
    }
}

/// An ISO 3166-1 country, two upper-case letters. `UK` is read as `GB`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// Two ASCII letters in either case; `None` for anything else.
    pub fn parse(s: &str) -> Option<Country> {
        let b: &[u8; 2] = s.as_bytes().try_into().ok()?;
        let b = b.map(|c| c.to_ascii_uppercase());
        (b.iter().all(u8::is_ascii_uppercase)).then_some(Country(if &b == b"UK" { *b"GB" } else { b }))
    }

    pub fn as_str(&self) -> &str {
        // Two ASCII letters by construction, so this is always UTF-8.
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a server is known to do. `forwards` is `None` where the provider has no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Features {
    pub secure_core: bool,
    pub p2p: bool,
    pub tor: bool,
    pub streaming: bool,
    pub ipv6: bool,
    /// Whether it grants forwarded ports.
    pub forwards: Option<bool>,
    /// A virtual location: the hardware stands elsewhere (PIA `geo`).
    pub virtual_location: bool,
    /// Taken by itself only when no other is left (PIA `auto_region` false).
    pub on_request: bool,
}

impl Features {
    /// The words of `status` and `list`, in a fixed order: `p2p`, `secure-core`, `tor`, `streaming`, `ipv6`,
    /// `port-forwarding`, `virtual`.
    pub fn words(&self) -> Vec<&'static str> {
        [
            (self.p2p, "p2p"),
            (self.secure_core, "secure-core"),
            (self.tor, "tor"),
            (self.streaming, "streaming"),
            (self.ipv6, "ipv6"),
            (self.forwards == Some(true), "port-forwarding"),
            (self.virtual_location, "virtual"),
        ]
        .into_iter()
        .filter_map(|(has, word)| has.then_some(word))
        .collect()
    }
}

/// Where a server is reached: an address, or a name to be resolved before the firewall closes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Addr(SocketAddr),
    Name { host: String, port: u16 },
}

impl Endpoint {
    pub fn addr(&self) -> Option<SocketAddr> {
        match self {
            Endpoint::Addr(a) => Some(*a),
            Endpoint::Name { .. } => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Addr(a) => write!(f, "{a}"),
            Endpoint::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// One server one can connect to.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub provider: ProviderKind,
    /// The provider's own key for it: a Proton logical's id with the physical server's, a PIA region with the `cn`, a
    /// file's name.
    pub id: String,
    pub name: String,
    /// Its host name where the provider has one; `--server` takes it too.
    pub host: Option<String>,
    pub country: Option<Country>,
    pub city: Option<String>,
    /// PIA's region id.
    pub region: Option<String>,
    /// Percent, where the provider says.
    pub load: Option<u8>,
    /// The provider's own rank, smaller is better.
    pub score: Option<f64>,
    pub features: Features,
    pub endpoint: Endpoint,
    /// Where to measure by TCP connect when ICMP is silent (PIA: the region's `meta` server, port 443).
    pub tcp_probe: Option<SocketAddr>,
    /// The address the world sees behind it, from the server list.
    pub exit_address: Option<IpAddr>,
}

/// How the forwarded port of a connection is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortHold {
    /// This server is known to forward none, with the reason in words for a person.
    Unavailable(String),
    /// NAT-PMP (RFC 6886) at `gateway` inside the tunnel.
    NatPmp { gateway: IpAddr },
    /// PIA's getSignature and bindPort at `https://cn:19999`, reached at `server_vip` inside the tunnel.
    Pia { server_vip: IpAddr, cn: String },
}

/// A chosen server made ready: what to bring up, and how its port is held.
#[derive(Clone, Debug)]
pub struct Connection {
    pub server: Server,
    pub tunnel: Tunnel,
    pub port: PortHold,
}

/// What stands behind a tunnel and runs out: the session with the provider, the certificate of the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// When something has to be renewed, by the wall clock; `None`: nothing runs out, or nothing can be done about it.
    pub due_at: Option<UnixTime>,
    /// Whether there is a session; `None` where the provider knows none.
    pub logged_in: Option<bool>,
    /// What a person should know, with the command that helps.
    pub problem: Option<String>,
    /// Why the last renewal brought nothing, while that is no problem yet.
    pub failed: Option<String>,
}

/// What a provider is asked, in this order. Runs on a worker thread or in a command: it may block, each request
/// within its own limit, and says by the log what it waits for.
pub trait Provider {
    fn kind(&self) -> ProviderKind;

    /// All servers of the account, offline ones left out. A cached list is used while it is fresh, or when the API is
    /// away; `refresh` asks for a conditional request whatever its age.
    fn list_servers(&mut self, refresh: bool) -> Result<Vec<Server>>;

    /// Shows each server of [`Provider::list_servers`], one at a time: a long list need not be held twice.
    fn visit_servers(&mut self, refresh: bool, each: &mut dyn FnMut(Server)) -> Result<()> {
        self.list_servers(refresh)?.into_iter().for_each(each);
        Ok(())
    }

    /// Of a server with several entry addresses, this one is shown: what `--server ADDRESS` asks for.
    fn prefer_entry(&mut self, _address: IpAddr) {}

    /// Traffic stands still: what is on disk serves whatever its age, and nobody is asked for what can wait.
    fn hurry(&mut self) {}

    /// Logs in where needed and makes the keys for this server.
    fn open(&mut self, server: &Server) -> Result<Connection>;

    /// How session and key are, from disk alone: asks nobody.
    fn look(&mut self) -> Result<Upkeep> {
        Ok(Upkeep::default())
    }

    /// Renews what is due and says how it is then. The tunnel goes on with the key it has.
    fn renew(&mut self) -> Result<Upkeep> {
        self.look()
    }
}
