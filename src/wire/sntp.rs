//! SNTP (RFC 4330): asking a time server once.
//!
//! A reply counts only if it repeats the request's transmit timestamp, which is random here, so that nobody who did not
//! see the request can answer it (RFC 4330 section 5, check 3; RFC 5905 section 8). Who sent it is the caller's to
//! check. No input panics.

/// The server's UDP port (RFC 4330 section 4).
pub const PORT: u16 = 123;
/// Without authenticator (RFC 4330 section 4).
pub const LENGTH: usize = 48;

/// Seconds from 1900-01-01 to 1970-01-01 (RFC 4330 section 3).
const UNIX: u64 = 2_208_988_800;
/// Length of an era: the timestamp's seconds have 32 bits (RFC 4330 section 3).
const ERA: u64 = 1 << 32;
/// Version 4, mode 3 (client): RFC 4330 section 4.
const CLIENT: u8 = 4 << 3 | 3;
const SERVER_MODE: u8 = 4;
/// Leap indicator 3: the server's own clock is not set.
const UNSYNCHRONIZED: u8 = 3;

/// Why a reply tells no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too short, not from a server, or not to this request.
    Malformed,
    /// Stratum 0, "kiss of death": the server wants not to be asked (RFC 4330 section 8).
    Kiss([u8; 4]),
    /// The server does not know the time itself.
    Unsynchronized,
}

/// A request whose transmit timestamp is `nonce`: servers only repeat it.
pub fn emit_request(nonce: u64) -> [u8; LENGTH] {
    let mut b = [0; LENGTH];
    b[0] = CLIENT;
    b[40..].copy_from_slice(&nonce.to_be_bytes());
    b
}

/// The Unix seconds at which the server sent this reply to the request with `nonce`.
pub fn parse_reply(b: &[u8], nonce: u64) -> Result<u64, Refused> {
    let b: &[u8; LENGTH] = b.get(..LENGTH).and_then(|b| b.try_into().ok()).ok_or(Refused::Malformed)?;
    let (leap, version, mode, stratum) = (b[0] >> 6, b[0] >> 3 & 7, b[0] & 7, b[1]);
    if mode != SERVER_MODE || !(1..=4).contains(&version) || b[24..32] != nonce.to_be_bytes() {
        return Err(Refused::Malformed);
    }
    if stratum == 0 {
        return Err(Refused::Kiss([b[12], b[13], b[14], b[15]]));
    }
    let seconds = u64::from(u32::from_be_bytes([b[40], b[41], b[42], b[43]]));
    if leap == UNSYNCHRONIZED || stratum > 15 || seconds == 0 {
        return Err(Refused::Unsynchronized);
    }
    // Before 1968 can only be after 2036 (RFC 4330 section 3).
    let seconds = if seconds & 1 << 31 == 0 { seconds + ERA } else { seconds };
    seconds.checked_sub(UNIX).ok_or(Refused::Unsynchronized)
}

#[cfg(test)]
mod tests;
