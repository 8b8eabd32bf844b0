//! The clocks, read here and nowhere else: CLOCK_BOOTTIME, which goes on through suspend and never jumps, and the wall
//! clock for certificates, log lines and `status`.

use super::Clock;
use crate::time::{Duration, Instant, UnixTime};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{self, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId, clock_gettime, clock_settime};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// In the year 2242; the kernel's own clock ends in 2262.
const NEVER: Duration = Duration::from_secs(8_600_000_000);

/// The machine's own clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> Instant {
        Instant::from_boot(read(ClockId::CLOCK_BOOTTIME))
    }

    fn wall(&self) -> UnixTime {
        UnixTime(read(ClockId::CLOCK_REALTIME).as_secs())
    }
}

/// How long the machine was suspended since boot: what CLOCK_BOOTTIME has counted and CLOCK_MONOTONIC has not.
pub fn suspended() -> Duration {
    // Read in this order, the difference errs by what lies between the two reads, to the short side.
    let boot = read(ClockId::CLOCK_BOOTTIME);
    boot.saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

/// Steps the wall clock. Needs CAP_SYS_TIME.
pub fn set_wall(to: UnixTime) -> io::Result<()> {
    let to = TimeSpec::from_duration(Duration::from_secs(to.0));
    clock_settime(ClockId::CLOCK_REALTIME, to).map_err(io::Error::from)
}

/// Notices when somebody sets the wall clock, or the machine wakes up: a timer that is cancelled by that
/// (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET). Readable then.
#[derive(Debug)]
pub struct Steps(TimerFd);

impl Steps {
    pub fn new() -> io::Result<Steps> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let steps = Steps(TimerFd::new(timerfd::ClockId::CLOCK_REALTIME, flags)?);
        steps.arm()?;
        Ok(steps)
    }

    /// Takes note, and waits for the next one.
    pub fn clear(&self) -> io::Result<()> {
        // ECANCELED, or EAGAIN where there was none: in either case there is nothing to know.
        let _ = self.0.wait();
        self.arm()
    }

    fn arm(&self) -> io::Result<()> {
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        Ok(self.0.set(Expiration::OneShot(TimeSpec::from_duration(NEVER)), flags)?)
    }
}

impl AsFd for Steps {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Zero where the kernel has no such clock (CLOCK_BOOTTIME: before 2.6.39) or it stands before its epoch.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map_or(Duration::ZERO, |t| {
        let (secs, nanos) = (u64::try_from(t.tv_sec()), u32::try_from(t.tv_nsec()));
        Duration::new(secs.unwrap_or(0), nanos.unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_nobody_sets_is_never_readable() {
        let steps = Steps::new().unwrap();
        steps.clear().unwrap();
        let mut fds = [nix::poll::PollFd::new(steps.as_fd(), nix::poll::PollFlags::POLLIN)];
        assert_eq!(nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO), Ok(0));
    }
}
