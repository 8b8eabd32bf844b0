//! qBittorrent's WebUI API as values: a [`Call`] becomes a request, a reply becomes a [`Verdict`] or what was asked for.
//!
//! All dialects from 4.5 to 5.2 (WebAPI 2.8 to 2.16): the cookie is `SID` or `QBT_SID_<port>`, a login succeeds with
//! `Ok.` or 204 and fails with `Fails.` or 401, torrents are paused and resumed or (from WebAPI 2.11) stopped and
//! started. Neither `Origin` nor `Referer` is sent, which passes the check for forged requests. The `Host` header must
//! carry the WebUI's own port or none, else everything is answered 401: behind a published port other than its own,
//! [`WebUi::try_next_host`] finds one that it takes.
//!
//! Passwords, keys and cookies are [`Secret`] and occur in requests alone, whose `Debug` shows none of them.

#[cfg(test)]
mod tests;

use crate::config::secret::Secret;
use crate::time::{Duration, secs};
use crate::wire::http::{HttpError, Reply, Request, Route, Trust, percent_encode};
use miniserde::{Deserialize, Serialize, json};
use std::net::{IpAddr, SocketAddr};

/// One call; chosen: a Pi under load answers within two seconds, and `disconnect` has ten in all.
const CALL_TIMEOUT: Duration = secs(5);
/// The same after a call that took longer: a machine that swaps answers after half a minute. Chosen.
const SLOW_TIMEOUT: Duration = secs(40);
/// `app/preferences` is 12 KB, a torrent about 1.5 KB.
const BODY_LIMIT: u64 = 1 << 20;
/// So many torrents are looked at: bounds memory, and more than are ever active at once on a Pi. Chosen.
pub const TORRENTS_MOST: usize = 250;
/// `stop` and `start` instead of `pause` and `resume` (qBittorrent 5.0).
const STOP_START_SINCE: ApiVersion = ApiVersion(2, 11);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Bypassed for this machine.
    None,
    Password {
        user: String,
        pass: Secret,
    },
    /// Since 5.2; no cookie, no ban.
    Key(Secret),
}

/// `app/webapiVersion`, its first two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion(pub u32, pub u32);

impl ApiVersion {
    pub fn parse(text: &str) -> Option<ApiVersion> {
        let mut numbers = text.trim().split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some(ApiVersion(major, minor)),
            _ => None,
        }
    }
}

/// Torrents by state, as `torrents/info` filters them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Payload is moving.
    Active,
    /// Neither stopped nor moving, and unfinished.
    StalledDownloading,
    /// Of any state.
    These(Vec<String>),
}

/// Which torrents a command means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hashes {
    All,
    These(Vec<String>),
}

/// Preferences to set; what is `None` stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Wish {
    pub listen_port: Option<u16>,
    pub random_port: Option<bool>,
    pub upnp: Option<bool>,
    pub interface: Option<String>,
    pub address: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Version,
    ApiVersion,
    Login,
    Preferences,
    SetPreferences(Wish),
    Connection,
    Torrents(Filter),
    Start(Hashes),
    Stop(Hashes),
    Reannounce(Hashes),
}

/// What the status of a reply means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Done,
    /// No session (any more).
    NeedsLogin,
    /// The `Host` header or, where one was sent, the key does not please.
    WrongHost,
    WrongPassword,
    /// Too many failed logins from this address.
    Banned,
    /// This dialect does not know the call.
    Unknown,
    Odd(u16),
}

/// The part of `app/preferences` that matters; absent where a dialect has dropped it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
pub struct Preferences {
    pub listen_port: Option<i64>,
    pub random_port: Option<bool>,
    pub upnp: Option<bool>,
    pub current_network_interface: Option<String>,
    pub current_interface_address: Option<String>,
}

impl Preferences {
    /// `None` when it is not an object or a key has another type.
    pub fn parse(reply: &Reply) -> Option<Preferences> {
        json::from_str(&reply.text()).ok()
    }

    /// What of `wish` is not so. A key that this dialect does not show counts as fulfilled.
    pub fn missing(&self, wish: &Wish) -> Wish {
        fn unless<T: PartialEq + Clone>(wish: &Option<T>, is: Option<&T>) -> Option<T> {
            wish.as_ref().filter(|w| is.is_some_and(|is| is != *w)).cloned()
        }
        Wish {
            listen_port: wish.listen_port.filter(|w| self.listen_port != Some(i64::from(*w))),
            random_port: unless(&wish.random_port, self.random_port.as_ref()),
            upnp: unless(&wish.upnp, self.upnp.as_ref()),
            interface: unless(&wish.interface, self.current_network_interface.as_ref()),
            address: unless(&wish.address, self.current_interface_address.as_ref()),
        }
    }
}

impl Wish {
    pub fn is_empty(&self) -> bool {
        *self == Wish::default()
    }

    pub fn to_json(&self) -> String {
        let mut object = json::Object::new();
        let mut set = |key: &str, value| object.insert(key.to_owned(), value);
        if let Some(port) = self.listen_port {
            set("listen_port", json::Value::Number(json::Number::U64(port.into())));
        }
        for (key, value) in [("random_port", self.random_port), ("upnp", self.upnp)] {
            if let Some(value) = value {
                set(key, json::Value::Bool(value));
            }
        }
        let (interface, address) = (&self.interface, &self.address);
        for (key, value) in [("current_network_interface", interface), ("current_interface_address", address)]
        {
            if let Some(value) = value {
                set(key, json::Value::String(value.clone()));
            }
        }
        json::to_string(&json::Value::Object(object))
    }
}

/// One entry of `torrents/info`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Torrent {
    pub hash: String,
    /// `downloading`, `stalledDL`, `stoppedUP` and so on.
    pub state: String,
    pub dlspeed: Option<i64>,
}

impl Torrent {
    pub fn parse_list(reply: &Reply) -> Option<Vec<Torrent>> {
        json::from_str(&reply.text()).ok()
    }

    /// Stopped by a person or, for a moment, by us: `stoppedDL` since 5.0, `pausedUP` and so on before.
    pub fn is_stopped(&self) -> bool {
        self.state.starts_with("stopped") || self.state.starts_with("paused")
    }

    pub fn is_downloading(&self) -> bool {
        self.dlspeed.is_some_and(|speed| speed > 0)
    }
}

/// `transfer/info`: `connected`, `firewalled` or `disconnected`.
pub fn parse_connection(reply: &Reply) -> Option<String> {
    #[derive(Deserialize)]
    struct Info {
        connection_status: String,
    }
    json::from_str::<Info>(&reply.text()).ok().map(|info| info.connection_status)
}

/// The WebUI and our session with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebUi {
    /// Without a slash at its end.
    base: String,
    auth: Auth,
    /// `name=value` of the session.
    cookie: Option<Secret>,
    /// How many of the other `Host` headers were tried.
    host: usize,
    api: Option<ApiVersion>,
    timeout: Duration,
}

impl WebUi {
    pub fn new(url: &str, auth: Auth) -> WebUi {
        let base = url.trim_end_matches('/').to_owned();
        WebUi { base, auth, cookie: None, host: 0, api: None, timeout: CALL_TIMEOUT }
    }

    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The address and port of the WebUI where the URL names the machine itself, for a look at the kernel's sockets.
    pub fn local_socket(&self) -> Option<(IpAddr, u16)> {
        let (_, authority) = self.authority();
        let (host, port) = split_port(authority);
        let default = if self.base.starts_with("https:") { 443 } else { 80 };
        let address = match host.trim_matches(['[', ']']) {
            "localhost" => IpAddr::from([127, 0, 0, 1]),
            other => other.parse().ok().filter(IpAddr::is_loopback)?,
        };
        Some((address, port.unwrap_or(default)))
    }

    pub fn request(&self, call: &Call) -> Request {
        let url = |path: &str| format!("{}/api/v2/{path}", self.base);
        let post = |path: &str, form: String| Request::post(url(path), FORM, form);
        let mut request = match call {
            Call::Version => Request::get(url("app/version")),
            Call::ApiVersion => Request::get(url("app/webapiVersion")),
            Call::Login => post("auth/login", self.credentials()),
            Call::Preferences => Request::get(url("app/preferences")),
            Call::SetPreferences(wish) => {
                post("app/setPreferences", format!("json={}", percent_encode(&wish.to_json())))
            }
            Call::Connection => Request::get(url("transfer/info")),
            Call::Torrents(filter) => {
                let filter = match filter {
                    Filter::Active => "filter=active".to_owned(),
                    Filter::StalledDownloading => "filter=stalled_downloading".to_owned(),
                    Filter::These(hashes) => format!("hashes={}", percent_encode(&hashes.join("|"))),
                };
                Request::get(url(&format!("torrents/info?{filter}&limit={TORRENTS_MOST}")))
            }
            Call::Start(hashes) => post(self.control("torrents/resume", "torrents/start"), form(hashes)),
            Call::Stop(hashes) => post(self.control("torrents/pause", "torrents/stop"), form(hashes)),
            Call::Reannounce(hashes) => post("torrents/reannounce", form(hashes)),
        };
        request.route = Route::Local;
        request.timeout = self.timeout;
        if self.base.starts_with("https:") && self.local_socket().is_some() {
            request.connect_to = self.local_socket().map(SocketAddr::from);
            request.trust = Trust::ThisMachine;
        }
        request.body_limit = BODY_LIMIT;
        if let Some(host) = self.host_header() {
            request = request.header("Host", host);
        }
        match (&self.auth, &self.cookie) {
            (Auth::Key(key), _) => request.header("Authorization", format!("Bearer {}", key.reveal())),
            (_, Some(cookie)) if *call != Call::Login => request.header("Cookie", cookie.reveal()),
            _ => request,
        }
    }

    /// Keeps the session's cookie, and says what the reply's status means.
    pub fn judge(&mut self, call: &Call, reply: &Reply) -> Verdict {
        self.keep_cookie(reply);
        let login = *call == Call::Login;
        match reply.status {
            200 if login && reply.text().trim() == "Fails." => Verdict::WrongPassword,
            200..=299 => Verdict::Done,
            401 if login => Verdict::WrongPassword,
            401 => Verdict::WrongHost,
            403 if login => Verdict::Banned,
            403 => {
                self.cookie = None;
                Verdict::NeedsLogin
            }
            404 | 405 => Verdict::Unknown,
            status => Verdict::Odd(status),
        }
    }

    pub fn set_api(&mut self, api: ApiVersion) {
        self.api = Some(api);
    }

    pub fn knows_api(&self) -> bool {
        self.api.is_some()
    }

    /// Forgets the session after a call that failed: another qBittorrent may answer next. One that took its time is given
    /// more from then on, until it fails otherwise.
    pub fn forget_session(&mut self, error: &HttpError) {
        self.cookie = None;
        self.api = None;
        self.timeout = if *error == HttpError::TimedOut { SLOW_TIMEOUT } else { CALL_TIMEOUT };
    }

    /// Takes the next `Host` header; false (and the plain one again) when all were tried.
    pub fn try_next_host(&mut self) -> bool {
        self.host += 1;
        let left = self.host_header().is_some();
        if !left {
            self.host = 0;
        }
        left
    }

    /// The `Host` to send instead of the URL's. A header without a port passes the check of the port
    /// (`validateHostHeader` in qBittorrent's `webapplication.cpp`); 8080 is its default.
    fn host_header(&self) -> Option<String> {
        let (host, port) = split_port(self.authority().1);
        let with_port = |port: u16| format!("localhost:{port}");
        match self.host {
            1 => Some(with_port(port.unwrap_or(80))),
            2 => Some(host.to_owned()),
            3 => Some("localhost".to_owned()),
            4 => Some(with_port(8080)),
            _ => None,
        }
    }

    fn authority(&self) -> (&str, &str) {
        let (scheme, rest) = self.base.split_once("://").unwrap_or(("http", &self.base));
        (scheme, rest.split('/').next().unwrap_or_default())
    }

    fn credentials(&self) -> String {
        match &self.auth {
            Auth::Password { user, pass } => {
                format!("username={}&password={}", percent_encode(user), percent_encode(pass.reveal()))
            }
            Auth::None | Auth::Key(_) => "username=&password=".to_owned(),
        }
    }

    fn control(&self, before: &'static str, since: &'static str) -> &'static str {
        if self.api.is_none_or(|api| api >= STOP_START_SINCE) { since } else { before }
    }

    /// `SID=…` or `QBT_SID_8080=…` of any reply: where the login is bypassed, each request without a cookie opens
    /// another session.
    fn keep_cookie(&mut self, reply: &Reply) {
        for (name, value) in &reply.headers {
            let pair = value.split(';').next().unwrap_or_default().trim();
            let cookie = pair.split_once('=').map(|(name, _)| name.strip_prefix("QBT_").unwrap_or(name));
            if name == "set-cookie" && cookie.is_some_and(|c| c == "SID" || c.starts_with("SID_")) {
                self.cookie = Some(Secret::new(pair));
            }
        }
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn form(hashes: &Hashes) -> String {
    match hashes {
        Hashes::All => "hashes=all".to_owned(),
        Hashes::These(these) => format!("hashes={}", percent_encode(&these.join("|"))),
    }
}

/// `host:port`, `[v6]:port` or a host alone.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}
