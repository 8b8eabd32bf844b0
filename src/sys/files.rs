//! Files, as pvpn changes them: a reader sees the old content or the whole of the other, never a part.
//!
//! A replacement is written to a temporary file beside its target, synced, then renamed over it; an error (disk full,
//! read-only file system) leaves the target as it was and removes the temporary file. A container's bind-mounted
//! `/etc/resolv.conf` refuses the rename with EBUSY: only there the content is written in place.

mod disk;
#[cfg(test)]
pub mod fake;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub use disk::{Disk, temp_path};

/// What a path shows without following a symlink.
#[derive(Clone, PartialEq, Eq)]
pub enum FileImage {
    Absent,
    Regular { bytes: Vec<u8>, uid: u32, gid: u32, mode: u32 },
    Symlink { target: PathBuf, uid: u32, gid: u32 },
}

/// How long a change has to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// Synced to disk with its directory before the call returns: it outlives a power cut.
    Yes,
    /// Not synced: for tmpfs, and for what is made anew anyway.
    No,
}

/// An advisory lock, held until dropped. A child that inherits the descriptor holds it as well.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, never read")] pub(super) Option<File>);

/// The file system. Every error is that of the first system call that failed.
pub trait Files {
    /// The content of the file `path` leads to, through symlinks; longer than `limit` bytes is `FileTooLarge`.
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>>;

    /// What is at `path` itself. Anything but a regular file or a symlink is `InvalidInput`.
    fn image(&self, path: &Path) -> io::Result<FileImage>;

    /// Puts a file of ours at `path`, whatever was there, with these mode bits whatever the umask.
    fn replace(&self, path: &Path, bytes: &[u8], mode: u32, durable: Durable) -> io::Result<()>;

    /// Makes `path` show `image` exactly: content, kind, owner, mode. `Absent` removes. Durable.
    fn put(&self, path: &Path, image: &FileImage) -> io::Result<()>;

    /// Appends in one write, making the file with mode 0600 if needed.
    fn append(&self, path: &Path, bytes: &[u8], durable: Durable) -> io::Result<()>;

    /// One write into the existing file, for `/proc/sys`.
    fn write_in_place(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Gives what is at `from` (a symlink itself, not its target) the second name `to`, durably; where the file system
    /// can't, `to` becomes a copy. An existing `to` goes first.
    fn keep(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames over whatever is at `to`, durably.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file or symlink; one that is gone already is fine.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory and what is missing above it; sets `mode` on the last one, also when it was there.
    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// The names in a directory, sorted; none when it is absent.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// Whether `path` leads to something, through symlinks.
    fn exists(&self, path: &Path) -> bool;

    /// Takes the lock of this file, made with mode 0600 if needed; `None` while another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;
}

/// The last `limit` bytes of a file as text, bytes that are not UTF-8 replaced. The file may be another user's: a FIFO
/// in its place is an error, not a wait for who writes it.
pub fn tail(path: &Path, limit: usize) -> io::Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit as u64)))?;
    let mut bytes = Vec::new();
    file.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl FileImage {
    /// The content of a regular file.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            FileImage::Regular { bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// Whether nobody but its owner may read or write it.
    pub fn is_private(&self) -> bool {
        matches!(self, FileImage::Regular { mode, .. } if mode & 0o077 == 0)
    }
}

impl fmt::Debug for FileImage {
    /// The content may be secret: only its length is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileImage::Absent => f.write_str("absent"),
            FileImage::Regular { bytes, uid, gid, mode } => {
                write!(f, "file {mode:04o} {uid}:{gid} {} bytes", bytes.len())
            }
            FileImage::Symlink { target, uid, gid } => {
                write!(f, "symlink {uid}:{gid} -> {}", target.display())
            }
        }
    }
}
