//! A chosen server made ready: the key with its certificate, the tunnel, and the same as `.conf` text
//! (ProtonMail/WebClients `containers/vpn/WireGuardConfigurationSection/getConfigTemplate.ts`).

use super::api::{BUDGET, Call, Code};
use super::certificate::{Certificate, KeyFile, Wishes, request};
use super::keys::Seed;
use super::servers::Entry;
use super::{Account, PATIENCE, Proton};
use crate::address::IpNet;
use crate::error::{Doing as _, Error, Exit, Result};
use crate::provider::{Connection, Endpoint, PortHold, Server, key};
use crate::sys::files::Durable;
use crate::time::secs;
use crate::tunnel::{Peer, Table, Tunnel};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use zeroize::Zeroizing;

/// The same for every user and server; IPv6 where the server has an IPv6 entry.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 2));
const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1));
const ADDRESS6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2a07, 0xb944, 0, 0, 0, 0, 2, 2));
const GATEWAY6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2a07, 0xb944, 0, 0, 0, 0, 2, 1));
const KEEPALIVE_SECS: u64 = 25;

impl Proton<'_> {
    pub(super) fn open_server(&mut self, server: &Server) -> Result<Connection> {
        let address = match server.endpoint {
            Endpoint::Addr(SocketAddr::V4(a)) => IpAddr::V4(*a.ip()),
            _ => return Err(Error::failed(format!("{} has no entry address", server.name))),
        };
        if self.list.is_none() {
            self.load_list(false)?;
        }
        let found = self.list.as_ref().and_then(|(list, _)| list.find(&server.name, address));
        let entry = found.ok_or_else(|| {
            Error::new(Exit::NoServer, format!("{} at {address} is not in Proton's list", server.name))
        })?;
        let account = self.account()?;
        self.say_limits(&account);
        let key = self.ensure_key(&account)?;
        let tunnel = self.tunnel(&key, &entry);
        if let Err(why) = self.write_conf(server, &tunnel, key.certificate.as_ref()) {
            log::warn!("proton: {why}");
        }
        let port = port_hold(server, &account, key.certificate.as_ref());
        Ok(Connection { server: server.clone(), tunnel, port })
    }

    fn tunnel(&self, key: &KeyFile, entry: &Entry) -> Tunnel {
        let own = if entry.has_ipv6 { vec![ADDRESS, ADDRESS6] } else { vec![ADDRESS] };
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        Tunnel {
            private_key: key.seed.wireguard_key(),
            addresses: own.into_iter().map(IpNet::host).collect(),
            dns: if entry.has_ipv6 { vec![GATEWAY, GATEWAY6] } else { vec![GATEWAY] },
            search_domains: Vec::new(),
            mtu: None,
            table: Table::Auto,
            fwmark: None,
            listen_port: None,
            peers: vec![Peer {
                public_key: entry.public_key,
                preshared_key: None,
                endpoint: Some(Endpoint::Addr(SocketAddr::new(
                    IpAddr::V4(entry.address),
                    self.config.wireguard_port,
                ))),
                // `::/0` also where the tunnel has no IPv6: nothing then leaves beside it.
                allowed_ips: any.map(|addr| IpNet { addr, prefix: 0 }).to_vec(),
                keepalive: Some(secs(KEEPALIVE_SECS)),
            }],
        }
    }

    fn wishes(&self, account: &Account) -> Wishes {
        Wishes {
            netshield: self.config.netshield,
            vpn_accelerator: self.config.vpn_accelerator,
            port_forwarding: account.may_forward(),
        }
    }

    /// The key with a certificate that serves, made or changed where needed. One that is merely due is left to the
    /// supervisor, so that no connection waits for it.
    pub(super) fn ensure_key(&mut self, account: &Account) -> Result<KeyFile> {
        let _lock = self.store.lock("key.lock")?;
        let (wishes, wall) = (self.wishes(account), self.clock().wall());
        let key = self.load_key()?;
        let alive = key.certificate.as_ref().filter(|c| c.is_alive(wall));
        if alive.is_some_and(|c| c.wishes == wishes || self.hurry) {
            return Ok(key);
        }
        let is_alive = alive.is_some();
        // The plan may have taken its time before.
        self.api.begin(if is_alive { PATIENCE } else { BUDGET - PATIENCE });
        let mut renewed = key.clone();
        match self.certify_and_keep(&mut renewed, wishes) {
            Ok(()) => Ok(renewed),
            Err(why) if is_alive && why.exit() == Exit::Provider => {
                log::warn!("proton: change the certificate: {why}; the present one goes on");
                Ok(key)
            }
            Err(why) => Err(why.context("get a certificate from Proton")),
        }
    }

    /// Has the certificate of the key on disk renewed where that is due. The key stays, and with it the tunnel.
    pub(super) fn renew_certificate(&mut self, account: &Account) -> Result<()> {
        let _lock = self.store.lock("key.lock")?;
        let Some(mut key) = self.kept_key()? else { return Ok(()) };
        if !key.certificate.as_ref().is_some_and(|c| c.is_due(self.clock().wall())) {
            return Ok(());
        }
        let wishes = self.wishes(account);
        self.certify_and_keep(&mut key, wishes).map_err(|why| why.context("renew the certificate"))
    }

    fn certify_and_keep(&mut self, key: &mut KeyFile, wishes: Wishes) -> Result<()> {
        let certificate = self.certify(key, wishes)?;
        if wishes.port_forwarding && certificate.forwards == Some(false) {
            log::warn!("proton: the certificate was given without port forwarding");
        }
        let word = if key.certificate.is_some() { "renewed" } else { "given" };
        log::info!("proton: certificate {word}, good until {}", certificate.expires_at);
        key.certificate = Some(certificate);
        self.store.write("key.json", key.emit().as_bytes())
    }

    /// The key on disk, or one made for this user and put there before anything uses it.
    fn load_key(&mut self) -> Result<KeyFile> {
        let user = self.store.load()?.map(|s| s.user);
        let kept = self.kept_key()?;
        if let Some(key) = kept.filter(|k| user.as_ref().is_none_or(|u| *u == k.user)) {
            return Ok(key);
        }
        let seed = Seed::new(*key::draw_seed()?);
        let key = KeyFile { user: user.unwrap_or_default(), seed, certificate: None };
        self.store.write("key.json", key.emit().as_bytes())?;
        Ok(key)
    }

    pub(super) fn kept_key(&self) -> Result<Option<KeyFile>> {
        Ok(self.store.read_json("key.json")?.and_then(|file| KeyFile::read(&file)))
    }

    fn certify(&mut self, key: &KeyFile, wishes: Wishes) -> Result<Certificate> {
        let pem = key.seed.public_pem().ok_or_else(|| Error::failed("the key file holds no usable key"))?;
        let device = self.device_name();
        let known = key.certificate.is_some();
        let reply = self.ask(|api, s| {
            let send = |renew| {
                let body = request(&pem, &device, wishes, renew);
                let call = Call::post("/vpn/v1/certificate", body).by(&s.uid, &s.access_token);
                api.call(&s.identity, &call)
            };
            match send(known) {
                Err(f) if !known && (f.is(Code::KeyKnown) || f.status() == Some(409)) => send(true),
                other => other,
            }
        })?;
        Certificate::parse(&reply, wishes, self.clock().wall())
            .ok_or_else(|| Error::new(Exit::Provider, "Proton's certificate names no end"))
    }

    /// Shown on the account's page.
    fn device_name(&self) -> String {
        let name = self.store.files().read(Path::new("/proc/sys/kernel/hostname"), 256).unwrap_or_default();
        format!("pvpn {}", String::from_utf8_lossy(&name).trim()).trim_end().to_owned()
    }

    fn write_conf(&self, server: &Server, tunnel: &Tunnel, certificate: Option<&Certificate>) -> Result<()> {
        let dir = self.dir.join("wireguard");
        let path = dir.join(conf_name(&server.name));
        let text = conf_text(server, tunnel, certificate.map(|c| c.wishes), &self.device_name());
        let files = self.store.files();
        if files.read(&path, 64 << 10).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(());
        }
        files.create_dir(&dir, 0o700).doing(|| format!("make {}", dir.display()))?;
        files
            .replace(&path, text.as_bytes(), 0o600, Durable::Yes)
            .doing(|| format!("write {}", path.display()))
    }
}

/// How the port is held, or why there is none.
fn port_hold(server: &Server, account: &Account, certificate: Option<&Certificate>) -> PortHold {
    if let Some(limits) = account.limits() {
        return PortHold::Unavailable(limits);
    }
    if server.features.forwards == Some(false) {
        return PortHold::Unavailable(format!("{} is not a P2P server: it forwards no port", server.name));
    }
    if certificate.is_some_and(|c| c.forwards == Some(false)) {
        return PortHold::Unavailable("Proton gave the certificate without port forwarding".to_owned());
    }
    PortHold::NatPmp { gateway: GATEWAY }
}

/// `NL#12` -> `NL-12.conf`.
fn conf_name(server: &str) -> String {
    let name =
        server.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' });
    name.chain(".conf".chars()).collect()
}

/// As the download page writes it; the comment on NAT-PMP is how a reader knows that ports are forwarded.
fn conf_text(server: &Server, tunnel: &Tunnel, wishes: Option<Wishes>, device: &str) -> Zeroizing<String> {
    let on = |yes| if yes { "on" } else { "off" };
    let mut out = Zeroizing::new(String::with_capacity(1024));
    let _ = writeln!(out, "[Interface]\n# Key for {device}");
    if let Some(w) = wishes {
        let _ = writeln!(out, "# NetShield = {}\n# Moderate NAT = off", w.netshield);
        let _ = writeln!(out, "# NAT-PMP (Port Forwarding) = {}", on(w.port_forwarding));
        let _ = writeln!(out, "# VPN Accelerator = {}", on(w.vpn_accelerator));
    }
    let _ = writeln!(out, "PrivateKey = {}", tunnel.private_key.reveal_text().reveal());
    let _ = writeln!(out, "Address = {}", joined(&tunnel.addresses));
    let _ = writeln!(out, "DNS = {}", joined(&tunnel.dns));
    for peer in &tunnel.peers {
        let _ = writeln!(out, "\n[Peer]\n# {}\nPublicKey = {}", server.name, peer.public_key);
        let _ = writeln!(out, "AllowedIPs = {}", joined(&peer.allowed_ips));
        let _ = writeln!(out, "Endpoint = {}\nPersistentKeepalive = {KEEPALIVE_SECS}", server.endpoint);
    }
    out
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
