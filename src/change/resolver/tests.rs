use super::*;
use crate::dns::resolv_conf::ResolvConf;
use crate::sys::files::fake::FakeFiles;

const STUB: &str = "/run/systemd/resolve/stub-resolv.conf";

fn ours(server: &str) -> String {
    ResolvConf { servers: vec![server.parse().unwrap()], ..ResolvConf::default() }.emit()
}

/// Puts ours in place and takes it back, with what happens `meanwhile`.
fn there_and_back(files: &FakeFiles, meanwhile: impl FnOnce(&FakeFiles)) {
    let Undo::Resolver { was_absent } = inverse(files).unwrap() else { panic!() };
    apply(files, &ours("10.2.0.1")).unwrap();
    assert_eq!(files.text(RESOLV_CONF), Some(ours("10.2.0.1")));
    meanwhile(files);
    undo(files, was_absent).unwrap();
    assert_eq!(files.image(Path::new(BACKUP)).unwrap(), FileImage::Absent);
    let once = files.to_string();
    undo(files, was_absent).unwrap();
    assert_eq!(files.to_string(), once);
}

fn with(image: FileImage) -> FakeFiles {
    let files = FakeFiles::new(&[(STUB, "nameserver 127.0.0.53\n")]);
    files.set(RESOLV_CONF, image);
    files
}

fn plain() -> FakeFiles {
    with(FileImage::Regular { bytes: b"nameserver 192.0.2.1\n".to_vec(), uid: 33, gid: 44, mode: 0o640 })
}

fn symlink() -> FakeFiles {
    with(FileImage::Symlink { target: "../run/systemd/resolve/stub-resolv.conf".into(), uid: 0, gid: 0 })
}

#[test]
fn what_a_read_only_disk_refused_is_not_owed() {
    for files in [plain(), symlink(), FakeFiles::new(&[])] {
        files.protect(true);
        let Undo::Resolver { was_absent } = inverse(&files).unwrap() else { panic!() };
        assert!(apply(&files, &ours("10.2.0.1")).is_err());
        undo(&files, was_absent).unwrap();
    }
}

#[test]
fn content_kind_owner_and_mode_come_back() {
    for files in [plain(), symlink(), FakeFiles::new(&[])] {
        let before = files.to_string();
        there_and_back(&files, |_| {});
        assert_eq!(files.to_string(), before);
    }
}

#[test]
fn what_a_crash_left_half_made_goes() {
    for (files, name) in [(plain(), RESOLV_CONF), (symlink(), BACKUP), (FakeFiles::new(&[]), RESOLV_CONF)] {
        let before = files.to_string();
        let Undo::Resolver { was_absent } = inverse(&files).unwrap() else { panic!() };
        files.write(&temp_path(Path::new(name)).to_string_lossy(), "nameserver 10.2");
        undo(&files, was_absent).unwrap();
        assert_eq!(files.to_string(), before);
    }
}

#[test]
fn the_backup_is_the_file_as_it_was_and_a_symlink_stays_one() {
    for files in [plain(), symlink()] {
        let before = files.image(Path::new(RESOLV_CONF)).unwrap();
        there_and_back(&files, |files| assert_eq!(files.image(Path::new(BACKUP)).unwrap(), before));
        assert_eq!(files.text(STUB).as_deref(), Some("nameserver 127.0.0.53\n"));
    }
}

#[test]
fn a_newer_file_of_the_owner_stays() {
    for files in [plain(), symlink(), FakeFiles::new(&[])] {
        there_and_back(&files, |files| files.write(RESOLV_CONF, "nameserver 192.0.2.9\n"));
        assert_eq!(files.text(RESOLV_CONF).as_deref(), Some("nameserver 192.0.2.9\n"));
    }
}

#[test]
fn an_owner_that_removed_the_file_finds_none() {
    let files = plain();
    there_and_back(&files, |files| files.put(Path::new(RESOLV_CONF), &FileImage::Absent).unwrap());
    assert_eq!(files.text(RESOLV_CONF), None);
}

#[test]
fn put_back_over_the_owners_rewrite_the_newest_one_is_kept() {
    let files = plain();
    there_and_back(&files, |files| {
        files.write(RESOLV_CONF, "nameserver 192.0.2.9\n");
        assert_eq!(inverse(files).unwrap(), Undo::Resolver { was_absent: false });
        apply(files, &ours("10.2.0.1")).unwrap();
        assert_eq!(files.text(BACKUP).as_deref(), Some("nameserver 192.0.2.9\n"));
    });
    assert_eq!(files.text(RESOLV_CONF).as_deref(), Some("nameserver 192.0.2.9\n"));
}

#[test]
fn another_text_of_ours_leaves_the_backup_alone() {
    let files = plain();
    let before = files.to_string();
    there_and_back(&files, |files| {
        apply(files, &ours("10.128.0.1")).unwrap();
        assert_eq!(inverse(files).unwrap(), Undo::Resolver { was_absent: false });
    });
    assert_eq!(files.to_string(), before);
}

#[test]
fn a_bind_mounted_file_is_written_in_place_and_comes_back() {
    let files = plain();
    files.mount(RESOLV_CONF);
    let before = files.to_string();
    there_and_back(&files, |files| {
        let image = files.image(Path::new(RESOLV_CONF)).unwrap();
        assert!(matches!(image, FileImage::Regular { uid: 33, gid: 44, mode: 0o640, .. }));
    });
    assert_eq!(files.to_string(), before);
}

#[test]
fn a_bind_mounted_file_that_a_power_cut_left_empty_comes_back() {
    let files = plain();
    files.mount(RESOLV_CONF);
    let before = files.to_string();
    there_and_back(&files, |files| files.replace(Path::new(RESOLV_CONF), b"", 0, Durable::Yes).unwrap());
    assert_eq!(files.to_string(), before);
}

#[test]
fn an_empty_file_without_a_backup_is_the_owners() {
    let files = FakeFiles::new(&[(RESOLV_CONF, "")]);
    undo(&files, false).unwrap();
    assert_eq!(files.text(RESOLV_CONF).as_deref(), Some(""));
}

#[test]
fn a_full_disk_leaves_the_owners_file() {
    let files = plain();
    files.fill(true);
    let e = apply(&files, &ours("10.2.0.1")).unwrap_err();
    assert_eq!(e.raw_os_error(), Some(libc::ENOSPC));
    assert_eq!(files.text(RESOLV_CONF).as_deref(), Some("nameserver 192.0.2.1\n"));
}

#[test]
fn ours_without_a_backup_stays_rather_than_nothing() {
    let files = plain();
    apply(&files, &ours("10.2.0.1")).unwrap();
    files.remove(Path::new(BACKUP)).unwrap();
    undo(&files, false).unwrap();
    assert_eq!(files.text(RESOLV_CONF), Some(ours("10.2.0.1")));
}
