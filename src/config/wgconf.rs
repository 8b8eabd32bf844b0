//! The text of a WireGuard `.conf`, as wg(8) and wg-quick(8) describe it, to a [`Tunnel`] and back.
//!
//! Keys and section names count in any case, `#` begins a comment anywhere, `Address`, `DNS` and `AllowedIPs` may be
//! lists and stand more than once, of other keys the last one counts. Differences from wg-quick: hooks (`PostUp` and
//! its like) are refused, since pvpn runs no programs of a file's choosing; `SaveConfig` is passed over with a note.
//! Comments of Proton's and others' files are understood: the one above a peer's key is the server's name, and
//! `NAT-PMP (Port Forwarding) = on` says that it forwards ports. No fault repeats a value of the file, since a key
//! may stand anywhere by mistake.

mod emit;

use super::ini::Fault;
use super::secret::{PublicKey, SecretKey};
use crate::address::IpNet;
use crate::provider::Endpoint;
use crate::time::{Duration, secs};
use crate::tunnel::{Mtu, Peer, Table, Tunnel};
use std::net::{IpAddr, SocketAddr};

pub use emit::emit;

/// A `.conf` with what its comments say.
#[derive(Clone, Debug, PartialEq)]
pub struct WgConf {
    pub tunnel: Tunnel,
    /// The comment above the first peer's key: `NL#12`.
    pub name: Option<String>,
    /// `# NAT-PMP (Port Forwarding) = on`.
    pub nat_pmp: Option<bool>,
    /// `# Key for my-cli-host`.
    pub key_for: Option<String>,
    /// What was passed over, for a person.
    pub notes: Vec<String>,
}

/// Longest name taken from a comment, characters. Chosen: more would break a table.
const NAME_MOST: usize = 64;
/// RFC 8200 section 5.
const IPV6_MTU: u16 = 1280;
const MAIN_TABLE: u32 = 254; // RT_TABLE_MAIN, linux/rtnetlink.h
const HOOKS: [&str; 4] = ["preup", "postup", "predown", "postdown"];
const INTERFACE_KEYS: &str = "PrivateKey, Address, DNS, MTU, Table, FwMark, ListenPort, SaveConfig";
const PEER_KEYS: &str = "PublicKey, PresharedKey, AllowedIPs, Endpoint, PersistentKeepalive";

/// Parses the text of a file.
pub fn parse(text: &str) -> Result<WgConf, Fault> {
    let mut file = Reader::default();
    for (n, raw) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        file.line = n + 1;
        file.read(raw).map_err(|text| Fault { line: n + 1, text })?;
    }
    file.finish()
}

#[derive(Default, PartialEq, Eq, Clone, Copy)]
enum Section {
    #[default]
    None,
    Interface,
    Peer,
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    section: Section,
    line: usize,
    private_key: Option<SecretKey>,
    addresses: Vec<IpNet>,
    dns: Vec<IpAddr>,
    search_domains: Vec<String>,
    mtu: Option<(Mtu, usize)>,
    table: Table,
    fwmark: Option<u32>,
    listen_port: Option<u16>,
    peers: Vec<PartialPeer>,
    /// The last comment in this peer that may be a name.
    comment: Option<String>,
    name: Option<String>,
    nat_pmp: Option<bool>,
    key_for: Option<String>,
    notes: Vec<String>,
}

#[derive(Default)]
struct PartialPeer {
    line: usize,
    public_key: Option<PublicKey>,
    preshared_key: Option<SecretKey>,
    endpoint: Option<Endpoint>,
    allowed_ips: Vec<IpNet>,
    keepalive: Option<Duration>,
}

impl Reader {
    fn read(&mut self, raw: &str) -> Result<(), String> {
        let (text, comment) = match raw.split_once('#') {
            Some((text, comment)) => (text.trim(), Some(comment)),
            None => (raw.trim(), None),
        };
        if text.is_empty() {
            if let Some(comment) = comment {
                self.read_comment(comment);
            }
            return Ok(());
        }
        if let Some(name) = text.strip_prefix('[') {
            return self.read_section(name.strip_suffix(']').ok_or("a section has no closing ]")?.trim());
        }
        let (key, value) =
            text.split_once('=').ok_or("neither `Key = value` nor `[Section]` nor a comment")?;
        let (key, value) = (key.trim(), value.trim());
        let lower = key.to_ascii_lowercase();
        match self.section {
            Section::None => Err("a key before [Interface]".into()),
            _ if HOOKS.contains(&lower.as_str()) => Err(format!(
                "{key} would run a program: pvpn runs no hooks of a .conf; take the line out (on_change and on_state \
                 in config.ini run programs)"
            )),
            Section::Interface => self.read_interface(&lower, value),
            Section::Peer => self.read_peer(&lower, value),
        }
    }

    fn read_section(&mut self, name: &str) -> Result<(), String> {
        self.section = if name.eq_ignore_ascii_case("interface") {
            Section::Interface
        } else if name.eq_ignore_ascii_case("peer") {
            self.peers.push(PartialPeer { line: self.line, ..PartialPeer::default() });
            self.comment = None;
            Section::Peer
        } else {
            return Err("unknown section; there are [Interface] and [Peer]".into());
        };
        Ok(())
    }

    fn read_comment(&mut self, comment: &str) {
        let comment = comment.trim().trim_start_matches('#').trim();
        let lower = comment.to_ascii_lowercase();
        if let Some((left, right)) = lower.split_once('=') {
            let is_nat_pmp =
                left.contains("nat-pmp") || left.contains("natpmp") || left.contains("port forwarding");
            match right.trim() {
                "on" | "1" | "true" | "yes" if is_nat_pmp => self.nat_pmp = Some(true),
                "off" | "0" | "false" | "no" if is_nat_pmp => self.nat_pmp = Some(false),
                _ => {}
            }
        } else if self.section == Section::Peer {
            self.comment = Some(plain(comment)).filter(|c| !c.is_empty()).or(self.comment.take());
        } else if let (true, Some(host)) = (lower.starts_with("key for "), comment.get("key for ".len()..)) {
            self.key_for = Some(plain(host));
        }
    }

    fn read_interface(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "privatekey" => self.private_key = Some(SecretKey::parse(value).ok_or(NOT_A_KEY)?),
            "address" => {
                for item in items(value) {
                    self.addresses
                        .push(item.parse().map_err(|_| "Address must be addresses such as 10.2.0.2/32")?);
                }
            }
            "dns" => items(value).try_for_each(|item| self.read_dns(item))?,
            "mtu" => {
                let mtu = number(value, 65535).and_then(|n| Mtu::new(n as u16));
                self.mtu = Some((mtu.ok_or("MTU must be a number from 576 to 65535")?, self.line));
            }
            "table" => {
                self.table = match value.to_ascii_lowercase().as_str() {
                    "auto" => Table::Auto,
                    "off" => Table::Off,
                    "main" => Table::Number(MAIN_TABLE),
                    other => Table::Number(
                        hex_or_decimal(other)
                            .filter(|n| *n > 0)
                            .ok_or("Table must be auto, off or a number")?,
                    ),
                }
            }
            "fwmark" => {
                let mark = if value.eq_ignore_ascii_case("off") { Some(0) } else { hex_or_decimal(value) };
                self.fwmark = Some(mark.ok_or("FwMark must be off, a number or 0x and a hexadecimal one")?)
                    .filter(|n| *n != 0);
            }
            "listenport" => {
                let port = number(value, 65535).ok_or("ListenPort must be a number from 0 to 65535")?;
                self.listen_port = Some(port as u16).filter(|n| *n != 0);
            }
            "saveconfig" => {
                self.notes.push("SaveConfig is passed over: pvpn never writes to a .conf it was given".into())
            }
            _ => return Err(unknown(key, "Interface", INTERFACE_KEYS)),
        }
        Ok(())
    }

    fn read_dns(&mut self, item: &str) -> Result<(), String> {
        if let Ok(addr) = item.parse() {
            self.dns.push(addr);
        } else if is_host(item) {
            self.search_domains.push(item.to_owned());
        } else {
            return Err("DNS must be addresses and search domains, separated by commas".into());
        }
        Ok(())
    }

    fn read_peer(&mut self, key: &str, value: &str) -> Result<(), String> {
        let is_first = self.peers.len() == 1;
        // A peer is begun by the line that made this section.
        let Some(peer) = self.peers.last_mut() else { return Err("a key before [Peer]".into()) };
        match key {
            "publickey" => {
                peer.public_key = Some(PublicKey::parse(value).ok_or(NOT_A_KEY)?);
                if is_first {
                    self.name = self.comment.take().or(self.name.take());
                }
            }
            "presharedkey" => {
                let key = SecretKey::parse(value).ok_or(NOT_A_KEY)?;
                // wg(8): all zeros means none.
                peer.preshared_key = Some(key).filter(|k| k.reveal() != &[0; 32]);
            }
            "allowedips" => {
                for item in items(value) {
                    let net: IpNet =
                        item.parse().map_err(|_| "AllowedIPs must be networks such as 0.0.0.0/0")?;
                    if !peer.allowed_ips.contains(&net.network()) {
                        peer.allowed_ips.push(net.network());
                    }
                }
            }
            "endpoint" => {
                let endpoint = parse_endpoint(value);
                peer.endpoint =
                    Some(endpoint.ok_or("Endpoint must be ADDRESS:PORT, [ADDRESS]:PORT or NAME:PORT")?);
            }
            "persistentkeepalive" => {
                let seconds = if value.eq_ignore_ascii_case("off") { Some(0) } else { number(value, 65535) };
                let seconds = seconds.ok_or("PersistentKeepalive must be off or a number from 0 to 65535")?;
                peer.keepalive = Some(secs(seconds.into())).filter(|d| !d.is_zero());
            }
            _ => return Err(unknown(key, "Peer", PEER_KEYS)),
        }
        Ok(())
    }

    fn finish(self) -> Result<WgConf, Fault> {
        let fault = |line, text: &str| Fault { line, text: text.to_owned() };
        let private_key =
            self.private_key.ok_or_else(|| fault(self.line, "[Interface] has no PrivateKey"))?;
        if self.addresses.is_empty() {
            return Err(fault(self.line, "[Interface] has no Address"));
        }
        if let Some((mtu, line)) = self.mtu {
            if mtu.bytes() < IPV6_MTU && self.addresses.iter().any(|a| !a.is_ipv4()) {
                return Err(fault(line, "an MTU below 1280 carries no IPv6, but Address has one"));
            }
        }
        let peers = self.peers.into_iter().map(|p| {
            let public_key = p.public_key.ok_or_else(|| fault(p.line, "[Peer] has no PublicKey"))?;
            Ok(Peer {
                public_key,
                preshared_key: p.preshared_key,
                endpoint: p.endpoint,
                allowed_ips: whole(p.allowed_ips),
                keepalive: p.keepalive,
            })
        });
        let peers = peers.collect::<Result<Vec<Peer>, Fault>>()?;
        if !peers.iter().any(|p| p.endpoint.is_some()) {
            return Err(fault(self.line, "no [Peer] has an Endpoint: there is no server to connect to"));
        }
        let tunnel = Tunnel {
            private_key,
            addresses: self.addresses,
            dns: self.dns,
            search_domains: self.search_domains,
            mtu: self.mtu.map(|(mtu, _)| mtu),
            table: self.table,
            fwmark: self.fwmark,
            listen_port: self.listen_port,
            peers,
        };
        Ok(WgConf {
            tunnel,
            name: self.name,
            nat_pmp: self.nat_pmp,
            key_for: self.key_for,
            notes: self.notes,
        })
    }
}

/// Two halves of an address family are all of it: many files say `0.0.0.0/1, 128.0.0.0/1` for a default route.
fn whole(mut nets: Vec<IpNet>) -> Vec<IpNet> {
    for (low, high) in [("0.0.0.0", "128.0.0.0"), ("::", "8000::")] {
        let half = |addr: &str| addr.parse().ok().map(|addr| IpNet { addr, prefix: 1 });
        let (Some(low), Some(high)) = (half(low), half(high)) else { continue };
        if nets.contains(&low) && nets.contains(&high) {
            nets.retain(|net| *net != low && *net != high);
            let all = IpNet { prefix: 0, ..low };
            if !nets.contains(&all) {
                nets.push(all);
            }
        }
    }
    nets
}

const NOT_A_KEY: &str = "a key must be 44 characters of base64";

fn unknown(key: &str, section: &str, allowed: &str) -> String {
    let is_name = key.len() <= 24 && key.bytes().all(|b| b.is_ascii_alphanumeric());
    let key = if is_name { key } else { "(not a name)" };
    format!("unknown key {key} in [{section}]; there are {allowed}")
}

fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn number(text: &str, most: u32) -> Option<u32> {
    let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| is_digits && *n <= most)
}

fn hex_or_decimal(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None => number(text, u32::MAX),
    }
}

/// `ADDRESS:PORT`, `[ADDRESS]:PORT` or `NAME:PORT`.
pub fn parse_endpoint(text: &str) -> Option<Endpoint> {
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return (addr.port() != 0).then_some(Endpoint::Addr(addr));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = number(port, 65535).filter(|n| *n != 0)? as u16;
    is_host(host).then(|| Endpoint::Name { host: host.to_owned(), port })
}

/// A host or domain name: letters, digits, `-`, `_` and dots, and not all digits and dots (RFC 1123 section 2.1; the
/// underscore is seen in practice).
fn is_host(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=253).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && !text.starts_with(['.', '-'])
        && !text.contains("..")
}

/// A comment's text, without what would confuse a terminal.
fn plain(comment: &str) -> String {
    comment.chars().filter(|c| !c.is_control()).take(NAME_MOST).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests;
