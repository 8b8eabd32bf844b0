//! `disconnect`: the running supervisor undoes everything and ends; without one, the journals are undone here.

use super::{Place, ask, note, offline, place, supervisor, unbind};
use crate::cli::Global;
use crate::daemon::control::Ask;
use crate::error::{Error, Exit, Result};
use crate::time::{Duration, secs};

/// The contract's bound.
const LIMIT: Duration = secs(10);

pub fn run(global: &Global, ks: Option<bool>) -> Result<Exit> {
    super::need_root("disconnect")?;
    let exit = disconnect(global, ks)?;
    if exit == Exit::Done && unbind::is_wanted() {
        unbind::restore(global, &place(global).dir);
    }
    Ok(exit)
}

fn disconnect(global: &Global, ks: Option<bool>) -> Result<Exit> {
    if let Some(connection) = supervisor()? {
        return ask(global, connection, &Ask::Disconnect { ks }, LIMIT);
    }
    let Some(mut machine) = offline::Machine::take()? else {
        return Err(Error::failed("another pvpn is at work and does not answer; try again in a moment"));
    };
    let Place { dir, .. } = place(global);
    let on = machine.disconnect(ks, &dir)?;
    if !global.quiet {
        super::print(&format!("disconnected; {}\n", killswitch_words(on)))?;
    }
    if on && ks.is_none() {
        note(global, "open it with `pvpn killswitch off`");
    }
    Ok(Exit::Done)
}

/// The last line of `disconnect`.
pub fn killswitch_words(on: bool) -> &'static str {
    if on { "kill switch on: the machine is closed" } else { "kill switch off" }
}
