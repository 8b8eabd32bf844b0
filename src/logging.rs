//! The log: set-up for commands and for the supervisor. Only pvpn's own lines pass; libraries log queries and keys.
//!
//! A command writes to its terminal. The supervisor writes `pvpn.log` (0600, UTC, turned over by size) and, when a
//! service manager or a person reads its standard error, there as well. A full disk stops nothing: lines that can't be
//! written are counted, and the count is the first line when writing works again.

mod file;

use crate::sys::Clock;
use crate::sys::clock::System;
use file::LogFile;
use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;
use std::env;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

/// The target of every line of ours.
const TARGET: &str = "pvpn";
/// Beside the configuration.
pub const FILE_NAME: &str = "pvpn.log";

/// What else the supervisor's lines go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// Nothing: it runs in the background.
    None,
    /// A person's terminal, or a file of somebody's choice.
    Plain,
    /// The same with `-q`.
    Errors,
    /// The journal: it has its own clock, and takes the level from a prefix (sd-daemon(3)).
    Journal,
}

impl Mirror {
    /// For a supervisor in the foreground: the journal if that is where standard error leads (systemd.exec(5),
    /// JOURNAL_STREAM).
    pub fn of_stderr(quiet: bool) -> Mirror {
        let stream = env::var("JOURNAL_STREAM").unwrap_or_default();
        let is_journal = fs::metadata("/proc/self/fd/2")
            .is_ok_and(|meta| stream == format!("{}:{}", meta.dev(), meta.ino()));
        match (is_journal, quiet) {
            (true, _) => Mirror::Journal,
            (false, true) => Mirror::Errors,
            (false, false) => Mirror::Plain,
        }
    }
}

/// Commands, on standard error: warnings; `-q` errors alone; `-v` decisions; `-vv` packets.
pub fn init_command(verbose: u8, quiet: bool) {
    let level = match (verbose, quiet) {
        (0, true) => LevelFilter::Error,
        (0, false) => LevelFilter::Warn,
        (1, _) => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    init(Mode::Command(SimpleLogger::new().with_level(level)), level);
}

/// The supervisor: changes of state; `-v` and `-vv` as for commands. Never fails: a log that can't be opened is tried
/// again with every line. Takes the place of [`init_command`]'s in a process that becomes the supervisor.
pub fn init_supervisor(dir: &Path, verbose: u8, mirror: Mirror) {
    let level = match verbose {
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    let file = Mutex::new(LogFile::new(dir.join(FILE_NAME)));
    init(Mode::Supervisor { file, mirror }, level);
}

enum Mode {
    Off,
    Command(SimpleLogger),
    Supervisor { file: Mutex<LogFile>, mirror: Mirror },
}

/// The one logger of the process; `log` takes no second one.
struct Logger(RwLock<Mode>);

static LOGGER: Logger = Logger(RwLock::new(Mode::Off));

fn init(mode: Mode, level: LevelFilter) {
    *LOGGER.0.write().unwrap_or_else(PoisonError::into_inner) = mode;
    // It fails when it is set already, which is as well.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(level);
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_own(metadata.target()) && metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Mode::Off => {}
            // One name for all of ours: which module spoke is nobody's business on a terminal.
            Mode::Command(logger) => {
                logger.log(
                    &Record::builder().args(*record.args()).level(record.level()).target(TARGET).build(),
                );
            }
            Mode::Supervisor { file, mirror } => log_supervisor(record, file, *mirror),
        }
    }

    fn flush(&self) {}
}

fn log_supervisor(record: &Record<'_>, file: &Mutex<LogFile>, mirror: Mirror) {
    // A line is a line, whatever a server put into an error.
    let text = record.args().to_string().replace(['\n', '\r'], " ");
    let word = word(record.level());
    let line = format!("{} {word} {text}\n", System.wall());
    file.lock().unwrap_or_else(PoisonError::into_inner).write(&line);
    let mirrored = match mirror {
        Mirror::None => return,
        Mirror::Errors if record.level() > Level::Error => return,
        Mirror::Plain | Mirror::Errors => format!("{word} {text}\n"),
        Mirror::Journal => format!("<{}>{text}\n", priority(record.level())),
    };
    // A closed terminal is no reason to stop.
    let _ = io::stderr().write_all(mirrored.as_bytes());
}

fn is_own(target: &str) -> bool {
    target.strip_prefix(TARGET).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// syslog(3). Trace and debug are one there.
const fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_lines_pass() {
        for (target, passes) in
            [("pvpn", true), ("pvpn::change", true), ("pvpnx", false), ("ureq::pool", false), ("", false)]
        {
            assert_eq!(is_own(target), passes, "{target}");
        }
    }
}
