//! Typed settings: what `config.ini` says after it was read, with the defaults of `product.md`.
//!
//! A key that is not set in the file has the default of the contract, never a made-up value; `Option` means that
//! unset has a meaning of its own (guessed, computed, or "no filter").

pub mod example;
pub mod ini;
pub mod keys;
pub mod load;
pub mod secret;
pub mod wgconf;

use crate::address::IpNet;
use crate::provider::{Country, ProviderKind};
use crate::time::Duration;
use secret::Secret;
use std::path::PathBuf;

/// How `connect` ranks servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fastest {
    Ping,
    Api,
}

/// Which torrents are started again after a connection (`[qbittorrent] resume`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    Stalled,
    All,
    Off,
}

/// Everything in `config.ini`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory the file was read from: keys, sessions and lists live below it.
    pub dir: PathBuf,
    pub provider: Option<ProviderKind>,
    pub connect: ConnectDefaults,
    pub proton: Proton,
    pub pia: Pia,
    pub qbittorrent: Qbittorrent,
    pub network: Network,
    pub port_forwarding: PortForwarding,
    pub monitor: Monitor,
    pub check: Check,
}

/// `[connect]`: what `connect` and `list` ask for when the flag is not given.
#[derive(Clone, Debug)]
pub struct ConnectDefaults {
    pub cc: Vec<Country>,
    pub city: Option<String>,
    pub server: Option<String>,
    pub secure_core: bool,
    pub p2p: bool,
    pub fastest: Fastest,
    pub latency_cutoff: Option<Duration>,
}

/// `[protonvpn]`
#[derive(Clone, Debug)]
pub struct Proton {
    pub user: Option<String>,
    pub pass: Option<Secret>,
    pub pass_file: Option<PathBuf>,
    pub totp_code: Option<Secret>,
    pub totp_secret: Option<Secret>,
    pub wireguard_port: u16,
    pub session_dir: PathBuf,
    pub netshield: u8,
    pub vpn_accelerator: bool,
    pub api_url: String,
    pub app_version: String,
    pub user_agent: String,
    pub ca_file: Option<PathBuf>,
}

/// `[pia]`
#[derive(Clone, Debug)]
pub struct Pia {
    pub user: Option<String>,
    pub pass: Option<Secret>,
    pub pass_file: Option<PathBuf>,
    /// Ids or names, in order of preference.
    pub region: Vec<String>,
    /// Of a dedicated address.
    pub dip_token: Option<Secret>,
    pub token_url: String,
    pub serverlist_url: String,
    pub ca_file: Option<PathBuf>,
    pub server_ca_file: Option<PathBuf>,
    pub serverlist_key_file: Option<PathBuf>,
}

/// `[qbittorrent]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qbittorrent {
    pub enable: bool,
    pub url: String,
    pub user: Option<String>,
    pub pass: Option<Secret>,
    pub pass_file: Option<PathBuf>,
    pub api_key: Option<Secret>,
    /// The listen port to restore when there is no forwarded one.
    pub port: u16,
    pub resume: Resume,
    pub unbind: bool,
}

/// `[network]`
#[derive(Clone, Debug)]
pub struct Network {
    pub ks_default: bool,
    pub dns_default: bool,
    /// Servers with more load than this are left out, percent.
    pub threshold_default: u8,
    /// `None`: the directly attached private networks.
    pub lan: Option<Vec<IpNet>>,
    /// `wgp{cc}` or a constant name.
    pub interface: String,
}

/// `[port_forwarding]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortForwarding {
    pub enable: bool,
    /// `None`: the tunnel's first DNS address.
    pub gateway: Option<std::net::IpAddr>,
    pub file: Option<PathBuf>,
    pub on_change: Option<String>,
    pub log_fallback: Option<PathBuf>,
}

/// `[monitor]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    pub interval: Duration,
    pub failures: u32,
    pub latency_threshold: Duration,
    pub on_state: Option<String>,
}

/// `[check]`
#[derive(Clone, Debug)]
pub struct Check {
    pub ip_url: String,
}
