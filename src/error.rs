//! One error for what a person reads: what pvpn was doing, the cause, and the exit code of `product.md` it leads to.
//!
//! `sys` returns `io::Result` so that callers can choose by errno; everything above turns that into [`Error`] with
//! [`Doing::doing`], which puts the deed in front: `start tunnel: add rule for mark 0x1076: File exists (os error 17)`.

use std::fmt;
use std::io;

/// Exit codes of the contract, the only place they are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Disconnected = 3,
    Problems = 4,
    Blocked = 5,
    Connecting = 6,
    LoginRefused = 10,
    NoServer = 11,
    NoPort = 12,
    Provider = 13,
    NoHandshake = 14,
    NotPermitted = 77,
    BadConfig = 78,
    Interrupted = 130,
}

impl Exit {
    pub const ALL: [Exit; 15] = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::Disconnected,
        Exit::Problems,
        Exit::Blocked,
        Exit::Connecting,
        Exit::LoginRefused,
        Exit::NoServer,
        Exit::NoPort,
        Exit::Provider,
        Exit::NoHandshake,
        Exit::NotPermitted,
        Exit::BadConfig,
        Exit::Interrupted,
    ];

    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The exit a supervisor named over the control socket; `None` for a number the contract does not list.
    pub fn from_code(code: u8) -> Option<Exit> {
        Exit::ALL.into_iter().find(|e| e.code() == code)
    }
}

/// A failure with its chain of doings, outermost first, and the exit code it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    exit: Exit,
    text: String,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(exit: Exit, text: impl Into<String>) -> Error {
        Error { exit, text: text.into() }
    }

    /// An error with exit code 1.
    pub fn failed(text: impl Into<String>) -> Error {
        Error::new(Exit::Failed, text)
    }

    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What to do next, for a text that names no command.
    pub fn advice(&self) -> Option<&'static str> {
        match self.exit {
            _ if self.text.contains('`') => None,
            Exit::LoginRefused => Some("`pvpn init` asks for the login again"),
            Exit::NoServer => Some("`pvpn list` shows the servers there are"),
            Exit::Provider | Exit::NoHandshake => Some("`pvpn doctor` looks at the way there"),
            _ => None,
        }
    }

    pub fn with_exit(mut self, exit: Exit) -> Error {
        self.exit = exit;
        self
    }

    /// Puts what we were doing in front of the cause.
    pub fn context(mut self, doing: impl fmt::Display) -> Error {
        self.text = format!("{doing}: {}", self.text);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Error {
        Error::failed(e.to_string())
    }
}

impl From<nix::errno::Errno> for Error {
    fn from(e: nix::errno::Errno) -> Error {
        Error::from(io::Error::from(e))
    }
}

/// `result.doing(|| "read config.ini")?`
pub trait Doing<T> {
    fn doing<S: fmt::Display>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Error>> Doing<T> for std::result::Result<T, E> {
    fn doing<S: fmt::Display>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|e| e.into().context(what()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_a_person_can_look_into_names_a_command_once() {
        let advice = |exit, text: &str| Error::new(exit, text).advice().unwrap_or_default();
        assert!(advice(Exit::Provider, "Proton's API is not reachable: timed out").contains("`pvpn doctor`"));
        assert!(advice(Exit::NoHandshake, "NL#12 does not answer").contains("`pvpn doctor`"));
        assert_eq!(advice(Exit::LoginRefused, "the session ended: log in with `pvpn init --proton`"), "");
        assert_eq!(advice(Exit::Interrupted, "interrupted"), "");
    }
}
