//! The running supervisor as commands meet it: found by its socket, asked one thing, heard to the end of it.
//!
//! One that is just ending, or just beginning, has the lock but gives no answer. Such a moment is waited for, and the
//! request made again: a command that follows another at once never fails because of that other one.

use super::{after, note, print};
use crate::change::recover;
use crate::cli::Global;
use crate::daemon::control::{Ask, Tell};
use crate::daemon::run::{self, CONTROL};
use crate::error::{Doing, Error, Exit, Result};
use crate::sys::control::Connection;
use crate::sys::files::{Disk, Lock};
use crate::sys::poll::{Interest, Poll};
use crate::sys::signal::{Signal, Signals};
use crate::sys::{Clock, System, clock};
use crate::time::{Duration, Instant, millis, secs};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

/// Another process holds the lock without listening: one that begins or ends, or a command at work. Chosen: less than
/// `disconnect` may take.
const LOCK_WAIT: Duration = secs(8);
/// Nothing tells when the holder is done, so it is looked again.
const LOOK_AGAIN: Duration = millis(30);
/// Chosen: a wait that a person notices.
const MOMENT: Duration = millis(500);
const CHOOSING: &str = "choosing a server";
/// Undoing a connect is bounded by what `disconnect` may take (contract).
const UNDO: Duration = secs(10);
/// What is asked for and granted at once is answered by then.
const ANSWER: Duration = secs(2);

/// Who is there to do it.
enum Reached {
    Supervisor(Connection),
    /// The lock is ours.
    Nobody(Lock),
}

/// The supervisor that listens, if there is one.
pub fn listening() -> Result<Option<Connection>> {
    Connection::open(Path::new(CONTROL)).doing(|| format!("connect to {CONTROL}"))
}

fn reach(wait: &mut Wait<'_>) -> Result<Reached> {
    let sys = System::new();
    loop {
        if let Some(connection) = listening()? {
            return Ok(Reached::Supervisor(connection));
        }
        if let Some(lock) = recover::prepare(&sys)? {
            return Ok(Reached::Nobody(lock));
        }
        wait.look_again()?;
    }
}

/// The wait for another pvpn: bounded, said when it is more than a moment, and ended by Ctrl-C: by the signals that are
/// given, else by their usual effect.
struct Wait<'s> {
    say_at: Option<Instant>,
    until: Instant,
    poll: Poll,
    signals: Option<&'s Signals>,
}

impl<'s> Wait<'s> {
    fn begin(quiet: bool, signals: Option<&'s Signals>) -> Result<Wait<'s>> {
        let say_at = (!quiet).then(|| after(MOMENT));
        let poll = Poll::new().doing(|| "make a timer")?;
        Ok(Wait { say_at, until: after(LOCK_WAIT), poll, signals })
    }

    /// Pauses; an error when there was enough of that.
    fn look_again(&mut self) -> Result<()> {
        let now = clock::System.now();
        if now >= self.until {
            return Err(Error::failed(
                "another pvpn holds the lock /run/pvpn/lock but does not answer; see `pvpn status`, or end that process",
            ));
        }
        if self.say_at.is_some_and(|at| now >= at) {
            self.say_at = None;
            // A closed terminal changes nothing.
            let _ = writeln!(io::stderr(), "waiting for another pvpn to end");
        }
        let fds: Vec<_> = self.signals.iter().map(|s| ((), s.as_fd(), Interest::Read)).collect();
        self.poll.wait(&fds, Some(now + LOOK_AGAIN)).doing(|| "wait for another pvpn")?;
        // A service manager that restarts what has not begun uses the third. A terminal that goes stops nothing here.
        let ends = [Signal::Interrupt, Signal::Terminate, Signal::HandOver];
        match self.signals.is_some_and(|signals| came(signals, &ends)) {
            true => Err(Error::new(Exit::Interrupted, "interrupted: nothing was begun")),
            false => Ok(()),
        }
    }
}

/// Asks the running supervisor and shows its answer until the end of it; where there is none, `alone` does it, to its
/// end: signals wait until then but for those it reads itself.
pub fn ask(
    global: &Global,
    ask: &Ask,
    limit: Duration,
    alone: impl FnOnce(Lock, &Signals) -> Result<Exit>,
) -> Result<Exit> {
    let signals = Signals::block().doing(|| "block signals")?;
    let mut wait = Wait::begin(global.quiet, Some(&signals))?;
    let end = after(limit);
    loop {
        match reach(&mut wait)? {
            Reached::Nobody(lock) => return alone(lock, &signals),
            Reached::Supervisor(mut connection) => {
                let what =
                    if matches!(ask, Ask::Connect(_)) { CHOOSING } else { "waiting for the supervisor" };
                let limit = end.since(clock::System.now());
                // Whoever can't be written to is going as well.
                if connection.send(&ask.emit()).is_ok() {
                    if let Some(exit) = follow(global, connection, &signals, what, limit)? {
                        return Ok(exit);
                    }
                }
            }
        }
        wait.look_again()?;
    }
}

/// The lock, once nobody else is at work; `None`: a supervisor listens.
pub fn lock_if_alone() -> Result<Option<Lock>> {
    Ok(match reach(&mut Wait::begin(true, None)?)? {
        Reached::Supervisor(_) => None,
        Reached::Nobody(lock) => Some(lock),
    })
}

/// The lock, for a process that becomes the supervisor; one that is there already is an error, but for one that was told
/// to leave.
pub fn take_its_place(quiet: bool, signals: Option<&Signals>, leaving: Option<u32>) -> Result<Lock> {
    let mut wait = Wait::begin(quiet, signals)?;
    loop {
        match reach(&mut wait)? {
            Reached::Nobody(lock) => return Ok(lock),
            Reached::Supervisor(mut connection) => {
                let asked = connection.send(&Ask::Status.emit());
                let is_there = asked.and_then(|()| connection.read_lines(ANSWER)).is_ok();
                if is_there && (leaving.is_none() || run::pid(&Disk) != leaving) {
                    return Err(Error::failed(
                        "a supervisor is running already; end it with `pvpn disconnect`, or stop the service",
                    ));
                }
            }
        }
        wait.look_again()?;
    }
}

/// Asks the supervisor, and keeps the connection for as long as what it grants is to last; `None` where none runs.
pub fn hold(what: &Ask) -> Result<Option<Connection>> {
    let mut wait = Wait::begin(true, None)?;
    loop {
        let Some(mut connection) = listening()? else { return Ok(None) };
        let asked = connection.send(&what.emit());
        match asked.and_then(|()| connection.read_lines(ANSWER)) {
            Ok(lines) => match lines.iter().find_map(|line| Tell::parse(line)) {
                Some(Tell::Say(_)) => return Ok(Some(connection)),
                Some(Tell::Done(exit, text)) => return Err(Error::new(exit, text)),
                Some(Tell::Status(_)) | None => {
                    return Err(Error::failed("the supervisor gave no answer; see its log, pvpn.log"));
                }
            },
            Err(_) => wait.look_again()?,
        }
    }
}

/// Shows what a supervisor says that was started for this.
pub fn follow_own(
    global: &Global,
    connection: Connection,
    signals: &Signals,
    limit: Duration,
) -> Result<Exit> {
    follow(global, connection, signals, CHOOSING, limit)?.ok_or_else(without_a_word)
}

fn without_a_word() -> Error {
    Error::failed("the supervisor ended without a word; its log, pvpn.log, may say why")
}

/// Shows what comes until the end of the request, and `what` is waited for when nothing comes for a moment. Ctrl-C asks
/// for it to be undone, once. `None`: the supervisor went before it said anything.
fn follow(
    global: &Global,
    mut connection: Connection,
    signals: &Signals,
    what: &str,
    limit: Duration,
) -> Result<Option<Exit>> {
    let mut poll = Poll::new().doing(|| "make a timer")?;
    let (mut until, mut say_at) = (after(limit), Some(after(MOMENT)));
    let (mut interrupted, mut heard) = (false, false);
    loop {
        let now = clock::System.now();
        if say_at.take_if(|at| now >= *at).is_some() {
            note(global, what);
        }
        if now >= until {
            return Err(Error::failed(format!(
                "the supervisor has not answered within {} s; see its log, pvpn.log, or end it{}",
                limit.as_secs(),
                run::pid(&Disk).map(|pid| format!(" (kill -9 {pid}) and try again")).unwrap_or_default()
            )));
        }
        let fds = [(true, signals.as_fd(), Interest::Read), (false, connection.as_fd(), Interest::Read)];
        let wake_at = say_at.map_or(until, |at| at.min(until));
        let ready = poll.wait(&fds, Some(wake_at)).doing(|| "wait for the supervisor")?;
        for (is_signal, _) in ready {
            if is_signal {
                let ends = [Signal::Interrupt, Signal::Terminate, Signal::Reload];
                if came(signals, &ends) && !interrupted {
                    (interrupted, say_at) = (true, None);
                    note(global, "interrupted: undoing what was begun");
                    connection.send(&Ask::Cancel.emit()).doing(|| "ask the supervisor to stop")?;
                    until = after(UNDO);
                }
                continue;
            }
            match hear(global, &mut connection)? {
                Told::Nothing => {}
                Told::Something => (heard, say_at) = (true, None),
                Told::End(end) => return end.map(Some),
                Told::Gone if heard || interrupted => return Err(without_a_word()),
                Told::Gone => return Ok(None),
            }
        }
    }
}

/// Whether one of these came; all that came are taken.
fn came(signals: &Signals, wanted: &[Signal]) -> bool {
    let mut seen = false;
    while let Ok(Some(signal)) = signals.read() {
        seen |= wanted.contains(&signal);
    }
    seen
}

/// What a look at the connection brought.
enum Told {
    Nothing,
    Something,
    End(Result<Exit>),
    Gone,
}

/// Shows the lines that are there.
fn hear(global: &Global, connection: &mut Connection) -> Result<Told> {
    let lines = match connection.read_lines(millis(1)) {
        Ok(lines) => lines,
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            return Ok(Told::Nothing);
        }
        Err(_) => return Ok(Told::Gone),
    };
    for line in lines {
        match Tell::parse(&line) {
            Some(Tell::Say(text)) => note(global, &text),
            Some(Tell::Done(Exit::Done, text)) => {
                if !global.quiet {
                    print(&format!("{text}\n"))?;
                }
                return Ok(Told::End(Ok(Exit::Done)));
            }
            Some(Tell::Done(exit, text)) => return Ok(Told::End(Err(Error::new(exit, text)))),
            Some(Tell::Status(_)) | None => {}
        }
    }
    Ok(Told::Something)
}
