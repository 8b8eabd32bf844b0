//! After a crash or a power cut.
//!
//! Files first: whoever comes first of the boot service, the next supervisor and the next command run as root puts back
//! what was changed before the last boot ([`files`]), before anything else. Changes of the running kernel are another
//! matter: their tunnel may be alive and well without a supervisor, to be adopted. Who does not adopt undoes
//! [`everything`]. Both are for the holder of the lock, and twice over gives the same.

use super::Changes;
use super::state::STATE_DIR;
use crate::error::{Doing, Result};
use crate::sys::Machine;
use crate::sys::files::Lock;
use std::path::Path;

/// Sockets, lock, journal of kernel changes, and what everybody may read.
pub const RUN_DIR: &str = "/run/pvpn";
/// Held by the process that changes the machine: the supervisor while it lives, else a command.
pub const LOCK: &str = "/run/pvpn/lock";

/// Makes the directories and takes the lock; `None` while another process, most likely the supervisor, has it.
pub fn prepare(sys: &dyn Machine) -> Result<Option<Lock>> {
    for (dir, mode) in [(RUN_DIR, 0o755), (STATE_DIR, 0o700)] {
        sys.files().create_dir(Path::new(dir), mode).doing(|| format!("make {dir}"))?;
    }
    sys.files().lock(Path::new(LOCK)).doing(|| format!("lock {LOCK}"))
}

/// Puts back files that were changed before the last boot.
pub fn files(sys: &dyn Machine) -> Result<Changes> {
    let mut changes = Changes::load(sys)?;
    let is_earlier = |c: &Changes| c.journal.entries().iter().any(|e| c.journal.is_of_earlier_boot(e));
    if is_earlier(&changes) {
        log::warn!("change: the machine went down while connected; its files are put back");
        let earlier: Vec<u64> = changes
            .journal
            .entries()
            .iter()
            .filter(|e| changes.journal.is_of_earlier_boot(e))
            .map(|e| e.number)
            .collect();
        changes.undo_where(sys, |e| earlier.contains(&e.number))?;
    }
    Ok(changes)
}

/// Undoes all that is owed, of whichever boot: the machine is as before `connect`, but closed if the kill switch is on.
pub fn everything(sys: &dyn Machine) -> Result<Changes> {
    let mut changes = Changes::load(sys)?;
    changes.undo_all(sys)?;
    Ok(changes)
}
