//! The real file system.

use super::{Durable, FileImage, Files, Lock};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::fs::{fchown, lchown, symlink};
use std::path::{Path, PathBuf};

/// Largest file taken as an image: resolver files have a few hundred bytes (chosen).
const IMAGE_LIMIT: usize = 1 << 20;
/// Tries to get a temporary name while another process takes it (chosen).
const TEMP_TRIES: u32 = 8;
/// Mode of everything until it is complete, and of most of it after.
const PRIVATE_MODE: u32 = 0o600;

/// The real [`Files`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        // O_NONBLOCK: a FIFO in the way answers "empty" instead of waiting for a writer.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {limit} bytes")));
        }
        Ok(bytes)
    }

    fn image(&self, path: &Path) -> io::Result<FileImage> {
        let meta = match fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(FileImage::Absent),
            Err(e) => return Err(e),
        };
        let (uid, gid, mode) = (meta.uid(), meta.gid(), meta.mode() & 0o7777);
        if meta.is_symlink() {
            return Ok(FileImage::Symlink { target: fs::read_link(path)?, uid, gid });
        }
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a file nor a symlink"));
        }
        Ok(FileImage::Regular { bytes: self.read(path, IMAGE_LIMIT)?, uid, gid, mode })
    }

    fn replace(&self, path: &Path, bytes: &[u8], mode: u32, durable: Durable) -> io::Result<()> {
        let temp = Temp::file(path, bytes, mode, None, durable)?;
        match temp.rename(path, durable) {
            Err(e) if is_busy(&e) => overwrite(path, bytes),
            done => done,
        }
    }

    fn put(&self, path: &Path, image: &FileImage) -> io::Result<()> {
        let temp = match image {
            FileImage::Absent => return self.remove(path).and_then(|()| sync_dir(path)),
            FileImage::Regular { bytes, uid, gid, mode } => {
                Temp::file(path, bytes, *mode, Some((*uid, *gid)), Durable::Yes)?
            }
            FileImage::Symlink { target, uid, gid } => Temp::symlink(path, target, (*uid, *gid))?,
        };
        match (temp.rename(path, Durable::Yes), image) {
            (Err(e), FileImage::Regular { bytes, .. }) if is_busy(&e) => overwrite(path, bytes),
            (done, _) => done,
        }
    }

    fn append(&self, path: &Path, bytes: &[u8], durable: Durable) -> io::Result<()> {
        let mut file = private(OpenOptions::new().append(true).create(true)).open(path)?;
        let len = file.metadata()?.len();
        if let Err(e) = file.write_all(bytes) {
            // The beginning of a line would spoil the next one.
            let _ = file.set_len(len);
            return Err(e);
        }
        if durable == Durable::Yes {
            file.sync_data()?;
            if len == 0 {
                sync_dir(path)?;
            }
        }
        Ok(())
    }

    fn write_in_place(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.write_all(bytes)
    }

    fn keep(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.remove(to)?;
        // A second link keeps times, ACLs and attributes as well; it does not follow a symlink on Linux.
        if fs::hard_link(from, to).is_ok() {
            return sync_dir(to);
        }
        self.put(to, &self.image(from)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        sync_dir(to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(mode).create(path)?;
        let meta = fs::symlink_metadata(path)?;
        if meta.mode() & 0o7777 != mode {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let entries = match fs::read_dir(dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = entries.map(|e| e.map(|e| e.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let file = private(OpenOptions::new().write(true).create(true)).open(path)?;
        // SAFETY: `file` is an open descriptor for the whole call.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(Some(Lock(Some(file))));
        }
        match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            e => Err(e),
        }
    }
}

/// A finished file that has no name of its own yet. Dropped before its rename, it is removed.
struct Temp {
    path: PathBuf,
    is_renamed: bool,
}

impl Temp {
    fn file(
        target: &Path,
        bytes: &[u8],
        mode: u32,
        owner: Option<(u32, u32)>,
        durable: Durable,
    ) -> io::Result<Temp> {
        let (temp, mut file) =
            Temp::make(target, |path| private(OpenOptions::new().write(true).create_new(true)).open(path))?;
        file.write_all(bytes)?;
        if let Some((uid, gid)) = owner {
            fchown(&file, Some(uid), Some(gid))?;
        }
        // After the owner: chown takes set-id bits away.
        if mode != PRIVATE_MODE {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        if durable == Durable::Yes {
            file.sync_all()?;
        }
        Ok(temp)
    }

    fn symlink(target: &Path, leads_to: &Path, (uid, gid): (u32, u32)) -> io::Result<Temp> {
        let (temp, ()) = Temp::make(target, |path| symlink(leads_to, path))?;
        lchown(&temp.path, Some(uid), Some(gid))?;
        Ok(temp)
    }

    /// The name is fixed, so that a crash leaves one file at most, which the next writer removes.
    fn make<T>(target: &Path, create: impl Fn(&Path) -> io::Result<T>) -> io::Result<(Temp, T)> {
        let path = temp_path(target);
        let mut tries = 0;
        loop {
            match create(&path) {
                Ok(made) => return Ok((Temp { path, is_renamed: false }, made)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && tries < TEMP_TRIES => {
                    tries += 1;
                    fs::remove_file(&path)?;
                }
                Err(e) => return Err(e),
            }
        }
    }

    fn rename(mut self, target: &Path, durable: Durable) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.is_renamed = true;
        if durable == Durable::Yes { sync_dir(target) } else { Ok(()) }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.is_renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Where a file is made before it gets this name; a crash may leave it there.
pub fn temp_path(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default();
    target.with_file_name(format!(".{}.pvpn-tmp", name.to_string_lossy()))
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(PRIVATE_MODE).custom_flags(libc::O_NOFOLLOW)
}

/// Whether the rename failed because the target is a mount point (rename(2), EBUSY).
fn is_busy(e: &io::Error) -> bool {
    e.raw_os_error() == Some(libc::EBUSY)
}

/// Writes through the existing file: for mount points only. A power cut may leave it empty, never half old.
fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Syncs the directory that holds `path`, so that a rename outlives a power cut.
fn sync_dir(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}
