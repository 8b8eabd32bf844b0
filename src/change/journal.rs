//! The undo log, written ahead: an inverse is in the file before its step is begun.
//!
//! Two files. `/run/pvpn/journal` has what the kernel forgets by itself, so its lines are void under another boot id
//! and it is not synced. `/var/lib/pvpn/journal` has changed files: synced line by line, valid after a reboot. One line
//! is one [`Entry`]: `NUMBER BOOT-ID TAG UNDO`, numbers rising over both files. Of a power cut a last line without its
//! end may be left; it is passed over, for its step was never begun. Secrets are never in it.

#[cfg(test)]
mod tests;

use super::undo::Undo;
use crate::error::{Doing, Error, Result};
use crate::sys::files::{Durable, FileImage, Files};
use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

/// Kernel state: void after a reboot.
pub const RUN_JOURNAL: &str = "/run/pvpn/journal";
/// Changed files: valid after a reboot.
pub const LIB_JOURNAL: &str = "/var/lib/pvpn/journal";
/// Made anew by the kernel at each boot (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// A tunnel has some twenty lines of less than 200 bytes; more than this is no journal of ours (chosen).
const JOURNAL_LIMIT: usize = 1 << 20;

/// Whose steps these are, for undoing them together: an interface's name, `dns`, `firewall`. No blanks.
pub type Tag = String;

/// One inverse that is still owed.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub number: u64,
    /// The boot during which it was written.
    pub boot: String,
    pub tag: Tag,
    pub undo: Undo,
}

/// The inverses of everything that pvpn changed and has not undone, oldest first.
#[derive(Debug)]
pub struct Journal {
    boot: String,
    entries: Vec<Entry>,
    next: u64,
}

impl Journal {
    /// Reads both files, and takes out of them what [`Journal::look`] passes over. For the process that holds the lock:
    /// what another one was just writing would be gone.
    pub fn load(files: &dyn Files) -> Result<Journal> {
        let (journal, unclean) = Journal::read(files)?;
        for is_durable in unclean {
            journal.rewrite(files, is_durable)?;
        }
        Ok(journal)
    }

    /// Reads both files and leaves them as they are. Lines of `/run` from another boot are void, a torn last line and
    /// lines that make no sense are passed over.
    pub fn look(files: &dyn Files) -> Result<Journal> {
        Ok(Journal::read(files)?.0)
    }

    /// The journal, and which files ([`place`]) have lines that were passed over.
    fn read(files: &dyn Files) -> Result<(Journal, Vec<bool>)> {
        let boot = files.read(Path::new(BOOT_ID), 64).doing(|| "read the boot id")?;
        let boot = String::from_utf8_lossy(&boot).trim().to_owned();
        let mut journal = Journal { boot, entries: Vec::new(), next: 1 };
        let mut unclean = Vec::new();
        for (path, is_durable) in [(RUN_JOURNAL, false), (LIB_JOURNAL, true)] {
            let text = match files.read(Path::new(path), JOURNAL_LIMIT) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(Error::from(e).context(format!("read {path}"))),
            };
            if !journal.parse(&text, path, is_durable) {
                unclean.push(is_durable);
            }
        }
        journal.entries.sort_by_key(|e| e.number);
        journal.next = journal.entries.last().map_or(1, |e| e.number.saturating_add(1));
        Ok((journal, unclean))
    }

    /// Takes the lines in; whether all of them were whole, understood and of this boot where that matters.
    fn parse(&mut self, text: &str, path: &str, is_durable: bool) -> bool {
        let mut is_clean = text.is_empty() || text.ends_with('\n');
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            match line.parse::<Entry>() {
                Ok(entry) if is_durable || entry.boot == self.boot => self.entries.push(entry),
                Ok(_) => is_clean = false,
                Err(BadLine) => {
                    log::warn!("change: {path}: a line that makes no sense is passed over: {line}");
                    is_clean = false;
                }
            }
        }
        is_clean
    }

    /// Writes one inverse ahead of its step.
    pub fn append(&mut self, files: &dyn Files, tag: &str, undo: Undo) -> Result<u64> {
        let entry = Entry { number: self.next, boot: self.boot.clone(), tag: tag.to_owned(), undo };
        let (path, durable) = place(entry.undo.outlives_reboot());
        files
            .append(Path::new(path), format!("{entry}\n").as_bytes(), durable)
            .doing(|| format!("write {path}"))?;
        self.next += 1;
        self.entries.push(entry);
        Ok(self.next - 1)
    }

    /// Takes out what is undone, or owed no more, and writes the files that had some of it.
    pub fn retain(&mut self, files: &dyn Files, is_owed: impl Fn(&Entry) -> bool) -> Result<()> {
        let mut touched = [false; 2];
        self.entries.retain(|e| {
            let stays = is_owed(e);
            touched[usize::from(e.undo.outlives_reboot())] |= !stays;
            stays
        });
        for is_durable in [false, true] {
            if touched[usize::from(is_durable)] {
                self.rewrite(files, is_durable)?;
            }
        }
        Ok(())
    }

    /// Gives the entries of one tag another one.
    pub fn retag(&mut self, files: &dyn Files, from: &str, to: &str) -> Result<()> {
        let mut touched = [false; 2];
        for entry in self.entries.iter_mut().filter(|e| e.tag == from) {
            to.clone_into(&mut entry.tag);
            touched[usize::from(entry.undo.outlives_reboot())] = true;
        }
        for is_durable in [false, true] {
            if touched[usize::from(is_durable)] {
                self.rewrite(files, is_durable)?;
            }
        }
        Ok(())
    }

    fn rewrite(&self, files: &dyn Files, is_durable: bool) -> Result<()> {
        let (path, durable) = place(is_durable);
        let lines = self.entries.iter().filter(|e| e.undo.outlives_reboot() == is_durable);
        let text: String = lines.map(|e| format!("{e}\n")).collect();
        let done = if text.is_empty() {
            files.put(Path::new(path), &FileImage::Absent)
        } else {
            files.replace(Path::new(path), text.as_bytes(), 0o600, durable)
        };
        done.doing(|| format!("write {path}"))
    }

    /// What is owed, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The number that the next entry gets.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Whether this entry was written before the machine was started last.
    pub fn is_of_earlier_boot(&self, entry: &Entry) -> bool {
        entry.boot != self.boot
    }
}

fn place(is_durable: bool) -> (&'static str, Durable) {
    if is_durable { (LIB_JOURNAL, Durable::Yes) } else { (RUN_JOURNAL, Durable::No) }
}

/// Not a line of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLine;

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.number, self.boot, self.tag, self.undo)
    }
}

impl FromStr for Entry {
    type Err = BadLine;

    fn from_str(line: &str) -> std::result::Result<Entry, BadLine> {
        let mut parts = line.splitn(4, ' ');
        let mut part = || parts.next().filter(|p| !p.is_empty()).ok_or(BadLine);
        let (number, boot, tag, undo) = (part()?, part()?, part()?, part()?);
        Ok(Entry {
            number: number.parse().map_err(|_| BadLine)?,
            boot: boot.to_owned(),
            tag: tag.to_owned(),
            undo: undo.parse()?,
        })
    }
}
