//! What happens to the supervisor, and what it asks to be done.

use super::clients::ClientId;
use super::control::{Ask, Tell};
use super::phase::{Choice, Ready};
use super::record::Record;
use super::wish::Wish;
use super::{clock, lease, publish, repair, session, sync};
use crate::address::IpNet;
use crate::change::state::KillSwitch;
use crate::config::Config;
use crate::config::secret::Secret;
use crate::error::{Error, Exit};
use crate::firewall::Policy;
use crate::provider::pia::forward::Grant;
use crate::provider::{ProviderKind, Server, Upkeep};
use crate::select::memory::Memory;
use crate::time::{Duration, UnixTime};
use crate::wire::http::{HttpError, Reply};
use std::net::IpAddr;
use std::path::PathBuf;

/// What the rest of the machine looks like, as far as the rules depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Networks of the addresses on links that are not ours, nor loopback.
    pub attached: Vec<IpNet>,
    /// Physical links, for the egress hook.
    pub links: Vec<String>,
    /// The machine's own resolvers, from the resolver file as its owner wrote it.
    pub resolvers: Vec<IpAddr>,
}

/// Signals, as the contract gives them meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, SIGINT: `disconnect` without flags.
    Disconnect,
    /// SIGUSR1: leave everything to the next supervisor.
    Leave,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    Client(ClientId, Ask),
    ClientGone(ClientId),
    Signal(Signal),
    /// SIGHUP, or a connect: the configuration was read again.
    Config(Box<Config>, Box<sync::Settings>),
    /// It cannot be read: what was read before stays in force.
    ConfigFailed(Error),
    Surroundings(Surroundings),
    /// `round` is that of the action; the answer of an overtaken one means nothing.
    Chosen {
        round: u64,
        result: Result<Choice, Error>,
    },
    Opened {
        round: u64,
        result: Box<Result<Ready, Error>>,
    },
    Linked(Result<(), Error>),
    /// `None`: the device could not be read.
    Looked(Option<Look>),
    /// The gateway answered an echo request.
    Echo {
        seq: u16,
    },
    Committed(Result<(), Error>),
    /// The rule set is loaded, or why not.
    PolicyLoaded(Result<(), Error>),
    /// What the kill switch is to be after a reboot is on disk, or why not.
    Remembered(Result<(), Error>),
    /// For the machine that holds the port.
    Lease(LeaseEvent),
    /// An effect of a port change ended.
    Published(publish::Target, Result<(), String>),
    /// qBittorrent's answer.
    QbittorrentReply {
        id: u64,
        reply: Result<Reply, HttpError>,
    },
    /// Whether a socket listens where it was asked about; `None` where that cannot be seen.
    Listening(Option<bool>),
    TornDown(Result<(), Error>),
    /// Something was changed, by us or by others.
    Changed(repair::Part),
    /// What was missing is put back, or why not.
    Inspected(Box<repair::Found>),
    /// Files in `/run/pvpn` were removed by somebody: the port file and what the next supervisor needs are written again.
    RunFilesGone,
    /// The machine slept this long.
    Resumed(Duration),
    Clock(clock::Input),
    /// Whether the tunnel's resolver answered a question.
    Named(bool),
    /// How session and key of this provider are.
    Kept(ProviderKind, Result<Upkeep, Error>),
    /// Somebody sent a packet into the tunnel, idle so far.
    Stirred,
    Wake,
}

#[derive(Debug)]
pub enum LeaseEvent {
    Datagram {
        from: std::net::SocketAddr,
        bytes: Vec<u8>,
    },
    SocketFailed(String),
    Log(String),
    /// A gateway's answer over HTTPS.
    Reply {
        id: u64,
        reply: Result<Reply, HttpError>,
    },
    /// The signed port that was on disk.
    Grant(Option<Grant>),
    Token(Result<Secret, Error>),
}

/// What a look at the WireGuard device showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Of the peer with the latest one; `None` = never.
    pub handshake: Option<UnixTime>,
    /// Of the link.
    pub mtu: Option<u32>,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
}

/// What the caller is to do. Those answered by an event name it.
#[derive(Debug)]
pub enum Action {
    Tell(ClientId, Tell),
    /// Rank servers on a worker: [`Event::Chosen`]. `current`: the healthy server in use; `returns`: whether to come back
    /// from it to a better one is the question. `hurry`: traffic stands still, so nothing is asked that can wait.
    Choose {
        round: u64,
        hurry: bool,
        wish: Box<Wish>,
        memory: Box<Memory>,
        current: Option<Box<Server>>,
        returns: bool,
    },
    /// Keep it for the next supervisor.
    KeepMemory(Box<Memory>),
    /// Log in and resolve on a worker: [`Event::Opened`].
    Open {
        round: u64,
        hurry: bool,
        server: Box<Server>,
    },
    /// Load this rule set unless it is loaded: [`Event::PolicyLoaded`].
    Load(Box<Policy>),
    /// Remember it across reboots, before the rules change: [`Event::Remembered`].
    Remember(Option<KillSwitch>),
    /// Make the link, or change its peer in place, and trigger a handshake: [`Event::Linked`].
    Link {
        interface: String,
        ready: Box<Ready>,
        in_place: bool,
    },
    /// Read the device: [`Event::Looked`].
    Look(String),
    /// Begin the handshake anew.
    Restart(String),
    /// Send an echo request to the gateway inside the tunnel.
    Ping {
        seq: u16,
    },
    /// Send the machine's traffic through it: routes, rules, resolver; then the old link goes: [`Event::Committed`].
    Commit {
        interface: String,
        ready: Box<Ready>,
        old: Option<String>,
        dns: bool,
    },
    /// Take back what `Link` made; in place: put the earlier peer back.
    Drop {
        interface: String,
        in_place: bool,
    },
    /// Delete tracked flows that are not ours.
    ForgetFlows,
    /// Open the sockets of the tunnel (NAT-PMP, echo), in place of earlier ones.
    OpenSockets {
        interface: String,
        source: Option<IpAddr>,
        gateway: Option<IpAddr>,
    },
    CloseSockets,
    /// Look after the provider's session on a worker: [`Event::Kept`].
    Keep {
        provider: ProviderKind,
        work: session::Work,
    },
    Lease(lease::Action),
    Publish(publish::Action),
    /// Remove the port from a place that the configuration has ceased to name.
    Withdraw(PathBuf),
    /// Requests are answered by [`Event::QbittorrentReply`], looks by [`Event::Listening`].
    Sync(sync::Action),
    /// What the next supervisor needs; `None` removes it.
    Record(Option<Box<Record>>),
    /// Write `status.json`.
    Snapshot,
    /// Run `[monitor] on_state`.
    StateHook(&'static str),
    /// READY, for a service manager.
    Ready,
    /// Look whether these are as they shall be, and put back what is missing: [`Event::Inspected`].
    Inspect(Vec<repair::Part>),
    /// Ask a time server once: [`Event::Clock`].
    AskTime {
        nth: usize,
    },
    /// Step the wall clock; only a failure is told: [`Event::Clock`].
    SetClock(UnixTime),
    /// Remember the highest wall clock.
    StoreClock(UnixTime),
    /// Ask this resolver inside the tunnel for [`names::NAME`](super::names::NAME): [`Event::Named`].
    AskName {
        interface: String,
        server: IpAddr,
        source: IpAddr,
    },
    /// Undo everything but the rule set under a closed kill switch: [`Event::TornDown`].
    TearDown,
    Exit(Exit),
}
