//! The wait of the loop: a thin poll(2) with a deadline on the boot-time clock.
//!
//! poll's own timeout stands still while the machine is suspended; a timerfd on CLOCK_BOOTTIME does not, so a lease
//! that ran out during the night is noticed on resume. The deadline is absolute: an interrupted call just goes on.

use crate::time::Instant;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    Read,
    Write,
    Both,
}

/// What a descriptor is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    pub readable: bool,
    pub writable: bool,
    /// Hung up, failed, or not open: a read or write tells which.
    pub closed: bool,
}

/// Waits for descriptors until an [`Instant`].
#[derive(Debug)]
pub struct Poll {
    timer: TimerFd,
    armed_at: Option<Instant>,
}

impl Poll {
    pub fn new() -> io::Result<Poll> {
        let timer =
            TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        Ok(Poll { timer, armed_at: None })
    }

    /// Waits until one of `fds` is ready or `until` is reached (`None`: for ever), and returns the keys of the ready
    /// ones, in order. None are ready: the time is up.
    pub fn wait<K: Copy>(
        &mut self,
        fds: &[(K, BorrowedFd<'_>, Interest)],
        until: Option<Instant>,
    ) -> io::Result<Vec<(K, Ready)>> {
        self.arm(until)?;
        let mut set: Vec<PollFd<'_>> =
            fds.iter().map(|(_, fd, interest)| PollFd::new(*fd, flags(*interest))).collect();
        set.push(PollFd::new(self.timer.as_fd(), PollFlags::POLLIN));
        while let Err(e) = nix::poll::poll(&mut set, PollTimeout::NONE) {
            if e != Errno::EINTR {
                return Err(e.into());
            }
        }
        Ok(fds.iter().zip(&set).filter_map(|((key, ..), fd)| ready(fd).map(|r| (*key, r))).collect())
    }

    fn arm(&mut self, until: Option<Instant>) -> io::Result<()> {
        if self.armed_at == until {
            return Ok(());
        }
        match until {
            None => self.timer.unset()?,
            Some(at) => {
                // Zero would disarm it (timerfd_create(2)); an instant in the past expires at once.
                let at = TimeSpec::from_duration(at.since_boot().max(crate::time::millis(1)));
                self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
        }
        self.armed_at = until;
        Ok(())
    }
}

fn flags(interest: Interest) -> PollFlags {
    match interest {
        Interest::Read => PollFlags::POLLIN,
        Interest::Write => PollFlags::POLLOUT,
        Interest::Both => PollFlags::POLLIN | PollFlags::POLLOUT,
    }
}

fn ready(fd: &PollFd<'_>) -> Option<Ready> {
    let came = fd.revents().filter(|r| !r.is_empty())?;
    Some(Ready {
        readable: came.contains(PollFlags::POLLIN),
        writable: came.contains(PollFlags::POLLOUT),
        closed: came.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Clock;
    use crate::sys::clock::System;
    use crate::time::millis;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn only_the_ready_ones_are_named() {
        let mut poll = Poll::new().unwrap();
        let (a, mut b) = UnixStream::pair().unwrap();
        let (c, _d) = UnixStream::pair().unwrap();
        b.write_all(b"x").unwrap();
        let fds = [('c', c.as_fd(), Interest::Read), ('a', a.as_fd(), Interest::Both)];
        let ready = poll.wait(&fds, None).unwrap();
        assert_eq!(ready, [('a', Ready { readable: true, writable: true, closed: false })]);
    }

    #[test]
    fn a_deadline_that_is_reached_ends_the_wait_whether_armed_before_or_not() {
        let mut poll = Poll::new().unwrap();
        let (a, _b) = UnixStream::pair().unwrap();
        let fds = [((), a.as_fd(), Interest::Read)];
        let soon = System.now() + millis(3);
        for until in [Instant::BOOT, Instant::BOOT, soon, soon] {
            assert_eq!(poll.wait(&fds, Some(until)).unwrap(), []);
            assert!(System.now() >= until);
        }
    }

    #[test]
    fn a_closed_peer_is_told() {
        let mut poll = Poll::new().unwrap();
        let (a, b) = UnixStream::pair().unwrap();
        drop(b);
        let ready = poll.wait(&[((), a.as_fd(), Interest::Read)], None).unwrap();
        assert!(ready[0].1.closed);
    }
}
