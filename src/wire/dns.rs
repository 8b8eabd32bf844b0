//! DNS queries and responses (RFC 1035, AAAA by RFC 3596), as much as a stub resolver needs: one question, the
//! addresses that answer it.
//!
//! [`parse_response`] accepts only the answer to the question that was asked: same id, same name, same type. A
//! compression pointer must point before the name it stands in, so that every name ends. No input panics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    A,
    Aaaa,
}

impl Kind {
    /// TYPE: RFC 1035 section 3.2.2, RFC 3596 section 2.1.
    const fn number(self) -> u16 {
        match self {
            Kind::A => 1,
            Kind::Aaaa => 28,
        }
    }
}

/// Not a response to this query, or not DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What the server said, as far as a stub resolver chooses by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The addresses of the name, in the server's order; empty when the name has none of this kind.
    Addresses(Vec<IpAddr>),
    /// The response did not fit in a datagram: ask again over TCP.
    Truncated,
    /// No such name (RCODE 3).
    NoName,
    /// The server cannot or will not answer, with its RCODE: another one may.
    Failed(u8),
}

const HEADER: usize = 12; // RFC 1035 section 4.1.1
const CNAME: u16 = 5; // RFC 1035 section 3.2.2
const IN: u16 = 1; // RFC 1035 section 3.2.4
const NAME_MOST: usize = 255; // RFC 1035 section 2.3.4
const LABEL_MOST: usize = 63; // RFC 1035 section 2.3.4
const RECURSION_DESIRED: u16 = 0x0100;
const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const TRUNCATED: u16 = 0x0200;
/// Aliases followed inside one response; chosen: resolvers in use stop between 8 and 17.
const ALIASES_MOST: usize = 16;

/// A recursive query for the addresses of `name`, which may end in a dot. `None` when `name` is no host name that
/// DNS can carry.
pub fn emit_query(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut b = Vec::with_capacity(HEADER + name.len() + 6);
    for word in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        b.extend(word.to_be_bytes());
    }
    b.extend(wire_name(name)?);
    b.extend(kind.number().to_be_bytes());
    b.extend(IN.to_be_bytes());
    Some(b)
}

/// Parses the response to [`emit_query`] with the same `id`, `name` and `kind`.
pub fn parse_response(b: &[u8], id: u16, name: &str, kind: Kind) -> Result<Answer, Malformed> {
    let head = b.get(..HEADER).ok_or(Malformed)?;
    let word = |i: usize| u16::from_be_bytes([head[2 * i], head[2 * i + 1]]);
    let flags = word(1);
    if word(0) != id || flags & RESPONSE == 0 || flags & OPCODE != 0 {
        return Err(Malformed);
    }
    let rcode = (flags & 0xf) as u8;
    if word(2) == 0 && rcode != 0 && rcode != 3 {
        return Ok(Answer::Failed(rcode)); // some servers refuse without repeating the question
    }
    let wanted = wire_name(name).ok_or(Malformed)?;
    let (asked, at) = parse_name(b, HEADER)?;
    if word(2) != 1 || asked != wanted || word_at(b, at)? != kind.number() || word_at(b, at + 2)? != IN {
        return Err(Malformed);
    }
    match rcode {
        _ if flags & TRUNCATED != 0 => Ok(Answer::Truncated),
        0 => parse_answers(b, at + 4, word(3), wanted, kind).map(Answer::Addresses),
        3 => Ok(Answer::NoName),
        other => Ok(Answer::Failed(other)),
    }
}

/// The addresses in the answer section that belong to `name` or to an alias that `name` leads to.
fn parse_answers(
    b: &[u8],
    mut at: usize,
    count: u16,
    name: Vec<u8>,
    kind: Kind,
) -> Result<Vec<IpAddr>, Malformed> {
    let mut aliases = Vec::new();
    let mut found = Vec::new();
    for _ in 0..count {
        let (owner, next) = parse_name(b, at)?;
        let (rtype, class) = (word_at(b, next)?, word_at(b, next + 2)?);
        let data_at = next + 10; // TYPE, CLASS, TTL, RDLENGTH: RFC 1035 section 4.1.3
        let data_end = data_at + usize::from(word_at(b, next + 8)?);
        let data = b.get(data_at..data_end).ok_or(Malformed)?;
        if class == IN && rtype == CNAME {
            let (target, end) = parse_name(b, data_at)?;
            if end != data_end {
                return Err(Malformed);
            }
            aliases.push((owner, target));
        } else if class == IN && rtype == kind.number() {
            found.push((owner, parse_address(data, kind)?));
        }
        at = data_end;
    }
    let mut names = vec![name];
    while let Some((_, target)) = aliases.iter().find(|(owner, _)| Some(owner) == names.last()) {
        if names.len() > ALIASES_MOST || names.contains(target) {
            return Err(Malformed);
        }
        names.push(target.clone());
    }
    Ok(found.into_iter().filter(|(owner, _)| names.contains(owner)).map(|(_, addr)| addr).collect())
}

fn parse_address(data: &[u8], kind: Kind) -> Result<IpAddr, Malformed> {
    match kind {
        Kind::A => <[u8; 4]>::try_from(data).map(|a| Ipv4Addr::from(a).into()),
        Kind::Aaaa => <[u8; 16]>::try_from(data).map(|a| Ipv6Addr::from(a).into()),
    }
    .map_err(|_| Malformed)
}

/// The name at `at` in wire form, lower case, and the offset after it.
fn parse_name(b: &[u8], at: usize) -> Result<(Vec<u8>, usize), Malformed> {
    let mut name = Vec::new();
    let (mut at, mut segment, mut after) = (at, at, None);
    loop {
        let len = *b.get(at).ok_or(Malformed)?;
        match len {
            0 => {
                name.push(0);
                return Ok((name, after.unwrap_or(at + 1)));
            }
            1..=63 => {
                let label = b.get(at..at + 1 + usize::from(len)).ok_or(Malformed)?;
                if name.len() + label.len() >= NAME_MOST {
                    return Err(Malformed);
                }
                name.extend(label.iter().map(u8::to_ascii_lowercase));
                at += label.len();
            }
            0xc0.. => {
                let target = usize::from(word_at(b, at)? & 0x3fff);
                if target >= segment {
                    return Err(Malformed); // each jump goes further back, so there is an end
                }
                after = after.or(Some(at + 2));
                (at, segment) = (target, target);
            }
            _ => return Err(Malformed), // reserved: RFC 1035 section 4.1.4
        }
    }
}

/// A host name in wire form, lower case.
fn wire_name(name: &str) -> Option<Vec<u8>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut b = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        let printable = label.bytes().all(|c| c.is_ascii_graphic());
        if label.is_empty() || label.len() > LABEL_MOST || !printable {
            return None;
        }
        b.push(label.len() as u8); // at most 63, checked above
        b.extend(label.bytes().map(|c| c.to_ascii_lowercase()));
    }
    b.push(0);
    (b.len() <= NAME_MOST).then_some(b)
}

fn word_at(b: &[u8], at: usize) -> Result<u16, Malformed> {
    let two = b.get(at..at.saturating_add(2)).ok_or(Malformed)?;
    Ok(u16::from_be_bytes([two[0], two[1]]))
}

#[cfg(test)]
mod tests;
