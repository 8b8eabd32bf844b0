//! `killswitch on|off|status`, with or without a supervisor; `killswitch restore` for the boot service, `killswitch
//! cover` for udev.

use super::{connect, note, offline, place, print, supervisor};
use crate::address::PRIVATE;
use crate::cli::{Global, Killswitch};
use crate::daemon::control::Ask;
use crate::daemon::killswitch_words;
use crate::error::{Exit, Result};
use crate::sys::files::Disk;
use crate::time::{Duration, secs};
use std::path::{Path, PathBuf};

const LIMIT: Duration = secs(30);

pub fn run(global: &Global, what: Killswitch, yes: bool) -> Result<Exit> {
    let on = match what {
        Killswitch::Status => return status(),
        Killswitch::Restore => return restore(global),
        Killswitch::Cover => return cover(global),
        Killswitch::On => true,
        Killswitch::Off => false,
    };
    super::need_root(if on { "killswitch on" } else { "killswitch off" })?;
    let dir = place(global).dir;
    if on {
        // A configuration that cannot be read must not keep the machine open: `lan` is then all private ranges.
        let lan = super::load_config(&Disk, &dir).map(|config| connect::lan(&config)).unwrap_or_else(|e| {
            log::warn!("config: {e}; lan means all private ranges");
            PRIVATE.to_vec()
        });
        connect::ask_before_closing(&lan, yes)?;
    }
    let exit = supervisor::ask(global, &Ask::Killswitch { on }, LIMIT, |lock, _| {
        offline::Machine::locked(lock)?.switch(on, &dir)?;
        if !global.quiet {
            print(if on { "kill switch on\n" } else { "kill switch off\n" })?;
        }
        Ok(Exit::Done)
    })?;
    say_if_open_after_boot(global, on);
    Ok(exit)
}

/// At boot, before any interface is up, and after other firewalls were loaded again. A supervisor that is there keeps
/// its own rules.
fn restore(global: &Global) -> Result<Exit> {
    super::need_root("killswitch restore")?;
    let Some(lock) = supervisor::lock_if_alone().transpose() else { return Ok(Exit::Done) };
    let on = offline::restore(lock, &place(global).dir)?;
    note(global, killswitch_words(on));
    Ok(Exit::Done)
}

/// A link has appeared, and nobody configures it before this is done: where the rules of a closed machine are loaded,
/// those against packet sockets name it from here on. A supervisor hears of links by itself.
fn cover(global: &Global) -> Result<Exit> {
    super::need_root("killswitch cover")?;
    if let Some(lock) = supervisor::lock_if_alone()? {
        offline::Machine::locked(lock)?.cover(&place(global).dir)?;
    }
    Ok(Exit::Done)
}

/// Says so when a kill switch that is to be closed would be open after a reboot.
pub fn say_if_open_after_boot(global: &Global, on: bool) {
    if on && !boot_service_is_enabled(Path::new("/")) {
        note(
            global,
            "a reboot opens the kill switch until pvpn is started: the service pvpn-killswitch is not enabled",
        );
    }
}

/// Whether systemd or OpenRC starts `pvpn-killswitch` at boot: wanted by a target (systemd.unit(5)) and not masked,
/// or in a runlevel that boots.
pub fn boot_service_is_enabled(root: &Path) -> bool {
    const UNIT: &str = "pvpn-killswitch.service";
    let is_masked =
        root.join("etc/systemd/system").join(UNIT).read_link().is_ok_and(|to| to == Path::new("/dev/null"));
    let is_there = |path: PathBuf| path.symlink_metadata().is_ok();
    let wanted = ["etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"].iter().any(|dir| {
        let entries = std::fs::read_dir(root.join(dir)).into_iter().flatten().flatten();
        entries.map(|e| e.path()).any(|path| {
            path.extension().is_some_and(|e| e == "wants" || e == "requires") && is_there(path.join(UNIT))
        })
    });
    let in_runlevel = ["sysinit", "boot", "default"]
        .iter()
        .any(|level| is_there(root.join("etc/runlevels").join(level).join("pvpn-killswitch")));
    (wanted && !is_masked) || in_runlevel
}

/// `on` or `off`; exit 0 or 3. Needs no root.
fn status() -> Result<Exit> {
    let on = super::status::current().killswitch.on == Some(true);
    print(if on { "on\n" } else { "off\n" })?;
    Ok(if on { Exit::Done } else { Exit::Disconnected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A root directory of this test alone, gone with it.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str) -> Root {
            let path = std::env::temp_dir().join(format!("pvpn-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Root(path)
        }

        fn link(&self, path: &str, to: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(to, path).unwrap();
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_boot_service_counts_where_something_starts_it() {
        let root = Root::new("boot-none");
        assert!(!boot_service_is_enabled(&root.0));
        root.link("usr/lib/systemd/system/pvpn-killswitch.service", "x");
        assert!(!boot_service_is_enabled(&root.0), "installed is not enabled");
        root.link("etc/systemd/system/sysinit.target.wants/pvpn-killswitch.service", "gone");
        assert!(boot_service_is_enabled(&root.0));
        root.link("etc/systemd/system/pvpn-killswitch.service", "/dev/null");
        assert!(!boot_service_is_enabled(&root.0), "masked");
        root.link("etc/runlevels/boot/pvpn-killswitch", "/etc/init.d/pvpn-killswitch");
        assert!(boot_service_is_enabled(&root.0));
    }
}
