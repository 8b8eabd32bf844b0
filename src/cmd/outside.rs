//! A way out for pvpn's own sockets while a command asks a provider and the kill switch is closed: lent by the
//! supervisor, or by rules loaded here where none runs. It ends with the value; nobody else gets out by it.

use super::{offline, supervisor};
use crate::change::state;
use crate::daemon::control::{Ask, Loan};
use crate::error::Result;
use crate::sys::control::Connection;
use crate::sys::files::Disk;
use crate::sys::user;
use std::path::{Path, PathBuf};

/// Held while requests are made.
pub struct Outside(Way);

enum Way {
    /// Nothing is closed, or there is no right to change that.
    Free,
    Lent(#[allow(dead_code, reason = "its end is what counts")] Connection),
    Opened(Box<offline::Machine>, PathBuf),
}

impl Outside {
    pub fn open(config_dir: &Path) -> Result<Outside> {
        if !user::is_root() {
            return Ok(Outside(Way::Free));
        }
        if let Some(connection) = supervisor::hold(&Ask::Lend(Loan::Outside))? {
            return Ok(Outside(Way::Lent(connection)));
        }
        if state::load_killswitch(&Disk)?.is_none() {
            return Ok(Outside(Way::Free));
        }
        let mut machine = offline::Machine::locked(supervisor::take_its_place(true)?)?;
        machine.let_ourselves_out(true, config_dir)?;
        Ok(Outside(Way::Opened(Box::new(machine), config_dir.to_owned())))
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if let Way::Opened(machine, dir) = &mut self.0
            && let Err(e) = machine.let_ourselves_out(false, dir)
        {
            log::error!("firewall: pvpn's own sockets may still leave: {e}");
        }
    }
}
