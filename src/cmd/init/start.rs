//! `init` on the real machine: reads the file, asks at the terminal, writes the file, says what comes next.

use super::trial::Real;
use crate::cli::{Global, Init};
use crate::cmd::{note, place, supervisor};
use crate::config::load;
use crate::error::{Error, Exit, Result};
use crate::provider::ProviderKind;
use crate::provider::file::DIR_NAME;
use crate::sys::files::{Disk, Durable, Files};
use crate::sys::terminal::{self, Terminal};
use crate::sys::user;
use std::io;
use std::path::{Path, PathBuf};

/// A configuration longer than this is a mistake; chosen.
const CONFIG_MOST: usize = 1 << 20;

/// Exit 10 and 13 as the trials say, 77 for a directory that is not ours to write, 78 for a file that is wrong already.
pub fn start(global: &Global, mut args: Init) -> Result<Exit> {
    args.read_stdin(terminal::read_line)?;
    let place = place(global);
    Disk.create_dir(&place.dir, 0o700).map_err(|e| not_ours(e, "make", &place.dir))?;
    let path = real_path(&place.dir.join(load::FILE_NAME));
    let before = read(&path)?;
    let mut person = Terminal;
    let is_asked = !args.non_interactive && terminal::is_interactive();
    let ask: Option<&mut dyn super::Ask> = if is_asked { Some(&mut person) } else { None };
    let mut trial = Real::new(&place.dir, is_asked);
    let text = before.as_deref().unwrap_or_default();
    let outcome = super::run(&args, text, (&place.dir, &place.home), ask, &mut trial)?;
    if before.is_none() && outcome.text.is_empty() {
        return Err(Error::new(
            Exit::Usage,
            "nothing to write: give answers by flags, or run it on a terminal without --non-interactive",
        ));
    }
    if before.as_deref() != Some(outcome.text.as_str()) || !Disk.image(&path).is_ok_and(|i| i.is_private()) {
        Disk.replace(&path, outcome.text.as_bytes(), 0o600, Durable::Yes)
            .map_err(|e| not_ours(e, "write", &path))?;
        note(global, &format!("written: {}", path.display()));
    } else {
        note(global, &format!("unchanged: {}", path.display()));
    }
    note(global, &next_step(&outcome.text, &place.dir, &place.home));
    outcome.unchecked.map_or(Ok(Exit::Done), Err)
}

/// Where a link leads: the file it names is written, the link stays.
fn real_path(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn read(path: &Path) -> Result<Option<String>> {
    match Disk.read(path, CONFIG_MOST) {
        Ok(bytes) => {
            let bad = |f| Error::new(Exit::BadConfig, format!("{}:{f}", path.display()));
            load::utf8(&bytes).map(|text| Some(text.to_owned())).map_err(bad)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(not_ours(e, "read", path)),
    }
}

fn not_ours(e: io::Error, doing: &str, path: &Path) -> Error {
    let denied = e.kind() == io::ErrorKind::PermissionDenied && !user::is_root();
    let e = Error::from(e).context(format!("{doing} {}", path.display()));
    if denied { Error::new(Exit::NotPermitted, format!("{e}; run it with sudo")) } else { e }
}

fn next_step(text: &str, dir: &Path, home: &Path) -> String {
    let Ok(config) = load::parse(text, dir, home) else { return String::new() };
    let look = |config| {
        load::Found::look(config, &|path| Disk.exists(path), &|dir| Disk.list(dir).unwrap_or_default())
    };
    let folder = dir.join(DIR_NAME);
    match config.guess_provider(&look(&config)) {
        Ok(ProviderKind::File) if !look(&config).conf_files => {
            // Best effort: whoever puts them there sees whether it is.
            if !Disk.exists(&folder) {
                let _ = Disk.create_dir(&folder, 0o700);
            }
            format!("next: put .conf files into {}, then `pvpn connect`", folder.display())
        }
        Ok(_) if matches!(supervisor::listening(), Ok(Some(_))) => {
            "next: `pvpn connect` takes it up".to_owned()
        }
        Ok(_) => "next: `pvpn list` shows the servers, `pvpn connect` takes the fastest".to_owned(),
        Err(_) => {
            format!("next: `pvpn init`, or put .conf files into {}, then `pvpn connect`", folder.display())
        }
    }
}
