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

impl UnixTime {
    /// 2025-01-01: a clock that shows less was never set, for no pvpn is older than that.
    pub const FIRST: UnixTime = UnixTime(1_735_689_600);

    /// Reads RFC 3339 in UTC: `2026-05-28T20:26:40Z`, with any number of fractional digits, which are dropped. `None` for
    /// anything else, and for times before 1970.
    pub fn parse(text: &str) -> Option<UnixTime> {
        let text = text.strip_suffix(['Z', 'z']).or_else(|| text.strip_suffix("+00:00"))?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let b: &[u8; 19] = whole.as_bytes().try_into().ok()?;
        let signs = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
        let is_shaped = signs.iter().all(|(at, sign)| b[*at] == *sign) && matches!(b[10], b'T' | b't' | b' ');
        let number = |from: usize, to: usize| {
            let digits = b[from..to].iter().all(u8::is_ascii_digit);
            digits.then(|| b[from..to].iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let is_time = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
        let is_fraction = !fraction.is_empty() && fraction.bytes().all(|d| d.is_ascii_digit());
        if !is_shaped || !is_time || second > 60 || !is_fraction {
            return None;
        }
        // Days from 1 March of year 0, as in `Display`.
        let march_year = if month > 2 { year } else { year.checked_sub(1)? };
        let march_month = (month + 9) % 12;
        let day_of_year = (153 * march_month + 2) / 5 + day - 1;
        let days = march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400 + day_of_year;
        let days = days.checked_sub(719_468)?;
        Some(UnixTime(days * 86_400 + hour * 3_600 + minute * 60 + second))
    }
}

impl fmt::Display for UnixTime {
    /// `2026-05-28T20:26:40Z` (RFC 3339, UTC).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, secs) = (self.0 / 86_400, self.0 % 86_400);
        // Years of 365.2425 days counted from 1 March, so that the leap day is the last (proleptic Gregorian).
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hour, minute, second) = (secs / 3_600, secs / 60 % 60, secs % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_prints_as_rfc_3339() {
        // As `date -u -d @N +%FT%TZ` prints them.
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_780_000_000, "2026-05-28T20:26:40Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(UnixTime(secs).to_string(), text);
        }
    }
    #[test]
    fn what_prints_as_rfc_3339_is_read_back() {
        let mut n = 1;
        while n < 253_402_300_800 {
            assert_eq!(UnixTime::parse(&UnixTime(n).to_string()), Some(UnixTime(n)));
            n = n * 9 / 7 + 86_399;
        }
        let read = |text| UnixTime::parse(text).map(|t| t.0);
        assert_eq!(read("2026-10-01T12:00:00.123456789Z"), Some(1_790_856_000));
        assert_eq!(read("2026-10-01t12:00:00+00:00"), Some(1_790_856_000));
        for bad in [
            "",
            "Z",
            "2026-10-01T12:00:00",
            "2026-10-01T12:00:00+02:00",
            "2026-13-01T12:00:00Z",
            "2026-00-01T12:00:00Z",
            "2026-10-01T24:00:00Z",
            "2026-10-01T12:00:00.Z",
            "2026-10-01T12:00:00.1aZ",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "２026-10-01T12:00:0Z",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
