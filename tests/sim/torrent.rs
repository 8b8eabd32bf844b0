//! A qBittorrent 4.5 without a password: what it is set to, and what it listens on.

use pvpn::time::Instant;
use pvpn::wire::http::{HttpError, Reply, Request};

#[derive(Default)]
pub struct Torrent {
    pub port: u16,
    interface: String,
    address: String,
    /// Down during these times, and back with its own settings.
    pub down: Vec<(Instant, Instant)>,
    was_down: bool,
    /// The numbers written, each when it differed.
    pub written: Vec<u16>,
    pub requests: u32,
}

impl Torrent {
    pub fn new(port: u16) -> Torrent {
        Torrent { port, ..Torrent::default() }
    }

    pub fn advance(&mut self, now: Instant) {
        let down = self.is_down(now);
        if down {
            self.was_down = true;
        } else if std::mem::take(&mut self.was_down) {
            (self.port, self.interface, self.address) = (6881, String::new(), String::new());
        }
    }

    fn is_down(&self, now: Instant) -> bool {
        self.down.iter().any(|(from, to)| *from <= now && now < *to)
    }

    pub fn listens(&self, now: Instant, address: &str, port: u16) -> bool {
        !self.is_down(now) && (port == 8080 || (port == self.port && address == self.address))
    }

    pub fn answer(&mut self, now: Instant, request: &Request) -> Result<Reply, HttpError> {
        self.requests += 1;
        self.advance(now);
        if self.is_down(now) {
            return Err(HttpError::Connect("connection refused".to_owned()));
        }
        let path = request.url.rsplit_once("/api/v2/").expect("a WebUI address").1;
        let body = match path.split('?').next().unwrap_or_default() {
            "app/version" => "v4.5.2".to_owned(),
            "app/webapiVersion" => "2.8.19".to_owned(),
            "app/preferences" => format!(
                r#"{{"listen_port":{},"random_port":false,"upnp":false,"current_network_interface":"{}","current_interface_address":"{}"}}"#,
                self.port, self.interface, self.address
            ),
            "transfer/info" => r#"{"connection_status":"connected"}"#.to_owned(),
            "torrents/info" => "[]".to_owned(),
            "torrents/reannounce" => String::new(),
            "app/setPreferences" => {
                self.set(&String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()));
                String::new()
            }
            other => panic!("nobody calls {other}"),
        };
        Ok(Reply { status: 200, headers: Vec::new(), body: body.into_bytes() })
    }

    fn set(&mut self, form: &str) {
        let value = |key: &str| {
            let (_, rest) = form.split_once(&format!("%22{key}%22%3A"))?;
            Some(rest.split(['%', '}']).find(|part| !part.is_empty()).unwrap_or_default().to_owned())
        };
        if let Some(port) = value("listen_port").and_then(|p| p.parse().ok()) {
            self.port = port;
            self.written.push(port);
        }
        if let Some(interface) = value("current_network_interface") {
            self.interface = interface.trim_start_matches("22").to_owned();
        }
        if let Some(address) = value("current_interface_address") {
            self.address = address.trim_start_matches("22").to_owned();
        }
    }
}
