//! One call of Proton's API: headers, retries, and what a refusal means.
//!
//! Retries follow ProtonVPN/python-proton-core `api.py`: at most three tries, 408 and 502 at once, 429 and 503 after
//! `Retry-After` or a few random seconds. Everything ends within the budget set by [`Api::begin`]; a wait that would
//! pass it is an error that names the wait. What is not JSON (a gateway's HTML) is never taken for the API's word.

mod refusal;

pub use refusal::{Code, Refusal};

use crate::config::secret::Secret;
use crate::error::{Error, Exit};
use crate::sys::Clock;
use crate::sys::http::Http;
use crate::time::{Duration, Instant, secs};
use crate::wire::http::{HttpError, Method, Request, Response, Trust, plain};
use crate::wire::json::Value;
use std::cell::Cell;
use std::fmt;

/// Tries of one call, the first included (python-proton-core `api.py`).
const TRIES_MOST: u32 = 3;
/// Limit of one request; chosen: a reply takes well below a second, the login's bcrypt is ours.
const CALL_TIMEOUT: Duration = secs(15);
/// A reply that is not a list is at most this long; chosen: certificates are a few kilobytes.
const REPLY_MOST: u64 = 1 << 20;
/// Time for everything one question to the provider needs; chosen below the contract's 30 s for a command.
pub const BUDGET: Duration = secs(25);

/// What a session shows itself as: the API binds neither, but sessions made as a TV stay a TV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub app_version: String,
    pub user_agent: String,
}

/// Who is calling.
pub struct Bearer<'a> {
    pub uid: &'a Secret,
    pub access_token: &'a Secret,
}

/// A call before it is sent.
pub struct Call<'a> {
    pub method: Method,
    /// Below the API's address, with its query.
    pub path: &'a str,
    pub body: Option<String>,
    pub bearer: Option<Bearer<'a>>,
    pub headers: Vec<(&'static str, String)>,
    pub timeout: Duration,
    pub body_limit: u64,
}

impl<'a> Call<'a> {
    pub fn get(path: &'a str) -> Call<'a> {
        Call {
            method: Method::Get,
            path,
            body: None,
            bearer: None,
            headers: Vec::new(),
            timeout: CALL_TIMEOUT,
            body_limit: REPLY_MOST,
        }
    }

    pub fn post(path: &'a str, body: String) -> Call<'a> {
        Call { method: Method::Post, body: Some(body), ..Call::get(path) }
    }

    pub fn delete(path: &'a str) -> Call<'a> {
        Call { method: Method::Delete, ..Call::get(path) }
    }

    pub fn by(mut self, uid: &'a Secret, access_token: &'a Secret) -> Call<'a> {
        self.bearer = Some(Bearer { uid, access_token });
        self
    }
}

/// Why a call brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No reply: no route, no name, no TLS, too slow.
    Away(String),
    /// A reply that is not the API's: a gateway's page, cut or broken JSON.
    NotApi { status: u16, what: String },
    /// Too many calls or a paused service, and the wait it asks for passes our time.
    Busy { status: u16, wait: Option<Duration> },
    /// The API said no.
    Refused(Refusal),
}

impl Failure {
    /// Whether the API refused with this code.
    pub fn is(&self, code: Code) -> bool {
        matches!(self, Failure::Refused(r) if r.code == code)
    }

    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Failure::Refused(r) => Some(r.status),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Away(why) => write!(f, "Proton's API is not reachable: {why}"),
            Failure::NotApi { status, what } => {
                write!(f, "what answers is not Proton's API (HTTP {status}): {what}")
            }
            Failure::Busy { status, wait: Some(wait) } => {
                write!(f, "Proton's API asks to wait {} s (HTTP {status}): try again then", wait.as_secs())
            }
            Failure::Busy { status, wait: None } => {
                write!(f, "Proton's API is overloaded (HTTP {status}): try again in a few minutes")
            }
            Failure::Refused(refusal) => write!(f, "{refusal}"),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        let exit = match &failure {
            Failure::Refused(refusal) => refusal.exit(),
            _ => Exit::Provider,
        };
        Error::new(exit, failure.to_string())
    }
}

/// The API at one address.
pub struct Api<'a> {
    http: &'a dyn Http,
    clock: &'a dyn Clock,
    url: String,
    trust: Trust,
    ends_at: Cell<Instant>,
}

impl<'a> Api<'a> {
    /// `url` without a final slash; the time of [`BUDGET`] begins.
    pub fn new(http: &'a dyn Http, clock: &'a dyn Clock, url: &str, ca_pem: Option<Vec<u8>>) -> Api<'a> {
        let url = url.trim_end_matches('/').to_owned();
        let trust = Trust::Web { extra_pem: ca_pem };
        Api { http, clock, url, trust, ends_at: Cell::new(clock.now() + BUDGET) }
    }

    /// All calls from here on end within `budget`.
    pub fn begin(&self, budget: Duration) {
        self.ends_at.set(self.clock.now() + budget);
    }

    pub fn clock(&self) -> &'a dyn Clock {
        self.clock
    }

    /// Sends a call and reads its reply as a tree.
    pub fn call(&self, who: &Identity, call: &Call<'_>) -> Result<Value, Failure> {
        let response = self.open(who, call)?;
        let status = response.status;
        let value = read_reply(response)?;
        match value.at("Code").number() {
            Some(1000 | 1001) => Ok(value),
            _ => Err(refusal::parse(status, &value)),
        }
    }

    /// Sends a call and returns its reply, 200 or 304, with the body unread. Any other status is a [`Failure`].
    pub fn open(&self, who: &Identity, call: &Call<'_>) -> Result<Response, Failure> {
        let request = self.request(who, call);
        let mut tries = 1;
        loop {
            let response = match self.send(&request) {
                // A POST may have arrived, so only what changes nothing is asked again.
                Err(why) if call.method != Method::Get || tries == TRIES_MOST || !is_passing(&why) => {
                    return Err(Failure::Away(why.to_string()));
                }
                Err(why) => {
                    log::debug!("proton: {}: {why}, trying again", name(call));
                    tries += 1;
                    continue;
                }
                Ok(response) => response,
            };
            log::debug!("proton: {} answered HTTP {}", name(call), response.status);
            if matches!(response.status, 200 | 304) {
                return Ok(response);
            }
            let status = response.status;
            let asked = response.header("retry-after").and_then(|v| v.trim().parse().ok()).map(secs);
            let failure = refusal(response);
            let wait = match status {
                408 | 502 => Duration::ZERO,
                429 | 503 if !matches!(&failure, Failure::Refused(r) if r.is_final()) => {
                    asked.unwrap_or_else(|| self.some_seconds())
                }
                _ => return Err(failure),
            };
            let left = self.ends_at.get().since(self.clock.now());
            if tries == TRIES_MOST || wait >= left {
                let busy = matches!(status, 429 | 503);
                return Err(if busy { Failure::Busy { status, wait: asked } } else { failure });
            }
            tries += 1;
            if !wait.is_zero() {
                log::info!("proton: API is busy (HTTP {status}), waiting {} s", wait.as_secs());
                self.clock.sleep(wait);
            }
        }
    }

    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let left = self.ends_at.get().since(self.clock.now());
        if left.is_zero() {
            return Err(HttpError::TimedOut);
        }
        let request = Request { timeout: request.timeout.min(left), ..request.clone() };
        self.http.send(&request)
    }

    fn request(&self, who: &Identity, call: &Call<'_>) -> Request {
        let mut request = Request::get(format!("{}{}", self.url, call.path))
            .header("x-pm-appversion", who.app_version.clone())
            .header("User-Agent", who.user_agent.clone())
            .header("Accept", "*/*");
        if let Some(bearer) = &call.bearer {
            request = request
                .header("x-pm-uid", bearer.uid.reveal())
                .header("Authorization", format!("Bearer {}", bearer.access_token.reveal()));
        }
        if let Some(body) = &call.body {
            request = request.header("Content-Type", "application/json");
            request.body = Some(body.clone().into_bytes());
        }
        for (name, value) in &call.headers {
            request = request.header(name, value.clone());
        }
        request.method = call.method;
        request.trust = self.trust.clone();
        request.timeout = call.timeout;
        request.body_limit = call.body_limit;
        request
    }

    /// 3 to 8 s (python-proton-core `api.py`), by the clock's low digits: it only has to differ between machines.
    fn some_seconds(&self) -> Duration {
        secs(3 + u64::from(self.clock.now().since_boot().subsec_nanos()) / 1000 % 6)
    }
}

/// Whether the same request may fare better a moment later.
fn is_passing(why: &HttpError) -> bool {
    matches!(why, HttpError::Connect(_))
}

/// What of a call may be logged: a path may end in a selector, which is as good as a token.
fn name(call: &Call<'_>) -> String {
    let path = call.path.split('?').next().unwrap_or_default();
    let shown = path.split_inclusive('/').filter(|part| part.len() < 16).collect::<String>();
    format!("{:?} {shown}", call.method)
}

fn read_reply(mut response: Response) -> Result<Value, Failure> {
    let status = response.status;
    let kind = response.header("content-type").unwrap_or("no type").to_owned();
    Value::parse(&mut response.body).map_err(|why| {
        let what = if kind.contains("json") { why.to_string() } else { plain(&kind, 60) };
        Failure::NotApi { status, what }
    })
}

/// What a reply of an unwelcome status says.
fn refusal(response: Response) -> Failure {
    let status = response.status;
    match read_reply(response) {
        Ok(value) => refusal::parse(status, &value),
        // A bare 401 is how the API answers a stale token.
        Err(_) if status == 401 => {
            Failure::Refused(Refusal { status, code: Code::Other(0), text: String::new() })
        }
        Err(failure) => failure,
    }
}

#[cfg(test)]
mod tests;
