//! Whether pvpn itself is set up: configuration, its privacy, qBittorrent, the services.

use super::ports;
use crate::cmd::{killswitch, webui};
use crate::config::{Config, load};
use crate::daemon::run::{self, qbittorrent_settings};
use crate::dns::{Owner, RESOLV_CONF, UPLINKS};
use crate::error::{Error, Exit, Result};
use crate::status::finding::Finding;
use crate::status::{Snapshot, State};
use crate::sys::files::{Disk, Files};
use crate::sys::http::Http;
use crate::wire::http::shown;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub fn config(found: &Result<Config>) -> Finding {
    match found {
        Ok(config) => {
            let file = config.dir.join(load::FILE_NAME);
            let lacks = if Disk.exists(&file) { "" } else { " is not there: the defaults hold" };
            Finding::ok("config", format!("{}{lacks}", file.display()))
        }
        Err(e) => Finding::failed("config", e.to_string(), "correct it, or run `pvpn init`"),
    }
}

/// Whether there is anything to connect to.
pub fn provider(config: &Config) -> Finding {
    let look = |path: &Path| Disk.exists(path);
    let found = load::Found::look(config, &look, &|dir| Disk.list(dir).unwrap_or_default());
    match config.guess_provider(&found) {
        Ok(kind) => Finding::ok("provider", kind.name()),
        Err(e) => {
            let text = e.to_string();
            let (what, advice) = text.split_once(": ").unwrap_or((&text, "run `pvpn init`"));
            Finding::failed("provider", what, advice)
        }
    }
}

/// Whether others may read what is secret, or write what root reads.
pub fn privacy(dir: &Path, owner: u32) -> Finding {
    let mut open = Vec::new();
    let mut stack = vec![dir.to_owned()];
    while let Some(path) = stack.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_symlink() {
            continue;
        }
        if meta.mode() & 0o077 != 0 || meta.uid() != owner {
            open.push(format!("{} ({:04o}, uid {})", path.display(), meta.mode() & 0o7777, meta.uid()));
        }
        if meta.is_dir() && stack.len() < ENTRIES_MOST {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            stack.extend(entries.take(ENTRIES_MOST).map(|e| e.path()));
        }
    }
    open.sort();
    match open.first() {
        None => Finding::ok("privacy", format!("{} is readable by its owner alone", dir.display())),
        Some(first) => Finding::failed(
            "privacy",
            format!("others may read or write {first}{}", more(open.len())),
            format!("run `chmod -R go= {0}` and `chown -R {owner} {0}`", dir.display()),
        ),
    }
}

/// More files than a configuration ever has; chosen.
const ENTRIES_MOST: usize = 2000;

fn more(n: usize) -> String {
    if n > 1 { format!(" and {} more", n - 1) } else { String::new() }
}

pub fn qbittorrent(config: &Config, forwarded: Option<u16>, http: &dyn Http) -> Vec<Finding> {
    let settings = qbittorrent_settings(&Disk, config);
    if !settings.enable {
        return vec![Finding::ok("qbittorrent", "not to be told (enable = false)")];
    }
    let mut findings = vec![match webui::version(http, &settings.url, &settings.auth) {
        Ok(version) => Finding::ok("qbittorrent", format!("{version} at {}", shown(&settings.url))),
        Err(e) if e.exit() == Exit::LoginRefused => Finding::failed(
            "qbittorrent",
            e.to_string(),
            "run `pvpn init --qb`, or let it skip logins from localhost",
        ),
        Err(e) => Finding::failed(
            "qbittorrent",
            e.to_string(),
            "start it and enable its WebUI, or correct url in [qbittorrent]",
        ),
    }];
    findings.push(ports::look(&settings.url, settings.port, forwarded, &ports::listeners()));
    findings
}

/// Who writes the resolver file, and who else is told while connected.
pub fn resolver() -> Finding {
    let owner = run::resolver_owner(&Disk);
    let told = match owner {
        Owner::Resolved => "told by D-Bus while connected",
        Owner::Resolvconf => "told by its program while connected",
        _ if Disk.exists(Path::new(UPLINKS)) => "systemd-resolved runs and is told as well while connected",
        _ => "replaced while connected, put back afterwards",
    };
    Finding::ok("resolver", format!("{RESOLV_CONF}: {}, {told}", owner.name()))
}

/// What `status` knows to be wrong.
pub fn supervisor(snapshot: &Snapshot) -> Vec<Finding> {
    if !snapshot.problems.is_empty() {
        let advice = "see `pvpn status` and pvpn.log";
        return snapshot
            .problems
            .iter()
            .map(|p| Finding::failed("supervisor", p.text.clone(), advice))
            .collect();
    }
    let word = match snapshot.state {
        State::Connected => "connected",
        State::Connecting => "connecting",
        State::Blocked => "blocked",
        State::Disconnected => "disconnected",
    };
    let alive = if run::is_alive(&Disk) { "running" } else { "not running" };
    vec![Finding::ok("supervisor", format!("{alive}, {word}"))]
}

pub fn boot_service(is_wanted: bool) -> Finding {
    match (killswitch::boot_service_is_enabled(Path::new("/")), is_wanted) {
        (true, _) => Finding::ok("boot", "pvpn-killswitch is enabled"),
        (false, true) => Finding::failed(
            "boot",
            "a reboot opens the kill switch until pvpn is started",
            "run `systemctl enable pvpn-killswitch`, or `rc-update add pvpn-killswitch boot`",
        ),
        (false, false) => {
            Finding::unknown("boot", "pvpn-killswitch is not enabled; it matters once the kill switch is on")
        }
    }
}

/// Reads the configuration as a supervisor would.
pub fn load(dir: &Path) -> Result<Config> {
    run::load_config(&Disk, dir).map_err(|e| Error::new(Exit::BadConfig, e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_that_others_may_read_is_named() {
        let dir = std::env::temp_dir().join(format!("pvpn-privacy-{}", std::process::id()));
        fs::create_dir_all(dir.join("wireguard")).unwrap();
        let key = dir.join("wireguard/a.conf");
        fs::write(&key, "x").unwrap();
        let owner = fs::metadata(&key).unwrap().uid();
        for (path, mode) in [(&dir, 0o700), (&dir.join("wireguard"), 0o700), (&key, 0o600)] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        assert!(!privacy(&dir, owner).is_failed());
        fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
        let found = privacy(&dir, owner);
        assert!(found.is_failed() && found.text.contains("a.conf"), "{}", found.text);
        fs::remove_dir_all(&dir).unwrap();
    }
}
