use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of this test, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("pvpn-files-{}-{n}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Scratch(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_replaced_file_has_its_mode_whatever_the_umask_and_leaves_no_temporary_file() {
    let dir = Scratch::new();
    for mode in [0o644, 0o600, 0o666] {
        Disk.replace(&dir.path("status.json"), b"{}", mode, Durable::No).unwrap();
        assert_eq!(fs::metadata(dir.path("status.json")).unwrap().mode() & 0o7777, mode);
    }
    assert_eq!(Disk.list(&dir.0).unwrap(), ["status.json"]);
}

#[test]
fn a_leftover_temporary_file_is_no_obstacle_and_never_followed() {
    let dir = Scratch::new();
    fs::write(dir.path("victim"), "keep").unwrap();
    symlink(dir.path("victim"), dir.path(".a.pvpn-tmp")).unwrap();
    Disk.replace(&dir.path("a"), b"text", 0o600, Durable::Yes).unwrap();
    assert_eq!(fs::read_to_string(dir.path("victim")).unwrap(), "keep");
    assert_eq!(fs::read_to_string(dir.path("a")).unwrap(), "text");
}

#[test]
fn a_failed_replacement_leaves_the_old_file() {
    let dir = Scratch::new();
    fs::create_dir(dir.path("resolv.conf")).unwrap();
    assert!(Disk.replace(&dir.path("resolv.conf"), b"x", 0o644, Durable::Yes).is_err());
    assert_eq!(Disk.list(&dir.0).unwrap(), ["resolv.conf"]);
    assert!(Disk.replace(Path::new("/proc/pvpn"), b"x", 0o644, Durable::Yes).is_err());
}

#[test]
fn an_image_put_back_is_exact() {
    let dir = Scratch::new();
    let path = dir.path("resolv.conf");
    fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let file = Disk.image(&path).unwrap();
    symlink("../run/systemd/resolve/stub-resolv.conf", dir.path("link")).unwrap();
    let link = Disk.image(&dir.path("link")).unwrap();

    Disk.put(&path, &link).unwrap();
    assert_eq!(Disk.image(&path).unwrap(), link);
    Disk.put(&path, &file).unwrap();
    assert_eq!(Disk.image(&path).unwrap(), file);
    Disk.put(&path, &FileImage::Absent).unwrap();
    assert_eq!(Disk.image(&path).unwrap(), FileImage::Absent);
    Disk.put(&path, &FileImage::Absent).unwrap();
}

#[test]
fn a_kept_file_is_the_same_one_and_a_kept_symlink_stays_a_symlink() {
    let dir = Scratch::new();
    fs::write(dir.path("a"), "old").unwrap();
    symlink("/nowhere", dir.path("l")).unwrap();
    Disk.keep(&dir.path("a"), &dir.path("bak")).unwrap();
    Disk.replace(&dir.path("a"), b"ours", 0o644, Durable::Yes).unwrap();
    assert_eq!(fs::read_to_string(dir.path("bak")).unwrap(), "old");
    Disk.keep(&dir.path("l"), &dir.path("bak")).unwrap();
    assert_eq!(fs::read_link(dir.path("bak")).unwrap(), Path::new("/nowhere"));
    Disk.rename(&dir.path("bak"), &dir.path("a")).unwrap();
    assert_eq!(fs::read_link(dir.path("a")).unwrap(), Path::new("/nowhere"));
}

#[test]
fn a_file_longer_than_the_limit_is_an_error() {
    let dir = Scratch::new();
    fs::write(dir.path("a"), "12345").unwrap();
    assert_eq!(Disk.read(&dir.path("a"), 5).unwrap(), b"12345");
    assert_eq!(Disk.read(&dir.path("a"), 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn a_lock_is_exclusive_until_dropped() {
    let dir = Scratch::new();
    let held = Disk.lock(&dir.path("lock")).unwrap();
    assert!(held.is_some());
    assert!(Disk.lock(&dir.path("lock")).unwrap().is_none());
    drop(held);
    assert!(Disk.lock(&dir.path("lock")).unwrap().is_some());
}

#[test]
fn appended_lines_follow_each_other_in_a_private_file() {
    let dir = Scratch::new();
    Disk.append(&dir.path("journal"), b"1\n", Durable::Yes).unwrap();
    Disk.append(&dir.path("journal"), b"2\n", Durable::No).unwrap();
    let image = Disk.image(&dir.path("journal")).unwrap();
    assert_eq!(image.bytes(), Some(&b"1\n2\n"[..]));
    assert!(image.is_private());
}

#[test]
fn a_directory_gets_its_mode_also_when_it_was_there() {
    let dir = Scratch::new();
    for mode in [0o700, 0o755] {
        Disk.create_dir(&dir.path("a/b"), mode).unwrap();
        assert_eq!(fs::metadata(dir.path("a/b")).unwrap().mode() & 0o7777, mode);
    }
    assert_eq!(Disk.list(&dir.path("missing")).unwrap(), [] as [&str; 0]);
}

#[test]
fn the_tail_of_a_file_is_no_wait_for_who_writes_a_fifo() {
    let dir = Scratch::new();
    fs::write(dir.path("log"), "first\nlast\n").unwrap();
    assert_eq!(tail(&dir.path("log"), 5).unwrap(), "last\n");
    nix::unistd::mkfifo(&dir.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(tail(&dir.path("fifo"), 5).is_err());
}
