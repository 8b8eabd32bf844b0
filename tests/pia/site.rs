//! The test PIA (`tests/pia_server`) in a private namespace in which all its addresses are local, and pvpn's provider
//! set up for it.

use pvpn::config::{Config, load};
use pvpn::provider::pia::Pia;
use pvpn::sys::Clock;
use pvpn::sys::clock::System;
use pvpn::sys::files::Disk;
use pvpn::sys::http::Client;
use pvpn::time::{Duration, Instant, UnixTime};
use pvpn::wire::json::Value;
use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Runs `story` in a private namespace. `test` is the name of the calling test.
pub fn in_namespace(test: &str, story: impl FnOnce()) {
    const INSIDE: &str = "PVPN_TEST_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        for line in [
            "ip link set lo up",
            "ip route add local 10.0.0.0/8 dev lo",
            "ip route add local 203.0.113.0/24 dev lo",
        ] {
            let mut words = line.split_whitespace();
            assert!(Command::new(words.next().unwrap()).args(words).status().unwrap().success(), "{line}");
        }
        return story();
    }
    let this = std::env::current_exe().unwrap();
    let mut again = Command::new("unshare");
    again.arg("-rn").arg(this).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let output = again.output().expect("unshare(1) of util-linux");
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// A clock that stands still on this machine's time, but for what is waited on it.
pub struct Scripted {
    passed: Cell<Duration>,
    began: (Instant, UnixTime),
}

impl Clock for Scripted {
    fn now(&self) -> Instant {
        self.began.0 + self.passed.get()
    }

    fn wall(&self) -> UnixTime {
        UnixTime(self.began.1.0 + self.passed.get().as_secs())
    }

    fn sleep(&self, time: Duration) {
        self.passed.set(self.passed.get() + time);
    }
}

pub const USER: &str = "p1234567";
/// With everything that an unescaped form would break on.
pub const PASSWORD: &str = "a&b+c%=d #e";

/// Six regions: two that forward, one without, one offline, one without WireGuard, one virtual.
const REGIONS: &str = r#"[
{"id":"swiss","name":"Switzerland","country":"CH","servers":[
  {"ip":"203.0.113.7","cn":"zurich406","meta":"203.0.113.8","vip":"10.44.128.1"},
  {"ip":"203.0.113.9","cn":"Server-12619-0a","vip":"10.45.128.1","certificate":"cn"}]},
{"id":"uk","name":"UK London","country":"UK","servers":[{"ip":"203.0.113.11","cn":"london407","vip":"10.46.128.1"}]},
{"id":"us_atlanta","name":"US Atlanta","country":"US","port_forward":false,"servers":[
  {"ip":"203.0.113.12","cn":"Server-10759-2a","vip":"10.47.128.1"}]},
{"id":"unlisted","name":"x","hidden":true,"servers":[{"ip":"203.0.113.31","cn":"zurich499","vip":"10.51.128.1"}]},
{"id":"mars","name":"Mars","offline":true,"servers":[{"ip":"203.0.113.13","cn":"mars001"}]},
{"id":"empty","name":"Empty","country":"NL"},
{"id":"greenland","name":"Greenland","country":"GL","geo":true,"servers":[
  {"ip":"203.0.113.21","cn":"nuuk401","vip":"10.48.128.1","certificate":"expired"},
  {"ip":"203.0.113.22","cn":"nuuk402","vip":"10.49.128.1","certificate":"other"},
  {"ip":"203.0.113.23","cn":"nuuk403","vip":"10.50.128.1","certificate":"foreign"}]}]"#;

/// A dedicated address at a server that is in no list, and one that is over.
const DEDICATED: &str = r#"{
"DIPgood":{"id":"swiss","ip":"203.0.113.31","cn":"zurich499","status":"active","dip_expire":4000000000,"groups":["wg"]},
"DIPover":{"id":"swiss","ip":"203.0.113.32","cn":"zurich498","status":"expired","dip_expire":1,"groups":[]}}"#;

/// Made once, and used by all tests.
pub const KEYS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/pia-keys");

/// The running test PIA with a configuration directory beside it.
pub struct Site {
    child: Child,
    control: u64,
    account: u64,
    pub list: u64,
    folder: PathBuf,
    pub clock: Scripted,
    http: Client,
}

impl Site {
    pub fn start(name: &str) -> Site {
        let folder = std::env::temp_dir().join(format!("pvpn-pia-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("config")).unwrap();
        let text = format!(
            "{{\"folder\":\"{}\",\"dedicated\":{DEDICATED},\"users\":{{\"{USER}\":\"{PASSWORD}\"}},\"regions\":{REGIONS}}}",
            KEYS
        );
        std::fs::write(folder.join("site.json"), text).unwrap();
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pia_server/pia.py");
        let mut child = Command::new("python3")
            .args(["-B", program])
            .arg(folder.join("site.json"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports = Value::parse(line.as_bytes()).unwrap();
        let port = |name| ports.at(name).number().unwrap();
        Site {
            control: port("control"),
            account: port("account"),
            list: port("list"),
            child,
            folder,
            clock: Scripted { passed: Cell::new(Duration::ZERO), began: (System.now(), System.wall()) },
            http: Client::new(Vec::new()),
        }
    }

    /// With more lines for `[pia]`.
    pub fn config_with(&self, pass: &str, more: &str) -> Config {
        let text = format!(
            "[pia]\nuser = {USER}\npass = \"{pass}\"\n\
             token_url = https://127.0.0.1:{}/api/client/v2/token\n\
             serverlist_url = https://127.0.0.1:{}/vpninfo/servers/v6\n\
             ca_file = {KEYS}/web/ca.pem\nserver_ca_file = {KEYS}/vpn/ca.pem\n\
             serverlist_key_file = {KEYS}/list.pub.pem\n{more}",
            self.account, self.list
        );
        load::parse(&text, &self.folder.join("config"), &self.folder).unwrap()
    }

    pub fn config(&self) -> Config {
        self.config_with(PASSWORD, "")
    }

    pub fn pia_of(&self, config: &Config) -> Pia<'_> {
        Pia::new(config, &self.http, &Disk, &self.clock).unwrap()
    }

    pub fn pia(&self) -> Pia<'_> {
        self.pia_of(&self.config())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join("config/pia").join(name)
    }

    fn control(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{}", self.control)).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    pub fn faults(&self, json: &str) {
        self.control("POST", "/faults", json);
    }

    pub fn order(&self, json: &str) {
        self.control("POST", "/do", json);
    }

    /// The calls since the last look, as `token 200`.
    pub fn calls(&self) -> Vec<String> {
        let log = Value::parse(self.control("GET", "/log", "").as_bytes()).unwrap();
        self.order("{\"clear_log\":true}");
        let text =
            |c: &Value| format!("{} {}", c.at("call").text().unwrap(), c.at("status").number().unwrap());
        log.items().iter().map(text).collect()
    }

    pub fn state(&self) -> Value {
        Value::parse(self.control("GET", "/state", "").as_bytes()).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
