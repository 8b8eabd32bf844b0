//! The token: kept until PIA refuses it, since logins are limited in rate and lock the account.
//!
//! `auth.json` holds the token and whose it is, `login.json` how logins fared: when the last ones were, and how long to
//! leave PIA alone. Both are shared by all processes; a login runs under a lock and begins with a look at the files, so
//! that of several who find the token refused one logs in. A token refused is replaced once by each who met it, and by
//! all together not more often than [`LOGINS_MOST`] in [`LOGINS_SPAN_SECS`].

use super::Pia;
use super::account::Failure;
use crate::config::load;
use crate::config::secret::Secret;
use crate::error::{Error, Exit, Result};
use crate::time::{Duration, UnixTime, secs};
use crate::wire::json::{Value, quote};
use ring::digest::{SHA256, digest};
use std::fmt::Write as _;
use zeroize::Zeroizing;

const AUTH: &str = "auth.json";
const LOGIN: &str = "login.json";
const LOCK: &str = "auth.lock";

/// Accounts were locked after 20 logins in half an hour (GeorgeAL78/pia-qbittorrent-docker); half of that.
const LOGINS_MOST: usize = 10;
const LOGINS_SPAN_SECS: u64 = 1800;
/// As many refusals in a row as a person with a typing error may want; chosen.
const REFUSALS_FREE: u32 = 3;
/// From then on between two logins, doubling ...
const REFUSED_PAUSE: Duration = secs(30);
/// ... up to this, which is also the most that anything is waited for.
const PAUSE_MOST: Duration = secs(3600);

/// A token, and whether it was got by a login just made.
pub(super) struct Token {
    pub secret: Secret,
    pub is_fresh: bool,
}

/// `login.json`.
#[derive(Default)]
struct Logins {
    /// When the last ones were made, oldest first.
    at: Vec<u64>,
    /// Refusals in a row of what `sign` stands for.
    refusals: u32,
    /// Which user and password: two bytes of a hash, enough to notice a change, too few to guess by.
    sign: String,
    /// No login before this, with these credentials or (`for_all`) any.
    until: u64,
    for_all: bool,
    exit: u64,
    text: String,
}

impl Pia<'_> {
    /// Whether a token is on disk.
    pub fn is_logged_in(&self) -> Result<bool> {
        Ok(self.kept_token()?.is_some())
    }

    /// Logs in whatever is on disk, and keeps the token.
    pub fn log_in(&mut self) -> Result<()> {
        let _lock = self.store.lock(LOCK)?;
        self.login().map(|_| ())
    }

    /// The token on disk, or that of a login.
    pub(super) fn current_token(&mut self) -> Result<Token> {
        if let Some(secret) = self.kept_token()? {
            return Ok(Token { secret, is_fresh: false });
        }
        let _lock = self.store.lock(LOCK)?;
        match self.kept_token()? {
            Some(secret) => Ok(Token { secret, is_fresh: false }),
            None => Ok(Token { secret: self.login()?, is_fresh: true }),
        }
    }

    /// Another token than this one, which a server refused: the one on disk if another process was faster, else that of
    /// a login.
    pub fn replace_token(&mut self, refused: &Secret) -> Result<Secret> {
        let _lock = self.store.lock(LOCK)?;
        if let Some(kept) = self.kept_token()?.filter(|kept| kept != refused) {
            return Ok(kept);
        }
        log::info!("pia: the token is refused, logging in");
        self.login()
    }

    /// The token on disk or of a login, for whoever asks a gateway.
    pub fn token(&mut self) -> Result<Secret> {
        self.current_token().map(|t| t.secret)
    }

    /// Ends the token at PIA and removes it from disk, with the port it was given. Exit 13 when PIA could not be told: the
    /// files are gone all the same.
    pub fn log_out(&mut self) -> Result<()> {
        let _lock = self.store.lock(LOCK)?;
        let token = self.kept_token()?;
        let told = token.map_or(Ok(()), |token| self.site().expire(&token));
        for name in [AUTH, LOGIN, super::forward::FILE_NAME, super::dedicated::FILE_NAME] {
            self.store.remove(name)?;
        }
        match told {
            Ok(()) | Err(Failure::Refused) => Ok(()),
            Err(why) => {
                let why = Error::from(why).with_exit(Exit::Provider);
                Err(why.context("the token is gone from this machine, but PIA could not be told"))
            }
        }
    }

    /// The token on disk, unless it is another user's.
    fn kept_token(&self) -> Result<Option<Secret>> {
        let Some(file) = self.store.read_json(AUTH)? else { return Ok(None) };
        let is_ours = match (&self.config.user, file.at("user").text()) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        Ok(file.at("token").text().filter(|t| is_ours && !t.is_empty()).map(Secret::new))
    }

    /// One login, unless there were too many; the lock is held.
    fn login(&mut self) -> Result<Secret> {
        let user = self.config.user.clone().unwrap_or_default();
        let read = |path: &std::path::Path| self.store.files().read(path, 64 << 10);
        let password = load::password(self.config.pass.as_ref(), self.config.pass_file.as_deref(), &read)?;
        let password = password.filter(|p| !p.is_empty() && !user.is_empty()).ok_or_else(|| {
            Error::new(
                Exit::LoginRefused,
                "not logged in to PIA: run `pvpn init --pia`, or set user and pass",
            )
        })?;
        let (wall, sign) = (self.clock.wall(), sign(&user, &password));
        let mut logins = Logins::read(self.store.read_json(LOGIN)?.as_ref(), wall);
        logins.admit(wall, &sign)?;
        log::info!("pia: logging in");
        let result = self.site().log_in(&user, &password);
        if !matches!(result, Err(Failure::Away(_))) {
            logins.at.push(wall.0);
        }
        if let Err(failure) = &result {
            logins.note(failure, wall, sign);
            self.store.write(LOGIN, logins.emit().as_bytes())?;
        }
        let token = result?;
        logins = Logins { at: logins.at, ..Logins::default() };
        self.store.write(LOGIN, logins.emit().as_bytes())?;
        self.store.write(AUTH, auth_text(&user, &token).as_bytes())?;
        Ok(token)
    }
}

impl Logins {
    /// Whether a login may be made; the error says when, and with which words the last one was refused.
    fn admit(&self, wall: UnixTime, sign: &str) -> Result<()> {
        let waits = wall.0 < self.until && (self.for_all || self.sign == sign);
        if waits {
            let exit = if self.exit == u64::from(Exit::LoginRefused.code()) {
                Exit::LoginRefused
            } else {
                Exit::Provider
            };
            let left = self.until - wall.0;
            return Err(Error::new(exit, format!("{}; not asked again for {left} s", self.text)));
        }
        match self.at.len().checked_sub(LOGINS_MOST).and_then(|first| self.at.get(first)) {
            Some(first) => {
                let left = (first + LOGINS_SPAN_SECS).saturating_sub(wall.0);
                let text = format!(
                    "{LOGINS_MOST} logins at PIA in half an hour, more would lock the account: \
                     the next one in {left} s"
                );
                Err(Error::new(Exit::Provider, text))
            }
            None => Ok(()),
        }
    }

    fn note(&mut self, failure: &Failure, wall: UnixTime, sign: String) {
        let before = if self.sign == sign { self.refusals } else { 0 };
        let (refusals, pause, for_all) = match failure {
            Failure::Busy { wait } => (before, *wait, true),
            Failure::Refused | Failure::Ended | Failure::Barred => {
                let refusals = before.saturating_add(1);
                let paid = refusals.saturating_sub(REFUSALS_FREE);
                let pause = match paid {
                    0 => Duration::ZERO,
                    n => REFUSED_PAUSE.saturating_mul(1 << n.saturating_sub(1).min(16)),
                };
                (refusals, pause, false)
            }
            Failure::Away(_) | Failure::Page { .. } => (before, Duration::ZERO, false),
        };
        (self.refusals, self.sign, self.for_all) = (refusals, sign, for_all);
        self.until = wall.0.saturating_add(pause.min(PAUSE_MOST).as_secs());
        self.exit = failure.exit().code().into();
        self.text = match failure {
            Failure::Busy { .. } => "too many logins at PIA lately".to_owned(),
            other => other.to_string(),
        };
    }

    /// What a wall clock that jumped has left in the future does not count.
    fn read(file: Option<&Value>, wall: UnixTime) -> Logins {
        let Some(file) = file else { return Logins::default() };
        let number = |key| file.at(key).number().unwrap_or(0);
        let text = |key| file.at(key).text().unwrap_or_default().to_owned();
        let recent = |at: &u64| *at <= wall.0 && wall.0 - at < LOGINS_SPAN_SECS;
        let until = number("until");
        Logins {
            at: file.at("at").items().iter().filter_map(Value::number).filter(recent).collect(),
            refusals: u32::try_from(number("refusals")).unwrap_or(0),
            sign: text("sign"),
            until: if until > wall.0.saturating_add(PAUSE_MOST.as_secs()) { 0 } else { until },
            for_all: file.at("for_all").truth().unwrap_or(false),
            exit: number("exit"),
            text: text("text"),
        }
    }

    fn emit(&self) -> String {
        let mut out = String::from("{\"version\":1,\"at\":[");
        for (n, at) in self.at.iter().enumerate() {
            let _ = write!(out, "{}{at}", if n > 0 { "," } else { "" });
        }
        let (refusals, until, for_all, exit) = (self.refusals, self.until, self.for_all, self.exit);
        let _ =
            write!(out, "],\"refusals\":{refusals},\"until\":{until},\"for_all\":{for_all},\"exit\":{exit}");
        for (key, text) in [("sign", &self.sign), ("text", &self.text)] {
            let _ = write!(out, ",\"{key}\":");
            quote(&mut out, text);
        }
        out.push_str("}\n");
        out
    }
}

fn sign(user: &str, password: &Secret) -> String {
    let both = Zeroizing::new([user.as_bytes(), b"\0", password.reveal().as_bytes()].concat());
    digest(&SHA256, &both).as_ref()[..2].iter().map(|b| format!("{b:02x}")).collect()
}

fn auth_text(user: &str, token: &Secret) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(512));
    out.push_str("{\"version\":1,\"user\":");
    quote(&mut out, user);
    out.push_str(",\"token\":");
    quote(&mut out, token.reveal());
    out.push_str("}\n");
    out
}
