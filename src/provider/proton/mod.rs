//! Proton VPN: log in, list servers, keep a key whose certificate forwards ports
//! (reference clients: ProtonVPN/python-proton-core, python-proton-vpn-api-core).
//!
//! What is on disk, all of mode 0600: in `session_dir` the session (`session.json`), the plan (`account.json`) and the
//! key with what is known of its certificate (`key.json`), each read again before use since another process may have
//! changed it; `proton/servers.json`, the list; `wireguard/NAME.conf` for each server opened, so that the provider
//! `file` needs no API. Connecting with a good certificate and a fresh list asks the API nothing.

pub mod account;
pub mod api;
mod certificate;
mod code;
mod keys;
mod list;
pub mod login;
mod modulus;
mod opened;
mod password;
mod refusals;
#[cfg(test)]
mod scene;
pub mod servers;
pub mod session;
mod srp;
mod totp;
mod upkeep;
#[cfg(test)]
mod vectors;

pub use account::Account;
pub use login::{Ask, Credentials, Unattended};

use crate::config::{self, Config, load};
use crate::error::{Doing as _, Error, Exit, Result};
use crate::provider::store::Store;
use crate::provider::{Connection, Provider, ProviderKind, Server, Upkeep};
use crate::sys::Clock;
use crate::sys::files::Files;
use crate::sys::http::Http;
use crate::time::{Duration, secs};
use api::{Api, BUDGET, Call, Failure, Identity};
use servers::{ServerList, Stamp};
use session::{Session, Trouble};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// A password file or CA file longer than this is a mistake; chosen.
const FILE_MOST: usize = 256 << 10;
/// The plan is read again after this; chosen: plans change by the month.
const ACCOUNT_FRESH_SECS: u64 = 86_400;
/// One that is limited may have been changed for a better one a moment ago; chosen: one connection asks once.
const LIMITED_FRESH_SECS: u64 = 60;
/// How long the API is waited for while what it would say is on disk; chosen: below what a person waits for in doubt.
const PATIENCE: Duration = secs(8);

/// How to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginBy {
    Password,
    Code,
}

/// The provider, on one thread at a time; several processes may each have one.
pub struct Proton<'a> {
    config: config::Proton,
    /// `~/.pvpn-cli/pvpn`.
    dir: PathBuf,
    api: Api<'a>,
    store: Store<'a>,
    list: Option<(ServerList, Stamp)>,
    prefer: Option<IpAddr>,
    /// What is on disk serves whatever its age.
    hurry: bool,
    /// The API did not answer: this process asks it for no more than it needs.
    is_away: bool,
    /// A login refused once is not tried again by this process: repeated logins bring the CAPTCHA.
    refused: Option<Error>,
}

impl<'a> Proton<'a> {
    /// Asks nobody anything. Fails with exit 78 when `ca_file` can not be read.
    pub fn new(
        config: &Config,
        http: &'a dyn Http,
        files: &'a dyn Files,
        clock: &'a dyn Clock,
    ) -> Result<Proton<'a>> {
        let ca_pem = config.proton.ca_file.as_ref().map(|path| {
            let read = files.read(path, FILE_MOST);
            read.doing(|| format!("read ca_file {}", path.display()))
                .map_err(|e| e.with_exit(Exit::BadConfig))
        });
        Ok(Proton {
            config: config.proton.clone(),
            dir: config.dir.clone(),
            api: Api::new(http, clock, &config.proton.api_url, ca_pem.transpose()?),
            store: Store::new(files, clock, &config.proton.session_dir),
            list: None,
            prefer: None,
            hurry: false,
            is_away: false,
            refused: None,
        })
    }

    /// Whether a key is on disk: its certificate outlives a logout, and so do the `.conf` files made of it.
    pub fn has_key(&self) -> Result<bool> {
        Ok(self.kept_key()?.is_some())
    }

    /// Whether a session is on disk. Asks the API nothing.
    pub fn is_logged_in(&self) -> Result<bool> {
        Ok(self.store.load()?.is_some())
    }

    /// Logs in, puts the session on disk and returns what the plan allows. The password and code of `known` come
    /// first, then `ask`.
    pub fn log_in(&mut self, by: LoginBy, known: &Credentials, ask: &mut dyn Ask) -> Result<Account> {
        self.api.begin(BUDGET);
        let session = match by {
            LoginBy::Password => login::login(&self.api, &self.identity(), known, ask)?,
            LoginBy::Code => code::login(&self.api, &self.identity(), &known.user, ask)?,
        };
        self.store.store(&session)?;
        self.forget_refusals()?;
        log::info!("proton: logged in");
        self.api.begin(BUDGET);
        self.fetch_account()
    }

    /// Ends the session at Proton and on disk, key and plan included. A refused token is refreshed once, so that the
    /// session does end. Exit 13 when Proton could not be told: the files
    /// are gone all the same.
    pub fn log_out(&mut self) -> Result<()> {
        self.api.begin(BUDGET);
        let told = session::call(&self.api, &self.store, |s| {
            let end = Call::delete("/auth").by(&s.uid, &s.access_token);
            self.api.call(&s.identity, &end).map(|_| ())
        });
        let _lock = self.store.lock("session.lock")?;
        for name in ["session.json", "account.json", "key.json"] {
            self.store.remove(name)?;
        }
        match told {
            Ok(()) | Err(Trouble::NotLoggedIn(_)) => Ok(()),
            Err(Trouble::Failed(e)) if e.exit() == Exit::LoginRefused => Ok(()),
            Err(Trouble::Failed(e)) => {
                Err(e.context("the session is gone from this machine, but Proton could not be told"))
            }
        }
    }

    /// The plan, from disk while it is fresh or the API is away. A better one may have been bought a
    /// moment ago.
    pub fn account(&mut self) -> Result<Account> {
        let kept = self.kept_account()?;
        let wall = self.clock().wall();
        if let Some(account) = &kept {
            let fresh = if account.limits().is_some() { LIMITED_FRESH_SECS } else { ACCOUNT_FRESH_SECS };
            if self.hurry || self.is_away || wall.0.saturating_sub(account.read_at.0) < fresh {
                return Ok(account.clone());
            }
            self.api.begin(PATIENCE);
        }
        match (self.fetch_account(), kept) {
            (Err(why), Some(account)) if why.exit() == Exit::Provider => {
                log::warn!(
                    "proton: {why}; using the plan of {} h ago",
                    (wall.0 - account.read_at.0.min(wall.0)) / 3600
                );
                Ok(account)
            }
            (read, _) => read,
        }
    }

    /// Whether the API answers, for `doctor`. Needs no session.
    pub fn ping(&self) -> Result<()> {
        self.api.begin(BUDGET);
        self.api.call(&self.identity(), &Call::get("/tests/ping")).map(|_| ()).map_err(Error::from)
    }

    fn kept_account(&self) -> Result<Option<Account>> {
        Ok(self.store.read_json("account.json")?.and_then(|file| Account::read(&file)))
    }

    fn fetch_account(&mut self) -> Result<Account> {
        let reply =
            self.ask(|api, s| api.call(&s.identity, &Call::get("/vpn/v2").by(&s.uid, &s.access_token)))?;
        let account = Account::parse(&reply, self.clock().wall())
            .ok_or_else(|| Error::new(Exit::Provider, "Proton's /vpn/v2 names no plan"))?;
        self.store.write("account.json", account.emit().as_bytes())?;
        Ok(account)
    }

    fn clock(&self) -> &'a dyn Clock {
        self.api.clock()
    }

    fn identity(&self) -> Identity {
        Identity { app_version: self.config.app_version.clone(), user_agent: self.config.user_agent.clone() }
    }

    /// Makes a call with the session, logging in first where the configuration has what that needs.
    fn ask<T>(&mut self, send: impl Fn(&Api<'_>, &Session) -> std::result::Result<T, Failure>) -> Result<T> {
        let call = |p: &Self| session::call(&p.api, &p.store, |s| send(&p.api, &p.known_as(s)));
        match call(self) {
            Err(Trouble::NotLoggedIn(why)) => {
                self.log_in_unattended(why)?;
                Ok(call(self)?)
            }
            other => Ok(other?),
        }
    }

    /// A session keeps the identity it was made with, but for a version of the same app that the configuration has
    /// raised meanwhile.
    fn known_as(&self, session: &Session) -> Session {
        let app = |version: &str| version.split('@').next().map(str::to_owned);
        let mut session = session.clone();
        if app(&session.identity.app_version) == app(&self.config.app_version) {
            session.identity = self.identity();
        }
        session
    }

    fn log_in_unattended(&mut self, why: &'static str) -> Result<()> {
        let known = self.credentials()?;
        if known.user.is_empty() || known.password.is_none() {
            return Err(Trouble::NotLoggedIn(why).into());
        }
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        // One login for all processes that find themselves without a session.
        let _lock = self.store.lock("login.lock")?;
        if self.store.load()?.is_some() {
            return Ok(());
        }
        self.may_log_in(&known)?;
        log::info!("proton: {why}, logging in");
        match login::login(&self.api, &self.identity(), &known, &mut Unattended) {
            Ok(session) => {
                self.store.store(&session)?;
                self.forget_refusals()
            }
            Err(e) => {
                if e.exit() == Exit::LoginRefused {
                    self.note_refusal(&known, &e)?;
                }
                Err(e)
            }
        }
    }

    /// What the configuration knows for a login.
    pub fn credentials(&self) -> Result<Credentials> {
        let read = |path: &Path| self.store.files().read(path, FILE_MOST);
        let password = load::password(self.config.pass.as_ref(), self.config.pass_file.as_deref(), &read)?;
        Ok(Credentials {
            user: self.config.user.clone().unwrap_or_default(),
            password: password.filter(|p| !p.is_empty()),
            totp_code: self.config.totp_code.clone(),
            totp_secret: self.config.totp_secret.clone(),
        })
    }
}

impl Provider for Proton<'_> {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Proton
    }

    fn list_servers(&mut self, refresh: bool) -> Result<Vec<Server>> {
        let mut servers = Vec::new();
        self.visit_servers(refresh, &mut |server| servers.push(server))?;
        Ok(servers)
    }

    fn visit_servers(&mut self, refresh: bool, each: &mut dyn FnMut(Server)) -> Result<()> {
        self.visit_list(refresh, each)
    }

    fn prefer_entry(&mut self, address: IpAddr) {
        self.prefer = Some(address);
    }

    fn hurry(&mut self) {
        self.hurry = true;
    }

    fn open(&mut self, server: &Server) -> Result<Connection> {
        self.api.begin(BUDGET);
        self.open_server(server)
    }

    fn look(&mut self) -> Result<Upkeep> {
        self.look_at_files(None)
    }

    fn renew(&mut self) -> Result<Upkeep> {
        self.renew_what_is_due()
    }
}

#[cfg(test)]
mod tests;
