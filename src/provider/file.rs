//! Provider `file`: every `*.conf` of a folder is a server. Needs no account and no network. A file that cannot be
//! read is said in the log, with its line, and does not keep the others from working.

use super::{Connection, Country, Endpoint, Features, PortHold, Provider, ProviderKind, Server};
use crate::config::wgconf::{self, WgConf};
use crate::config::{Config, PortForwarding, load};
use crate::error::{Doing, Error, Exit, Result};
use crate::sys::files::Files;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// Below the configuration directory (`product.md`, Files).
pub const DIR_NAME: &str = "wireguard";
/// Larger than any `.conf` there is (chosen); what is larger is something else.
const FILE_MOST: usize = 256 * 1024;

/// The provider of a folder.
pub struct FileProvider<F> {
    dir: PathBuf,
    port: PortForwarding,
    files: F,
    /// What was said about broken files, so that it is not said at every look.
    said: Vec<String>,
}

impl<F: Files> FileProvider<F> {
    /// The provider of `wireguard/` below the configuration's directory.
    pub fn new(config: &Config, files: F) -> FileProvider<F> {
        let dir = config.dir.join(DIR_NAME);
        FileProvider { dir, port: config.port_forwarding.clone(), files, said: Vec::new() }
    }

    /// The readable files, by name, each with its file name.
    fn load(&mut self) -> Result<Vec<(String, WgConf)>> {
        let names = self.files.list(&self.dir).doing(|| format!("list {}", self.dir.display()))?;
        let mut readable = Vec::new();
        let mut broken = Vec::new();
        for name in names.iter().filter_map(|n| n.to_str()).filter(|n| is_conf(n)) {
            let path = self.dir.join(name);
            match parse(self.files.read(&path, FILE_MOST)) {
                Ok(conf) => readable.push((name.to_owned(), conf)),
                Err(text) => broken.push(format!("{}{text}", path.display())),
            }
        }
        for text in broken.iter().filter(|t| !self.said.contains(t)) {
            log::warn!("file: {text}");
        }
        self.said = broken;
        match (readable.is_empty(), self.said.first()) {
            (false, _) => Ok(readable),
            (true, Some(first)) => Err(Error::new(Exit::NoServer, format!("no readable .conf: {first}"))),
            (true, None) => Err(Error::new(
                Exit::NoServer,
                format!("no .conf in {}: put the files of your provider there", self.dir.display()),
            )),
        }
    }
}

/// Whether a file of this name is a server.
pub fn is_conf(name: &str) -> bool {
    name.ends_with(".conf") && !name.starts_with('.')
}

fn parse(bytes: io::Result<Vec<u8>>) -> std::result::Result<WgConf, String> {
    let bytes = zeroize::Zeroizing::new(bytes.map_err(|e| format!(": {e}"))?);
    let text = load::utf8(&bytes).map_err(|f| format!(":{f}"))?;
    wgconf::parse(text).map_err(|f| format!(":{f}"))
}

impl<F: Files> Provider for FileProvider<F> {
    fn kind(&self) -> ProviderKind {
        ProviderKind::File
    }

    fn list_servers(&mut self, _refresh: bool) -> Result<Vec<Server>> {
        Ok(self.load()?.iter().filter_map(|(file, conf)| server(file, conf)).collect())
    }

    fn open(&mut self, server: &Server) -> Result<Connection> {
        let file = self.load()?.into_iter().find(|(file, _)| *file == server.id);
        let Some((_, conf)) = file else {
            return Err(Error::new(
                Exit::NoServer,
                format!("{} is gone", self.dir.join(&server.id).display()),
            ));
        };
        for note in &conf.notes {
            log::info!("file: {}: {note}", server.id);
        }
        let port = port_hold(&conf, &self.port);
        Ok(Connection { server: server.clone(), tunnel: conf.tunnel, port })
    }
}

/// What a file says about its server; `None` when no peer has an endpoint, which `wgconf` refuses.
fn server(file: &str, conf: &WgConf) -> Option<Server> {
    let stem = file.strip_suffix(".conf").unwrap_or(file);
    let name = conf.name.clone().unwrap_or_else(|| stem.to_owned());
    let endpoint = conf.tunnel.peers.iter().find_map(|p| p.endpoint.clone())?;
    let host = match &endpoint {
        Endpoint::Name { host, .. } => Some(host.clone()),
        Endpoint::Addr(_) => None,
    };
    Some(Server {
        provider: ProviderKind::File,
        id: file.to_owned(),
        country: country(&name),
        name,
        host,
        city: None,
        region: None,
        load: None,
        score: None,
        features: Features {
            p2p: conf.nat_pmp == Some(true),
            forwards: conf.nat_pmp,
            ipv6: conf.tunnel.carries(false),
            ..Features::default()
        },
        endpoint,
        tcp_probe: None,
        exit_address: None,
    })
}

/// The two letters a name begins with, when no third one follows: `NL#12`, `us-nyc`, `de`.
fn country(name: &str) -> Option<Country> {
    let code = name.get(..2)?;
    let next = name[2..].chars().next();
    Country::parse(code).filter(|_| !next.is_some_and(char::is_alphabetic))
}

fn port_hold(conf: &WgConf, port: &PortForwarding) -> PortHold {
    let gateway: Option<IpAddr> = port.gateway.or_else(|| conf.tunnel.dns.first().copied());
    match gateway {
        _ if conf.nat_pmp == Some(false) => PortHold::Unavailable(
            "its .conf says that NAT-PMP is off: make one with port forwarding on".into(),
        ),
        Some(gateway) => PortHold::NatPmp { gateway },
        None => PortHold::Unavailable(
            "no gateway to ask: the .conf has no DNS, and [port_forwarding] no gateway".into(),
        ),
    }
}

#[cfg(test)]
mod tests;
