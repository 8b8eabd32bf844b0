//! The text of a `.conf` from a [`WgConf`].

use super::WgConf;
use crate::address::IpNet;
use crate::config::secret::Secret;
use crate::tunnel::{Peer, Table};
use std::fmt::Write;
use std::net::IpAddr;

/// The file's text, for a file of mode 0600. Reading it back gives the same [`WgConf`], notes aside.
pub fn emit(conf: &WgConf) -> Secret {
    // Reserved ahead, so that no copy of the key is left behind by growing.
    let mut text = String::with_capacity(4096);
    // Writing to a String cannot fail.
    let _ = emit_to(conf, &mut text);
    Secret::new(text)
}

fn emit_to(conf: &WgConf, text: &mut String) -> std::fmt::Result {
    let t = &conf.tunnel;
    text.push_str("[Interface]\n");
    if let Some(host) = &conf.key_for {
        writeln!(text, "# Key for {host}")?;
    }
    if let Some(on) = conf.nat_pmp {
        writeln!(text, "# NAT-PMP (Port Forwarding) = {}", if on { "on" } else { "off" })?;
    }
    writeln!(text, "PrivateKey = {}", t.private_key.reveal_text().reveal())?;
    writeln!(text, "Address = {}", joined(&t.addresses))?;
    let resolvers =
        t.dns.iter().map(IpAddr::to_string).chain(t.search_domains.iter().cloned()).collect::<Vec<_>>();
    if !resolvers.is_empty() {
        writeln!(text, "DNS = {}", resolvers.join(", "))?;
    }
    if let Some(mtu) = t.mtu {
        writeln!(text, "MTU = {}", mtu.bytes())?;
    }
    match t.table {
        Table::Auto => {}
        Table::Off => text.push_str("Table = off\n"),
        Table::Number(n) => writeln!(text, "Table = {n}")?,
    }
    if let Some(mark) = t.fwmark {
        writeln!(text, "FwMark = {mark:#x}")?;
    }
    if let Some(port) = t.listen_port {
        writeln!(text, "ListenPort = {port}")?;
    }
    for (n, peer) in t.peers.iter().enumerate() {
        let name = conf.name.as_deref().filter(|_| n == 0);
        emit_peer(peer, name, text)?;
    }
    Ok(())
}

fn emit_peer(peer: &Peer, name: Option<&str>, text: &mut String) -> std::fmt::Result {
    text.push_str("\n[Peer]\n");
    if let Some(name) = name {
        writeln!(text, "# {name}")?;
    }
    writeln!(text, "PublicKey = {}", peer.public_key)?;
    if let Some(key) = &peer.preshared_key {
        writeln!(text, "PresharedKey = {}", key.reveal_text().reveal())?;
    }
    if !peer.allowed_ips.is_empty() {
        writeln!(text, "AllowedIPs = {}", joined(&peer.allowed_ips))?;
    }
    if let Some(endpoint) = &peer.endpoint {
        writeln!(text, "Endpoint = {endpoint}")?;
    }
    if let Some(keepalive) = peer.keepalive {
        writeln!(text, "PersistentKeepalive = {}", keepalive.as_secs())?;
    }
    Ok(())
}

fn joined(nets: &[IpNet]) -> String {
    nets.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", ")
}
