//! What a provider keeps in a folder of its own: files of mode 0600 in a directory of mode 0700. Other processes write
//! them too, so each is read again before use, and what must not happen twice happens under a lock.

use crate::error::{Doing as _, Error, Result};
use crate::sys::Clock;
use crate::sys::files::{Durable, Files, Lock};
use crate::time::{Duration, millis, secs};
use crate::wire::json::Value;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A file of a few hundred bytes; chosen.
pub(super) const JSON_MOST: usize = 64 << 10;
/// How long another process may hold a lock: what it asks meanwhile ends before.
const LOCK_TIMEOUT: Duration = secs(30);
const LOCK_INTERVAL: Duration = millis(50);

pub struct Store<'a> {
    files: &'a dyn Files,
    clock: &'a dyn Clock,
    dir: PathBuf,
}

impl<'a> Store<'a> {
    pub fn new(files: &'a dyn Files, clock: &'a dyn Clock, dir: &Path) -> Store<'a> {
        Store { files, clock, dir: dir.to_owned() }
    }

    pub fn files(&self) -> &'a dyn Files {
        self.files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// `None` where there is no such file.
    pub fn read(&self, name: &str, most: usize) -> Result<Option<Vec<u8>>> {
        let path = self.path(name);
        match self.files.read(&path, most) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::from(e).context(format!("read {}", path.display()))),
        }
    }

    /// `None` where it is missing or broken.
    pub fn read_json(&self, name: &str) -> Result<Option<Value>> {
        let Some(bytes) = self.read(name, JSON_MOST)?.map(Zeroizing::new) else { return Ok(None) };
        let parsed = Value::parse(bytes.as_slice());
        if let Err(why) = &parsed {
            log::warn!("provider: {}: {why}", self.path(name).display());
        }
        Ok(parsed.ok())
    }

    /// Replaces a file, synced.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(name);
        self.make_dir()?;
        self.files.replace(&path, bytes, 0o600, Durable::Yes).doing(|| format!("write {}", path.display()))
    }

    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        self.files.remove(&path).doing(|| format!("remove {}", path.display()))
    }

    /// Waits for a lock of this directory.
    pub fn lock(&self, name: &str) -> Result<Lock> {
        self.make_dir()?;
        let path = self.path(name);
        let ends_at = self.clock.now() + LOCK_TIMEOUT;
        loop {
            if let Some(lock) = self.files.lock(&path).doing(|| format!("lock {}", path.display()))? {
                return Ok(lock);
            }
            if self.clock.now() >= ends_at {
                return Err(Error::failed(format!("another pvpn keeps {} locked", path.display())));
            }
            self.clock.sleep(LOCK_INTERVAL);
        }
    }

    fn make_dir(&self) -> Result<()> {
        self.files.create_dir(&self.dir, 0o700).doing(|| format!("make {}", self.dir.display()))
    }
}
