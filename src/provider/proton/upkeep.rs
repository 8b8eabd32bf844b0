//! What the supervisor does for the provider while connected: renew the certificate in time, and use the session often
//! enough that it does not go stale.

use super::Proton;
use super::api::BUDGET;
use super::session;
use crate::error::Result;
use crate::time::UnixTime;

/// An idle session ends after about 30 days (measured by others, not documented); a quarter of that.
const SESSION_INTERVAL_SECS: u64 = 7 * 86_400;
/// After a failure; chosen: a month of tries fits before a certificate's end.
const RETRY_SECS: u64 = 3600;

/// What the last upkeep found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// When to do it again, by the wall clock.
    pub next_at: UnixTime,
    /// For `health.session`: a session is on disk.
    pub has_session: bool,
    /// When the tunnel stops working unless renewed.
    pub expires_at: Option<UnixTime>,
    /// For `problems` of area `session`.
    pub problem: Option<String>,
}

impl Proton<'_> {
    /// When upkeep is due, from disk alone: at once where a certificate or session is over its time.
    pub fn upkeep_due(&self) -> Result<UnixTime> {
        let certificate = self.kept_key()?.and_then(|k| k.certificate).map(|c| c.renew_at.0);
        let session = self.store.load()?.map(|s| s.renewed_at.0.saturating_add(SESSION_INTERVAL_SECS));
        let far = self.clock().wall().0.saturating_add(SESSION_INTERVAL_SECS);
        Ok(UnixTime(certificate.unwrap_or(far).min(session.unwrap_or(far))))
    }

    /// Renews what is due. Blocks up to the API's budget; for the internet worker. Fails only when the files do.
    pub fn upkeep(&mut self) -> Result<Upkeep> {
        self.api.begin(BUDGET);
        let mut problem = None;
        let wall = self.clock().wall();
        if let Some(s) = self.store.load()?
            && wall.0 >= s.renewed_at.0.saturating_add(SESSION_INTERVAL_SECS)
            && let Err(why) = session::refresh(&self.api, &self.store, &s)
        {
            problem = Some(crate::error::Error::from(why).to_string());
        }
        let before = self.kept_key()?.and_then(|k| k.certificate);
        if before.as_ref().is_some_and(|c| c.is_due(wall)) {
            let renewed = self.account().and_then(|account| self.ensure_key(&account));
            problem = problem.or(renewed.err().map(|e| e.to_string()));
        }
        let certificate = self.kept_key()?.and_then(|k| k.certificate);
        let still_due = certificate.as_ref().is_some_and(|c| c.is_due(wall));
        if let (true, Some(c)) = (still_due, &certificate) {
            let days = c.expires_at.0.saturating_sub(wall.0) / 86_400;
            let why = problem.unwrap_or_else(|| "Proton did not renew it".to_owned());
            problem = Some(format!("the certificate ends in {days} days: {why}"));
        }
        let has_session = self.store.load()?.is_some();
        if !has_session && problem.is_none() {
            problem =
                Some(crate::error::Error::from(session::Trouble::NotLoggedIn(session::NEVER)).to_string());
        }
        let soonest = UnixTime(wall.0.saturating_add(RETRY_SECS));
        let next_at = if problem.is_some() { soonest } else { self.upkeep_due()?.max(soonest) };
        Ok(Upkeep { next_at, has_session, expires_at: certificate.map(|c| c.expires_at), problem })
    }
}
