//! A supervisor of another version: the program was upgraded under it. `status` says so, and `connect` has it hand
//! over, by the signal that leaves everything to the next one. One that a service manager started is left to that. And the
//! other way round: a service that begins takes over from one that a person started.

use super::status;
use crate::daemon::run;
use crate::error::{Doing, Result};
use crate::status::{Area, Snapshot};
use crate::sys::files::Disk;
use crate::sys::signal;
use std::{env, fs};

/// Set for services by systemd (sd_notify(3)) and by OpenRC (openrc-run(8)).
const MANAGERS: [&str; 2] = ["NOTIFY_SOCKET", "RC_SVCNAME"];

const OURS: &str = env!("CARGO_PKG_VERSION");

/// Says it among the problems of a running supervisor.
pub fn say(snapshot: &mut Snapshot) {
    if snapshot.version != OURS {
        let cure =
            if is_service() { "restart its service" } else { "`pvpn connect` lets this one take over" };
        let text = format!("the running supervisor is pvpn {}, this is {OURS}: {cure}", snapshot.version);
        snapshot.problem(Area::Supervisor, text);
    }
}

/// Tells a background supervisor of another version to leave everything to the one that is to begin. Whether it was told.
pub fn hand_over() -> Result<bool> {
    let Some(snapshot) = status::asked().ok().flatten().filter(|s| s.version != OURS) else {
        return Ok(false);
    };
    let Some(pid) = run::pid(&Disk).filter(|_| !is_service()) else { return Ok(false) };
    signal::hand_over(pid)
        .doing(|| format!("ask the supervisor of version {} to hand over", snapshot.version))?;
    Ok(true)
}

/// In a service that begins: tells the supervisor that a person started to leave everything to it, tunnel and all. Its
/// process id, if there is one.
pub fn leave_to_service() -> Result<Option<u32>> {
    if !MANAGERS.iter().any(|name| env::var_os(name).is_some()) {
        return Ok(None);
    }
    let Some(pid) = run::pid(&Disk).filter(|_| !is_service()) else { return Ok(None) };
    signal::hand_over(pid).doing(|| "ask the running supervisor to hand over")?;
    log::info!("run: the supervisor in the background (process {pid}) hands over to the service");
    Ok(Some(pid))
}

/// Whether the supervisor was started as `connect --foreground`.
fn is_service() -> bool {
    let Some(pid) = run::pid(&Disk) else { return false };
    let argv = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    argv.split(|b| *b == 0).any(|word| word == b"--foreground")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::State;

    #[test]
    fn another_version_is_a_problem_and_the_same_is_none() {
        let mut snapshot = Snapshot::new(State::Connected);
        say(&mut snapshot);
        assert_eq!(snapshot.problems.len(), 0);
        snapshot.version = "0.0.9".to_owned();
        say(&mut snapshot);
        assert!(snapshot.problems[0].text.starts_with("the running supervisor is pvpn 0.0.9, this is "));
    }
}
