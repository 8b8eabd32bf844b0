//! `connect`: hands the wish to the running supervisor, or becomes one, and shows the phases until traffic flows.

use super::{confirm, need_root, note, older, place, supervisor};
use crate::address::IpNet;
use crate::change::{Changes, state};
use crate::cli::{Connect, Global};
use crate::config::Config;
use crate::daemon::control::Ask;
use crate::daemon::run::{self, Start};
use crate::daemon::wish::Wish;
use crate::error::{Doing, Exit, Result};
use crate::sys::control::Connection;
use crate::sys::files::{Disk, Lock};
use crate::sys::signal::Signals;
use crate::sys::{System, background, remote};
use crate::time::{Duration, secs};
use crate::{firewall, logging};

/// `connect` ends by then (contract: 60 s), with room for the supervisor's own answer.
const LIMIT: Duration = secs(60);

pub fn run(global: &Global, flags: &Connect) -> Result<Exit> {
    need_root("connect")?;
    let place = place(global);
    let (config, found) = place.config()?;
    let provider = match flags.filter.provider {
        Some(kind) => kind,
        None => config.guess_provider(&found)?,
    };
    let wish = Wish::new(&config, provider, flags);
    if wish.ks && state::load_killswitch(&Disk).ok().flatten().is_none() {
        ask_before_closing(&lan(&config), flags.yes)?;
    }
    super::killswitch::say_if_open_after_boot(global, wish.ks);
    if flags.foreground {
        let signals = Signals::block().doing(|| "block signals")?;
        let leaving = older::leave_to_service()?;
        let lock = supervisor::take_its_place(global.quiet, Some(&signals), leaving)?;
        logging::init_supervisor(&config.dir, global.verbose, logging::Mirror::of_stderr(global.quiet));
        return run::run(Start { config, wish: Some(wish), is_service: true, client: None, lock, signals });
    }
    if older::hand_over()? {
        note(global, "the supervisor of another version hands over");
    }
    supervisor::ask(global, &Ask::Connect(Box::new(wish.clone())), LIMIT, |lock, signals| {
        let stream = start(global, config, wish, lock)?;
        supervisor::follow_own(global, Connection::over(stream), signals, LIMIT)
    })
}

/// The supervisor as a background process; the stream leads to it.
fn start(global: &Global, config: Config, wish: Wish, lock: Lock) -> Result<std::os::unix::net::UnixStream> {
    let verbose = global.verbose;
    background::start(move |client| {
        logging::init_supervisor(&config.dir, verbose, logging::Mirror::None);
        let Ok(signals) = Signals::block() else { return Exit::Failed.code() };
        let client = Some(client);
        let start = Start { config, wish: Some(wish), is_service: false, client, lock, signals };
        match run::run(start) {
            Ok(exit) => exit.code(),
            Err(e) => {
                log::error!("run: {e}");
                e.exit().code()
            }
        }
    })
    .doing(|| "start the supervisor")
}

/// The owner is never locked out: an ssh client outside `lan` would lose the machine.
pub fn ask_before_closing(lan: &[IpNet], yes: bool) -> Result<()> {
    let Some(client) = remote::ssh_client() else { return Ok(()) };
    if client.is_loopback() || lan.iter().any(|net| net.contains(client)) {
        return Ok(());
    }
    confirm(
        yes,
        &format!(
            "closing the kill switch would cut this ssh session from {client}, which is not in lan; go on?"
        ),
    )
}

/// What `lan` means on this machine at this moment.
pub fn lan(config: &Config) -> Vec<IpNet> {
    let sys = System::new();
    let attached =
        Changes::look(&sys).and_then(|changes| run::surroundings(&sys, &changes)).map(|s| s.attached);
    firewall::lan(config.network.lan.as_deref(), attached.ok().as_deref())
}
