//! Time as an argument. An [`Instant`] counts from boot (CLOCK_BOOTTIME, read in `sys/clock.rs` alone), so it never
//! jumps when NTP sets a Pi's wall clock, it goes on through suspend, and a test can write one down:
//! `Instant::BOOT + secs(30)`. [`UnixTime`] is the wall clock, for certificates, log lines and `status` only.

use std::fmt;
use std::ops::{Add, Sub};
pub use std::time::Duration;

/// A point on the boot-time clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The moment the machine was switched on.
    pub const BOOT: Instant = Instant(Duration::ZERO);

    pub const fn from_boot(age: Duration) -> Instant {
        Instant(age)
    }

    pub const fn since_boot(self) -> Duration {
        self.0
    }

    /// Time passed since `earlier`; zero when `earlier` is in the future.
    pub fn since(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, by: Duration) -> Instant {
        Instant(self.0.saturating_add(by))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, by: Duration) -> Instant {
        Instant(self.0.saturating_sub(by))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot+{:?}", self.0)
    }
}

/// Seconds since 1970-01-01 UTC, from the wall clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct UnixTime(pub u64);

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}
