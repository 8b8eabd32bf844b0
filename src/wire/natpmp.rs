//! NAT-PMP (RFC 6886): how a gateway is asked for its external address and for a forwarded port.
//!
//! All numbers are big-endian. A reply repeats the request's opcode plus 128; replies that carry a result other than 0
//! may be cut after the eight bytes that every reply has (miniupnpd does so for unknown opcodes). Length,
//! version and opcode are checked here; who sent a reply, and whether it was asked for, is the caller's to check.

use std::fmt;
use std::net::Ipv4Addr;

/// The gateway's UDP port (RFC 6886 section 1.1).
pub const PORT: u16 = 5351;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Udp,
    Tcp,
}

impl Protocol {
    /// Opcodes of RFC 6886 section 3.3.
    const fn opcode(self) -> u8 {
        match self {
            Protocol::Udp => 1,
            Protocol::Tcp => 2,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Udp => "UDP",
            Protocol::Tcp => "TCP",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// RFC 6886 section 3.2.
    ExternalAddress,
    /// RFC 6886 section 3.3; `external` is a suggestion, `lifetime_secs` 0 takes the mapping away.
    Map { protocol: Protocol, internal: u16, external: u16, lifetime_secs: u32 },
}

impl Request {
    /// The datagram: 2 bytes for the address, 12 for a mapping.
    pub fn emit(&self) -> Vec<u8> {
        match *self {
            Request::ExternalAddress => vec![0, 0],
            Request::Map { protocol, internal, external, lifetime_secs } => {
                let mut b = vec![0, protocol.opcode(), 0, 0];
                b.extend(internal.to_be_bytes());
                b.extend(external.to_be_bytes());
                b.extend(lifetime_secs.to_be_bytes());
                b
            }
        }
    }
}

/// What a reply belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    ExternalAddress,
    Map(Protocol),
}

/// Result codes 1 to 5 of RFC 6886 section 3.5; others are kept as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Version,
    NotAuthorised,
    NetworkFailure,
    OutOfResources,
    Opcode,
    Other(u16),
}

impl Refusal {
    fn from_code(code: u16) -> Refusal {
        match code {
            1 => Refusal::Version,
            2 => Refusal::NotAuthorised,
            3 => Refusal::NetworkFailure,
            4 => Refusal::OutOfResources,
            5 => Refusal::Opcode,
            n => Refusal::Other(n),
        }
    }
}

impl fmt::Display for Refusal {
    /// For people: what it means for them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Version => "the gateway speaks another version of NAT-PMP",
            Refusal::NotAuthorised => "this server does not forward ports: choose one marked p2p",
            Refusal::NetworkFailure => "the gateway has no network of its own at the moment",
            Refusal::OutOfResources => "the gateway has no port left: choose another server",
            Refusal::Opcode => "the gateway does not know this request: it forwards no ports of this kind",
            Refusal::Other(n) => return write!(f, "the gateway refuses with the unknown result {n}"),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    pub internal: u16,
    pub external: u16,
    pub lifetime_secs: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    ExternalAddress(Ipv4Addr),
    Mapped(Protocol, Mapped),
    Refused(Subject, Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Seconds since the gateway's table of mappings was made (RFC 6886 section 3.6).
    pub epoch_secs: u32,
    pub answer: Answer,
}

/// Not a NAT-PMP reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Parses a reply (RFC 6886 sections 3.2, 3.3 and 3.5).
pub fn parse(b: &[u8]) -> Result<Reply, Malformed> {
    let (head, body) = b.split_first_chunk::<8>().ok_or(Malformed)?;
    let [0, opcode, r0, r1, e0, e1, e2, e3] = *head else { return Err(Malformed) };
    let subject = match opcode {
        128 => Subject::ExternalAddress,
        129 => Subject::Map(Protocol::Udp),
        130 => Subject::Map(Protocol::Tcp),
        _ => return Err(Malformed),
    };
    let answer = match (u16::from_be_bytes([r0, r1]), subject) {
        (0, Subject::ExternalAddress) => {
            let address: [u8; 4] = body.try_into().map_err(|_| Malformed)?;
            Answer::ExternalAddress(address.into())
        }
        (0, Subject::Map(protocol)) => {
            let b: &[u8; 8] = body.try_into().map_err(|_| Malformed)?;
            let internal = u16::from_be_bytes([b[0], b[1]]);
            let external = u16::from_be_bytes([b[2], b[3]]);
            let lifetime_secs = u32::from_be_bytes([b[4], b[5], b[6], b[7]]);
            Answer::Mapped(protocol, Mapped { internal, external, lifetime_secs })
        }
        (code, subject) if body.len() <= 8 => Answer::Refused(subject, Refusal::from_code(code)),
        _ => return Err(Malformed),
    };
    Ok(Reply { epoch_secs: u32::from_be_bytes([e0, e1, e2, e3]), answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Captured between Debian's natpmpc 20150609 and miniupnpd 2.3.1 in two namespaces: `natpmpc -a 6881 6881 tcp 60`.
    const ASK: [u8; 12] = [0, 2, 0, 0, 0x1a, 0xe1, 0x1a, 0xe1, 0, 0, 0, 60];
    const GRANT: [u8; 16] = [0, 130, 0, 0, 0, 0, 5, 0x97, 0x1a, 0xe1, 0x1a, 0xe1, 0, 0, 0, 60];
    /// `natpmpc -a 1 0 udp 60`: that gateway refuses internal port 0 with result 2.
    const REFUSED: [u8; 16] = [0, 129, 0, 2, 0, 0, 5, 0x97, 0, 0, 0, 1, 0, 0, 0, 60];
    /// The first request of both: its address, set to 11.22.33.44.
    const ADDRESS: [u8; 12] = [0, 128, 0, 0, 0, 0, 5, 0x97, 11, 22, 33, 44];
    /// What it says while its outer interface has no public address.
    const NO_ADDRESS: [u8; 12] = [0, 128, 0, 3, 0, 0, 5, 0x6b, 0, 0, 0, 0];

    #[test]
    fn requests_are_the_captured_bytes() {
        let map =
            |protocol, internal, external| Request::Map { protocol, internal, external, lifetime_secs: 60 };
        assert_eq!(map(Protocol::Tcp, 6881, 6881).emit(), ASK);
        assert_eq!(map(Protocol::Udp, 0, 1).emit(), [0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 60]);
        assert_eq!(Request::ExternalAddress.emit(), [0, 0]);
    }

    #[test]
    fn replies_are_read_as_captured() {
        let mapped = Mapped { internal: 6881, external: 6881, lifetime_secs: 60 };
        assert_eq!(
            parse(&GRANT),
            Ok(Reply { epoch_secs: 0x597, answer: Answer::Mapped(Protocol::Tcp, mapped) })
        );
        let refused = Answer::Refused(Subject::Map(Protocol::Udp), Refusal::NotAuthorised);
        assert_eq!(parse(&REFUSED), Ok(Reply { epoch_secs: 0x597, answer: refused }));
        let none = Answer::Refused(Subject::ExternalAddress, Refusal::NetworkFailure);
        assert_eq!(parse(&NO_ADDRESS), Ok(Reply { epoch_secs: 0x56b, answer: none }));
        let address = Answer::ExternalAddress(Ipv4Addr::new(11, 22, 33, 44));
        assert_eq!(parse(&ADDRESS), Ok(Reply { epoch_secs: 0x597, answer: address }));
    }

    #[test]
    fn every_shorter_or_longer_reply_is_malformed() {
        for whole in [&GRANT[..], &ADDRESS[..]] {
            for n in 0..whole.len() {
                assert_eq!(parse(&whole[..n]), Err(Malformed), "{n} bytes");
            }
            assert_eq!(parse(&[whole, &[0]].concat()), Err(Malformed));
        }
        assert_eq!(parse(&[&REFUSED[..], &[0]].concat()), Err(Malformed));
    }

    #[test]
    fn refusals_may_be_cut_after_their_head_and_keep_their_meaning() {
        for n in 8..=16 {
            assert!(matches!(
                parse(&REFUSED[..n]).unwrap().answer,
                Answer::Refused(_, Refusal::NotAuthorised)
            ));
        }
        for code in 1..=6 {
            let Answer::Refused(_, refusal) = parse(&[0, 130, 0, code, 0, 0, 0, 0]).unwrap().answer else {
                panic!("result {code} is a refusal");
            };
            assert!(!refusal.to_string().is_empty());
        }
        assert_eq!(
            Refusal::from_code(2).to_string(),
            "this server does not forward ports: choose one marked p2p"
        );
    }

    #[test]
    fn other_versions_and_opcodes_are_malformed() {
        for (at, value) in [(0, 1), (0, 2), (1, 0), (1, 2), (1, 127), (1, 131), (1, 255)] {
            let mut bytes = GRANT;
            bytes[at] = value;
            assert_eq!(parse(&bytes), Err(Malformed), "byte {at} = {value}");
        }
    }

    #[test]
    fn no_bytes_panic() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = [&GRANT, &ADDRESS[..], &REFUSED][random() as usize % 3].to_vec();
            bytes.truncate(random() as usize % 20);
            for _ in 0..random() % 4 {
                let len = bytes.len().max(1);
                if let Some(b) = bytes.get_mut(random() as usize % len) {
                    *b = random() as u8;
                }
            }
            if let Ok(reply) = parse(&bytes) {
                assert!(bytes.len() >= 8 && bytes[0] == 0, "{reply:?} from {bytes:?}");
            }
        }
    }
}
