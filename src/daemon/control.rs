//! What goes over `/run/pvpn/control.sock` (0600): one request line from a command, reply lines until `done`.
//!
//! A request is a verb and its words: `connect {JSON of a wish}`, `disconnect keep|open|close`, `killswitch on|off`,
//! `status`, `cancel`, `lend outside|drop`. Replies: `say TEXT` while it goes on, `status JSON`, and last `done EXIT
//! TEXT`. Lines end in a newline and are at most [`LINE_MOST`] bytes; anything else is answered with a usage error and
//! closed.

use super::wish::{Text, Wish};
use crate::error::{Error, Exit};
use miniserde::json;

/// Longest request line, newline included; chosen: several times a wish with every field filled.
pub const LINE_MOST: usize = 16 << 10;
/// Requests under way at once; chosen: a person, cron and a health check, with room.
pub const CLIENTS_MOST: usize = 16;

/// What a command asks the supervisor.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    Connect(Box<Wish>),
    /// `ks`: leave the kill switch so; `None` = as it is.
    Disconnect {
        ks: Option<bool>,
    },
    Killswitch {
        on: bool,
    },
    Status,
    /// Undo what the running connect began (Ctrl-C at the command).
    Cancel,
    /// Until the connection ends; answered by `say` once it is so.
    Lend(Loan),
}

/// What is lent to a command while it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loan {
    /// pvpn's own sockets may leave outside the tunnel.
    Outside,
    /// The tunnel carries nothing: `check --drop`.
    Drop,
}

impl Loan {
    pub const fn word(self) -> &'static str {
        match self {
            Loan::Outside => "outside",
            Loan::Drop => "drop",
        }
    }
}

/// What the supervisor answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Tell {
    Say(String),
    /// A snapshot as JSON, without newline.
    Status(String),
    Done(Exit, String),
}

impl Ask {
    /// The request line, newline included.
    pub fn emit(&self) -> String {
        match self {
            Ask::Connect(wish) => format!("connect {}\n", json::to_string(&wish.emit())),
            Ask::Disconnect { ks: None } => "disconnect keep\n".to_owned(),
            Ask::Disconnect { ks: Some(false) } => "disconnect open\n".to_owned(),
            Ask::Disconnect { ks: Some(true) } => "disconnect close\n".to_owned(),
            Ask::Killswitch { on: true } => "killswitch on\n".to_owned(),
            Ask::Killswitch { on: false } => "killswitch off\n".to_owned(),
            Ask::Status => "status\n".to_owned(),
            Ask::Cancel => "cancel\n".to_owned(),
            Ask::Lend(what) => format!("lend {}\n", what.word()),
        }
    }

    /// Parses one line without its newline; `None` for anything this pvpn does not know.
    pub fn parse(line: &str) -> Option<Ask> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match (verb, rest) {
            ("connect", text) => {
                let text: Text = json::from_str(text).ok()?;
                Ask::Connect(Box::new(Wish::parse(&text)?))
            }
            ("disconnect", "keep") => Ask::Disconnect { ks: None },
            ("disconnect", "open") => Ask::Disconnect { ks: Some(false) },
            ("disconnect", "close") => Ask::Disconnect { ks: Some(true) },
            ("killswitch", "on") => Ask::Killswitch { on: true },
            ("killswitch", "off") => Ask::Killswitch { on: false },
            ("status", "") => Ask::Status,
            ("cancel", "") => Ask::Cancel,
            ("lend", "outside") => Ask::Lend(Loan::Outside),
            ("lend", "drop") => Ask::Lend(Loan::Drop),
            _ => return None,
        })
    }
}

impl Tell {
    /// A failure as the end of a request.
    pub fn failed(e: &Error) -> Tell {
        Tell::Done(e.exit(), e.to_string())
    }

    /// The reply line, newline included. Newlines inside become blanks.
    pub fn emit(&self) -> String {
        let mut line = match self {
            Tell::Say(text) => format!("say {text}"),
            Tell::Status(text) => format!("status {text}"),
            Tell::Done(exit, text) => format!("done {} {text}", exit.code()),
        };
        line = line.trim_end().replace('\n', " ");
        line.push('\n');
        line
    }

    /// Parses one line without its newline; `None` for what no supervisor of this version says.
    pub fn parse(line: &str) -> Option<Tell> {
        let (verb, rest) = line.split_once(' ')?;
        Some(match verb {
            "say" => Tell::Say(rest.to_owned()),
            "status" => Tell::Status(rest.to_owned()),
            "done" => {
                let (code, text) = rest.split_once(' ').unwrap_or((rest, ""));
                Tell::Done(Exit::from_code(code.parse().ok()?)?, text.to_owned())
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_survive_the_socket() {
        for ask in [
            Ask::Disconnect { ks: None },
            Ask::Disconnect { ks: Some(false) },
            Ask::Disconnect { ks: Some(true) },
            Ask::Killswitch { on: true },
            Ask::Killswitch { on: false },
            Ask::Status,
            Ask::Cancel,
            Ask::Lend(Loan::Outside),
            Ask::Lend(Loan::Drop),
        ] {
            let line = ask.emit();
            assert_eq!(Ask::parse(line.trim_end_matches('\n')), Some(ask), "{line}");
        }
        let tell = Tell::Done(Exit::NoHandshake, "NL#12 does not\nanswer".into());
        assert_eq!(tell.emit(), "done 14 NL#12 does not answer\n");
        assert_eq!(Tell::parse("done 0"), Some(Tell::Done(Exit::Done, String::new())));
    }

    #[test]
    fn garbage_is_no_request() {
        for line in [
            "",
            " ",
            "connect",
            "connect {",
            "connect {}",
            "disconnect",
            "disconnect now",
            "status x",
            "say x",
        ] {
            assert_eq!(Ask::parse(line), None, "{line}");
        }
        for line in ["", "done", "done x", "done 99 text", "status"] {
            assert_eq!(Tell::parse(line), None, "{line}");
        }
    }
}
