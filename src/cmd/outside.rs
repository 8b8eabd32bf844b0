//! A way out for pvpn's own sockets while a command asks a provider and the kill switch is closed: lent by the
//! supervisor, or by rules loaded here where none runs. It ends with the value; nobody else gets out by it.

use super::{offline, supervisor};
use crate::change::state;
use crate::daemon::control::{Ask, Loan, Tell};
use crate::error::{Doing, Error, Result};
use crate::sys::control::Connection;
use crate::sys::files::Disk;
use crate::sys::user;
use crate::time::{Duration, secs};
use std::path::{Path, PathBuf};

/// The supervisor loads rules at once; chosen, as `status` waits for it.
const ANSWER: Duration = secs(2);

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
        if let Some(connection) = supervisor()? {
            return Ok(Outside(Way::Lent(borrow(connection, Loan::Outside)?)));
        }
        if state::load_killswitch(&Disk)?.is_none() {
            return Ok(Outside(Way::Free));
        }
        let Some(mut machine) = offline::Machine::take()? else {
            return Err(Error::failed("another pvpn is at work and does not answer; try again in a moment"));
        };
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

/// Asks the supervisor for a loan; it lasts as long as the connection.
pub fn borrow(mut connection: Connection, what: Loan) -> Result<Connection> {
    connection.send(&Ask::Lend(what).emit()).doing(|| "ask the supervisor")?;
    let lines = connection.read_lines(ANSWER).doing(|| "wait for the supervisor")?;
    match lines.iter().find_map(|line| Tell::parse(line)) {
        Some(Tell::Say(_)) => Ok(connection),
        Some(Tell::Done(exit, text)) => Err(Error::new(exit, text)),
        _ => Err(Error::failed("the supervisor gave no answer; see its log, pvpn.log")),
    }
}
