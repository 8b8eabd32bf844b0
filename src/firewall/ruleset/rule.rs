//! One rule: what it looks at, what it does, and why. Its text is what `nft list ruleset` prints for it.

use super::nets::{Ip, Nets};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Udp,
}

/// A condition. `from` and `to` are source and destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    Input(String),
    NotInput(Vec<String>),
    Output(String),
    /// The link has Ethernet frames.
    OutputIsEthernet,
    /// The type in the Ethernet header is, or is not, one of these.
    EtherType {
        is: bool,
        types: Vec<u16>,
    },
    /// Taken for this family, but its first four bits say otherwise.
    NotVersion(Ip),
    Family(Ip),
    From(Nets),
    To(Nets),
    Mark(u32),
    FlowMark(u32),
    /// The socket belongs to this user.
    Uid(u32),
    Ports {
        transport: Transport,
        from: Option<u16>,
        to: Option<u16>,
    },
    /// TCP or UDP from one of these ports.
    FromPort(Vec<u16>),
    /// TCP or UDP to one of these ports.
    ToPort(Vec<u16>),
    /// Neighbour and router discovery (RFC 4861) that no router has passed on.
    Discovery,
    Established,
    EstablishedOrRelated,
    Reply,
    /// Sent on to another address by a port that this machine publishes.
    Published,
    /// The port that the flow's first packet was sent to.
    PublishedPort(Transport, u16),
    /// UDP, not the first fragment.
    LaterFragment(Ip),
    /// May name a further way than to its destination: IPv4 with options, of which source routes are some (RFC 791
    /// section 3.1); IPv6 with a routing header (RFC 8200 section 4.4).
    SourceRoute(Ip),
    Syn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Accept,
    Drop,
    /// The packet's mark becomes its flow's.
    SaveMark,
    /// The flow's mark becomes its packet's.
    RestoreMark,
    /// Lower the TCP segment size to what fits the route.
    ClampSegments,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub matches: Vec<Match>,
    pub then: Then,
    /// Shown as the rule's comment.
    pub why: &'static str,
}

impl Rule {
    pub fn new(why: &'static str, matches: impl Into<Vec<Match>>, then: Then) -> Rule {
        Rule { matches: matches.into(), then, why }
    }
}

impl Transport {
    pub const BOTH: [Transport; 2] = [Transport::Tcp, Transport::Udp];

    pub const fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        }
    }

    /// IANA protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Transport::Tcp => 6,
            Transport::Udp => 17,
        }
    }
}

/// RFC 4861 section 4: router solicitation to redirect.
pub const DISCOVERY_TYPES: [u8; 5] = [133, 134, 135, 136, 137];
pub const DISCOVERY_HOP_LIMIT: u8 = 255;
/// Length of an IPv4 header without options, in 32-bit words (RFC 791 section 3.1).
pub const HEADER_WORDS: u8 = 5;

// Ethertypes (IEEE 802): IPv4, ARP, 802.1Q tag, IPv6, EAPOL (802.1X).
pub const ETHER_IPV4: u16 = 0x0800;
pub const ETHER_ARP: u16 = 0x0806;
pub const ETHER_TAG: u16 = 0x8100;
pub const ETHER_IPV6: u16 = 0x86dd;
pub const ETHER_EAPOL: u16 = 0x888e;

impl Match {
    /// The condition as `nft` prints it; `netdev` where a family is told by the frame.
    pub fn write(&self, f: &mut impl fmt::Write, netdev: bool) -> fmt::Result {
        match self {
            Match::Input(name) => write!(f, "iifname \"{name}\""),
            Match::NotInput(names) => {
                write!(f, "iifname != {}", list(names.iter().map(|n| format!("\"{n}\""))))
            }
            Match::Output(name) => write!(f, "oifname \"{name}\""),
            Match::OutputIsEthernet => write!(f, "meta oiftype ether"),
            Match::EtherType { is, types } => {
                let unequal = if *is { "" } else { "!= " };
                write!(f, "ether type {unequal}{}", list(types.iter().map(|t| ether_name(*t))))
            }
            Match::NotVersion(ip) => write!(f, "{0} version != {1}", ip.name(), version(*ip)),
            Match::Family(ip) if netdev => write!(f, "meta protocol {}", ip.name()),
            Match::Family(ip) => write!(f, "meta nfproto ipv{}", version(*ip)),
            Match::From(nets) => write!(f, "{} saddr {nets}", nets.ip.name()),
            Match::To(nets) => write!(f, "{} daddr {nets}", nets.ip.name()),
            Match::Mark(mark) => write!(f, "meta mark {mark:#010x}"),
            Match::FlowMark(mark) => write!(f, "ct mark {mark:#010x}"),
            Match::Uid(uid) => write!(f, "meta skuid {uid}"),
            Match::Ports { transport, from, to } => {
                let name = transport.name();
                let from = from.map(|port| format!("{name} sport {port}"));
                let to = to.map(|port| format!("{name} dport {port}"));
                write!(f, "{}", [from, to].into_iter().flatten().collect::<Vec<_>>().join(" "))
            }
            Match::FromPort(ports) => write!(f, "meta l4proto {{ tcp, udp }} th sport {}", list(ports)),
            Match::ToPort(ports) => write!(f, "meta l4proto {{ tcp, udp }} th dport {}", list(ports)),
            Match::Discovery => write!(
                f,
                "icmpv6 type {{ nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, \
                 nd-redirect }} ip6 hoplimit {DISCOVERY_HOP_LIMIT}"
            ),
            Match::Established => write!(f, "ct state established"),
            Match::EstablishedOrRelated => write!(f, "ct state established,related"),
            Match::Reply => write!(f, "ct direction reply"),
            Match::Published => write!(f, "ct status dnat"),
            Match::PublishedPort(transport, port) => {
                write!(f, "meta l4proto {} ct original proto-dst {port}", transport.name())
            }
            Match::LaterFragment(Ip::V4) => write!(f, "meta l4proto udp ip frag-off & 8191 != 0"),
            Match::LaterFragment(Ip::V6) => write!(f, "meta l4proto udp frag frag-off != 0"),
            Match::SourceRoute(Ip::V4) => write!(f, "ip hdrlength != {HEADER_WORDS}"),
            Match::SourceRoute(Ip::V6) => write!(f, "exthdr rt exists"),
            Match::Syn => write!(f, "tcp flags syn"),
        }
    }
}

impl Then {
    pub const fn text(self) -> &'static str {
        match self {
            Then::Accept => "accept",
            Then::Drop => "drop",
            Then::SaveMark => "ct mark set meta mark",
            Then::RestoreMark => "meta mark set ct mark",
            Then::ClampSegments => "tcp option maxseg size set rt mtu",
        }
    }
}

impl Rule {
    pub fn write(&self, f: &mut impl fmt::Write, netdev: bool) -> fmt::Result {
        for m in &self.matches {
            m.write(f, netdev)?;
            f.write_char(' ')?;
        }
        write!(f, "{} comment \"{}\"", self.then.text(), self.why)
    }
}

fn version(ip: Ip) -> u8 {
    match ip {
        Ip::V4 => 4,
        Ip::V6 => 6,
    }
}

fn ether_name(kind: u16) -> String {
    match kind {
        ETHER_IPV4 => "ip".to_owned(),
        ETHER_ARP => "arp".to_owned(),
        ETHER_TAG => "8021q".to_owned(),
        ETHER_IPV6 => "ip6".to_owned(),
        other => format!("{other:#06x}"),
    }
}

/// One thing as it is, several as a set.
fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|i| i.to_string()).collect();
    match &items[..] {
        [one] => one.clone(),
        many => format!("{{ {} }}", many.join(", ")),
    }
}
