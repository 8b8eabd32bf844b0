//! addKey: a public key and a token to a VPN server, a tunnel's settings back
//! (pia-foss/manual-connections `connect_to_wireguard_with_token.sh`).
//!
//! The request leaves outside any tunnel, to the server's address under the name in its certificate. A key serves one
//! connection: the server forgets it with the tunnel, and another addKey on the same server replaces it.

use super::account::{WORDS_MOST, clock_hint, is_page};
use crate::address::IpNet;
use crate::config::secret::{PublicKey, Secret, SecretKey};
use crate::provider::Endpoint;
use crate::time::{Duration, secs};
use crate::tunnel::{Peer, Table, Tunnel};
use crate::wire::http::{HttpError, Reply, Request, Trust, percent_encode, plain};
use crate::wire::json::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use zeroize::Zeroizing;

/// As PIA's Android application; three servers can be tried within `connect`'s first half minute.
const CALL_TIMEOUT: Duration = secs(8);
const BODY_MOST: u64 = 64 << 10;
/// pia-foss/manual-connections and pia-foss/desktop; a forwarded port behind NAT needs it.
const KEEPALIVE: Duration = secs(25);
/// PIA's plain resolvers inside the tunnel (pia-foss/desktop), for a server that names none.
const RESOLVERS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 243)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 242))];

/// Who asks.
pub enum By<'a> {
    Token(&'a Secret),
    /// A dedicated address asks with its own token as Basic user and its address as password.
    DedicatedIp {
        dip_token: &'a Secret,
        address: Ipv4Addr,
    },
}

/// What the server gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Added {
    pub server_key: PublicKey,
    pub server_port: u16,
    /// The gateway inside the tunnel, to ask for the port and to ping.
    pub server_vip: Option<Ipv4Addr>,
    pub peer_ip: Ipv4Addr,
    pub dns: Vec<IpAddr>,
}

/// Why there is no tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    Away(HttpError),
    /// The token is refused: a login may help.
    Refused,
    /// It answered, but not with a tunnel.
    Other {
        status: u16,
        text: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Away(why) => f.write_str(&clock_hint(why)),
            Failure::Refused => f.write_str("the token is refused"),
            Failure::Other { status, text } => write!(f, "{text} (HTTP {status})"),
        }
    }
}

/// The request for a server of this name at this address.
pub fn request(cn: &str, at: SocketAddr, by: &By<'_>, key: &PublicKey, trust: Trust) -> Request {
    let key = percent_encode(&key.to_string());
    let url = format!("https://{cn}:{}/addKey", at.port());
    let request = match by {
        By::Token(token) => Request::get(format!("{url}?pt={}&pubkey={key}", percent_encode(token.reveal()))),
        By::DedicatedIp { dip_token, address } => {
            let user = Zeroizing::new(format!("dedicated_ip_{}:{address}", dip_token.reveal()));
            Request::get(format!("{url}?pubkey={key}"))
                .header("Authorization", format!("Basic {}", STANDARD.encode(user.as_bytes())))
        }
    };
    Request { connect_to: Some(at), trust, timeout: CALL_TIMEOUT, body_limit: BODY_MOST, ..request }
}

/// Reads the server's answer to a request with this key.
pub fn parse(reply: &Reply, key: &PublicKey) -> Result<Added, Failure> {
    let status = reply.status;
    let other = |text: &str| Failure::Other { status, text: text.to_owned() };
    if is_page(reply) {
        return Err(other("the server answers with a web page"));
    }
    let body = Value::parse(reply.body.as_slice()).unwrap_or(Value::Null);
    let (word, message) = (body.at("status").text(), body.at("message").text().unwrap_or_default());
    if matches!(status, 401 | 403) || (word == Some("ERROR") && is_about_login(message)) {
        return Err(Failure::Refused);
    }
    if status != 200 || word != Some("OK") {
        let text = plain(message, WORDS_MOST);
        return Err(other(if text.is_empty() { "the server's answer makes no sense" } else { &text }));
    }
    let address = |name| body.at(name).text().and_then(|t| t.split('/').next()?.parse::<Ipv4Addr>().ok());
    let port = body.at("server_port").number().and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
    if body.at("peer_pubkey").text().is_some_and(|theirs| theirs != key.to_string()) {
        return Err(other("the server added another key than ours"));
    }
    Ok(Added {
        server_key: body
            .at("server_key")
            .text()
            .and_then(PublicKey::parse)
            .ok_or_else(|| other("the server gives no key"))?,
        server_port: port.ok_or_else(|| other("the server gives no port"))?,
        server_vip: address("server_vip"),
        peer_ip: address("peer_ip").ok_or_else(|| other("the server gives no address"))?,
        dns: body.at("dns_servers").items().iter().filter_map(|d| d.text()?.parse().ok()).collect(),
    })
}

/// `Login failed!` is what is known; a token that is over may be called by other names.
fn is_about_login(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["login", "token", "unauthorized", "credential"].iter().any(|word| message.contains(word))
}

/// The tunnel to bring up. PIA carries no IPv6: its tunnel has no address of it and takes none.
pub fn tunnel(added: &Added, private_key: SecretKey, server: Ipv4Addr) -> Tunnel {
    let dns = if added.dns.is_empty() { RESOLVERS.to_vec() } else { added.dns.clone() };
    Tunnel {
        private_key,
        addresses: vec![IpNet::host(IpAddr::V4(added.peer_ip))],
        dns,
        search_domains: Vec::new(),
        mtu: None,
        table: Table::Auto,
        fwmark: None,
        listen_port: None,
        peers: vec![Peer {
            public_key: added.server_key,
            preshared_key: None,
            endpoint: Some(Endpoint::Addr(SocketAddr::new(IpAddr::V4(server), added.server_port))),
            allowed_ips: vec![IpNet { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 }],
            keepalive: Some(KEEPALIVE),
        }],
    }
}

#[cfg(test)]
mod tests;
