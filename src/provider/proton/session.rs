//! The session: tokens on disk, spent by one process at a time.
//!
//! A refresh token works once. The whole exchange runs under a file lock and begins with a look at the file: where
//! another process has refreshed meanwhile, its tokens are used and ours are not sent. The next pair is on disk before
//! anything uses it. Only the API's own word ends a session; a lost network or a gateway's page never does.

use super::api::{Api, Call, Code, Failure, Identity};
use crate::config::secret::Secret;
use crate::error::{Error, Exit};
use crate::provider::store::Store;
use crate::time::UnixTime;
use crate::wire::json::{Value, quote};
use zeroize::Zeroizing;

/// A token this close to its end is refreshed before it is refused (reference client: 5 min).
const EXPIRY_MARGIN_SECS: u64 = 300;
/// 409 on a refresh is answered by asking again at once (python-proton-core `api.py`).
const CONFLICTS_MOST: u32 = 3;

/// A logged-in session.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    pub user: String,
    pub uid: Secret,
    pub access_token: Secret,
    pub refresh_token: Secret,
    pub scopes: Vec<String>,
    /// As what it was made, and keeps showing itself.
    pub identity: Identity,
    /// When the access token ends; 0 where the API did not say.
    pub expires_at: UnixTime,
    /// When tokens were last given out.
    pub renewed_at: UnixTime,
}

impl Session {
    /// Reads `UID`, the tokens and scopes of a login's or refresh's reply. A refresh may leave `UID` out.
    pub fn parse(
        reply: &Value,
        user: &str,
        uid: Option<&Secret>,
        identity: &Identity,
        wall: UnixTime,
    ) -> Option<Session> {
        let text = |key| reply.at(key).text().filter(|s| !s.is_empty());
        let life = reply.at("ExpiresIn").number();
        Some(Session {
            user: user.to_owned(),
            uid: text("UID").map(Secret::new).or_else(|| uid.cloned())?,
            access_token: Secret::new(text("AccessToken")?),
            refresh_token: Secret::new(text("RefreshToken")?),
            scopes: scopes(reply),
            identity: identity.clone(),
            expires_at: UnixTime(life.map_or(0, |s| wall.0.saturating_add(s))),
            renewed_at: wall,
        })
    }

    /// The file's text.
    fn emit(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(1024));
        out.push_str("{\"version\":1");
        for (key, text) in [
            ("user", self.user.as_str()),
            ("uid", self.uid.reveal()),
            ("access_token", self.access_token.reveal()),
            ("refresh_token", self.refresh_token.reveal()),
            ("scopes", &self.scopes.join(" ")),
            ("app_version", &self.identity.app_version),
            ("user_agent", &self.identity.user_agent),
        ] {
            out.push_str(&format!(",\"{key}\":"));
            quote(&mut out, text);
        }
        let (expires, renewed) = (self.expires_at.0, self.renewed_at.0);
        out.push_str(&format!(",\"expires_at\":{expires},\"renewed_at\":{renewed}}}\n"));
        out
    }

    fn read(file: &Value) -> Option<Session> {
        let text = |key| file.at(key).text().filter(|s| !s.is_empty());
        Some(Session {
            user: text("user").unwrap_or_default().to_owned(),
            uid: Secret::new(text("uid")?),
            access_token: Secret::new(text("access_token")?),
            refresh_token: Secret::new(text("refresh_token")?),
            scopes: file.at("scopes").text().unwrap_or_default().split(' ').map(str::to_owned).collect(),
            identity: Identity {
                app_version: text("app_version")?.to_owned(),
                user_agent: text("user_agent")?.to_owned(),
            },
            expires_at: UnixTime(file.at("expires_at").number().unwrap_or(0)),
            renewed_at: UnixTime(file.at("renewed_at").number().unwrap_or(0)),
        })
    }

    /// Whether the access token is about to be refused. A wall clock from before the token was given tells nothing.
    fn is_nearly_over(&self, wall: UnixTime) -> bool {
        self.expires_at.0 != 0
            && wall >= self.renewed_at
            && wall.0.saturating_add(EXPIRY_MARGIN_SECS) >= self.expires_at.0
            && self.expires_at.0.saturating_sub(self.renewed_at.0) > EXPIRY_MARGIN_SECS
    }
}

/// `Scopes`, or the older `Scope` with blanks between.
pub fn scopes(reply: &Value) -> Vec<String> {
    let listed: Vec<String> =
        reply.at("Scopes").items().iter().filter_map(|s| s.text().map(str::to_owned)).collect();
    if !listed.is_empty() {
        return listed;
    }
    reply.at("Scope").text().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// Why there is no session to work with.
#[derive(Debug)]
pub enum Trouble {
    /// None on disk, or it has ended: a login helps.
    NotLoggedIn(&'static str),
    Failed(Error),
}

impl From<Error> for Trouble {
    fn from(e: Error) -> Trouble {
        Trouble::Failed(e)
    }
}

impl From<Failure> for Trouble {
    fn from(f: Failure) -> Trouble {
        Trouble::Failed(f.into())
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Error {
        match trouble {
            Trouble::NotLoggedIn(why) => {
                Error::new(Exit::LoginRefused, format!("{why}: log in with `pvpn init --proton`"))
            }
            Trouble::Failed(e) => e,
        }
    }
}

pub const NEVER: &str = "not logged in to Proton";
pub const ENDED: &str = "Proton's session has ended";

/// `session.json` among the files.
impl Store<'_> {
    /// The session on disk; `None` where there is none or the file is not ours.
    pub fn load(&self) -> Result<Option<Session>, Error> {
        let Some(file) = self.read_json("session.json")? else { return Ok(None) };
        let session = Session::read(&file);
        if session.is_none() {
            log::warn!("proton: {} holds no session", self.path("session.json").display());
        }
        Ok(session)
    }

    /// Puts a session on disk, whatever was there. For logins; takes the lock.
    pub fn store(&self, session: &Session) -> Result<(), Error> {
        let _lock = self.lock("session.lock")?;
        self.write("session.json", session.emit().as_bytes())
    }
}

/// Makes a call with the session on disk, refreshing it where it is over or refused.
pub fn call<T>(
    api: &Api<'_>,
    store: &Store<'_>,
    send: impl Fn(&Session) -> Result<T, Failure>,
) -> Result<T, Trouble> {
    let mut session = store.load()?.ok_or(Trouble::NotLoggedIn(NEVER))?;
    if session.is_nearly_over(api.clock().wall()) {
        match refresh(api, store, &session) {
            Ok(fresh) => session = fresh,
            Err(Trouble::Failed(why)) => log::debug!("proton: early refresh: {why}"),
            Err(lost) => return Err(lost),
        }
    }
    // Once for our own refresh, once for tokens another process wrote and that are over as well.
    for _ in 0..2 {
        match send(&session) {
            Err(f) if f.status() == Some(401) || f.is(Code::TokenOver) => {
                session = refresh(api, store, &session)?;
            }
            other => return other.map_err(Trouble::from),
        }
    }
    send(&session).map_err(Trouble::from)
}

/// Exchanges the tokens of `stale` for the next pair, unless another process has.
pub fn refresh(api: &Api<'_>, store: &Store<'_>, stale: &Session) -> Result<Session, Trouble> {
    let _lock = store.lock("session.lock")?;
    let on_disk = store.load()?.ok_or(Trouble::NotLoggedIn(NEVER))?;
    if on_disk.access_token != stale.access_token {
        log::debug!("proton: another process has refreshed the session");
        return Ok(on_disk);
    }
    match exchange(api, &on_disk) {
        Ok(fresh) => {
            store.write("session.json", fresh.emit().as_bytes())?;
            log::info!("proton: session refreshed");
            Ok(fresh)
        }
        Err(failure) if is_end(&failure) => {
            log::debug!("proton: {failure}");
            store.remove("session.json")?;
            Err(Trouble::NotLoggedIn(ENDED))
        }
        Err(failure) => Err(failure.into()),
    }
}

fn exchange(api: &Api<'_>, session: &Session) -> Result<Session, Failure> {
    let mut body = Zeroizing::new(String::from(
        "{\"ResponseType\":\"token\",\"GrantType\":\"refresh_token\",\"RefreshToken\":",
    ));
    quote(&mut body, session.refresh_token.reveal());
    body.push_str(",\"RedirectURI\":\"http://protonmail.ch\"}");
    let call = Call::post("/auth/refresh", body.to_string()).by(&session.uid, &session.access_token);
    let mut conflicts = 0;
    let reply = loop {
        match api.call(&session.identity, &call) {
            Err(f) if f.status() == Some(409) && conflicts < CONFLICTS_MOST => conflicts += 1,
            other => break other?,
        }
    };
    let wall = api.clock().wall();
    let mut fresh = Session::parse(&reply, &session.user, Some(&session.uid), &session.identity, wall)
        .ok_or_else(|| Failure::NotApi { status: 200, what: "a refresh without tokens".to_owned() })?;
    if fresh.scopes.is_empty() {
        fresh.scopes.clone_from(&session.scopes);
    }
    Ok(fresh)
}

/// Whether the API says that this refresh token will never work: 400, 401 or 422 with a code that is about it. An app
/// version it does not like, a CAPTCHA or a mistake of ours in the request says nothing about the session.
fn is_end(failure: &Failure) -> bool {
    let Failure::Refused(refusal) = failure else { return false };
    let about_token = match refusal.code {
        Code::BadRefresh => return true,
        Code::WrongCredentials | Code::TokenOver | Code::Gone => true,
        // 2001 invalid value, 2011 not allowed, 5005 API version, 6001 unreadable body.
        Code::Other(code) => !matches!(code, 2001 | 2011 | 5005 | 6001),
        _ => false,
    };
    about_token && matches!(refusal.status, 400 | 401 | 422)
}

#[cfg(test)]
mod tests;
