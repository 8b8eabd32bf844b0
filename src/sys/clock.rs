//! The clocks, read here and nowhere else: CLOCK_BOOTTIME, which goes on through suspend and never jumps, and the wall
//! clock for certificates, log lines and `status`.

use super::Clock;
use crate::time::{Duration, Instant, UnixTime};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};
use std::io;

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

/// Zero where the kernel has no such clock (CLOCK_BOOTTIME: before 2.6.39) or it stands before its epoch.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map_or(Duration::ZERO, |t| {
        let (secs, nanos) = (u64::try_from(t.tv_sec()), u32::try_from(t.tv_nsec()));
        Duration::new(secs.unwrap_or(0), nanos.unwrap_or(0))
    })
}
