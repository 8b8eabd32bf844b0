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
mod older;
mod outside;
pub mod status;
mod supervisor;
mod unbind;
mod waiting;
mod webui;

use crate::cli::{Command, Global, Invocation, help};
use crate::config::load::{self, Found};
use crate::config::{Config, secret};
use crate::daemon::run::load_config;
use crate::error::{Doing, Error, Exit, Result};
use crate::provider::file::{DIR_NAME, is_conf};
use crate::sys::files::{Disk, Files};
use crate::sys::{Clock, clock, user};
use crate::time::{Duration, Instant};
use std::io::{self, Write};
use std::path::PathBuf;

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
    // The supervisor does not stay in the directory it was started from.
    Place { dir: std::path::absolute(&dir).unwrap_or(dir), home }
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
