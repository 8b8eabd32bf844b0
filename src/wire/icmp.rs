//! Echo requests and replies of ICMP (RFC 792) and ICMPv6 (RFC 4443 section 4), the only messages pvpn sends.
//!
//! Nothing here panics: [`emit_request`] takes any payload, the parsers any bytes. An ICMPv6 checksum covers addresses
//! that only the kernel knows: it fills in and checks that field of a raw socket itself (RFC 3542 section 3.1).

use super::checksum;

/// An echo message: what comes back is what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    pub id: u16,
    pub seq: u16,
    pub payload: &'a [u8],
}

/// Not an echo reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

const HEADER: usize = 8; // type, code, checksum, identifier, sequence: RFC 792, RFC 4443 section 4.1
/// Types of request and reply. RFC 792.
const REQUEST_V4: u8 = 8;
pub const REPLY_V4: u8 = 0;
/// RFC 4443 sections 4.1 and 4.2.
const REQUEST_V6: u8 = 128;
pub const REPLY_V6: u8 = 129;
const PROTOCOL_ICMP: u8 = 1; // RFC 790, "assigned internet protocol numbers"

/// An echo request; for IPv6 with the checksum left to the kernel.
pub fn emit_request(ipv4: bool, echo: &Echo<'_>) -> Vec<u8> {
    let mut b = vec![if ipv4 { REQUEST_V4 } else { REQUEST_V6 }, 0, 0, 0];
    b.extend(echo.id.to_be_bytes());
    b.extend(echo.seq.to_be_bytes());
    b.extend(echo.payload);
    if ipv4 {
        let sum = checksum::internet(&b);
        b[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    b
}

/// Parses an ICMP echo reply, its checksum included.
pub fn parse_reply_v4(b: &[u8]) -> Result<Echo<'_>, Malformed> {
    let echo = parse_reply(b, REPLY_V4)?;
    if checksum::internet(b) == 0 { Ok(echo) } else { Err(Malformed) }
}

/// Parses an ICMPv6 echo reply whose checksum the kernel has seen.
pub fn parse_reply_v6(b: &[u8]) -> Result<Echo<'_>, Malformed> {
    parse_reply(b, REPLY_V6)
}

fn parse_reply(b: &[u8], kind: u8) -> Result<Echo<'_>, Malformed> {
    let (head, payload) = b.split_first_chunk::<HEADER>().ok_or(Malformed)?;
    if head[0] != kind || head[1] != 0 {
        return Err(Malformed);
    }
    let word = |i: usize| u16::from_be_bytes([head[i], head[i + 1]]);
    Ok(Echo { id: word(4), seq: word(6), payload })
}

/// The ICMP message inside an IPv4 packet (RFC 791 section 3.1), as a raw socket hands it out.
pub fn parse_ipv4(b: &[u8]) -> Result<&[u8], Malformed> {
    let (head, _) = b.split_first_chunk::<20>().ok_or(Malformed)?;
    let header_len = usize::from(head[0] & 0xf) * 4;
    let total_len = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if head[0] >> 4 != 4 || header_len < 20 || head[9] != PROTOCOL_ICMP {
        return Err(Malformed);
    }
    b.get(header_len..total_len).ok_or(Malformed)
}

#[cfg(test)]
mod tests;
