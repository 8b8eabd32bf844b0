//! The owner's programs (`on_change`, `on_state`): run without a shell, never waited for, and killed when they take too
//! long, unless the supervisor ended first: the one that is told of that outlives it.
//!
//! A command line is split into words, values are put into the words, and no part of it is interpreted any further. Each
//! program has its own process group, which is killed as a whole when its time is up. Nothing here blocks: the loop calls
//! [`Children::reap`] on SIGCHLD and [`Children::handle_timeout`] at [`Children::poll_timeout`].

use super::notify;
use super::signal::reset_in_child;
use crate::time::{Duration, Instant, secs};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A hook that runs longer is killed. Chosen: enough to restart a service, too little to pile up.
pub const HOOK_TIMEOUT: Duration = secs(30);
/// A hook that is wanted while so many run is refused (chosen).
const RUNNING_MOST: usize = 8;

/// Why a command line is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCommand {
    Empty,
    UnclosedQuote,
}

impl fmt::Display for BadCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadCommand::Empty => "empty command",
            BadCommand::UnclosedQuote => "a quote is not closed",
        })
    }
}

/// Splits a command line at blanks. Single and double quotes keep blanks; a backslash outside single quotes keeps the
/// next character as it is.
pub fn split(line: &str) -> Result<Vec<String>, BadCommand> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(BadCommand::UnclosedQuote);
    }
    words.extend(word);
    if words.is_empty() { Err(BadCommand::Empty) } else { Ok(words) }
}

/// Puts `{name}` values into each word: `fill(words, &[("port", "4242")])`.
pub fn fill(words: &[String], values: &[(&str, &str)]) -> Vec<String> {
    let fill_one = |word: &String| {
        values.iter().fold(word.clone(), |word, (name, value)| word.replace(&format!("{{{name}}}"), value))
    };
    words.iter().map(fill_one).collect()
}

/// A program that ended, or was ended.
#[derive(Debug)]
pub struct Ended {
    pub program: String,
    pub status: ExitStatus,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.program, self.status)
    }
}

struct Running {
    child: Child,
    program: String,
    ends_at: Option<Instant>,
}

/// The programs that run.
#[derive(Default)]
pub struct Children {
    running: Vec<Running>,
}

impl Children {
    /// Starts this command line with its values filled in.
    pub fn start(&mut self, line: &str, values: &[(&str, &str)], now: Instant) -> io::Result<()> {
        let words = split(line).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.to_string()))?;
        let words = fill(&words, values);
        let Some((program, args)) = words.split_first() else { return Ok(()) };
        if self.running.len() >= RUNNING_MOST {
            return Err(io::Error::other("too many programs are running"));
        }
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).process_group(0).current_dir("/");
        for name in notify::VARIABLES {
            command.env_remove(name);
        }
        // SAFETY: `reset_in_child` calls only async-signal-safe functions and allocates nothing.
        unsafe { command.pre_exec(reset_in_child) };
        let child = command.spawn()?;
        self.running.push(Running { child, program: program.clone(), ends_at: Some(now + HOOK_TIMEOUT) });
        Ok(())
    }

    /// When [`Children::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.running.iter().filter_map(|r| r.ends_at).min()
    }

    /// Kills those whose time is up; they are reaped as the others are.
    pub fn handle_timeout(&mut self, now: Instant) {
        for running in self.running.iter_mut().filter(|r| r.ends_at.is_some_and(|at| at <= now)) {
            log::warn!("hook: {} still runs after {} s: killed", running.program, HOOK_TIMEOUT.as_secs());
            running.kill();
        }
    }

    /// Those that have ended.
    pub fn reap(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        self.running.retain_mut(|running| match running.child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                ended.push(Ended { program: running.program.clone(), status });
                false
            }
            // Not our child any more: nothing to wait for.
            Err(_) => false,
        });
        ended
    }
}

impl Running {
    fn kill(&mut self) {
        self.ends_at = None;
        // Not reaped yet, so the number still is this group's.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::os::unix::process::ExitStatusExt;

    /// Waits for the one child that runs, by its end, not by a clock.
    fn end(children: &mut Children) -> Ended {
        let pid = children.running[0].child.id();
        let id = nix::sys::wait::Id::Pid(Pid::from_raw(pid.try_into().unwrap()));
        let flags = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
        nix::sys::wait::waitid(id, flags).unwrap();
        children.reap().remove(0)
    }

    #[test]
    fn words_are_split_as_a_person_quotes_them() {
        let words = |line| split(line).unwrap();
        assert_eq!(words("/bin/a  b\tc"), ["/bin/a", "b", "c"]);
        assert_eq!(words(r#"a "b c" 'd "e' f\ g "h\"i" '' "#), ["a", "b c", "d \"e", "f g", "h\"i", ""]);
        assert_eq!(words(r#"a --x="b c"'d'"#), ["a", "--x=b cd"]);
        assert_eq!(words("a $HOME `b` ; c | d > e"), ["a", "$HOME", "`b`", ";", "c", "|", "d", ">", "e"]);
        assert_eq!(split("a 'b"), Err(BadCommand::UnclosedQuote));
        assert_eq!(split("  "), Err(BadCommand::Empty));
    }

    #[test]
    fn values_go_into_words_and_make_no_others() {
        let words = split("hook --port={port} {interface} {other}").unwrap();
        let filled = fill(&words, &[("port", "4242"), ("interface", "wgp nl; rm")]);
        assert_eq!(filled, ["hook", "--port=4242", "wgp nl; rm", "{other}"]);
    }

    #[test]
    fn a_program_is_run_without_a_shell_and_reaped() {
        let mut children = Children::default();
        children.start("test {port} = '4242'", &[("port", "4242")], Instant::BOOT).unwrap();
        assert!(end(&mut children).status.success());
        assert_eq!(children.poll_timeout(), None);
        assert!(children.start("/nonexistent/hook", &[], Instant::BOOT).is_err());
    }

    #[test]
    fn one_that_runs_too_long_is_killed_with_its_own_children() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        nix::fcntl::fcntl(&theirs, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
        let mut children = Children::default();
        children.start("sh -c 'sleep 1000 & sleep 1000'", &[], Instant::BOOT).unwrap();
        drop(theirs);
        children.handle_timeout(Instant::BOOT + HOOK_TIMEOUT - secs(1));
        assert_eq!(children.poll_timeout(), Some(Instant::BOOT + HOOK_TIMEOUT));
        children.handle_timeout(Instant::BOOT + HOOK_TIMEOUT);
        assert_eq!(end(&mut children).status.signal(), Some(9));
        // The socket's other end is closed only when the grandchild is gone as well.
        assert_eq!(ours.read(&mut [0]).unwrap(), 0);
    }
}
