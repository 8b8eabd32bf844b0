//! Private Internet Access: log in for a token, list the regions, have a fresh key added for each connection
//! (reference clients: pia-foss/manual-connections, pia-foss/desktop, thrnz/docker-wireguard-pia).
//!
//! What is on disk, all of mode 0600 in `pia/`: the token (`auth.json`) and how logins fared (`login.json`), the signed
//! server list (`servers.json`), and the port with its signature (`port.json`), which outlives tunnels, servers and
//! boots by two months. No `.conf` is written: a key serves one connection. Connecting with a good token and a fresh
//! list asks nobody but the server itself.

pub mod account;
pub mod addkey;
pub mod dedicated;
pub mod forward;
mod list;
pub mod regions;
mod token;
pub mod trust;

use crate::config::secret::SecretKey;
use crate::config::{self, Config};
use crate::error::{Doing as _, Error, Exit, Result};
use crate::provider::store::{self, Store};
use crate::provider::{Connection, Endpoint, PortHold, Provider, ProviderKind, Server, key};
use crate::sys::Clock;
use crate::sys::files::{Durable, Files};
use crate::sys::http::Http;
use crate::wire::http::{Reply, Request};
use crate::wire::json::Value;
use account::Site;
use addkey::{Added, By, Failure};
use forward::Grant;
use std::net::{IpAddr, SocketAddr};
use trust::Trusted;

/// Below the configuration directory (`product.md`, Files).
const DIR_NAME: &str = "pia";

/// The provider, on one thread at a time; several processes may each have one.
pub struct Pia<'a> {
    config: config::Pia,
    http: &'a dyn Http,
    clock: &'a dyn Clock,
    store: Store<'a>,
    trusted: Trusted,
}

impl<'a> Pia<'a> {
    /// Asks nobody anything. Fails with exit 78 when a file that the configuration names can not be read.
    pub fn new(
        config: &Config,
        http: &'a dyn Http,
        files: &'a dyn Files,
        clock: &'a dyn Clock,
    ) -> Result<Pia<'a>> {
        Ok(Pia {
            config: config.pia.clone(),
            http,
            clock,
            store: Store::new(files, clock, &config.dir.join(DIR_NAME)),
            trusted: Trusted::load(&config.pia, files)?,
        })
    }

    fn site(&self) -> Site<'a> {
        Site::new(self.http, &self.config.token_url, self.trusted.web.clone())
    }

    /// A token refused is replaced once: the second refusal is the account's.
    fn open_with_token(&mut self, cn: &str, at: SocketAddr) -> std::result::Result<Opened, Trouble> {
        let token = self.current_token()?;
        match self.add_key(cn, at, &By::Token(&token.secret)) {
            Err(Trouble::Server(Failure::Refused)) if !token.is_fresh => {
                let fresh = self.replace_token(&token.secret)?;
                self.add_key(cn, at, &By::Token(&fresh))
            }
            other => other,
        }
    }

    /// One addKey with a fresh key.
    fn add_key(&self, cn: &str, at: SocketAddr, by: &By<'_>) -> std::result::Result<Opened, Trouble> {
        let (private, public) = key::generate()?;
        let request = addkey::request(cn, at, by, &public, self.trusted.servers.clone());
        let added = self.send(&request).and_then(|reply| addkey::parse(&reply, &public));
        log::debug!("pia: {request:?}: {}", added.as_ref().err().map_or("ok".into(), ToString::to_string));
        Ok(Opened { added: added?, private })
    }

    fn send(&self, request: &Request) -> std::result::Result<Reply, Failure> {
        let response = self.http.send(request).map_err(Failure::Away)?;
        let status = response.status;
        Reply::read(response).map_err(|e| Failure::Other { status, text: format!("read its answer: {e}") })
    }
}

/// The port that is on disk.
pub fn kept_port(config: &Config, files: &dyn Files) -> Option<Grant> {
    let path = config.dir.join(DIR_NAME).join(forward::FILE_NAME);
    let text = zeroize::Zeroizing::new(files.read(&path, store::JSON_MOST).ok()?);
    Grant::read(&Value::parse(text.as_slice()).ok()?)
}

/// Keeps a port on disk for the connections to come; `None` forgets the one there is.
pub fn keep_port(config: &Config, files: &dyn Files, grant: Option<&Grant>) -> Result<()> {
    let dir = config.dir.join(DIR_NAME);
    let path = dir.join(forward::FILE_NAME);
    let Some(grant) = grant else {
        return files.remove(&path).doing(|| format!("remove {}", path.display()));
    };
    files.create_dir(&dir, 0o700).doing(|| format!("make {}", dir.display()))?;
    let text = grant.emit();
    files.replace(&path, text.as_bytes(), 0o600, Durable::Yes).doing(|| format!("write {}", path.display()))
}

struct Opened {
    added: Added,
    private: SecretKey,
}

enum Trouble {
    Server(Failure),
    Ours(Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Server(failure)
    }
}

impl From<Error> for Trouble {
    fn from(e: Error) -> Trouble {
        Trouble::Ours(e)
    }
}

impl Trouble {
    /// As an error about this server.
    fn at(self, server: &Server) -> Error {
        match self {
            Trouble::Ours(e) => e,
            Trouble::Server(Failure::Refused) => Error::new(
                Exit::LoginRefused,
                match server.region.as_deref() {
                    Some(dedicated::REGION) => format!("{} refuses dip_token", server.id),
                    _ => format!("{} refuses PIA's token, and one of a fresh login as well", server.id),
                },
            ),
            Trouble::Server(why) => Error::new(Exit::Provider, format!("addKey at {}: {why}", server.id)),
        }
    }
}

impl Provider for Pia<'_> {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Pia
    }

    /// Every WireGuard server of every region; those of one region share its name.
    fn list_servers(&mut self, refresh: bool) -> Result<Vec<Server>> {
        let list = self.load_list(refresh)?;
        let mut servers: Vec<Server> = self.dedicated_server(&list.regions).into_iter().collect();
        servers.extend(regions::servers(&list.regions));
        Ok(servers)
    }

    fn open(&mut self, server: &Server) -> Result<Connection> {
        let (Some(cn), Endpoint::Addr(at @ SocketAddr::V4(entry))) = (&server.host, &server.endpoint) else {
            return Err(Error::failed(format!("{} is no server of PIA's list", server.name)));
        };
        let opened = match &self.config.dip_token {
            Some(dip_token) if server.region.as_deref() == Some(dedicated::REGION) => {
                self.add_key(cn, *at, &By::DedicatedIp { dip_token, address: *entry.ip() })
            }
            _ => self.open_with_token(cn, *at),
        };
        let Opened { added, private } = opened.map_err(|trouble| trouble.at(server))?;
        let port = match (server.features.forwards, added.server_vip) {
            (Some(false), _) => {
                PortHold::Unavailable(format!("the region {} forwards no ports", server.name))
            }
            (_, Some(vip)) => PortHold::Pia { server_vip: IpAddr::V4(vip), cn: cn.clone() },
            (_, None) => PortHold::Unavailable(format!("{} names no gateway to ask for a port", server.id)),
        };
        let tunnel = addkey::tunnel(&added, private, *entry.ip());
        Ok(Connection { server: server.clone(), tunnel, port })
    }
}

#[cfg(test)]
mod tests;
