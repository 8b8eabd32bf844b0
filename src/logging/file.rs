//! The supervisor's log file: bounded in size, and patient with a disk that has no room.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

/// Size at which the file is turned over, bytes. With the one old file, twice that is the most it takes (chosen).
const SIZE_MOST: u64 = 1 << 20;

pub(super) struct LogFile {
    path: PathBuf,
    file: Option<File>,
    size: u64,
    /// Lines not written since the last one that was.
    lost: u64,
    /// Whether part of a line was.
    is_torn: bool,
}

impl LogFile {
    pub fn new(path: PathBuf) -> LogFile {
        LogFile { path, file: None, size: 0, lost: 0, is_torn: false }
    }

    /// Writes a line, its end included, or counts it as lost.
    pub fn write(&mut self, line: &str) {
        if self.try_write(line).is_err() {
            self.lost = self.lost.saturating_add(1);
            // Opened again for the next line: the file may be gone, or the file system mounted afresh.
            self.file = None;
        }
    }

    fn try_write(&mut self, line: &str) -> io::Result<()> {
        let mut text = if self.is_torn { "\n".to_owned() } else { String::new() };
        if self.lost > 0 {
            text.push_str(&format!("({} lines were lost: they could not be written)\n", self.lost));
        }
        text.push_str(line);
        if self.size + text.len() as u64 > SIZE_MOST {
            self.turn_over();
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = open(&self.path)?;
                self.size = file.metadata()?.len();
                self.file.insert(file)
            }
        };
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.size += n as u64;
                    rest = &rest[n..];
                    self.is_torn = !rest.is_empty();
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.lost = 0;
        Ok(())
    }

    /// The file becomes the old one. Where it can't be renamed it is emptied: bounded comes before complete.
    fn turn_over(&mut self) {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        if let (Err(_), Some(file)) = (fs::rename(&self.path, old), &self.file) {
            let _ = file.set_len(0);
        }
        self.file = None;
        self.size = 0;
        self.is_torn = false;
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    let file =
        OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let dir = std::env::temp_dir().join(format!("pvpn-log-{}-{name}", std::process::id()));
            fs::create_dir(&dir).unwrap();
            Scratch(dir)
        }
        fn log(&self) -> PathBuf {
            self.0.join("pvpn.log")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_file_is_private_and_goes_on_where_it_was() {
        let dir = Scratch::new("private");
        fs::write(dir.log(), "first\n").unwrap();
        LogFile::new(dir.log()).write("second\n");
        assert_eq!(fs::read_to_string(dir.log()).unwrap(), "first\nsecond\n");
        assert_eq!(fs::metadata(dir.log()).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn two_files_of_bounded_size_are_all_it_takes() {
        let dir = Scratch::new("size");
        let mut log = LogFile::new(dir.log());
        let line = format!("{}\n", "x".repeat(9_999));
        for _ in 0..350 {
            log.write(&line);
        }
        let size = |name: &str| fs::metadata(dir.0.join(name)).unwrap().len();
        assert_eq!((size("pvpn.log"), size("pvpn.log.1")), (380_000, 1_040_000));
        assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 2);
    }

    #[test]
    fn lost_lines_are_counted_and_told() {
        let dir = Scratch::new("lost");
        let mut log = LogFile::new(dir.0.join("later/pvpn.log"));
        log.write("1\n");
        log.write("2\n");
        fs::create_dir(dir.0.join("later")).unwrap();
        log.write("3\n");
        log.write("4\n");
        let text = fs::read_to_string(dir.0.join("later/pvpn.log")).unwrap();
        assert_eq!(text, "(2 lines were lost: they could not be written)\n3\n4\n");
    }

    #[test]
    fn a_full_device_stops_nothing() {
        let mut log = LogFile::new("/dev/full".into());
        log.file = OpenOptions::new().write(true).open("/dev/full").ok();
        log.write("1\n");
        assert_eq!((log.lost, log.file.is_none(), log.is_torn), (1, true, false));
    }

    #[test]
    fn a_symlink_in_its_place_is_not_followed() {
        let dir = Scratch::new("symlink");
        std::os::unix::fs::symlink(dir.0.join("victim"), dir.log()).unwrap();
        LogFile::new(dir.log()).write("1\n");
        assert!(!dir.0.join("victim").exists());
    }
}
