//! Changes of the machine, none without its inverse.
//!
//! For every [`Step`]: its [`Undo`] is read from the machine as it stands, written to the [`Journal`], and only then
//! the step is done. So whatever ends pvpn, and whenever, the journal names everything that has to go back; undoing is
//! newest first, and undoing what is gone is fine. `recover.rs` says who does that after a crash.
//!
//! A [`Tag`] keeps together what goes together. Steps of one tunnel are tagged with its interface's name. What all
//! tunnels share ([`TUNNELS`]: policy rules, kernel settings), the resolver file ([`RESOLVER`]) and the rule set
//! ([`FIREWALL`]) have tags of their own, so that while switching the old interface goes and these stay.

pub mod journal;
pub mod recover;
mod resolver;
pub mod state;
mod step;
#[cfg(test)]
mod tests;
mod undo;
mod words;

use crate::error::{Error, Result};
use crate::sys::Machine;
use journal::{Entry, Journal};
use undo::Outcome;

pub use journal::Tag;
pub use step::Step;
pub use undo::{Undo, physical_links};

/// What all tunnels share: policy rules, unreachable routes, kernel settings.
pub const TUNNELS: &str = "tunnels";
/// The resolver file.
pub const RESOLVER: &str = "resolver";
/// The rule set. Under a closed kill switch it stays owed when all else is undone.
pub const FIREWALL: &str = "firewall";

/// A point in the journal; see [`Changes::undo_since`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

/// The machine's changes by pvpn. One process at a time has it: the one that holds the lock.
#[derive(Debug)]
pub struct Changes {
    journal: Journal,
}

impl Changes {
    /// Reads the journals, and changes nothing but what is void in them. The lock has to be held and the directories to
    /// exist: [`recover::prepare`].
    pub fn load(sys: &dyn Machine) -> Result<Changes> {
        Ok(Changes { journal: Journal::load(sys.files())? })
    }

    /// Reads the journals without the lock, only to look at them: another process may be writing there.
    pub fn look(sys: &dyn Machine) -> Result<Changes> {
        Ok(Changes { journal: Journal::look(sys.files())? })
    }

    /// Does the steps in order. At the first failure, what this call began is undone, newest first; then the failure is
    /// returned.
    pub fn apply(&mut self, sys: &dyn Machine, tag: &str, steps: &[Step]) -> Result<()> {
        let mark = self.mark();
        for step in steps {
            if let Err(failure) = self.apply_one(sys, tag, step) {
                if let Err(e) = self.undo_since(sys, mark) {
                    log::error!("change: {e}");
                }
                return Err(failure);
            }
        }
        Ok(())
    }

    fn apply_one(&mut self, sys: &dyn Machine, tag: &str, step: &Step) -> Result<()> {
        if let Some(undo) = step.inverse(sys)? {
            // A step done again owes its inverse once.
            if !self.journal.entries().iter().any(|e| e.undo == undo) {
                self.journal.append(sys.files(), tag, undo)?;
            }
        }
        step.apply(sys)?;
        log::info!("change: + {step}");
        Ok(())
    }

    /// Where the journal stands.
    pub fn mark(&self) -> Mark {
        Mark(self.journal.next())
    }

    /// Undoes everything begun after this mark, newest first.
    pub fn undo_since(&mut self, sys: &dyn Machine, mark: Mark) -> Result<()> {
        self.undo_where(sys, |e| e.number >= mark.0)
    }

    /// Undoes what has this tag, newest first.
    pub fn undo(&mut self, sys: &dyn Machine, tag: &str) -> Result<()> {
        self.undo_where(sys, |e| e.tag == tag)
    }

    /// Undoes everything, newest first: the machine is as it was, but closed if the kill switch is on.
    pub fn undo_all(&mut self, sys: &dyn Machine) -> Result<()> {
        self.undo_where(sys, |_| true)
    }

    /// Undoes the chosen entries, newest first. One that fails stays owed and does not keep the others from being
    /// undone; the first failure is returned.
    fn undo_where(&mut self, sys: &dyn Machine, is_chosen: impl Fn(&Entry) -> bool) -> Result<()> {
        let chosen: Vec<Entry> = self.journal.entries().iter().filter(|e| is_chosen(e)).cloned().collect();
        let links = chosen.iter().filter_map(|e| match &e.undo {
            Undo::DeleteLink(link) => Some(link.as_str()),
            _ => None,
        });
        let links: Vec<&str> = links.collect();
        let mut done = Vec::new();
        let mut failure: Option<Error> = None;
        for entry in chosen.iter().rev() {
            // The kernel takes these along when their link goes, in one go.
            if links.iter().any(|link| entry.undo.goes_with(link)) {
                continue;
            }
            match entry.undo.undo(sys) {
                Ok(outcome) => {
                    log::info!("change: - {}", entry.undo.words());
                    if let (Undo::DeleteLink(link), Outcome::Undone) = (&entry.undo, outcome) {
                        done.extend(chosen.iter().filter(|e| e.undo.goes_with(link)).map(|e| e.number));
                    }
                    if outcome == Outcome::Undone {
                        done.push(entry.number);
                    }
                }
                Err(e) => {
                    failure.get_or_insert(e);
                }
            }
        }
        self.journal.retain(sys.files(), |e| !done.contains(&e.number))?;
        failure.map_or(Ok(()), Err)
    }

    /// Lets the steps of one tag belong to another: a tunnel that was adopted, or renamed.
    pub fn retag(&mut self, sys: &dyn Machine, from: &str, to: &str) -> Result<()> {
        self.journal.retag(sys.files(), from, to)
    }

    /// What is owed, oldest first.
    pub fn owed(&self) -> impl Iterator<Item = (&str, &Undo)> {
        self.journal.entries().iter().map(|e| (e.tag.as_str(), &e.undo))
    }

    /// Whether anything with this tag is owed.
    pub fn has(&self, tag: &str) -> bool {
        self.journal.entries().iter().any(|e| e.tag == tag)
    }

    /// The WireGuard links that pvpn made and has not deleted, oldest first.
    pub fn links(&self) -> impl Iterator<Item = &str> {
        self.journal.entries().iter().filter_map(|e| match &e.undo {
            Undo::DeleteLink(link) => Some(link.as_str()),
            _ => None,
        })
    }
}
