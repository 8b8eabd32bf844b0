//! Hears when files in a few directories are made, replaced or removed (inotify(7)).

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// What is heard of in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hears {
    /// Whatever changes what a name shows.
    Changes,
    /// Only that a name goes, or the directory itself.
    Removals,
}

impl Hears {
    fn flags(self) -> AddWatchFlags {
        let gone = AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM | AddWatchFlags::IN_ONLYDIR;
        let made = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CREATE;
        match self {
            Hears::Changes => gone | made,
            // A file that is replaced by rename leaves its temporary name: not heard, or each of our own would be.
            Hears::Removals => {
                AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_ONLYDIR
            }
        }
    }
}

/// One descriptor for all directories.
pub struct Watch {
    inotify: Inotify,
    dirs: Vec<(WatchDescriptor, PathBuf)>,
}

impl Watch {
    pub fn new() -> io::Result<Watch> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        Ok(Watch { inotify, dirs: Vec::new() })
    }

    /// Watches a directory too; one that is watched already stays so, also when it was made anew.
    pub fn add(&mut self, dir: &Path, hears: Hears) -> io::Result<()> {
        let descriptor = self.inotify.add_watch(dir, hears.flags())?;
        self.dirs.retain(|(d, path)| *d != descriptor && path != dir);
        self.dirs.push((descriptor, dir.to_owned()));
        Ok(())
    }

    /// The paths that something happened to, each once, without waiting. A directory itself: events were lost, or it
    /// is gone.
    pub fn poll_changes(&self) -> io::Result<Vec<PathBuf>> {
        let mut seen = Vec::new();
        loop {
            match self.inotify.read_events() {
                Ok(events) => {
                    for event in events {
                        let dirs = self.dirs.iter().filter(|(d, _)| *d == event.wd || overflowed(event.mask));
                        seen.extend(dirs.map(|(_, dir)| match &event.name {
                            Some(name) => dir.join(name),
                            None => dir.clone(),
                        }));
                    }
                }
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        seen.sort_unstable();
        seen.dedup();
        Ok(seen)
    }
}

fn overflowed(mask: AddWatchFlags) -> bool {
    mask.contains(AddWatchFlags::IN_Q_OVERFLOW)
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_written_replaced_or_removed_is_named_once() {
        let dir = std::env::temp_dir().join(format!("pvpn-inotify-{}", std::process::id()));
        let (a, b) = (dir.join("a"), dir.join("b"));
        fs::create_dir_all(&dir).unwrap();
        fs::write(&a, "1").unwrap();
        let mut watch = Watch::new().unwrap();
        watch.add(&dir, Hears::Changes).unwrap();
        assert_eq!(watch.poll_changes().unwrap(), Vec::<PathBuf>::new());
        fs::write(&b, "2").unwrap();
        fs::rename(&b, &a).unwrap();
        assert_eq!(watch.poll_changes().unwrap(), [a.clone(), b.clone()]);
        watch.add(&dir, Hears::Removals).unwrap();
        fs::write(&b, "3").unwrap();
        fs::rename(&b, &a).unwrap();
        assert_eq!(watch.poll_changes().unwrap(), Vec::<PathBuf>::new(), "our own way to replace");
        fs::remove_file(&a).unwrap();
        assert_eq!(watch.poll_changes().unwrap(), [a]);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(watch.poll_changes().unwrap(), std::slice::from_ref(&dir), "the directory itself went");
        fs::create_dir_all(&dir).unwrap();
        watch.add(&dir, Hears::Removals).unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }
}
