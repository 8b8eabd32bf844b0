//! A way out for pvpn's own sockets while a command asks a provider and the kill switch is closed: lent by the
//! supervisor, or by rules loaded here where none runs. It ends with the command, however that ends, and at the latest
//! with [`OUTSIDE`]; nobody else gets out by it.
//!
//! A command that is killed closes nothing. So the rules are loaded, and loaded again without that way, by a process
//! beside it that sees it end: its end of a socket pair is closed then, by whatever. It holds the lock meanwhile, which
//! the next command waits for. Were that process killed as well, the way out would stay until the next command that
//! loads rules; it leads out programs of root that set our mark, and nobody else.

use super::waiting::interruptible;
use super::{after, offline, supervisor};
use crate::change::state;
use crate::daemon::control::{Ask, Loan, Tell};
use crate::daemon::lend::OUTSIDE;
use crate::error::{Doing, Error, Exit, Result};
use crate::logging;
use crate::sys::background;
use crate::sys::control::Connection;
use crate::sys::files::{Disk, Lock};
use crate::sys::poll::{Interest, Poll};
use crate::sys::signal::{Ending, Signals};
use crate::sys::user;
use crate::time::{Duration, secs};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Rules are loaded in milliseconds; chosen.
const LOADED: Duration = secs(5);

/// Held while requests are made. Ctrl-C ends the command with exit 130, and the way out before it.
pub struct Outside {
    /// Ends first: nothing may be half closed when a signal comes.
    ending: Option<Ending>,
    way: Way,
}

enum Way {
    /// Nothing is closed, or there is no right to change that.
    Free,
    Lent(#[allow(dead_code, reason = "its end is what counts")] Connection),
    /// By the process at the other end. A signal that comes before somebody listens for it waits until then.
    Opened(UnixStream, #[allow(dead_code, reason = "its end is what counts")] Signals),
}

impl Outside {
    pub fn open(config_dir: &Path) -> Result<Outside> {
        let way = Way::open(config_dir)?;
        let opened = match &way {
            Way::Opened(stream, _) => Some(stream.try_clone().doing(|| "keep a connection")?),
            Way::Free | Way::Lent(_) => None,
        };
        let ending = interruptible(move || opened.iter().for_each(close))?;
        Ok(Outside { ending: Some(ending), way })
    }
}

impl Way {
    fn open(config_dir: &Path) -> Result<Way> {
        if !user::is_root() {
            return Ok(Way::Free);
        }
        if let Some(connection) = supervisor::hold(&Ask::Lend(Loan::Outside))? {
            return Ok(Way::Lent(connection));
        }
        if state::load_killswitch(&Disk)?.is_none() {
            return Ok(Way::Free);
        }
        let dir = std::path::absolute(config_dir).doing(|| "find the configuration")?;
        let lock = supervisor::take_its_place(true, None, None)?;
        let signals = Signals::block_endings().doing(|| "block signals")?;
        let stream =
            background::start(move |stream| beside(stream, lock, dir)).doing(|| "start a process")?;
        let mut answer = Connection::over(stream.try_clone().doing(|| "keep a connection")?);
        let lines = answer.read_lines(LOADED).doing(|| "let pvpn's own sockets out")?;
        match lines.first().and_then(|line| Tell::parse(line)) {
            Some(Tell::Done(exit, text)) => Err(Error::new(exit, text)),
            _ => Ok(Way::Opened(stream, signals)),
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.ending = None;
        if let Way::Opened(stream, _) = &self.way {
            close(stream);
        }
    }
}

/// Has the rules loaded without the way out, and waits for that.
fn close(mut stream: &UnixStream) {
    let mut text = String::new();
    let closed = stream
        .shutdown(Shutdown::Write)
        .and_then(|()| stream.set_read_timeout(Some(LOADED)))
        .and_then(|()| stream.read_to_string(&mut text));
    let told = text.lines().find_map(|line| match Tell::parse(line) {
        Some(Tell::Done(_, why)) => Some(why),
        _ => None,
    });
    if let Some(why) = closed.err().map(|e| e.to_string()).or(told) {
        log::error!("firewall: pvpn's own sockets may still leave: {why}");
    }
}

/// The process beside the command: its exit code.
fn beside(mut stream: UnixStream, lock: Lock, dir: PathBuf) -> u8 {
    logging::init_supervisor(&dir, 0, logging::Mirror::None);
    let done = let_out(&mut stream, lock, &dir);
    let Err(e) = done else { return Exit::Done.code() };
    log::error!("firewall: pvpn's own sockets may still leave: {e}");
    // The command may be gone.
    let _ = stream.write_all(Tell::failed(&e).emit().as_bytes());
    e.exit().code()
}

fn let_out(stream: &mut UnixStream, lock: Lock, dir: &Path) -> Result<()> {
    // Who ends the command by its name means this one as well, and is not to leave the way open.
    let _signals = Signals::block().doing(|| "block signals")?;
    let mut machine = offline::Machine::locked(lock)?;
    machine.let_ourselves_out(true, dir)?;
    // A command that is gone by then is noticed below.
    let _ = stream.write_all(Tell::Say(Loan::Outside.word().to_owned()).emit().as_bytes());
    let waited = Poll::new()
        .and_then(|mut poll| poll.wait(&[((), stream.as_fd(), Interest::Read)], Some(after(OUTSIDE))));
    machine.let_ourselves_out(false, dir)?;
    waited.map(drop).doing(|| "wait for the command")
}
