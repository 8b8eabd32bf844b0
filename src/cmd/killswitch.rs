//! `killswitch on|off|status`, with or without a supervisor.

use super::{ask, offline, place, print, supervisor};
use crate::cli::{Global, Killswitch};
use crate::daemon::control::Ask;
use crate::error::{Error, Exit, Result};
use crate::status::Snapshot;
use crate::time::{Duration, secs};

const LIMIT: Duration = secs(30);

pub fn run(global: &Global, what: Killswitch, yes: bool) -> Result<Exit> {
    let on = match what {
        Killswitch::Status => return status(),
        Killswitch::On => true,
        Killswitch::Off => false,
    };
    super::need_root(if on { "killswitch on" } else { "killswitch off" })?;
    let dir = place(global).dir;
    if on {
        // A configuration that cannot be read must not keep the machine open: `lan` is then all private ranges.
        match super::load_config(&crate::sys::files::Disk, &dir) {
            Ok(config) => super::connect::ask_before_closing(&config, yes)?,
            Err(e) => log::warn!("config: {e}; lan means all private ranges"),
        }
    }
    if let Some(connection) = supervisor()? {
        return ask(global, connection, &Ask::Killswitch { on }, LIMIT);
    }
    let Some(mut machine) = offline::Machine::take()? else {
        return Err(Error::failed("another pvpn is at work and does not answer; try again in a moment"));
    };
    machine.switch(on, &dir)?;
    if !global.quiet {
        print(if on { "kill switch on\n" } else { "kill switch off\n" })?;
    }
    Ok(Exit::Done)
}

/// `on` or `off`; exit 0 or 3. Needs no root.
fn status() -> Result<Exit> {
    let on = super::status::current().is_some_and(|s: Snapshot| s.killswitch.on == Some(true));
    print(if on { "on\n" } else { "off\n" })?;
    Ok(if on { Exit::Done } else { Exit::Disconnected })
}
