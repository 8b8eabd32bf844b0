//! From the text of `config.ini` to [`Config`], by the table of `keys.rs`. Every error names the file, the line, the
//! key and what is allowed, and leads to exit 78. A missing file is a file in which nothing is set.

use super::ini::{Document, Entry, Fault};
use super::keys::{self, Kind, SECTIONS, Value};
use super::secret::Secret;
use super::*;
use crate::error::{Error, Exit, Result};
use crate::time::{millis, secs};
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// The configuration directory below a home (`product.md`, Files).
pub const BELOW_HOME: &str = ".pvpn-cli/pvpn";
pub const FILE_NAME: &str = "config.ini";

/// Which directory counts: the flag's, else PVPN_CONFIG_DIR's, else the one in the effective user's home.
pub fn config_dir(flag: Option<&Path>, env: Option<OsString>, home: &Path) -> PathBuf {
    match (flag, env.filter(|e| !e.is_empty())) {
        (Some(dir), _) => dir.to_owned(),
        (None, Some(dir)) => PathBuf::from(dir),
        (None, None) => home.join(BELOW_HOME),
    }
}

/// Reads `config.ini` in `dir` by `read`; `home` is what `~/` in a path means.
pub fn load(dir: &Path, home: &Path, read: &dyn Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Config> {
    let path = dir.join(FILE_NAME);
    let bytes = match read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => {
            return Err(Error::from(e)
                .context(format!("read {}", path.display()))
                .with_exit(Exit::BadConfig));
        }
    };
    let bad = |f: Fault| Error::new(Exit::BadConfig, format!("{}:{f}", path.display()));
    let text = utf8(&bytes).map_err(bad)?;
    parse(text, dir, home).map_err(bad)
}

/// Bytes as text, or the line in which they are none.
pub fn utf8(bytes: &[u8]) -> std::result::Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|e| Fault {
        line: 1 + bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count(),
        text: "not UTF-8 text".into(),
    })
}

/// Reads the text of a `config.ini` that lies in `dir`.
pub fn parse(text: &str, dir: &Path, home: &Path) -> std::result::Result<Config, Fault> {
    let doc = Document::parse(text)?;
    for (line, section) in doc.sections() {
        if !SECTIONS.contains(&section) {
            let text = format!("unknown section [{}]; there are {}", word(section), SECTIONS.join(", "));
            return Err(Fault { line, text });
        }
    }
    let mut settings = Settings { values: Vec::new(), dir, home };
    for entry in doc.entries() {
        settings.values.push((entry.section.to_owned(), entry.key.to_owned(), value(&entry)?));
    }
    for section in ["protonvpn", "pia", "qbittorrent"] {
        if let (Some(_), Some(e)) = (settings.find(section, "pass"), doc.find(section, "pass_file")) {
            if !e.is_unset() {
                let text = format!("[{section}] has both pass and pass_file; keep one");
                return Err(Fault { line: e.line, text });
            }
        }
    }
    Ok(settings.config())
}

/// The typed value of a line, `None` when it is unset.
fn value(entry: &Entry<'_>) -> std::result::Result<Option<Value>, Fault> {
    let fault = |text: String| Fault { line: entry.line, text };
    let Some(key) = keys::find(entry.section, entry.key) else {
        let allowed = keys::names(entry.section);
        return Err(fault(format!(
            "unknown key {} in [{}]; there are {allowed}",
            word(entry.key),
            entry.section
        )));
    };
    if entry.is_unset() {
        return Ok(None);
    }
    key.kind.parse(entry.value).map(Some).ok_or_else(|| {
        // An address may hold a password; what is secret is always allowed and never gets here.
        let shown =
            if key.kind == Kind::Url { "no such address".into() } else { format!("'{}'", entry.value) };
        fault(format!("{} in [{}] is {shown}; it must be {}", key.name, key.section, key.kind.allowed()))
    })
}

/// What may be said of a name nobody knows: a line of a key file pasted by mistake stays unseen.
fn word(name: &str) -> &str {
    let is_name = name.len() <= 32
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if is_name { name } else { "(not a name)" }
}

/// The values of the file over the defaults of the table.
struct Settings<'a> {
    values: Vec<(String, String, Option<Value>)>,
    dir: &'a Path,
    home: &'a Path,
}

impl Settings<'_> {
    fn find(&self, section: &str, name: &str) -> Option<Value> {
        let set =
            self.values.iter().find(|(s, n, _)| s == section && n == name).and_then(|(.., v)| v.clone());
        let key = keys::find(section, name)?;
        set.or_else(|| if key.default.is_empty() { None } else { key.kind.parse(key.default) })
    }

    fn bool(&self, section: &str, name: &str) -> bool {
        matches!(self.find(section, name), Some(Value::Bool(true)))
    }

    /// The bounds of the table make every conversion to the field's width hold.
    fn number<T: TryFrom<u64>>(&self, section: &str, name: &str) -> Option<T> {
        match self.find(section, name) {
            Some(Value::Number(n)) => T::try_from(n).ok(),
            _ => None,
        }
    }

    fn text(&self, section: &str, name: &str) -> Option<String> {
        match self.find(section, name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn secret(&self, section: &str, name: &str) -> Option<Secret> {
        match self.find(section, name) {
            Some(Value::Secret(secret)) => Some(secret),
            _ => None,
        }
    }

    fn path(&self, section: &str, name: &str) -> Option<PathBuf> {
        let text = self.text(section, name)?;
        Some(match text.strip_prefix("~/") {
            Some(below) => self.home.join(below),
            None => self.dir.join(text),
        })
    }

    fn config(&self) -> Config {
        Config {
            dir: self.dir.to_owned(),
            provider: self.text("vpn", "provider").and_then(|p| p.parse().ok()),
            connect: self.connect(),
            proton: self.proton(),
            pia: self.pia(),
            qbittorrent: self.qbittorrent(),
            network: self.network(),
            port_forwarding: self.port_forwarding(),
            monitor: Monitor {
                interval: secs(self.number("monitor", "interval").unwrap_or_default()),
                failures: self.number("monitor", "failures").unwrap_or_default(),
                latency_threshold: millis(self.number("monitor", "latency_threshold").unwrap_or_default()),
                on_state: self.text("monitor", "on_state"),
            },
            check: Check { ip_url: self.text("check", "ip_url").unwrap_or_default() },
        }
    }

    fn connect(&self) -> ConnectDefaults {
        let s = "connect";
        ConnectDefaults {
            cc: match self.find(s, "cc") {
                Some(Value::Countries(list)) => list,
                _ => Vec::new(),
            },
            city: self.text(s, "city"),
            server: self.text(s, "server"),
            secure_core: self.bool(s, "sc"),
            p2p: self.bool(s, "p2p"),
            fastest: match self.text(s, "fastest").as_deref() {
                Some("api") => Fastest::Api,
                _ => Fastest::Ping,
            },
            latency_cutoff: self.number(s, "latency_cutoff").map(millis),
        }
    }

    fn proton(&self) -> Proton {
        let s = "protonvpn";
        Proton {
            user: self.text(s, "user"),
            pass: self.secret(s, "pass"),
            pass_file: self.path(s, "pass_file"),
            totp_code: self.secret(s, "2fa"),
            totp_secret: self.secret(s, "2fa_secret"),
            wireguard_port: self.number(s, "wireguard_port").unwrap_or_default(),
            session_dir: self.path(s, "session_dir").unwrap_or_default(),
            netshield: self.number(s, "netshield").unwrap_or_default(),
            vpn_accelerator: self.bool(s, "vpn_accelerator"),
            api_url: self.text(s, "api_url").unwrap_or_default(),
            app_version: self.text(s, "app_version").unwrap_or_default(),
            user_agent: self.text(s, "user_agent").unwrap_or_default(),
            ca_file: self.path(s, "ca_file"),
        }
    }

    fn pia(&self) -> Pia {
        let s = "pia";
        Pia {
            user: self.text(s, "user"),
            pass: self.secret(s, "pass"),
            pass_file: self.path(s, "pass_file"),
            region: match self.find(s, "region") {
                Some(Value::List(list)) => list,
                _ => Vec::new(),
            },
            dip_token: self.secret(s, "dip_token"),
            token_url: self.text(s, "token_url").unwrap_or_default(),
            serverlist_url: self.text(s, "serverlist_url").unwrap_or_default(),
            ca_file: self.path(s, "ca_file"),
            server_ca_file: self.path(s, "server_ca_file"),
            serverlist_key_file: self.path(s, "serverlist_key_file"),
        }
    }

    fn qbittorrent(&self) -> Qbittorrent {
        let s = "qbittorrent";
        Qbittorrent {
            enable: self.bool(s, "enable"),
            url: self.text(s, "url").unwrap_or_default(),
            user: self.text(s, "user"),
            pass: self.secret(s, "pass"),
            pass_file: self.path(s, "pass_file"),
            api_key: self.secret(s, "api_key"),
            port: self.number(s, "port").unwrap_or_default(),
            resume: match self.text(s, "resume").as_deref() {
                Some("all") => Resume::All,
                Some("off") => Resume::Off,
                _ => Resume::Stalled,
            },
            unbind: self.bool(s, "unbind"),
        }
    }

    fn network(&self) -> Network {
        let s = "network";
        Network {
            ks_default: self.bool(s, "ks_default"),
            dns_default: self.bool(s, "dns_default"),
            threshold_default: self.number(s, "threshold_default").unwrap_or_default(),
            lan: match self.find(s, "lan") {
                Some(Value::Nets(list)) => Some(list),
                _ => None,
            },
            interface: self.text(s, "interface").unwrap_or_default(),
        }
    }

    fn port_forwarding(&self) -> PortForwarding {
        let s = "port_forwarding";
        PortForwarding {
            enable: self.bool(s, "enable"),
            gateway: match self.find(s, "gateway") {
                Some(Value::Addr(addr)) => Some(addr),
                _ => None::<IpAddr>,
            },
            file: self.path(s, "file"),
            on_change: self.text(s, "on_change"),
            log_fallback: self.path(s, "log_fallback"),
        }
    }
}

/// What lies in the configuration directory, for guessing the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// `config.ini` itself.
    pub config: bool,
    /// `session.json` in `session_dir`.
    pub proton_session: bool,
    /// `pia/auth.json`.
    pub pia_token: bool,
    /// Any `wireguard/*.conf`.
    pub conf_files: bool,
}

impl Found {
    /// Looks at the files: `exists` follows symlinks, `list` names a directory's entries, none when it is absent.
    pub fn look(
        config: &Config,
        exists: &dyn Fn(&Path) -> bool,
        list: &dyn Fn(&Path) -> Vec<OsString>,
    ) -> Found {
        let is_conf = |name: &OsString| name.to_str().is_some_and(crate::provider::file::is_conf);
        Found {
            config: exists(&config.dir.join(FILE_NAME)),
            proton_session: exists(&config.proton.session_dir.join("session.json")),
            pia_token: exists(&config.dir.join("pia/auth.json")),
            conf_files: list(&config.dir.join(crate::provider::file::DIR_NAME)).iter().any(is_conf),
        }
    }

    pub fn is_nothing(&self) -> bool {
        *self == Found::default()
    }
}

/// Why nothing can be done in a directory without any configuration. `sudo` is SUDO_USER with the configuration
/// directory in that home, when there is a configuration in it.
pub fn no_configuration(dir: &Path, sudo: Option<(&str, &Path)>) -> Error {
    match sudo {
        Some((user, theirs)) => Error::new(
            Exit::BadConfig,
            format!(
                "no configuration in {}, but {user} has one: use `--config-dir {}`, or run `pvpn init` as root",
                dir.display(),
                theirs.display()
            ),
        ),
        None => nothing_in(dir, "no configuration"),
    }
}

/// What is missing, and the two ways to have it.
fn nothing_in(dir: &Path, what: &str) -> Error {
    let (folder, dir) = (dir.join("wireguard"), dir.display());
    let text =
        format!("{what} in {dir}: run `pvpn init`, or put a WireGuard .conf into {}", folder.display());
    Error::new(Exit::BadConfig, text)
}

impl Config {
    /// The provider to use when no flag says so: the key's, else the one that is set up.
    pub fn guess_provider(&self, found: &Found) -> Result<ProviderKind> {
        if let Some(kind) = self.provider {
            return Ok(kind);
        }
        let proton = self.proton.user.is_some() || found.proton_session;
        let pia = self.pia.user.is_some() || found.pia_token;
        match (proton, pia) {
            (true, false) => Ok(ProviderKind::Proton),
            (false, true) => Ok(ProviderKind::Pia),
            (true, true) => Err(Error::new(
                Exit::BadConfig,
                "both proton and pia are set up: choose by --provider, or by provider in [vpn]",
            )),
            (false, false) if found.conf_files => Ok(ProviderKind::File),
            (false, false) if found.config => Err(nothing_in(&self.dir, "no provider is set up")),
            (false, false) => Err(nothing_in(&self.dir, "no configuration")),
        }
    }
}

/// The password of a section: the one in the file, else the first line of `pass_file`, read when it is needed.
pub fn password(
    pass: Option<&Secret>,
    pass_file: Option<&Path>,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Option<Secret>> {
    let (None, Some(path)) = (pass, pass_file) else { return Ok(pass.cloned()) };
    let doing = |e: Error| e.context(format!("read pass_file {}", path.display())).with_exit(Exit::BadConfig);
    let bytes = zeroize::Zeroizing::new(read(path).map_err(|e| doing(e.into()))?);
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok("") => Err(doing(Error::failed("its first line is empty"))),
        Ok(text) => Ok(Some(Secret::new(text))),
        Err(_) => Err(doing(Error::failed("not UTF-8 text"))),
    }
}

#[cfg(test)]
mod tests;
