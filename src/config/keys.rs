//! Every key of `config.ini` in one table: its section, what it takes, its default and a line for people. The reader
//! (`load.rs`), the errors, `init` and `pkg/config.ini.example` all go by it.

use super::secret::Secret;
use crate::address::IpNet;
use crate::provider::Country;
use std::net::{IpAddr, Ipv4Addr};

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Number {
        min: u64,
        max: u64,
    },
    Word(&'static [&'static str]),
    Text,
    /// Never shown again, not even in an error.
    Secret,
    /// `~/` is the home; a relative one is below the configuration directory.
    Path,
    Url,
    Countries,
    List,
    Nets,
    Addr,
    Interface,
}

/// A value that was understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Number(u64),
    Text(String),
    Secret(Secret),
    List(Vec<String>),
    Countries(Vec<Country>),
    Nets(Vec<IpNet>),
    Addr(IpAddr),
}

/// One key of the table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub section: &'static str,
    pub name: &'static str,
    pub kind: Kind,
    /// As it would be written; empty where unset has a meaning of its own.
    pub default: &'static str,
    pub help: &'static str,
}

/// The sections in the order of the example.
pub const SECTIONS: [&str; 9] =
    ["vpn", "connect", "protonvpn", "pia", "qbittorrent", "network", "port_forwarding", "monitor", "check"];

const fn key(
    section: &'static str,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Key {
    Key { section, name, kind, default, help }
}

const PORT: Kind = Kind::Number { min: 1, max: 65535 };
/// A minute is chosen: no answer that slow is of use.
const MS: Kind = Kind::Number { min: 1, max: 60_000 };

/// The API's address, app version and user agent are those of `reference/proton-api.md` 1.1 and 1.2; PIA's
/// addresses are those of `reference/pia-api.md` 1.1 and 2.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("vpn", "provider", Kind::Word(&["proton", "pia", "file"]), "", "proton, pia or file; unset: the one that is set up, files when neither proton nor pia is"),
    key("connect", "cc", Kind::Countries, "", "NL, or NL, CH in order of preference"),
    key("connect", "city", Kind::Text, "", "only servers in this city"),
    key("connect", "server", Kind::Text, "", "a server's name, host name or entry address"),
    key("connect", "sc", Kind::Bool, "false", "only Secure Core servers"),
    key("connect", "p2p", Kind::Bool, "false", "only servers that forward ports"),
    key("connect", "fastest", Kind::Word(&["ping", "api"]), "ping", "ping measures, api trusts the provider's numbers"),
    key("connect", "latency_cutoff", MS, "", "ms; stop measuring at the first server faster than this"),
    key("protonvpn", "user", Kind::Text, "", "the Proton account's user name"),
    key("protonvpn", "pass", Kind::Secret, "", "or pass_file; not needed while the session lives"),
    key("protonvpn", "pass_file", Kind::Path, "", "a file with the password on its first line"),
    key("protonvpn", "2fa", Kind::Secret, "", "a code used once; or 2fa_secret"),
    key("protonvpn", "2fa_secret", Kind::Secret, "", "the BASE32 text behind the codes, to compute them"),
    key("protonvpn", "wireguard_port", PORT, "51820", "the endpoint's port"),
    key("protonvpn", "session_dir", Kind::Path, "proton", "where session.json lives"),
    key("protonvpn", "netshield", Kind::Number { min: 0, max: 2 }, "0", "0 off, 1 malware, 2 advertisements and trackers too"),
    key("protonvpn", "vpn_accelerator", Kind::Bool, "true", "Proton's VPN Accelerator"),
    key("protonvpn", "api_url", Kind::Url, "https://vpn-api.proton.me", "the API's address"),
    key("protonvpn", "app_version", Kind::Text, "linux-vpn-gui@5.8.7+x86-64", "what the API is told; raise it when Proton refuses it as too old"),
    key("protonvpn", "user_agent", Kind::Text, "ProtonVPN/5.8.7 (Linux; ubuntu/24.04)", "likewise"),
    key("protonvpn", "ca_file", Kind::Path, "", "PEM; adds to the built-in roots"),
    key("pia", "user", Kind::Text, "", "the PIA account's user name (p and digits)"),
    key("pia", "pass", Kind::Secret, "", "or pass_file"),
    key("pia", "pass_file", Kind::Path, "", "a file with the password on its first line"),
    key("pia", "dip_token", Kind::Secret, "", "of a dedicated address, which then is the region dedicated-ip"),
    key("pia", "region", Kind::List, "", "ids or names in order of preference; unset: the fastest that forwards ports"),
    key("pia", "token_url", Kind::Url, "https://www.privateinternetaccess.com/api/client/v2/token", "where to log in"),
    key("pia", "serverlist_url", Kind::Url, "https://serverlist.piaservers.net/vpninfo/servers/v6", "the signed server list"),
    key("pia", "ca_file", Kind::Path, "", "PEM; adds to the built-in roots"),
    key("pia", "server_ca_file", Kind::Path, "", "PEM; replaces PIA's own authority for its servers"),
    key("pia", "serverlist_key_file", Kind::Path, "", "SPKI, DER or PEM; replaces PIA's key of the server list"),
    key("qbittorrent", "enable", Kind::Bool, "true", "false: qBittorrent is never asked anything"),
    key("qbittorrent", "url", Kind::Url, "http://127.0.0.1:8080", "the WebUI"),
    key("qbittorrent", "user", Kind::Text, "", "the WebUI's user name, where it wants one"),
    key("qbittorrent", "pass", Kind::Secret, "", "or pass_file; or api_key"),
    key("qbittorrent", "pass_file", Kind::Path, "", "a file with the password on its first line"),
    key("qbittorrent", "api_key", Kind::Secret, "", "qbt_..., from qBittorrent 5.2 on"),
    key("qbittorrent", "port", PORT, "6881", "listen port to restore when there is no forwarded one"),
    key("qbittorrent", "resume", Kind::Word(&["stalled", "all", "off"]), "stalled", "which torrents are started again after connecting"),
    key("qbittorrent", "unbind", Kind::Bool, "false", "true: disconnect restores the earlier interface binding"),
    key("network", "ks_default", Kind::Bool, "false", "whether connect closes the kill switch"),
    key("network", "dns_default", Kind::Bool, "true", "whether connect uses the provider's resolver"),
    key("network", "threshold_default", Kind::Number { min: 1, max: 100 }, "60", "servers with more load than this percentage are left out"),
    key("network", "lan", Kind::Nets, "", "private networks, comma separated; unset: the directly attached private ones"),
    key("network", "interface", Kind::Interface, "wgp{cc}", "{cc} is the server's country; a name without it is constant"),
    key("port_forwarding", "enable", Kind::Bool, "true", "whether a port is asked for"),
    key("port_forwarding", "gateway", Kind::Addr, "", "unset: the tunnel's first DNS address"),
    key("port_forwarding", "file", Kind::Path, "", "a second place for the port, e.g. /tmp/gluetun/forwarded_port"),
    key("port_forwarding", "on_change", Kind::Text, "", "program run without a shell; {port} and {interface} are replaced"),
    key("port_forwarding", "log_fallback", Kind::Path, "", "a log file with 'Port pair N->N' lines, for when NAT-PMP grants nothing for 30 s"),
    key("monitor", "interval", Kind::Number { min: 1, max: 86_400 }, "60", "seconds between checks"),
    key("monitor", "failures", Kind::Number { min: 1, max: 1000 }, "3", "consecutive bad checks before another server is taken"),
    key("monitor", "latency_threshold", MS, "500", "ms; slower, or no answer, is a bad check"),
    key("monitor", "on_state", Kind::Text, "", "program run on a change of state; {state} is replaced"),
    key("check", "ip_url", Kind::Url, "https://api64.ipify.org", "answers with the caller's address"),
];

/// The table's row for a key.
pub fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.section == section && k.name == name)
}

/// The names a section knows, for an error: `cc, city, server`.
pub fn names(section: &str) -> String {
    KEYS.iter().filter(|k| k.section == section).map(|k| k.name).collect::<Vec<_>>().join(", ")
}

impl Kind {
    /// What is allowed, as it follows "must be".
    pub fn allowed(&self) -> String {
        match self {
            Kind::Bool => "true or false".into(),
            Kind::Number { min, max } => format!("a number from {min} to {max}"),
            Kind::Word(words) => match words.split_last() {
                Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
                None => String::new(),
            },
            Kind::Text | Kind::Secret => "text".into(),
            Kind::Path => "a path".into(),
            Kind::Url => "an address that begins with http:// or https://".into(),
            Kind::Countries => "two-letter country codes, separated by commas".into(),
            Kind::List => "names, separated by commas".into(),
            Kind::Nets => {
                "private networks such as 192.168.1.0/24 (RFC 1918, ULA, link-local or 100.64.0.0/10), \
                 separated by commas"
                    .into()
            }
            Kind::Addr => "an IPv4 or IPv6 address".into(),
            Kind::Interface => "an interface name of at most 15 characters, {cc} for the country".into(),
        }
    }

    /// Reads a value that is not unset; `None` when it is not allowed.
    pub fn parse(&self, text: &str) -> Option<Value> {
        Some(match self {
            Kind::Bool => Value::Bool(parse_bool(text)?),
            Kind::Number { min, max } => Value::Number(parse_number(text, *min, *max)?),
            Kind::Word(words) => Value::Text(words.iter().find(|w| **w == text)?.to_string()),
            // A script's variable that is not set is no directory.
            Kind::Path => Value::Text((!text.is_empty()).then(|| text.to_owned())?),
            Kind::Text => Value::Text(text.to_owned()),
            Kind::Secret => Value::Secret(Secret::new(text)),
            Kind::Url => Value::Text(parse_url(text)?.to_owned()),
            Kind::Countries => Value::Countries(items(text).map(Country::parse).collect::<Option<_>>()?),
            Kind::List => Value::List(items(text).map(str::to_owned).collect()),
            Kind::Nets => Value::Nets(items(text).map(parse_lan).collect::<Option<_>>()?),
            Kind::Addr => Value::Addr(text.parse().ok()?),
            Kind::Interface => Value::Text(parse_interface(text)?.to_owned()),
        })
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// `true` or `false`, in any case: Python's configparser wrote `True`.
pub fn parse_bool(text: &str) -> Option<bool> {
    [("true", true), ("false", false)].into_iter().find(|(w, _)| w.eq_ignore_ascii_case(text)).map(|(_, b)| b)
}

/// Decimal digits alone, within the bounds.
pub fn parse_number(text: &str, min: u64, max: u64) -> Option<u64> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|n| (min..=max).contains(n))
}

/// An `http` or `https` address with a host and without blanks.
pub fn parse_url(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let has_host = rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    (has_host && !text.contains(char::is_whitespace)).then_some(text)
}

/// A network the kill switch may leave open: private space, and carrier-grade NAT (RFC 6598) because the owner wrote
/// it down. Never a public range (TunnelCrack LocalNet, CVE-2023-36672).
pub fn parse_lan(text: &str) -> Option<IpNet> {
    const CGNAT: IpNet = IpNet { addr: IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), prefix: 10 };
    let net: IpNet = text.parse().ok()?;
    (net.is_private() || CGNAT.covers(&net)).then(|| net.network())
}

/// IFNAMSIZ leaves 15 bytes (`net/if.h`); the kernel's `dev_valid_name` forbids `/`, `:`, blanks, `.` and `..`.
fn parse_interface(text: &str) -> Option<&str> {
    let name = text.replace("{cc}", "nl");
    let fits = (1..=15).contains(&name.len()) && name != "." && name != "..";
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (fits && name.bytes().all(allowed)).then_some(text)
}
