//! One file per verb of the command line. A command reads the configuration, asks the running supervisor over its
//! socket, and does itself only what there is no supervisor for.

pub mod check;
pub mod connect;
pub mod disconnect;
pub mod doctor;
pub mod init;
pub mod killswitch;
pub mod list;
pub mod logout;
pub mod offline;
mod outside;
pub mod status;
mod unbind;
mod webui;

use crate::cli::{Command, Global, Invocation, help};
use crate::config::load::{self, Found};
use crate::config::{Config, secret};
use crate::daemon::control::{Ask, Tell};
use crate::daemon::run::{CONTROL, load_config};
use crate::error::{Doing, Error, Exit, Result};
use crate::provider::file::{DIR_NAME, is_conf};
use crate::sys::control::Connection;
use crate::sys::files::{Disk, Files};
use crate::sys::poll::{Interest, Poll};
use crate::sys::signal::{Signal, Signals};
use crate::sys::{Clock, clock, user};
use crate::time::{Duration, Instant};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where the configuration is.
pub struct Place {
    pub dir: PathBuf,
    pub home: PathBuf,
}

/// Runs one invocation; its exit code.
pub fn run(invocation: Invocation) -> Result<Exit> {
    let Invocation { global, command } = invocation;
    match command {
        Command::Help(page) => print(&help::page(page)),
        Command::Version => print(&format!("pvpn {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Connect(flags) => connect::run(&global, &flags),
        Command::Disconnect { ks } => disconnect::run(&global, ks),
        Command::Status { json, check } => status::run(json, check),
        Command::Killswitch { what, yes } => killswitch::run(&global, what, yes),
        Command::List { filter, json } => list::run(&global, &filter, json),
        Command::Logout { provider } => logout::run(&global, provider),
        Command::Init(args) => init::start(&global, *args),
        Command::Doctor { bundle } => doctor::run(&global, bundle.as_deref()),
        Command::Check { json, drop, yes } => check::run(&global, check::Flags { json, drop, yes }),
    }
}

/// Writes to standard output; a reader that has gone is no failure.
pub fn print(text: &str) -> Result<Exit> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e).doing(|| "write to standard output"),
        _ => Ok(Exit::Done),
    }
}

/// A line for the person who waits, on standard error.
fn note(global: &Global, text: &str) {
    if !global.quiet {
        // A closed terminal changes nothing.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

pub fn place(global: &Global) -> Place {
    let home = user::home().unwrap_or_default();
    let dir = load::config_dir(global.config_dir.as_deref(), std::env::var_os("PVPN_CONFIG_DIR"), &home);
    Place { dir, home }
}

impl Place {
    /// Reads `config.ini`; a directory with nothing in it is an error that says where else one is.
    pub fn config(&self) -> Result<(Config, Found)> {
        let config = load_config(&Disk, &self.dir)?;
        let confs = Disk.list(&self.dir.join(DIR_NAME)).unwrap_or_default();
        let found = Found {
            config: Disk.exists(&self.dir.join(load::FILE_NAME)),
            proton_session: Disk.exists(&config.proton.session_dir.join("session.json")),
            pia_token: Disk.exists(&self.dir.join("pia/auth.json")),
            conf_files: confs.iter().filter_map(|n| n.to_str()).any(is_conf),
        };
        if found.is_nothing() {
            let sudo = user::sudo_user().map(|(name, home)| (name, home.join(load::BELOW_HOME)));
            let sudo = sudo.filter(|(_, dir)| *dir != self.dir && Disk.exists(&dir.join(load::FILE_NAME)));
            let sudo = sudo.as_ref().map(|(name, dir)| (name.as_str(), dir.as_path()));
            return Err(load::no_configuration(&self.dir, sudo));
        }
        Ok((config, found))
    }
}

/// Exit 77 for everybody but root.
pub fn need_root(verb: &str) -> Result<()> {
    match user::is_root() {
        true => Ok(()),
        false => Err(Error::new(Exit::NotPermitted, format!("{verb} needs root: run it with sudo"))),
    }
}

/// The running supervisor, if there is one.
pub fn supervisor() -> Result<Option<Connection>> {
    Connection::open(Path::new(CONTROL)).doing(|| format!("connect to {CONTROL}"))
}

/// Sends one request and shows what comes until the end of it. Ctrl-C asks for it to be undone, once.
fn follow(global: &Global, mut connection: Connection, signals: &Signals, limit: Duration) -> Result<Exit> {
    let mut poll = Poll::new().doing(|| "make a timer")?;
    let mut until = clock::System.now() + limit;
    let mut interrupted = false;
    loop {
        if clock::System.now() >= until {
            return Err(Error::failed(format!(
                "the supervisor has not answered within {} s; see its log, pvpn.log",
                limit.as_secs()
            )));
        }
        use std::os::fd::AsFd;
        let fds = [(true, signals.as_fd(), Interest::Read), (false, connection.as_fd(), Interest::Read)];
        let ready = poll.wait(&fds, Some(until)).doing(|| "wait for the supervisor")?;
        for (is_signal, _) in ready {
            if is_signal {
                if is_interrupt(signals) && !interrupted {
                    interrupted = true;
                    note(global, "interrupted: undoing what was begun");
                    connection.send(&Ask::Cancel.emit()).doing(|| "ask the supervisor to stop")?;
                    until = clock::System.now() + UNDO;
                }
            } else if let Some(end) = hear(global, &mut connection)? {
                return end;
            }
        }
    }
}

/// Undoing a connect is bounded by what `disconnect` may take (contract).
const UNDO: Duration = Duration::from_secs(10);

fn is_interrupt(signals: &Signals) -> bool {
    let mut seen = false;
    while let Ok(Some(signal)) = signals.read() {
        seen |= matches!(signal, Signal::Interrupt | Signal::Terminate | Signal::Reload);
    }
    seen
}

/// Shows the lines that are there; the end of the request if it is among them.
fn hear(global: &Global, connection: &mut Connection) -> Result<Option<Result<Exit>>> {
    let lines = match connection.read_lines(Duration::from_millis(1)) {
        Ok(lines) => lines,
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return Ok(None),
        Err(_) => {
            return Err(Error::failed("the supervisor ended without a word; its log, pvpn.log, may say why"));
        }
    };
    for line in lines {
        match Tell::parse(&line) {
            Some(Tell::Say(text)) => note(global, &text),
            Some(Tell::Done(Exit::Done, text)) => {
                if !global.quiet {
                    print(&format!("{text}\n"))?;
                }
                return Ok(Some(Ok(Exit::Done)));
            }
            Some(Tell::Done(exit, text)) => return Ok(Some(Err(Error::new(exit, text)))),
            Some(Tell::Status(_)) | None => {}
        }
    }
    Ok(None)
}

/// Asks the running supervisor and shows its answer.
fn ask(global: &Global, mut connection: Connection, ask: &Ask, limit: Duration) -> Result<Exit> {
    let signals = Signals::block().doing(|| "block signals")?;
    connection.send(&ask.emit()).doing(|| "ask the supervisor")?;
    follow(global, connection, &signals, limit)
}

/// The moment this long from the present.
fn after(limit: Duration) -> Instant {
    clock::System.now() + limit
}

/// Asks a yes-or-no question on the terminal; without one it is refused unless `--yes` was given.
fn confirm(yes: bool, question: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    let refused = || Error::new(Exit::Failed, format!("{question}: refused without --yes"));
    if !crate::sys::terminal::is_interactive() {
        return Err(refused());
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let answer = secret::Secret::new(crate::sys::terminal::read_line().doing(|| "read the answer")?);
    match answer.reveal().trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::new(Exit::Failed, "not confirmed; nothing was changed")),
    }
}
