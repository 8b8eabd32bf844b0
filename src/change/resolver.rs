//! The resolver file, put in place and put back.
//!
//! The owner's file gets a second name, [`BACKUP`], before ours is renamed over it, so at every moment, and after a power
//! cut at every moment, either the owner's file is in its place or it is the backup. On the way back, a file that is
//! not ours is newer than the backup: it stays and the backup goes. An empty file beside a backup counts as ours, for a
//! bind-mounted one can't be replaced atomically.

#[cfg(test)]
mod tests;

use super::undo::Undo;
use crate::dns::resolv_conf::is_ours;
use crate::dns::{BACKUP, RESOLV_CONF};
use crate::sys::files::{Durable, FileImage, Files, temp_path};
use std::io;
use std::path::Path;

/// Everybody's programs read it.
const MODE: u32 = 0o644;

/// What takes back the next [`apply`].
pub(super) fn inverse(files: &dyn Files) -> io::Result<Undo> {
    let current = files.image(Path::new(RESOLV_CONF))?;
    let was_absent = match current {
        FileImage::Absent => true,
        _ if shows_ours(files, &current)? => files.image(Path::new(BACKUP))? == FileImage::Absent,
        _ => false,
    };
    Ok(Undo::Resolver { was_absent })
}

/// Puts this text there. A file of ours is only overwritten; any other one becomes the backup.
pub(super) fn apply(files: &dyn Files, text: &str) -> io::Result<()> {
    let (path, backup) = (Path::new(RESOLV_CONF), Path::new(BACKUP));
    let current = files.image(path)?;
    if current.bytes() == Some(text.as_bytes()) {
        return Ok(());
    }
    if current == FileImage::Absent {
        files.remove(backup)?;
    } else if !shows_ours(files, &current)? {
        files.keep(path, backup)?;
    }
    files.replace(path, text.as_bytes(), MODE, Durable::Yes)
}

/// Puts the owner's file back, unless the owner has written another one.
pub(super) fn undo(files: &dyn Files, was_absent: bool) -> io::Result<()> {
    let (path, backup) = (Path::new(RESOLV_CONF), Path::new(BACKUP));
    let current = files.image(path)?;
    // Of a crash while one of them was being made.
    for temp in [path, backup].map(temp_path).iter().filter(|temp| files.exists(temp)) {
        files.remove(temp)?;
    }
    if !shows_ours(files, &current)? {
        // Where ours never got there, a read-only file system refuses even to remove what is not there.
        return match files.image(backup)? {
            FileImage::Absent => Ok(()),
            _ => files.put(backup, &FileImage::Absent),
        };
    }
    if was_absent {
        return files.put(path, &FileImage::Absent);
    }
    match files.image(backup)? {
        FileImage::Absent => {
            log::warn!("change: {BACKUP} is gone, so {RESOLV_CONF} stays as pvpn wrote it");
            Ok(())
        }
        image => match files.rename(backup, path) {
            // A bind mount: the file keeps its place, owner and mode, and gets its text back.
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
                files.put(path, &image)?;
                files.put(backup, &FileImage::Absent)
            }
            done => done,
        },
    }
}

/// Whether what stands there is of pvpn's making.
fn shows_ours(files: &dyn Files, current: &FileImage) -> io::Result<bool> {
    Ok(match current.bytes() {
        Some([]) => files.image(Path::new(BACKUP))? != FileImage::Absent,
        Some(bytes) => is_ours(bytes),
        None => false,
    })
}
