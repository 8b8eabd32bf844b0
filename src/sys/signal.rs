//! Signals as a file descriptor for the poll loop: no handler runs, so none can allocate or interrupt (leak class L19).
//! A command that waits in a request has no loop; a thread listens for it ([`Ending`]).

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigHandler, SigSet, Signal as Number, kill, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// What the supervisor and waiting commands listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: disconnect.
    Terminate,
    /// SIGINT: disconnect; in a command, undo what was begun.
    Interrupt,
    /// SIGUSR1: end, leave the tunnel to the next supervisor.
    HandOver,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGCHLD: a hook ended.
    Child,
}

const SIGNALS: [(Number, Signal); 5] = [
    (Number::SIGTERM, Signal::Terminate),
    (Number::SIGINT, Signal::Interrupt),
    (Number::SIGUSR1, Signal::HandOver),
    (Number::SIGHUP, Signal::Reload),
    (Number::SIGCHLD, Signal::Child),
];

/// Chosen: it closes a connection and ends the process.
const STACK: usize = 128 << 10;

/// Sends SIGUSR1 to a supervisor.
pub fn hand_over(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(kill(Pid::from_raw(pid), Number::SIGUSR1)?)
}

/// Signals blocked from their usual effect and readable here. Dropping it lets them take effect again.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    set: SigSet,
}

impl Signals {
    /// All of [`Signal`]. Call it before any thread is started: threads inherit the mask. SIGPIPE is ignored from here
    /// on: a closed socket is an error of the write, not the end of the process.
    pub fn block() -> io::Result<Signals> {
        Signals::block_set(SIGNALS.iter().map(|(number, _)| *number).collect())
    }

    /// Those by which a person ends a command; the rest as in [`Signals::block`].
    pub fn block_endings() -> io::Result<Signals> {
        Signals::block_set([Number::SIGTERM, Number::SIGINT].into_iter().collect())
    }

    fn block_set(set: SigSet) -> io::Result<Signals> {
        set.thread_block()?;
        // SAFETY: installs no handler, so nothing of ours runs in signal context.
        unsafe { signal(Number::SIGPIPE, SigHandler::SigIgn) }?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Signals { fd, set })
    }

    /// The next one that came; `None` when there is none.
    pub fn read(&self) -> io::Result<Option<Signal>> {
        let came = self.fd.read_signal()?.map(|info| i32::try_from(info.ssi_signo).unwrap_or(0));
        Ok(came.and_then(|n| SIGNALS.iter().find(|(number, _)| *number as i32 == n)).map(|(_, s)| *s))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = self.set.thread_unblock();
    }
}

/// What a command does, whatever it waits for, when a person ends it. While this lives there is a thread: nothing may
/// be forked.
#[derive(Debug)]
pub struct Ending {
    over: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
    /// Dropped last, by the thread that made it: the mask is its own.
    _signals: Arc<Signals>,
}

impl Ending {
    /// On SIGINT and SIGTERM `end` is run, which does not come back; whatever else the process does goes on meanwhile.
    pub fn watch(end: impl FnOnce() + Send + 'static) -> io::Result<Ending> {
        let signals = Arc::new(Signals::block_endings()?);
        let over = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
        let (listening, told) = (Arc::clone(&signals), Arc::clone(&over));
        let thread = thread::Builder::new().stack_size(STACK).spawn(move || {
            let mut fds = [listening.as_fd(), told.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            while poll(&mut fds, PollTimeout::NONE).is_err() {}
            if !fds[1].any().unwrap_or(true) {
                end();
            }
        })?;
        Ok(Ending { over, thread: Some(thread), _signals: signals })
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.over.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Gives a child the signal mask and actions that programs expect; safe between fork and exec.
pub(super) fn reset_in_child() -> io::Result<()> {
    SigSet::empty().thread_set_mask()?;
    // SAFETY: SIG_DFL installs no handler.
    unsafe { signal(Number::SIGPIPE, SigHandler::SigDfl) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    /// Leak class L19: what runs inside a handler may neither allocate nor take a lock, so nothing runs in one.
    #[test]
    fn no_handler_runs_for_any_signal_that_is_listened_to() {
        extern "C" fn nothing(_: libc::c_int) {}
        let signals = Signals::block().unwrap();
        let listened = signals.set.iter().fold(0, |bits, s| bits | 1_u64 << (s as i32 - 1));
        assert_eq!(caught() & listened, 0);
        assert_eq!(caught() & 1 << (Number::SIGPIPE as i32 - 1), 0, "ignored, not caught");
        // The kernel does list handlers: one for a signal that nobody uses.
        // SAFETY: the handler does nothing, and the action is put back below.
        unsafe { signal(Number::SIGWINCH, SigHandler::Handler(nothing)) }.unwrap();
        assert_ne!(caught() & 1 << (Number::SIGWINCH as i32 - 1), 0);
        // SAFETY: SIG_DFL installs no handler.
        unsafe { signal(Number::SIGWINCH, SigHandler::SigDfl) }.unwrap();
    }

    /// Signals for which this process has handlers (proc(5), SigCgt): bit n-1 is signal n.
    fn caught() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let bits = status.lines().find_map(|l| l.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(bits.trim(), 16).unwrap()
    }

    #[test]
    fn an_ending_that_nobody_asked_for_leaves_nothing_behind() {
        let before = SigSet::thread_get_mask().unwrap();
        let ending = Ending::watch(|| unreachable!()).unwrap();
        assert!(SigSet::thread_get_mask().unwrap().contains(Number::SIGINT));
        drop(ending);
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }

    #[test]
    fn signals_come_as_values_once_each() {
        let signals = Signals::block().unwrap();
        assert_eq!(signals.read().unwrap(), None);
        for (number, name) in SIGNALS {
            raise(number).unwrap();
            assert_eq!(signals.read().unwrap(), Some(name));
            assert_eq!(signals.read().unwrap(), None);
        }
    }
}
