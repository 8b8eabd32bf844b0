//! Why a server is given up, for the log and for people.

use crate::time::Duration;
use std::fmt;

/// Why the server is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// So many checks in a row had no answer.
    NoEcho { checks: u32 },
    /// So many checks in a row were slower than the threshold.
    Slow { rtt: Duration, checks: u32 },
    /// Traffic flowed and then nothing was received, not even an echo.
    Silent { flat: Duration },
    /// The last handshake is too old to carry anything.
    NoHandshake { age: Duration },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoEcho { checks } => write!(f, "{checks} checks in a row without an answer"),
            Reason::Slow { rtt, checks } => {
                write!(f, "{checks} slow checks in a row, the last {} ms", rtt.as_millis())
            }
            Reason::Silent { flat } => {
                write!(f, "nothing received for {} ms while traffic flowed", flat.as_millis())
            }
            Reason::NoHandshake { age } => write!(f, "no handshake for {} s", age.as_secs()),
        }
    }
}
