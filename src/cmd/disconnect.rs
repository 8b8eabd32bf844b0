//! `disconnect`: the running supervisor undoes everything and ends; without one, the journals are undone here.

use super::{Place, note, offline, place, supervisor, unbind};
use crate::cli::Global;
use crate::daemon::control::Ask;
use crate::daemon::{STAYS_BOUND, killswitch_words};
use crate::error::{Exit, Result};
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
    supervisor::ask(global, &Ask::Disconnect { ks }, LIMIT, |lock, _| {
        let Place { dir, .. } = place(global);
        let mut machine = offline::Machine::locked(lock)?;
        let had_tunnel = machine.has_record();
        let on = machine.disconnect(ks, &dir)?;
        let is_bound = had_tunnel && !unbind::is_wanted() && unbind::give_back(global, &dir);
        if !global.quiet {
            let bound = if is_bound { STAYS_BOUND } else { "" };
            super::print(&format!("disconnected; {bound}{}\n", killswitch_words(on)))?;
        }
        if on && ks.is_none() {
            note(global, "open it with `pvpn killswitch off`");
        }
        Ok(Exit::Done)
    })
}
