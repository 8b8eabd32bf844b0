//! What the supervisor does for the provider while a tunnel is up: use the session often enough that it does not go
//! stale, renew the certificate in time, and read plan and list once a day, so that another server can be taken from
//! what is on disk while the API is away.

use super::Proton;
use super::api::BUDGET;
use super::session;
use super::{ACCOUNT_FRESH_SECS, Account};
use crate::error::{Error, Exit, Result};
use crate::provider::Upkeep;
use crate::time::{Duration, UnixTime, secs};

/// An idle session ends after about 30 days (measured by others, not documented); a quarter of that.
const SESSION_INTERVAL_SECS: u64 = 7 * 86_400;
/// For session, plan and certificate together; chosen short, since a server that died waits for the same worker.
const RENEWAL: Duration = secs(10);

impl Proton<'_> {
    /// How it is by the files alone. `failed`: why a renewal brought nothing.
    pub(super) fn look_at_files(&mut self, failed: Option<Error>) -> Result<Upkeep> {
        let wall = self.clock().wall();
        let certificate = self.kept_key()?.and_then(|k| k.certificate);
        let ends = certificate.as_ref().map(|c| match c.is_alive(wall) {
            true => format!("; the key works until {}", c.expires_at),
            false => format!("; the key has ended at {}", c.expires_at),
        });
        let ends = ends.unwrap_or_default();
        let Some(session) = self.store.load()? else {
            let why = if certificate.is_some() { session::ENDED } else { session::NEVER };
            let (text, may_log_in) = self.without_session(why)?;
            let failed = failed.map(|e| e.to_string());
            let problem = (!may_log_in).then(|| format!("{text}{ends}"));
            return Ok(Upkeep {
                due_at: may_log_in.then_some(wall),
                logged_in: Some(false),
                problem,
                failed,
            });
        };
        let account = self.kept_account()?.map_or(UnixTime(0), |a| a.read_at);
        let due_at = [
            certificate.as_ref().map(|c| c.renew_at),
            Some(UnixTime(session.renewed_at.0.saturating_add(SESSION_INTERVAL_SECS))),
            Some(UnixTime(account.0.saturating_add(ACCOUNT_FRESH_SECS))),
        ];
        let soon = certificate.as_ref().is_some_and(|c| c.ends_soon(wall));
        let is_problem = soon || failed.as_ref().is_some_and(|e| e.exit() != Exit::Provider);
        let failed = failed.map(|e| e.to_string());
        let problem = failed.as_ref().filter(|_| is_problem).map(|why| format!("{why}{ends}"));
        Ok(Upkeep { due_at: due_at.into_iter().flatten().min(), logged_in: Some(true), problem, failed })
    }

    /// Renews what is due. Blocks up to the API's budget; for the internet's worker. Fails only when the files do.
    pub(super) fn renew_what_is_due(&mut self) -> Result<Upkeep> {
        self.api.begin(RENEWAL);
        let failed = self.renew_all().err();
        if failed.is_none() {
            self.api.begin(BUDGET);
            if let Err(why) = self.load_list(false) {
                log::warn!("proton: {why}");
            }
            self.list = None;
        }
        self.look_at_files(failed)
    }

    fn renew_all(&mut self) -> Result<()> {
        let wall = self.clock().wall();
        let is_due = |s: &session::Session| wall.0 >= s.renewed_at.0.saturating_add(SESSION_INTERVAL_SECS);
        if let Some(s) = self.store.load()?.filter(is_due) {
            match session::refresh(&self.api, &self.store, &s) {
                // A login may follow, with the next question.
                Ok(_) | Err(session::Trouble::NotLoggedIn(_)) => {}
                Err(why) => return Err(Error::from(why).context("refresh the session")),
            }
        }
        let account = self.daily_account(wall)?;
        self.renew_certificate(&account)
    }

    fn daily_account(&mut self, wall: UnixTime) -> Result<Account> {
        let is_kept = |a: &Account| a.read_at <= wall && wall.0 - a.read_at.0 < ACCOUNT_FRESH_SECS;
        let kept = self.kept_account()?.filter(is_kept);
        match kept.filter(|_| self.is_logged_in().unwrap_or(false)) {
            Some(account) => Ok(account),
            None => self.fetch_account().map_err(|why| why.context("read the plan")),
        }
    }
}
