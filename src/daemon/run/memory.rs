//! What supervisors of one boot learn of servers, kept for the next one: a small file that is only ever a hint.

use crate::select::memory::Memory;
use crate::sys::files::{Durable, Files};
use crate::time::Instant;
use std::path::Path;

/// Round trips and failures (0600). Its times count from boot, and so its first line is the boot's id.
const PATH: &str = "/run/pvpn/servers";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id"; // random(4)
/// 500 lines of an id and four numbers.
const FILE_MOST: usize = 128 << 10;

pub fn load(files: &dyn Files, now: Instant) -> Memory {
    let Ok(bytes) = files.read(Path::new(PATH), FILE_MOST) else { return Memory::default() };
    let text = String::from_utf8_lossy(&bytes);
    match text.split_once('\n') {
        Some((boot, rest)) if Some(boot) == boot_id(files).as_deref() => Memory::parse(rest, now),
        _ => Memory::default(),
    }
}

pub fn store(files: &dyn Files, memory: &Memory) {
    let Some(boot) = boot_id(files) else { return };
    let text = format!("{boot}\n{}", memory.emit());
    if let Err(e) = files.replace(Path::new(PATH), text.as_bytes(), 0o600, Durable::No) {
        log::debug!("select: write {PATH}: {e}");
    }
}

fn boot_id(files: &dyn Files) -> Option<String> {
    let bytes = files.read(Path::new(BOOT_ID), 64).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::files::fake::FakeFiles;
    use crate::time::{millis, secs};

    const NOW: Instant = Instant::from_boot(secs(1000));

    fn seen() -> Memory {
        let mut memory = Memory::default();
        memory.note_rtt("NL#12", millis(12), NOW);
        memory.note_failure("CH#7", NOW);
        memory
    }

    #[test]
    fn the_next_supervisor_of_this_boot_knows_what_was_seen() {
        let files = FakeFiles::new(&[]);
        store(&files, &seen());
        assert_eq!(load(&files, NOW), seen());
        assert!(files.image(Path::new(PATH)).unwrap().is_private());
    }

    #[test]
    fn another_boot_garbage_or_nothing_is_an_empty_memory() {
        let files = FakeFiles::new(&[]);
        assert_eq!(load(&files, NOW), Memory::default());
        let boot = boot_id(&files).unwrap();
        for text in [
            format!("another\n{}", seen().emit()),
            "\n\n".into(),
            "\0\u{fffd}".into(),
            format!("{boot}\n\t\t\t"),
        ] {
            files.replace(Path::new(PATH), text.as_bytes(), 0o600, Durable::No).unwrap();
            assert_eq!(load(&files, NOW), Memory::default(), "{text:?}");
        }
        files.replace(Path::new(PATH), &vec![b'x'; FILE_MOST + 1], 0o600, Durable::No).unwrap();
        assert_eq!(load(&files, NOW), Memory::default());
    }
}
