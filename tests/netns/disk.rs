//! `sys::files` on a disk that is full: a file system of the test's own.

use crate::{in_namespace, run};
use pvpn::sys::files::{Disk, Durable, Files};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

#[test]
fn a_line_that_did_not_fit_leaves_no_part_of_itself() {
    in_namespace("disk::a_line_that_did_not_fit_leaves_no_part_of_itself", || {
        run("mount -t tmpfs -o size=8k tmpfs /mnt");
        let journal = Path::new("/mnt/journal");
        let lines = "1 line\n".repeat(585); // one byte less than a page
        fs::write(journal, &lines).unwrap();
        fs::write("/mnt/filler", [0; 4096]).unwrap();
        let full = Disk.append(journal, b"2 more\n", Durable::Yes).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(journal).unwrap(), lines);
        fs::remove_file("/mnt/filler").unwrap();
        Disk.append(journal, b"3 more\n", Durable::Yes).unwrap();
        assert_eq!(fs::read_to_string(journal).unwrap(), lines + "3 more\n");
    });
}
