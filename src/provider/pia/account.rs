//! PIA's account site: user and password in, token out, and what its refusals mean (pia-foss/manual-connections
//! `get_token.sh`, pia-foss/desktop `networktaskwithretry.cpp`).
//!
//! A body of HTML is a page of the web front end and says nothing about the account, whatever its status.

use crate::config::secret::Secret;
use crate::error::{Error, Exit};
use crate::sys::http::Http;
use crate::time::{Duration, secs};
use crate::wire::http::{HttpError, Reply, Request, Trust, percent_encode};
use crate::wire::json::{Value, quote};
use std::fmt;
use zeroize::Zeroizing;

/// A login answers within a second; chosen, a sixth of `connect`'s limit.
const CALL_TIMEOUT: Duration = secs(10);
/// A reply of the account site is a few hundred bytes; chosen.
const BODY_MOST: u64 = 64 << 10;
/// What PIA's desktop application waits after 429 without `Retry-After`.
const BUSY_PAUSE: Duration = secs(59);
/// After `too_many_attempts`; people report more than two minutes.
const ATTEMPTS_PAUSE: Duration = secs(150);

/// Why a call brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No reply.
    Away(HttpError),
    /// A page of the web front end, or anything else that is not the account site's own word.
    Page { status: u16 },
    /// Wrong user or password; for a call with a token: wrong token.
    Refused,
    /// The subscription has ended.
    Ended,
    /// The front end refuses this client or address.
    Barred,
    /// Too many logins.
    Busy { wait: Duration },
}

impl Failure {
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Refused | Failure::Ended => Exit::LoginRefused,
            _ => Exit::Provider,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Away(why) => write!(f, "PIA's account site is not reachable: {}", clock_hint(why)),
            Failure::Page { status } => {
                write!(f, "PIA's account site is out of order (HTTP {status}): try again later")
            }
            Failure::Refused => f.write_str("PIA refuses this user and password (HTTP 401)"),
            Failure::Ended => f.write_str("the PIA subscription has expired (HTTP 402)"),
            Failure::Barred => f.write_str(
                "PIA's web site refuses this network address (HTTP 403): try again later, or from another network",
            ),
            Failure::Busy { wait } => {
                write!(f, "too many logins at PIA lately: try again in {} s", wait.as_secs())
            }
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::new(failure.exit(), failure.to_string())
    }
}

/// The text of a transport failure, with what a person should look at when it is about a certificate's time.
pub fn clock_hint(why: &HttpError) -> String {
    let text = why.to_string();
    let about_time = matches!(why, HttpError::Tls(_)) && (text.contains("expired") || text.contains("yet"));
    if about_time { format!("{text} (is this machine's clock right?)") } else { text }
}

/// The account site.
pub struct Site<'a> {
    http: &'a dyn Http,
    /// Of the login; the other calls are its siblings.
    token_url: String,
    trust: Trust,
}

impl<'a> Site<'a> {
    pub fn new(http: &'a dyn Http, token_url: &str, trust: Trust) -> Site<'a> {
        Site { http, token_url: token_url.to_owned(), trust }
    }

    pub fn log_in(&self, user: &str, password: &Secret) -> Result<Secret, Failure> {
        let body = Zeroizing::new(format!(
            "username={}&password={}",
            percent_encode(user),
            *Zeroizing::new(percent_encode(password.reveal()))
        ));
        let request =
            Request::post(&self.token_url, "application/x-www-form-urlencoded", body.as_bytes().to_vec());
        let reply = self.send(request)?;
        let status = reply.status;
        let parsed = Value::parse(reply.body.as_slice()).map_err(|_| Failure::Page { status })?;
        match parsed.at("token").text() {
            Some(token) if !token.is_empty() => Ok(Secret::new(token)),
            _ => Err(Failure::Page { status }),
        }
    }

    /// Ends a token.
    pub fn expire(&self, token: &Secret) -> Result<(), Failure> {
        let request = Request::post(self.sibling("expire_token"), "application/json", "{}");
        self.send(authorized(request, token)).map(|_| ())
    }

    /// What PIA knows of a dedicated address; the JSON array of its answer.
    pub fn dedicated_ip(&self, token: &Secret, dip_token: &Secret) -> Result<Value, Failure> {
        let mut body = Zeroizing::new(String::from("{\"tokens\":["));
        quote(&mut body, dip_token.reveal());
        body.push_str("]}");
        let request =
            Request::post(self.sibling("dedicated_ip"), "application/json", body.as_bytes().to_vec());
        let reply = self.send(authorized(request, token))?;
        let status = reply.status;
        // A wrong token is answered in plain text.
        if reply.text().contains("Access denied") {
            return Err(Failure::Refused);
        }
        Value::parse(reply.body.as_slice()).map_err(|_| Failure::Page { status })
    }

    fn sibling(&self, name: &str) -> String {
        let base = self.token_url.trim_end_matches('/').rsplit_once('/').map_or("", |(base, _)| base);
        format!("{base}/{name}")
    }

    /// A reply of status 200 that is no page.
    fn send(&self, request: Request) -> Result<Reply, Failure> {
        let request =
            Request { trust: self.trust.clone(), timeout: CALL_TIMEOUT, body_limit: BODY_MOST, ..request };
        log::debug!("pia: {request:?}");
        let response = self.http.send(&request).map_err(Failure::Away)?;
        let status = response.status;
        let reply = Reply::read(response);
        let reply = reply.map_err(|e| match e.kind() {
            std::io::ErrorKind::TimedOut => Failure::Away(HttpError::TimedOut),
            _ => Failure::Away(HttpError::Protocol(e.to_string())),
        })?;
        log::debug!("pia: account site answered HTTP {status}");
        judge(reply)
    }
}

fn authorized(request: Request, token: &Secret) -> Request {
    request.header("Authorization", format!("Token {}", token.reveal()))
}

fn judge(reply: Reply) -> Result<Reply, Failure> {
    let retry_after = || {
        let header = reply.headers.iter().find(|(name, _)| name == "retry-after");
        header.and_then(|(_, v)| v.trim().parse().ok()).map_or(BUSY_PAUSE, secs)
    };
    match reply.status {
        429 => Err(Failure::Busy { wait: retry_after() }),
        403 => Err(Failure::Barred),
        status if is_page(&reply) => Err(Failure::Page { status }),
        status => {
            let parsed = Value::parse(reply.body.as_slice()).unwrap_or(Value::Null);
            if parsed.at("code").text() == Some("too_many_attempts") {
                return Err(Failure::Busy { wait: ATTEMPTS_PAUSE });
            }
            match status {
                200 if is_refusal(&parsed) => Err(Failure::Refused),
                200 => Ok(reply),
                401 => Err(Failure::Refused),
                402 => Err(Failure::Ended),
                _ => Err(Failure::Page { status }),
            }
        }
    }
}

/// The older login answers a wrong password with 200 and this.
fn is_refusal(reply: &Value) -> bool {
    reply.at("status").text() == Some("ERROR")
        && reply.at("message").text().is_some_and(|m| m.contains("authentication failed"))
}

/// Whether this is HTML, by its type or its first character.
pub fn is_page(reply: &Reply) -> bool {
    let header = reply.headers.iter().find(|(name, _)| name == "content-type");
    header.is_some_and(|(_, kind)| kind.contains("html")) || reply.body.trim_ascii_start().starts_with(b"<")
}

/// Of a message, for a terminal; chosen.
pub const WORDS_MOST: usize = 120;

#[cfg(test)]
mod tests;
