//! A qBittorrent as the WebUI shows it, and the world around it.

use super::super::*;
use crate::config::Resume;
use crate::config::secret::Secret;
use crate::qbittorrent::{Auth, Preferences};
use crate::time::millis;
use crate::wire::http::Request;

pub fn at(ms: u64) -> Instant {
    Instant::BOOT + millis(ms)
}

pub fn desired(port: u16) -> Desired {
    Desired { port: Some(port), interface: "wgpnl".to_owned(), address: [10, 2, 0, 2].into() }
}

pub fn settings() -> Settings {
    Settings {
        enable: true,
        url: "http://127.0.0.1:8080".to_owned(),
        auth: Auth::Password { user: "admin".to_owned(), pass: Secret::new("hunter2") },
        port: 6999,
        resume: Resume::Stalled,
        unbind: false,
    }
}

pub struct Qb {
    pub alive: bool,
    pub version: &'static str,
    pub api: &'static str,
    /// 204 and 401 instead of `Ok.` and `Fails.`
    pub modern: bool,
    pub password: Option<&'static str>,
    /// The `Host` it takes, if not any.
    pub host: Option<&'static str>,
    pub session: bool,
    pub failed_logins: u32,
    pub logins: u32,
    pub listen_port: u16,
    pub random_port: bool,
    pub upnp: bool,
    pub interface: String,
    pub address: String,
    /// The tunnel's address as the machine has it.
    pub tunnel: &'static str,
    pub listening: Option<String>,
    /// So many changes are accepted and lead to nothing.
    pub deaf: u32,
    pub keeps: bool,
    /// Whether the kernel shows its sockets.
    pub visible: bool,
    pub torrents: Vec<(&'static str, &'static str)>,
    pub log: Vec<String>,
    pub ports_written: Vec<(Instant, u16)>,
    pub commands: Vec<String>,
}

impl Qb {
    pub fn v4() -> Qb {
        Qb {
            alive: true,
            version: "v4.5.2",
            api: "2.8.19",
            modern: false,
            password: Some("hunter2"),
            host: None,
            session: false,
            failed_logins: 0,
            logins: 0,
            listen_port: 6881,
            random_port: false,
            upnp: true,
            interface: String::new(),
            address: String::new(),
            tunnel: "10.2.0.2",
            listening: Some("0.0.0.0:6881".to_owned()),
            deaf: 0,
            keeps: true,
            visible: true,
            torrents: Vec::new(),
            log: Vec::new(),
            ports_written: Vec::new(),
            commands: Vec::new(),
        }
    }

    pub fn v5_2() -> Qb {
        Qb { version: "v5.2.0", api: "2.15.1", modern: true, random_port: true, ..Qb::v4() }
    }

    pub fn restart_with_own_settings(&mut self) {
        *self = Qb { visible: self.visible, log: std::mem::take(&mut self.log), ..Qb::v4() };
    }

    pub fn listens_on(&self) -> Option<String> {
        self.listening.clone().filter(|_| self.alive)
    }

    pub fn calls(&self, name: &str) -> usize {
        self.log.iter().filter(|l| l.contains(name)).count()
    }

    fn answer(&mut self, now: Instant, request: &Request) -> Result<Reply, HttpError> {
        if !self.alive {
            return Err(HttpError::Connect("connection refused".to_owned()));
        }
        let path = request.url.split_once("/api/v2/").unwrap().1.to_owned();
        let form = String::from_utf8(request.body.clone().unwrap_or_default()).unwrap();
        let (status, body, cookie) = self.serve(now, &path, &form, request);
        self.log.push(format!("{path} {status}"));
        let name = if self.modern { "QBT_SID_8080" } else { "SID" };
        let headers = cookie.map(|c| ("set-cookie".to_owned(), format!("{name}={c}; HttpOnly; path=/")));
        Ok(Reply { status, headers: headers.into_iter().collect(), body: body.into_bytes() })
    }

    fn serve(
        &mut self,
        now: Instant,
        path: &str,
        form: &str,
        request: &Request,
    ) -> (u16, String, Option<&'static str>) {
        let header = |name| request.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        if self.host.is_some() && header("Host") != self.host {
            return (401, "Unauthorized".to_owned(), None);
        }
        if path == "auth/login" {
            return self.login(form);
        }
        let by_key = self.modern && header("Authorization") == Some("Bearer qbt_key");
        let by_cookie =
            self.session && header("Cookie").is_some_and(|c| c.ends_with("SID=1") || c.contains("_8080=1"));
        if !by_key && !by_cookie && self.password.is_some() {
            return (403, "Forbidden".to_owned(), None);
        }
        let done = if self.modern { 204 } else { 200 };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let body = match path {
            "app/version" => self.version.to_owned(),
            "app/webapiVersion" => self.api.to_owned(),
            "app/preferences" => self.preferences(),
            "transfer/info" => r#"{"connection_status":"connected"}"#.to_owned(),
            "torrents/info" => self.list(query),
            "app/setPreferences" => {
                self.set(now, form);
                return (done, String::new(), None);
            }
            _ => return self.command(path, form),
        };
        (200, body, None)
    }

    fn login(&mut self, form: &str) -> (u16, String, Option<&'static str>) {
        if self.failed_logins >= 5 {
            return (403, "Your IP address has been banned".to_owned(), None);
        }
        if form == format!("username=admin&password={}", self.password.unwrap_or_default()) {
            self.logins += 1;
            self.session = true;
            return if self.modern {
                (204, String::new(), Some("1"))
            } else {
                (200, "Ok.".to_owned(), Some("1"))
            };
        }
        self.failed_logins += 1;
        if self.modern { (401, String::new(), None) } else { (200, "Fails.".to_owned(), None) }
    }

    fn preferences(&self) -> String {
        format!(
            r#"{{"a":[1],"listen_port":{},"random_port":{},"upnp":{},"current_network_interface":"{}","current_interface_address":"{}"}}"#,
            self.listen_port, self.random_port, self.upnp, self.interface, self.address
        )
    }

    /// `json=` with the keys that the machine writes, percent-decoded as far as they need it.
    fn set(&mut self, now: Instant, form: &str) {
        let mut text = form.strip_prefix("json=").unwrap().to_owned();
        for (code, char) in [("%7B", "{"), ("%7D", "}"), ("%22", "\""), ("%3A", ":"), ("%2C", ",")] {
            text = text.replace(code, char);
        }
        let set: Preferences = miniserde::json::from_str(&text).unwrap();
        if let Some(port) = set.listen_port {
            self.ports_written.push((now, port as u16));
        }
        if !self.keeps {
            return;
        }
        let before = (self.listen_port, self.interface.clone(), self.address.clone());
        self.listen_port =
            set.listen_port.map_or(self.listen_port, |p| if p == 0 { 54321 } else { p as u16 });
        self.random_port = set.random_port.unwrap_or(self.random_port);
        self.upnp = set.upnp.unwrap_or(self.upnp);
        self.interface = set.current_network_interface.unwrap_or(self.interface.clone());
        self.address = set.current_interface_address.unwrap_or(self.address.clone());
        // It acts on what changes only.
        if before != (self.listen_port, self.interface.clone(), self.address.clone()) {
            let heard = self.deaf == 0 && self.address == self.tunnel;
            self.deaf = self.deaf.saturating_sub(1);
            self.listening = heard.then(|| format!("{}:{}", self.address, self.listen_port));
        }
    }

    fn list(&self, query: &str) -> String {
        let wanted = |(hash, state): &&(&str, &str)| match query.split('&').next().unwrap() {
            "filter=active" => *state == "downloading",
            "filter=stalled_downloading" => *state == "stalledDL",
            hashes => hashes.contains(hash),
        };
        let entry = |(hash, state): &(&str, &str)| {
            let speed = if *state == "downloading" { 9000 } else { 0 };
            format!(r#"{{"hash":"{hash}","state":"{state}","dlspeed":{speed},"name":"x"}}"#)
        };
        let list: Vec<String> = self.torrents.iter().filter(wanted).map(entry).collect();
        format!("[{}]", list.join(","))
    }

    fn command(&mut self, path: &str, form: &str) -> (u16, String, Option<&'static str>) {
        let name = path.strip_prefix("torrents/").unwrap();
        let known = if self.modern { ["start", "stop"] } else { ["resume", "pause"] };
        if name != "reannounce" && !known.contains(&name) {
            return (404, "Not Found".to_owned(), None);
        }
        self.commands.push(format!("{name} {}", form.strip_prefix("hashes=").unwrap()));
        (if self.modern { 204 } else { 200 }, String::new(), None)
    }
}

pub struct World {
    pub sync: Sync,
    pub qb: Qb,
    now: Instant,
    pub stored: Vec<Memory>,
    pub looks: u32,
    pub wakes: u32,
}

impl World {
    pub fn new(qb: Qb) -> World {
        World::with(qb, settings())
    }

    pub fn with(qb: Qb, settings: Settings) -> World {
        let sync = Sync::new(settings, no_memory(), at(0));
        World { sync, qb, now: at(0), stored: Vec::new(), looks: 0, wakes: 0 }
    }

    pub fn state(&self) -> SyncState {
        self.sync.view().state
    }

    /// Wants this, and gives the machine a second for it.
    pub fn desire(&mut self, desired: Desired) {
        self.input(Input::Desired(Some(desired)));
    }

    pub fn input(&mut self, input: Input) {
        self.sync.handle(self.now, input);
        self.run_for(secs(1));
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.perform();
            let Some(next) = self.sync.poll_timeout().filter(|next| *next <= end) else { break };
            self.now = next.max(self.now);
            self.wakes += 1;
            self.sync.handle(self.now, Input::Wake);
        }
        self.now = end;
    }

    fn perform(&mut self) {
        while let Some(action) = self.sync.poll_action() {
            match action {
                Action::Send { id, request } => {
                    self.wakes += 1;
                    let reply = self.qb.answer(self.now, &request);
                    self.sync.handle(self.now, Input::Reply { id, reply });
                }
                Action::CheckListening { address, port } => {
                    self.looks += 1;
                    let seen = if port == 8080 {
                        self.qb.alive
                    } else {
                        let there = [format!("{address}:{port}"), format!("0.0.0.0:{port}")];
                        self.qb.listens_on().is_some_and(|l| there.contains(&l))
                    };
                    self.sync.handle(self.now, Input::Listening(self.qb.visible.then_some(seen)));
                }
                Action::Store(memory) => self.stored.push(memory),
            }
        }
    }
}

pub fn no_memory() -> Memory {
    Memory { earlier: None, stopped: Vec::new() }
}
