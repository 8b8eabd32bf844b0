//! A scripted API, a clock that moves by sleeping, and a directory of one's own, for the stories of the tests.

use super::*;
use crate::config::secret::Secret;
use crate::sys::files::Disk;
use crate::time::{Duration, Instant, UnixTime};
use crate::wire::http::{HttpError, Method, Request, Response};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// The wall clock of every story's beginning.
pub const NOW: u64 = 1_790_000_000;

/// Time passes only by sleeping.
pub struct Slept(Cell<Duration>);

impl Slept {
    pub fn total(&self) -> Duration {
        self.0.get()
    }
}

impl Clock for Slept {
    fn now(&self) -> Instant {
        Instant::BOOT + self.0.get()
    }

    fn wall(&self) -> UnixTime {
        UnixTime(NOW + self.0.get().as_secs())
    }

    fn sleep(&self, time: Duration) {
        self.0.set(self.0.get() + time);
    }
}

/// Answers requests in turn, each only when it is the one expected.
#[derive(Default)]
pub struct Script {
    turns: RefCell<VecDeque<(String, Turn)>>,
    pub seen: RefCell<Vec<Request>>,
}

pub enum Turn {
    Reply(u16, Vec<(String, String)>, Vec<u8>),
    Fail(HttpError),
}

impl Script {
    /// `expected` is `POST /auth`, without the query.
    pub fn turn(&self, expected: &str, turn: Turn) {
        self.turns.borrow_mut().push_back((expected.to_owned(), turn));
    }

    pub fn json(&self, expected: &str, status: u16, body: &str) {
        let kind = vec![("content-type".to_owned(), "application/json".to_owned())];
        self.turn(expected, Turn::Reply(status, kind, body.as_bytes().to_vec()));
    }

    pub fn page(&self, expected: &str, status: u16, headers: &[(&str, &str)]) {
        let mut all = vec![("content-type".to_owned(), "text/html".to_owned())];
        all.extend(headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        self.turn(expected, Turn::Reply(status, all, b"<html>secret gateway page</html>".to_vec()));
    }

    pub fn is_over(&self) -> bool {
        self.turns.borrow().is_empty()
    }

    pub fn bodies(&self) -> Vec<String> {
        let text = |r: &Request| String::from_utf8(r.body.clone().unwrap_or_default()).unwrap();
        self.seen.borrow().iter().map(text).collect()
    }
}

impl Http for Script {
    fn send(&self, request: &Request) -> std::result::Result<Response, HttpError> {
        let verb = match request.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        };
        let path = request.url.strip_prefix("https://api.test").unwrap().split('?').next().unwrap();
        let asked = format!("{verb} {path}");
        self.seen.borrow_mut().push(request.clone());
        let (expected, turn) =
            self.turns.borrow_mut().pop_front().unwrap_or_else(|| panic!("surprise: {asked}"));
        assert_eq!(asked, expected);
        match turn {
            Turn::Fail(e) => Err(e),
            Turn::Reply(status, headers, body) => {
                Ok(Response { status, headers, body: Box::new(std::io::Cursor::new(body)) })
            }
        }
    }
}

/// A directory of one test, removed at its end.
pub struct Scene {
    pub dir: PathBuf,
    pub http: Script,
    pub clock: Slept,
    pub disk: Disk,
}

impl Scene {
    pub fn new(name: &str) -> Scene {
        let dir = std::env::temp_dir().join(format!("pvpn-proton-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Scene { dir, http: Script::default(), clock: Slept(Cell::new(Duration::ZERO)), disk: Disk }
    }

    pub fn api(&self) -> Api<'_> {
        Api::new(&self.http, &self.clock, "https://api.test/", None)
    }

    pub fn store(&self) -> Store<'_> {
        Store::new(&self.disk, &self.clock, &self.dir.join("proton"))
    }

    pub fn config(&self, keys: &str) -> Config {
        let text = format!("[protonvpn]\napi_url = https://api.test\n{keys}");
        crate::config::load::parse(&text, &self.dir, &self.dir).unwrap()
    }

    pub fn proton(&self, keys: &str) -> Proton<'_> {
        Proton::new(&self.config(keys), &self.http, &self.disk, &self.clock).unwrap()
    }

    /// Puts a session on disk whose tokens end in an hour.
    pub fn log_in(&self) -> Session {
        let session = session("at1", "rt1");
        self.store().store(&session).unwrap();
        session
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.join(name)).unwrap()
    }

    pub fn has(&self, name: &str) -> bool {
        self.dir.join(name).exists()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub fn who() -> Identity {
    Identity {
        app_version: "linux-vpn-cli@5.2.5+x86-64".to_owned(),
        user_agent: "ProtonVPN/5.2.5".to_owned(),
    }
}

pub fn session(access: &str, refresh: &str) -> Session {
    Session {
        user: "me".to_owned(),
        uid: Secret::new("uid1"),
        access_token: Secret::new(access),
        refresh_token: Secret::new(refresh),
        scopes: vec!["vpn".to_owned()],
        identity: who(),
        expires_at: UnixTime(NOW + 3600),
        renewed_at: UnixTime(NOW),
    }
}
