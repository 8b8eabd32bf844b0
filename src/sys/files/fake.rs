//! A file system in memory, which prints itself and can lose its power.

use super::{Durable, FileImage, Files, Lock};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

type Tree = BTreeMap<PathBuf, FileImage>;

/// What programs see, and what a power cut would leave of it.
#[derive(Default)]
pub struct FakeFiles {
    live: RefCell<Tree>,
    synced: RefCell<Tree>,
    boot: Cell<u32>,
    /// Paths that refuse a rename, as a container's bind mounts do.
    mounts: RefCell<BTreeSet<PathBuf>>,
    is_full: Cell<bool>,
    is_read_only: Cell<bool>,
    locks: RefCell<BTreeSet<PathBuf>>,
}

impl FakeFiles {
    /// A machine in its first boot, with these files of mode 0644.
    pub fn new(files: &[(&str, &str)]) -> FakeFiles {
        let fake = FakeFiles::default();
        for (path, text) in files {
            fake.write(path, text);
        }
        fake.write(BOOT_ID, "boot-0\n");
        fake
    }

    /// Somebody else writes this file, safely.
    pub fn write(&self, path: &str, text: &str) {
        self.set(path, FileImage::Regular { bytes: text.into(), uid: 0, gid: 0, mode: 0o644 });
    }

    /// Somebody else puts this there, safely.
    pub fn set(&self, path: &str, image: FileImage) {
        self.live.borrow_mut().insert(path.into(), image);
        self.sync(Path::new(path));
    }

    pub fn text(&self, path: &str) -> Option<String> {
        let image = self.live.borrow().get(Path::new(path)).cloned()?;
        image.bytes().map(|b| String::from_utf8_lossy(b).into_owned())
    }

    /// Makes this path a bind mount.
    pub fn mount(&self, path: &str) {
        self.mounts.borrow_mut().insert(path.into());
    }

    /// Whether the disk has no room: whatever writes fails with ENOSPC, `/proc/sys` excepted.
    pub fn fill(&self, is_full: bool) {
        self.is_full.set(is_full);
    }

    /// Whether it is mounted read-only: what changes a file fails with EROFS, even where there is none to change.
    pub fn protect(&self, is_read_only: bool) {
        self.is_read_only.set(is_read_only);
    }

    /// The power goes and comes: what was not synced, `/run` and the locks are lost.
    pub fn power_cut(&self) {
        let boot = self.boot.get() + 1;
        self.boot.set(boot);
        let mut live = self.synced.borrow().clone();
        live.retain(|path, _| !path.starts_with("/run"));
        *self.live.borrow_mut() = live;
        self.write(BOOT_ID, &format!("boot-{boot}\n"));
        self.release_locks();
    }

    /// The processes that held locks are gone.
    pub fn release_locks(&self) {
        self.locks.borrow_mut().clear();
    }

    fn sync(&self, path: &Path) {
        let mut synced = self.synced.borrow_mut();
        match self.live.borrow().get(path) {
            Some(image) => synced.insert(path.to_owned(), image.clone()),
            None => synced.remove(path),
        };
    }

    /// Puts what a finished temporary file would be renamed to.
    fn insert(&self, path: &Path, image: FileImage, durable: Durable) -> io::Result<()> {
        self.room()?;
        let image = match (self.mounts.borrow().contains(path), image, self.image(path)?) {
            // Written in place: owner and mode stay.
            (true, FileImage::Regular { bytes, .. }, FileImage::Regular { uid, gid, mode, .. }) => {
                FileImage::Regular { bytes, uid, gid, mode }
            }
            (true, ..) => return Err(io::Error::from_raw_os_error(libc::EBUSY)),
            (false, image, _) => image,
        };
        self.live.borrow_mut().insert(path.to_owned(), image);
        if durable == Durable::Yes {
            self.sync(path);
        }
        Ok(())
    }

    fn may_change(&self) -> io::Result<()> {
        if self.is_read_only.get() { Err(io::Error::from_raw_os_error(libc::EROFS)) } else { Ok(()) }
    }

    fn room(&self) -> io::Result<()> {
        self.may_change()?;
        if self.is_full.get() { Err(io::Error::from_raw_os_error(libc::ENOSPC)) } else { Ok(()) }
    }

    /// Follows symlinks, of which a fake has no chains longer than this.
    fn resolve(&self, path: &Path) -> PathBuf {
        let mut path = path.to_owned();
        for _ in 0..4 {
            match self.live.borrow().get(&path) {
                Some(FileImage::Symlink { target, .. }) => {
                    path = path.parent().unwrap_or(Path::new("/")).join(target);
                }
                _ => break,
            }
        }
        path
    }
}

fn not_found() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}

impl Files for FakeFiles {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let live = self.live.borrow();
        let image = live.get(&self.resolve(path)).ok_or_else(not_found)?;
        let bytes = image.bytes().ok_or_else(not_found)?;
        if bytes.len() > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.to_vec()) }
    }

    fn image(&self, path: &Path) -> io::Result<FileImage> {
        Ok(self.live.borrow().get(path).cloned().unwrap_or(FileImage::Absent))
    }

    fn replace(&self, path: &Path, bytes: &[u8], mode: u32, durable: Durable) -> io::Result<()> {
        self.insert(path, FileImage::Regular { bytes: bytes.into(), uid: 0, gid: 0, mode }, durable)
    }

    fn put(&self, path: &Path, image: &FileImage) -> io::Result<()> {
        if *image != FileImage::Absent {
            return self.insert(path, image.clone(), Durable::Yes);
        }
        self.may_change()?;
        self.live.borrow_mut().remove(path);
        self.sync(path);
        Ok(())
    }

    fn append(&self, path: &Path, bytes: &[u8], durable: Durable) -> io::Result<()> {
        let (mut all, mode) = match self.image(path)? {
            FileImage::Regular { bytes, mode, .. } => (bytes, mode),
            _ => (Vec::new(), 0o600),
        };
        all.extend_from_slice(bytes);
        self.insert(path, FileImage::Regular { bytes: all, uid: 0, gid: 0, mode }, durable)
    }

    fn write_in_place(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        match self.live.borrow_mut().get_mut(path) {
            // As the kernel shows a setting.
            Some(FileImage::Regular { bytes: old, .. }) => *old = [bytes.trim_ascii_end(), b"\n"].concat(),
            _ => return Err(not_found()),
        }
        Ok(())
    }

    fn keep(&self, from: &Path, to: &Path) -> io::Result<()> {
        let image = self.image(from)?;
        if image == FileImage::Absent {
            return Err(not_found());
        }
        self.insert(to, image, Durable::Yes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if [from, to].iter().any(|p| self.mounts.borrow().contains(*p)) {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        self.may_change()?;
        let image = self.live.borrow_mut().remove(from).ok_or_else(not_found)?;
        self.live.borrow_mut().insert(to.to_owned(), image);
        self.sync(from);
        self.sync(to);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.live.borrow_mut().remove(path);
        Ok(())
    }

    fn create_dir(&self, _path: &Path, _mode: u32) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let live = self.live.borrow();
        let names = live.keys().filter(|p| p.parent() == Some(dir)).filter_map(|p| p.file_name());
        Ok(names.map(OsString::from).collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.live.borrow().contains_key(&self.resolve(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        Ok(self.locks.borrow_mut().insert(path.to_owned()).then_some(Lock(None)))
    }
}

impl fmt::Display for FakeFiles {
    /// A line each, but for the boot id, which no file system is equal by.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, image) in self.live.borrow().iter().filter(|(p, _)| *p != Path::new(BOOT_ID)) {
            write!(f, "{} {image:?}", path.display())?;
            match image.bytes() {
                Some(bytes) => writeln!(f, " {:?}", String::from_utf8_lossy(bytes))?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
