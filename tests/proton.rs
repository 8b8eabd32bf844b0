//! The Proton provider against an API in another language, over real TLS, in a network namespace of its own
//! (`unshare -rn`), where pvpn may mark its sockets and nothing leaves.

#[path = "proton/faults.rs"]
mod faults;
#[path = "proton/logins.rs"]
mod logins;
#[path = "proton/sessions.rs"]
mod sessions;
#[path = "proton/typed.rs"]
mod typed;

use pvpn::config::Config;
use pvpn::config::secret::Secret;
use pvpn::error::Result;
use pvpn::provider::proton::{Ask, Credentials, LoginBy, Proton};
use pvpn::sys::Clock;
use pvpn::sys::clock::System;
use pvpn::sys::files::Disk;
use pvpn::sys::http::{Client, Http};
use pvpn::time::{Duration, Instant, UnixTime, secs};
use pvpn::wire::http::{Request, Route, Trust};
use pvpn::wire::json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// Runs `story` in a private namespace whose loopback is up. `test` is the full name of the calling test.
pub fn in_namespace(test: &str, story: impl FnOnce()) {
    const INSIDE: &str = "PVPN_TEST_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(up.is_ok_and(|s| s.success()));
        return story();
    }
    let mut again = Command::new("unshare");
    again.arg("-rn").arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let output = again.env(INSIDE, "1").output().expect("unshare(1) of util-linux");
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "no test is called {test}:\n{text}");
}

/// The machine's clocks, but waiting takes no time: it moves both ahead.
pub struct Skipping {
    ahead: Mutex<Duration>,
}

impl Skipping {
    pub fn skip(&self, time: Duration) {
        *self.ahead.lock().unwrap() += time;
    }

    pub fn skipped(&self) -> Duration {
        *self.ahead.lock().unwrap()
    }
}

impl Clock for Skipping {
    fn now(&self) -> Instant {
        System.now() + self.skipped()
    }

    fn wall(&self) -> UnixTime {
        UnixTime(System.wall().0 + self.skipped().as_secs())
    }

    fn sleep(&self, time: Duration) {
        self.skip(time);
    }
}

/// The API in its process, and a home for one user of it.
pub struct World {
    api: Child,
    pub dir: PathBuf,
    pub port: u64,
    pub wrong_host_port: u64,
    pub http: Client,
    pub clock: Skipping,
}

impl World {
    pub fn new(name: &str) -> World {
        World::with(name, &[])
    }

    pub fn with(name: &str, options: &[&str]) -> World {
        let dir = std::env::temp_dir().join(format!("pvpn-api-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proton_api/server.py");
        let mut api = Command::new("python3")
            .arg(server)
            .arg("--dir")
            .arg(&dir)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut line = String::new();
        BufReader::new(api.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports = Value::parse(line.as_bytes()).unwrap_or_else(|e| panic!("{e}: {line}"));
        let port = |key| ports.at(key).number().unwrap();
        let (port, wrong_host_port) = (port("port"), port("wrong_host_port"));
        let clock = Skipping { ahead: Mutex::default() };
        World { api, dir, port, wrong_host_port, http: Client::new(Vec::new()), clock }
    }

    /// A configuration with these keys of `[protonvpn]` beside the API's address.
    pub fn config(&self, keys: &str) -> Config {
        let text = format!(
            "[protonvpn]\napi_url = https://127.0.0.1:{}\nca_file = {}/ca.pem\n{keys}",
            self.port,
            self.dir.display()
        );
        self.parse(&text)
    }

    pub fn parse(&self, text: &str) -> Config {
        pvpn::config::load::parse(text, &self.dir, &self.dir).unwrap()
    }

    pub fn proton(&self, keys: &str) -> Proton<'_> {
        Proton::new(&self.config(keys), &self.http, &Disk, &self.clock).unwrap()
    }

    /// Logs in as the one account there is.
    pub fn log_in(&self) -> Proton<'_> {
        let mut proton = self.proton("");
        proton.log_in(LoginBy::Password, &self.known(), &mut Typed::default()).unwrap();
        proton
    }

    pub fn known(&self) -> Credentials {
        Credentials {
            user: "tester@example.org".to_owned(),
            password: Some(Secret::new("correct horse battery staple")),
            ..Credentials::default()
        }
    }

    /// Changes the API's world: JSON for `World.change` in `server.py`.
    pub fn change(&self, json: &str) {
        self.control(Request::post(self.control_url(), "application/json", json));
    }

    /// What the API has seen.
    pub fn report(&self) -> Value {
        self.control(Request::get(self.control_url()))
    }

    /// Calls of this method and path so far.
    pub fn count(&self, call: &str) -> usize {
        self.report().at("seen").items().iter().filter(|c| c.text() == Some(call)).count()
    }

    pub fn assert_no_violation(&self) {
        let report = self.report();
        let violations: Vec<_> = report.at("violations").items().iter().filter_map(Value::text).collect();
        assert!(violations.is_empty(), "{violations:?}");
    }

    pub fn has_session(&self) -> bool {
        self.dir.join("proton/session.json").exists()
    }

    fn control_url(&self) -> String {
        format!("https://127.0.0.1:{}/_test", self.port)
    }

    fn control(&self, mut request: Request) -> Value {
        request.route = Route::Local;
        request.trust = Trust::Web { extra_pem: Some(std::fs::read(self.dir.join("ca.pem")).unwrap()) };
        let mut reply = self.http.send(&request).unwrap();
        assert_eq!(reply.status, 200);
        Value::parse(&mut reply.body).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.api.kill();
        let _ = self.api.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A person who types what was prepared, and remembers what was shown.
#[derive(Default)]
pub struct Typed {
    pub passwords: Vec<&'static str>,
    pub codes: Vec<String>,
    pub shown: Option<(String, String)>,
    pub asked: u32,
}

impl Ask for Typed {
    fn password(&mut self, _: &str, _: bool) -> Option<Secret> {
        self.asked += 1;
        (!self.passwords.is_empty()).then(|| Secret::new(self.passwords.remove(0)))
    }

    fn second_factor(&mut self, _: bool) -> Option<Secret> {
        self.asked += 1;
        (!self.codes.is_empty()).then(|| Secret::new(self.codes.remove(0)))
    }

    fn show_code(&mut self, code: &str, url: &str) {
        self.shown = Some((code.to_owned(), url.to_owned()));
    }
}

/// The X25519 public key of a private one, worked out by the API's language.
pub fn public_key(private: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proton_api/srp_side.py");
    let mut child = Command::new("python3")
        .arg(script)
        .arg("pubkey")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(private.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

/// The error of a result whose success does not print.
pub fn refusal<T>(result: Result<T>) -> pvpn::error::Error {
    result.err().expect("a refusal")
}

/// One minute.
pub const MINUTE: Duration = secs(60);
