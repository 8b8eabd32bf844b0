//! The server list: from disk while it is fresh, by a conditional request when it is old, from disk again when the API
//! is away. Loads are refreshed more often than the list, and are not worth an error.

use super::api::{BUDGET, Call, Failure};
use super::servers::{ServerList, Stamp, View};
use super::session::Session;
use super::{Account, PATIENCE, Proton};
use crate::error::{Error, Exit, Result};
use crate::provider::Server;
use crate::sys::files::Durable;
use crate::time::UnixTime;
use crate::wire::http::{Response, plain};
use crate::wire::json::JsonError;
use std::path::PathBuf;

/// `WithIpV6` adds the servers' IPv6 entries (ProtonMail/WebClients).
const LOGICALS: &str = "/vpn/v1/logicals?SecureCoreFilter=all&WithState=true&WithIpV6=1";
const LOADS: &str = "/vpn/v1/loads";
/// The reference client refreshes every 3 h and 15 min; slower, as asked.
const LIST_FRESH_SECS: u64 = 6 * 3600;
const LOADS_FRESH_SECS: u64 = 30 * 60;
/// The list is 13.5 MB at 18,000 servers; room for five times that.
const LIST_MOST: u64 = 64 << 20;
/// The cache is a sixth of it.
const CACHE_MOST: usize = 16 << 20;
/// Sent when there is no list yet, as the reference client does.
const EPOCH: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

impl Proton<'_> {
    /// Shows every server of the account, offline ones left out, in the order of their names, without holding them
    /// all: 18,000 `Server` values are four times the list itself.
    pub(super) fn visit_list(&mut self, refresh: bool, each: &mut dyn FnMut(Server)) -> Result<()> {
        self.api.begin(BUDGET);
        self.load_list(refresh)?;
        let account = self.account().map_err(|why| log::debug!("proton: plan: {why}")).ok();
        let (port, prefer) = (self.config.wireguard_port, self.prefer);
        let dice = self.clock().now().since_boot().subsec_nanos() >> 4;
        if let Some((list, _)) = &self.list {
            list.visit(&View { account: account.as_ref(), port, prefer, dice }, each);
        }
        Ok(())
    }

    /// Sees to it that `self.list` is there.
    pub(super) fn load_list(&mut self, refresh: bool) -> Result<()> {
        if self.list.is_none() {
            self.list = self.cached();
        }
        let wall = self.clock().wall();
        let stamp = self.list.as_ref().map(|(_, stamp)| stamp.clone());
        let is_current = stamp.as_ref().is_some_and(|s| is_fresh(s.checked_at, wall, LIST_FRESH_SECS));
        if (self.hurry || self.is_away) && stamp.is_some() {
            return Ok(());
        }
        if refresh || !is_current {
            if stamp.is_some() && !refresh {
                self.api.begin(PATIENCE);
            }
            // While the next list is read, the one before waits on disk.
            self.list = None;
            let fetched = self.fetch(stamp.as_ref().and_then(|s| s.last_modified.clone()));
            return self.take(fetched, wall);
        }
        if stamp.is_some_and(|s| !is_fresh(s.loads_at, wall, LOADS_FRESH_SECS)) {
            self.api.begin(PATIENCE);
            self.refresh_loads(wall);
        }
        Ok(())
    }

    /// Keeps what was fetched, or goes on with what is on disk.
    fn take(&mut self, fetched: Result<Option<(ServerList, Option<String>)>>, wall: UnixTime) -> Result<()> {
        match fetched {
            Ok(Some((list, last_modified))) => {
                log::debug!("proton: {} servers listed", list.len());
                self.list = Some((list, Stamp { last_modified, checked_at: wall, loads_at: wall }));
                self.keep_list();
                Ok(())
            }
            Ok(None) => {
                self.list = self.cached();
                if let Some((_, stamp)) = &mut self.list {
                    stamp.checked_at = wall;
                    if is_fresh(stamp.loads_at, wall, LOADS_FRESH_SECS) {
                        self.keep_list();
                    } else {
                        self.refresh_loads(wall);
                    }
                    return Ok(());
                }
                Err(Error::failed("Proton's list is unchanged, but the one kept is gone: try again"))
            }
            Err(why) => {
                self.list = self.cached();
                let Some((_, stamp)) = &self.list else {
                    return Err(why.context("read Proton's server list"));
                };
                let hours = wall.0.saturating_sub(stamp.checked_at.0) / 3600;
                log::warn!("proton: {why}; using the server list of {hours} h ago");
                self.is_away = why.exit() == Exit::Provider;
                Ok(())
            }
        }
    }

    fn fetch(&mut self, since: Option<String>) -> Result<Option<(ServerList, Option<String>)>> {
        log::info!("proton: reading the server list");
        self.ask(|api, s| {
            let since = since.clone().unwrap_or_else(|| EPOCH.to_owned());
            let mut response =
                api.open(&s.identity, &long_call(LOGICALS, s, vec![("If-Modified-Since", since)]))?;
            if response.status == 304 {
                return Ok(None);
            }
            let last_modified = response.header("last-modified").map(str::to_owned);
            let list = ServerList::parse(&mut response.body).map_err(|e| unreadable(&response, &e))?;
            if list.is_empty() {
                return Err(Failure::NotApi { status: 200, what: "a list without servers".to_owned() });
            }
            Ok(Some((list, last_modified)))
        })
    }

    /// Merges current loads into the list; on failure the old ones stay.
    fn refresh_loads(&mut self, wall: UnixTime) {
        let Some((list, mut stamp)) = self.list.take() else { return };
        let list = std::cell::RefCell::new(list);
        let merged = self.ask(|api, s| {
            let mut response = api.open(&s.identity, &long_call(LOADS, s, Vec::new()))?;
            let merged = list.borrow_mut().merge_loads(&mut response.body);
            merged.map_err(|e| unreadable(&response, &e))
        });
        match merged {
            Ok(count) => {
                log::debug!("proton: {count} loads refreshed");
                stamp.loads_at = wall;
            }
            Err(why) => {
                log::warn!("proton: {why}; the loads shown are older than half an hour");
                self.is_away = why.exit() == Exit::Provider;
            }
        }
        self.list = Some((list.into_inner(), stamp));
        self.keep_list();
    }

    fn cached(&self) -> Option<(ServerList, Stamp)> {
        let path = self.list_path();
        let bytes = self.store.files().read(&path, CACHE_MOST).ok()?;
        ServerList::read(bytes.as_slice()).ok().flatten().or_else(|| {
            log::debug!("proton: {} is of no use, reading the list afresh", path.display());
            None
        })
    }

    fn keep_list(&self) {
        let Some((list, stamp)) = &self.list else { return };
        let (path, files) = (self.list_path(), self.store.files());
        let draft = path.with_extension("json.new");
        let kept = self.store.lock("servers.lock").and_then(|_lock| {
            files.create_dir(&self.dir.join("proton"), 0o700)?;
            files.remove(&draft)?;
            list.emit(stamp, &mut |piece| files.append(&draft, piece.as_bytes(), Durable::No))?;
            Ok(files.rename(&draft, &path)?)
        });
        if let Err(e) = kept {
            log::warn!("proton: write {}: {e}", path.display());
        }
    }

    fn list_path(&self) -> PathBuf {
        self.dir.join("proton/servers.json")
    }

    /// The account's limits, said before connecting.
    pub(super) fn say_limits(&self, account: &Account) {
        if let Some(limits) = account.limits() {
            log::warn!("proton: {limits}");
        }
    }
}

fn long_call<'c>(path: &'c str, s: &'c Session, headers: Vec<(&'static str, String)>) -> Call<'c> {
    let call = Call { headers, timeout: BUDGET, body_limit: LIST_MOST, ..Call::get(path) };
    call.by(&s.uid, &s.access_token)
}

fn unreadable(response: &Response, why: &JsonError) -> Failure {
    match (why, response.header("content-type")) {
        (JsonError::Read(why), _) => Failure::Away(why.clone()),
        (_, Some(kind)) if !kind.contains("json") => {
            Failure::NotApi { status: response.status, what: plain(kind, 60) }
        }
        _ => Failure::NotApi { status: response.status, what: why.to_string() },
    }
}

/// A time in the future comes from a clock that was wrong, then or now.
fn is_fresh(at: UnixTime, wall: UnixTime, most: u64) -> bool {
    at <= wall && wall.0 - at.0 < most
}
