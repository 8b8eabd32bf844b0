//! The terminal: how wide it is, lines typed into it, and passwords typed without echo.
//!
//! Lines are read from file descriptor 0 byte by byte, never further than the newline, so that what was typed ahead
//! is there for the next question. While a password is typed the terminal is raw and Ctrl-C is read as a byte: the
//! echo is back on before the interruption is told.

use crate::config::secret::Secret;
use crate::error::{Error, Exit, Result};
use nix::sys::termios::{self, LocalFlags, SetArg, SpecialCharacterIndices, Termios};
use std::io::{self, IsTerminal, Write};
use std::mem::MaybeUninit;
use zeroize::Zeroizing;

/// Longest line taken (chosen: longer than any key or address).
const LINE_MOST: usize = 4096;
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const NEWLINE: u8 = b'\n';
const RETURN: u8 = b'\r';
const CTRL_U: u8 = 21;
const DELETE: u8 = 127;

/// A person at a terminal.
pub trait Ask {
    /// Shows a line.
    fn say(&mut self, text: &str);
    /// The answer to a question; what is shown as default when only Enter was pressed.
    fn line(&mut self, question: &str, default: &str) -> Result<String>;
    /// An answer typed without echo; empty when only Enter was pressed.
    fn secret(&mut self, question: &str) -> Result<Secret>;
}

/// The real person.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal;

impl Ask for Terminal {
    fn say(&mut self, text: &str) {
        // A terminal that went away is noticed by the next question.
        let _ = eprint(&format!("{text}\n"));
    }

    fn line(&mut self, question: &str, default: &str) -> Result<String> {
        let default_shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        eprint(&format!("{question}{default_shown}: "))?;
        let line = read_line().map_err(told)?;
        if line.is_empty() {
            return Err(told(io::ErrorKind::UnexpectedEof.into()));
        }
        let line = line.trim();
        Ok(if line.is_empty() { default.to_owned() } else { line.to_owned() })
    }

    fn secret(&mut self, question: &str) -> Result<Secret> {
        read_secret(&format!("{question}: ")).map_err(told)
    }
}

/// Why there is no answer, with its exit.
fn told(e: io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::Interrupted => Error::new(Exit::Interrupted, "interrupted: nothing was written"),
        io::ErrorKind::UnexpectedEof => Error::failed("no answer: the input ended, nothing was written"),
        _ => Error::from(e).context("read an answer"),
    }
}

/// Whether a person sits at both ends: questions can be asked.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether standard output takes colours: a terminal, TERM not `dumb`, NO_COLOR empty (no-color.org).
pub fn has_colours() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    io::stdout().is_terminal() && !is_set("NO_COLOR") && std::env::var_os("TERM").is_some_and(|t| t != "dumb")
}

/// The columns of standard output, when it is a terminal that knows.
pub fn columns() -> Option<usize> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: TIOCGWINSZ writes one winsize (ioctl_tty(2)) into memory of that type; zeros are a valid one.
    let (result, size) = unsafe {
        let result = libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, size.as_mut_ptr());
        (result, size.assume_init())
    };
    (result == 0 && size.ws_col > 0).then_some(size.ws_col.into())
}

/// The next line of standard input with its newline; empty at its end.
pub fn read_line() -> io::Result<String> {
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_MOST));
    let mut byte = [0];
    while line.len() < LINE_MOST && read_byte(&mut byte)? {
        line.push(byte[0]);
        if byte[0] == NEWLINE {
            break;
        }
    }
    String::from_utf8(line.to_vec()).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text"))
}

/// A line typed without echo; `Interrupted` on Ctrl-C, `UnexpectedEof` on Ctrl-D.
pub fn read_secret(prompt: &str) -> io::Result<Secret> {
    let quiet = Quiet::begin()?;
    eprint(prompt)?;
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_MOST));
    let mut byte = [0];
    let result: io::Result<()> = loop {
        if !read_byte(&mut byte)? {
            break Err(io::ErrorKind::UnexpectedEof.into());
        }
        match byte[0] {
            NEWLINE | RETURN => break Ok(()),
            CTRL_C => break Err(io::ErrorKind::Interrupted.into()),
            CTRL_D if line.is_empty() => break Err(io::ErrorKind::UnexpectedEof.into()),
            CTRL_U => line.clear(),
            BACKSPACE | DELETE => drop_last(&mut line),
            other if line.len() < LINE_MOST => line.push(other),
            _ => {}
        }
    };
    drop(quiet);
    eprint("\n")?;
    result?;
    let text = std::str::from_utf8(&line);
    text.map(Secret::new).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text"))
}

/// Takes the last character away, all bytes of it.
fn drop_last(line: &mut Vec<u8>) {
    while let Some(byte) = line.pop() {
        // Bytes 10xxxxxx continue a character (RFC 3629 section 3).
        if byte & 0xc0 != 0x80 {
            break;
        }
    }
}

/// Writes to standard error, where prompts go: standard output may be a pipe.
pub fn eprint(text: &str) -> io::Result<()> {
    io::stderr().write_all(text.as_bytes())
}

/// What takes a line of progress away from standard error: nothing where there was none (ECMA-48, erase in line).
pub fn clear_line() -> &'static str {
    if io::stderr().is_terminal() { "\r\x1b[K" } else { "" }
}

/// Reads one byte; false at the end. `Stdin` buffers, a file over its descriptor does not.
fn read_byte(byte: &mut [u8; 1]) -> io::Result<bool> {
    loop {
        match nix::unistd::read(io::stdin(), byte) {
            Ok(n) => return Ok(n == 1),
            Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// A terminal without echo, as it was again when dropped.
struct Quiet {
    before: Termios,
}

impl Quiet {
    fn begin() -> io::Result<Quiet> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::IEXTEN);
        raw.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        raw.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        // TCSADRAIN keeps what was typed ahead.
        termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &raw)?;
        Ok(Quiet { before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that went away.
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_taken_away_whole() {
        let mut line = "aü".as_bytes().to_vec();
        drop_last(&mut line);
        assert_eq!(line, b"a");
        drop_last(&mut line);
        drop_last(&mut line);
        assert!(line.is_empty());
    }
}
