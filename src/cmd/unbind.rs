//! What a `disconnect` without a supervisor gives qBittorrent back. After one that died while connected: its `port`, and
//! with `unbind = true` its earlier binding, as the supervisor would have. When uninstalling (`PVPN_UNINSTALL=1` beside
//! `disconnect`, as the package and `uninstall.sh` say it): the binding in any case. A plain disconnect leaves it bound, so
//! that torrents stand still; without pvpn they would do so for ever.

use crate::cli::Global;
use crate::cmd::note;
use crate::daemon::run::{self, QBITTORRENT};
use crate::daemon::sync::{Action, Input, Memory, Sync};
use crate::error::{Doing, Error, Result};
use crate::sys::files::{Disk, Files};
use crate::sys::http::{Client, Http};
use crate::sys::poll::Poll;
use crate::sys::{Clock, clock};
use crate::time::{Duration, Instant, secs};
use crate::wire::http::{HttpError, Reply};
use std::path::Path;

/// Set by whoever uninstalls.
const VARIABLE: &str = "PVPN_UNINSTALL";
/// Of `disconnect`'s 10 s; chosen: as much as a supervisor gives it, for what was begun by then may take 5 s more.
const LIMIT: Duration = secs(4);
/// More is no memory of ours; chosen.
const MEMORY_MOST: usize = 1 << 20;

pub fn is_wanted() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| value == "1")
}

/// Restores the binding, if pvpn ever changed it, and says so; that it could not be done is said with `-q` as well.
pub fn restore(global: &Global, config_dir: &Path) {
    match touched().map(|memory| asked(config_dir, memory, true)) {
        None => {}
        Some(Ok(_)) => note(global, "qBittorrent has its earlier binding back"),
        Some(Err(e)) => {
            let advice = "in its options, Advanced, choose any interface";
            note(
                &Global { quiet: false, ..global.clone() },
                &format!("qBittorrent stays bound to the tunnel's interface: {e}; {advice}"),
            );
        }
    }
}

/// Gives it back what a supervisor that died could not; whether it stays bound.
pub fn give_back(global: &Global, config_dir: &Path) -> bool {
    match touched().map(|memory| asked(config_dir, memory, false)) {
        None => false,
        Some(Ok(unbound)) => !unbound,
        Some(Err(e)) => {
            note(global, &format!("qBittorrent keeps the tunnel's port and interface: {e}"));
            true
        }
    }
}

/// What it had before pvpn's first write, if there was one.
fn touched() -> Option<Memory> {
    let text = Disk.read(Path::new(QBITTORRENT), MEMORY_MOST).unwrap_or_default();
    Memory::parse(&String::from_utf8_lossy(&text)).filter(|m| m.earlier.is_some())
}

/// Whether the binding was restored, besides the port.
fn asked(config_dir: &Path, memory: Memory, uninstalls: bool) -> Result<bool> {
    let config = run::load_config(&Disk, config_dir)?;
    let mut settings = run::qbittorrent_settings(&Disk, &config);
    settings.unbind |= uninstalls;
    let unbind = settings.unbind;
    if !settings.enable {
        return Err(Error::failed("[qbittorrent] enable = false"));
    }
    let mut sync = Sync::new(settings, memory, clock::System.now());
    let mut poll = Poll::new().doing(|| "make a timer")?;
    let mut pause = |until| poll.wait::<()>(&[], Some(until)).map(drop).doing(|| "wait");
    drive(&mut sync, &Client::new(Vec::new()), &clock::System, &mut pause)?;
    if !sync.view().restored {
        let why = sync.view().text.as_deref().unwrap_or("it did not answer in time");
        return Err(Error::failed(why));
    }
    if unbind {
        Disk.remove(Path::new(QBITTORRENT)).doing(|| format!("remove {QBITTORRENT}"))?;
    }
    Ok(unbind)
}

/// Runs the machine to its end or to its limit; what it would store is given up with the program.
fn drive(
    sync: &mut Sync,
    http: &dyn Http,
    clock: &dyn Clock,
    pause: &mut dyn FnMut(Instant) -> Result<()>,
) -> Result<()> {
    let until = clock.now() + LIMIT;
    sync.handle(clock.now(), Input::Restore);
    while clock.now() < until {
        match sync.poll_action() {
            Some(Action::Send { id, request }) => {
                let reply = http
                    .send(&request)
                    .and_then(|r| Reply::read(r).map_err(|e| HttpError::Protocol(e.to_string())));
                sync.handle(clock.now(), Input::Reply { id, reply });
            }
            Some(Action::CheckListening { .. }) => sync.handle(clock.now(), Input::Listening(None)),
            Some(Action::Store(_)) => {}
            None => match sync.poll_timeout().filter(|_| !sync.view().restored) {
                None => return Ok(()),
                Some(at) => {
                    pause(at.min(until))?;
                    sync.handle(clock.now(), Input::Wake);
                }
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Resume;
    use crate::daemon::sync::Settings;
    use crate::qbittorrent::{Auth, Preferences};
    use crate::sys::clock::System;
    use crate::wire::http::{Request, Response};
    use std::cell::RefCell;
    use std::io::Cursor;

    const BOUND: &str = r#"{"listen_port":40123,"random_port":false,"upnp":false,
        "current_network_interface":"wgpnl","current_interface_address":"10.2.0.2"}"#;
    const FREE: &str = r#"{"listen_port":6881,"random_port":false,"upnp":true,
        "current_network_interface":"eth0","current_interface_address":""}"#;

    /// A qBittorrent without a login, bound to the tunnel until something is set.
    struct Qb {
        is_there: bool,
        set: RefCell<Vec<String>>,
    }

    impl Http for Qb {
        fn send(&self, request: &Request) -> std::result::Result<Response, HttpError> {
            if !self.is_there {
                return Err(HttpError::Connect("connection refused".into()));
            }
            let body = match request.url.rsplit('/').next() {
                Some("version") => "v4.5.2",
                Some("webapiVersion") => "2.8.19",
                Some("preferences") if self.set.borrow().is_empty() => BOUND,
                Some("preferences") => FREE,
                Some("setPreferences") => {
                    let form =
                        String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).into_owned();
                    self.set.borrow_mut().push(form);
                    ""
                }
                other => panic!("{other:?}"),
            };
            Ok(Response { status: 200, headers: Vec::new(), body: Box::new(Cursor::new(body)) })
        }
    }

    /// Whether it was restored, and what was set.
    fn restored(is_there: bool, earlier: Option<Preferences>, unbind: bool) -> (bool, String) {
        let settings = Settings {
            enable: true,
            url: "http://127.0.0.1:8080".to_owned(),
            auth: Auth::None,
            port: 6881,
            resume: Resume::Off,
            unbind,
        };
        let mut sync = Sync::new(settings, Memory { earlier, stopped: Vec::new() }, System.now());
        let qb = Qb { is_there, set: RefCell::default() };
        drive(&mut sync, &qb, &System, &mut |_| Ok(())).unwrap();
        (sync.view().restored, qb.set.into_inner().join(" "))
    }

    #[test]
    fn what_it_was_bound_to_before_comes_back() {
        let (is_restored, set) = restored(true, miniserde::json::from_str(FREE).ok(), true);
        assert!(is_restored, "{set}");
        for part in ["eth0", "current_interface_address", "6881", "upnp%22%3Atrue"] {
            assert!(set.contains(part), "{part} in {set}");
        }
    }

    #[test]
    fn after_a_crash_the_port_goes_back_and_the_binding_stays() {
        let (is_restored, set) = restored(true, miniserde::json::from_str(FREE).ok(), false);
        assert!(is_restored, "{set}");
        assert!(set.contains("6881") && !set.contains("interface"), "{set}");
    }

    #[test]
    fn one_that_is_not_there_or_was_never_touched_is_not_waited_for() {
        assert_eq!(restored(false, miniserde::json::from_str(FREE).ok(), true), (false, String::new()));
        assert_eq!(restored(true, None, true), (true, String::new()));
    }
}
