//! Rules -> expressions of nf_tables. Conditions that another one needs (a port needs the transport, an address the
//! family) are put in front of it once a rule, as `nft` does, which is why it does not print them.

use super::nets::{Ip, Nets};
use super::rule::{
    DISCOVERY_HOP_LIMIT, DISCOVERY_TYPES, ETHER_IPV4, ETHER_IPV6, HEADER_WORDS, Match, Rule, Then, Transport,
};
use crate::wire::nft::expr::{self, Base, Ct, Element, Expr, Meta, Set, SetKind};

/// IFNAMSIZ, the length at which names of links are compared.
const INTERFACE_NAME_LEN: usize = 16;
const ARPHRD_ETHER: u16 = 1;
const IPPROTO_ICMPV6: u8 = 58;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
const TCP_SYN: u8 = 0x02; // RFC 9293 section 3.1
const CT_DIRECTION_REPLY: u8 = 1;

/// The expressions of a rule in a chain of the inet family, or of the netdev one.
pub fn lower(rule: &Rule, netdev: bool) -> Vec<Expr> {
    let mut lowering = Lowering { netdev, out: Vec::new(), family: None, transport: None };
    rule.matches.iter().for_each(|m| lowering.condition(m));
    lowering.action(rule.then);
    lowering.out
}

struct Lowering {
    netdev: bool,
    out: Vec<Expr>,
    /// What the rule has already made sure of.
    family: Option<Ip>,
    transport: Option<u8>,
}

impl Lowering {
    fn condition(&mut self, m: &Match) {
        match m {
            Match::Input(name) => self.equals(Expr::Meta(Meta::InputName), interface_name(name)),
            Match::Output(name) => self.equals(Expr::Meta(Meta::OutputName), interface_name(name)),
            Match::NotInput(names) => {
                let names = names.iter().map(|n| interface_name(n));
                self.among(Expr::Meta(Meta::InputName), false, SetKind::InterfaceName, names);
            }
            Match::OutputIsEthernet => self.equals(Expr::Meta(Meta::OutputType), ARPHRD_ETHER.to_ne_bytes()),
            Match::EtherType { is, types } => {
                let types = types.iter().map(|t| t.to_be_bytes().to_vec());
                self.among(payload(Base::Link, 12, 2), *is, SetKind::EtherType, types);
            }
            Match::NotVersion(ip) => {
                self.need_family(*ip);
                self.out.extend([payload(Base::Network, 0, 1), Expr::Mask(vec![0xf0])]);
                self.out
                    .push(Expr::Cmp { equal: false, value: vec![if *ip == Ip::V4 { 0x40 } else { 0x60 }] });
            }
            Match::Family(ip) => self.need_family(*ip),
            Match::From(nets) => self.address(nets, [12, 8]),
            Match::To(nets) => self.address(nets, [16, 24]),
            Match::Mark(mark) => self.equals(Expr::Meta(Meta::Mark), mark.to_ne_bytes()),
            Match::FlowMark(mark) => self.equals(Expr::Ct(Ct::Mark), mark.to_ne_bytes()),
            Match::Uid(uid) => self.equals(Expr::Meta(Meta::SocketUid), uid.to_ne_bytes()),
            Match::Ports { transport, from, to } => self.ports(*transport, *from, *to),
            Match::FromPort(ports) => self.either_port(0, ports),
            Match::ToPort(ports) => self.either_port(2, ports),
            Match::Discovery => {
                self.need_family(Ip::V6);
                self.need_transport(IPPROTO_ICMPV6);
                let types = DISCOVERY_TYPES.iter().map(|t| vec![*t]);
                self.among(payload(Base::Transport, 0, 1), true, SetKind::IcmpV6Type, types);
                self.equals(payload(Base::Network, 7, 1), [DISCOVERY_HOP_LIMIT]);
            }
            Match::Established => self.has_bits(Ct::State, expr::STATE_ESTABLISHED),
            Match::EstablishedOrRelated => self.has_bits(Ct::State, expr::STATE_ESTABLISHED_RELATED),
            Match::Reply => self.equals(Expr::Ct(Ct::Direction), [CT_DIRECTION_REPLY]),
            Match::Published => self.has_bits(Ct::Status, expr::STATUS_DST_NAT),
            Match::PublishedPort(transport, port) => {
                self.need_transport(transport.number());
                self.equals(Expr::Ct(Ct::OriginalPort), port.to_be_bytes());
            }
            Match::LaterFragment(ip) => self.later_fragment(*ip),
            Match::SourceRoute(ip) => self.source_route(*ip),
            Match::Syn => {
                self.need_transport(Transport::Tcp.number());
                self.out.extend([payload(Base::Transport, 13, 1), Expr::Mask(vec![TCP_SYN])]);
                self.out.push(Expr::Cmp { equal: false, value: vec![0] });
            }
        }
    }

    fn action(&mut self, then: Then) {
        match then {
            Then::Accept => self.out.push(Expr::Accept),
            Then::Drop => self.out.push(Expr::Drop),
            Then::SaveMark => self.out.extend([Expr::Meta(Meta::Mark), Expr::SetCtMark]),
            Then::RestoreMark => self.out.extend([Expr::Ct(Ct::Mark), Expr::SetMark]),
            Then::ClampSegments => self.out.extend([Expr::RouteSegmentSize, Expr::SetSegmentSize]),
        }
    }

    fn equals(&mut self, load: Expr, value: impl Into<Vec<u8>>) {
        self.out.extend([load, Expr::Cmp { equal: true, value: value.into() }]);
    }

    /// Whether what `load` loads is one of these, or none.
    fn among(&mut self, load: Expr, is: bool, kind: SetKind, values: impl IntoIterator<Item = Vec<u8>>) {
        let mut values: Vec<Vec<u8>> = values.into_iter().collect();
        if values.len() == 1 {
            self.out.extend([load, Expr::Cmp { equal: is, value: values.remove(0) }]);
            return;
        }
        let elements = values.into_iter().map(Element::Value).collect();
        self.out.extend([load, Expr::Lookup { set: Set { kind, elements }, inverted: !is }]);
    }

    fn has_bits(&mut self, key: Ct, bits: u32) {
        self.out.extend([Expr::Ct(key), Expr::Mask(bits.to_ne_bytes().to_vec())]);
        self.out.push(Expr::Cmp { equal: false, value: vec![0; 4] });
    }

    fn need_family(&mut self, ip: Ip) {
        if self.family.replace(ip) == Some(ip) {
            return;
        }
        if self.netdev {
            self.equals(Expr::Meta(Meta::Protocol), ether_type(ip).to_be_bytes());
        } else {
            let number = if ip == Ip::V4 { NFPROTO_IPV4 } else { NFPROTO_IPV6 };
            self.equals(Expr::Meta(Meta::Family), [number]);
        }
    }

    fn need_transport(&mut self, number: u8) {
        if self.transport.replace(number) != Some(number) {
            self.equals(Expr::Meta(Meta::Transport), [number]);
        }
    }

    /// `offsets` of the address in an IPv4 and an IPv6 header.
    fn address(&mut self, nets: &Nets, offsets: [u32; 2]) {
        self.need_family(nets.ip);
        self.out.push(match nets.ip {
            Ip::V4 => payload(Base::Network, offsets[0], 4),
            Ip::V6 => payload(Base::Network, offsets[1], 16),
        });
        self.out.extend(nets.lower());
    }

    fn ports(&mut self, transport: Transport, from: Option<u16>, to: Option<u16>) {
        self.need_transport(transport.number());
        let (offset, ports) = if from.is_some() { (0, [from, to]) } else { (2, [to, None]) };
        let value: Vec<u8> = ports.into_iter().flatten().flat_map(u16::to_be_bytes).collect();
        self.equals(payload(Base::Transport, offset, value.len() as u32), value);
    }

    fn either_port(&mut self, offset: u32, ports: &[u16]) {
        let transports = Transport::BOTH.map(|t| vec![t.number()]);
        self.among(Expr::Meta(Meta::Transport), true, SetKind::Transport, transports);
        let ports = ports.iter().map(|p| p.to_be_bytes().to_vec());
        self.among(payload(Base::Transport, offset, 2), true, SetKind::Port, ports);
    }

    fn later_fragment(&mut self, ip: Ip) {
        self.need_family(ip);
        self.need_transport(Transport::Udp.number());
        match ip {
            // RFC 791 section 3.1: 13 bits of offset. RFC 8200 section 4.5: the same 13, higher up.
            Ip::V4 => self.out.extend([payload(Base::Network, 6, 2), Expr::Mask(vec![0x1f, 0xff])]),
            Ip::V6 => self.out.extend([Expr::FragmentOffset6, Expr::Mask(vec![0xff, 0xf8])]),
        }
        self.out.push(Expr::Cmp { equal: false, value: vec![0; 2] });
    }

    fn source_route(&mut self, ip: Ip) {
        self.need_family(ip);
        match ip {
            Ip::V4 => {
                self.out.extend([payload(Base::Network, 0, 1), Expr::Mask(vec![0x0f])]);
                self.out.push(Expr::Cmp { equal: false, value: vec![HEADER_WORDS] });
            }
            Ip::V6 => self.equals(Expr::HasRoutingHeader6, [1]),
        }
    }
}

fn payload(base: Base, offset: u32, len: u32) -> Expr {
    Expr::Payload { base, offset, len }
}

fn ether_type(ip: Ip) -> u16 {
    match ip {
        Ip::V4 => ETHER_IPV4,
        Ip::V6 => ETHER_IPV6,
    }
}

/// Padded with zeroes; what does not fit is cut off, as no link can have such a name.
fn interface_name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(INTERFACE_NAME_LEN, 0);
    bytes
}
