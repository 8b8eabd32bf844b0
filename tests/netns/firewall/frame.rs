//! Ethernet frames of the tests, written and read.

use std::net::IpAddr;

/// The payload of every datagram.
pub const TAG: &[u8] = b"pvpn";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(pub Vec<u8>);

/// A locally administered address.
pub fn mac(last: u8) -> String {
    format!("02:00:00:00:00:{last:02x}")
}

fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

impl Frame {
    /// To nobody's station.
    fn ethernet(kind: u16, payload: &[u8]) -> Frame {
        let mut bytes = vec![0x02, 0, 0, 0, 0, 0xee, 0x02, 0, 0, 0, 0, 0x99];
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(payload);
        Frame(bytes)
    }

    /// The same frame to the station with this last byte in its address.
    pub fn at_station(mut self, last: u8) -> Frame {
        self.0[5] = last;
        self
    }

    /// The same frame said to be of another kind.
    pub fn of_kind(mut self, kind: u16) -> Frame {
        self.0[12..14].copy_from_slice(&kind.to_be_bytes());
        self
    }

    /// An ARP request, which every policy lets pass.
    pub fn marker() -> Frame {
        Frame::ethernet(0x0806, &[&[0, 1, 8, 0, 6, 4, 0, 9][..], &[0; 20]].concat())
    }

    pub fn udp(from: &str, sport: u16, to: &str, dport: u16) -> Frame {
        Frame::ip(17, from, to, 64, &[&ports(sport, dport)[..], &[0, 12, 0, 0], TAG].concat())
    }

    /// A SYN that offers segments of 1460 bytes.
    pub fn syn(from: &str, sport: u16, to: &str, dport: u16) -> Frame {
        let tail = [0, 0, 0, 1, 0, 0, 0, 0, 6 << 4, 2, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 0x05, 0xb4];
        Frame::ip(6, from, to, 64, &[&ports(sport, dport)[..], &tail].concat())
    }

    /// ICMPv6 of this type, or ICMP.
    pub fn icmp(kind: u8, from: &str, to: &str, hop_limit: u8) -> Frame {
        let protocol = if ip(to).is_ipv4() { 1 } else { 58 };
        Frame::ip(protocol, from, to, hop_limit, &[&[kind, 0, 0, 0, 0, 0, 0, 0][..], TAG].concat())
    }

    /// An Ethernet frame that asks for an address's station.
    pub fn arp_request(from: &str, target: &str) -> Frame {
        let mut body = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0x99];
        for (addr, station) in [(from, None), (target, Some([0u8; 6]))] {
            body.extend(station.into_iter().flatten());
            let IpAddr::V4(addr) = ip(addr) else { panic!("ARP is for IPv4") };
            body.extend_from_slice(&addr.octets());
        }
        let mut frame = Frame::ethernet(0x0806, &body);
        frame.0[..6].fill(0xff);
        frame
    }

    /// A packet with its checksums.
    pub fn ip(protocol: u8, from: &str, to: &str, hop_limit: u8, body: &[u8]) -> Frame {
        let (from, to) = (octets(from), octets(to));
        let mut body = body.to_vec();
        let length = (body.len() as u16).to_be_bytes();
        // UDP, TCP and ICMP keep their checksums at different places; ICMP sums no addresses.
        let pseudo =
            if protocol == 1 { Vec::new() } else { [&from[..], &to, &length, &[0, protocol]].concat() };
        let at = match protocol {
            17 => 6,
            6 => 16,
            _ => 2,
        };
        let sum = checksum(&[&pseudo[..], &body].concat());
        body[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        if from.len() == 16 {
            let head = [&[0x60, 0, 0, 0][..], &length, &[protocol, hop_limit], &from, &to].concat();
            return Frame::ethernet(0x86dd, &[head, body].concat());
        }
        let total = (20 + body.len() as u16).to_be_bytes();
        let mut head =
            [&[0x45, 0][..], &total, &[0, 1, 0, 0, hop_limit, protocol, 0, 0], &from, &to].concat();
        let sum = checksum(&head);
        head[10..12].copy_from_slice(&sum.to_be_bytes());
        Frame::ethernet(0x0800, &[head, body].concat())
    }

    /// The same packet with a further way than to its destination: a loose source route (RFC 791 section 3.1), a routing
    /// header of type 4 (RFC 8754 section 2).
    pub fn by_way_to(mut self, beyond: &str) -> Frame {
        let beyond = octets(beyond);
        let packet = self.0.split_off(14);
        if beyond.len() == 4 {
            let route = [&[131, 7, 4][..], &beyond, &[0]].concat();
            let mut packet = [&packet[..20], &route, &packet[20..]].concat();
            packet[0] += 2;
            packet[3] += 8;
            packet[10..12].fill(0);
            let sum = checksum(&packet[..28]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            self.0.extend(packet);
        } else {
            let (here, next) = (&packet[24..40], packet[6]);
            let route = [&[next, 4, 4, 1, 1, 0, 0, 0][..], &beyond, here].concat();
            let mut packet = [&packet[..40], &route, &packet[40..]].concat();
            packet[5] += 40;
            packet[6] = 43;
            self.0.extend(packet);
        }
        self
    }

    /// `udp 8.8.8.8:53`, `icmp6 136 fe80::1` and so on; nothing for what the kernel says to its neighbours by itself.
    pub fn summary(&self) -> String {
        let Some((v4, protocol, to, body)) = self.packet() else {
            let kind = u16::from_be_bytes([self.0[12], self.0[13]]);
            return if kind == 0x0806 { String::new() } else { format!("kind {kind:#06x}") };
        };
        match protocol {
            6 | 17 => {
                let name = if protocol == 6 { "tcp" } else { "udp" };
                let port = u16::from_be_bytes([body[2], body[3]]);
                if v4 { format!("{name} {to}:{port}") } else { format!("{name} [{to}]:{port}") }
            }
            1 | 58 if body.ends_with(TAG) => {
                format!("{} {} {to}", if v4 { "icmp" } else { "icmp6" }, body[0])
            }
            // Group membership (IGMP, MLD behind hop-by-hop options) and discovery of the kernel's own.
            0 | 1 | 2 | 58 => String::new(),
            other => format!("protocol {other} {to}"),
        }
    }

    /// Family, protocol, destination and what the packet carries.
    pub fn packet(&self) -> Option<(bool, u8, IpAddr, &[u8])> {
        let p = self.0.get(14..)?;
        match u16::from_be_bytes([self.0[12], self.0[13]]) {
            0x0800 => {
                let total = usize::from(u16::from_be_bytes([p[2], p[3]]));
                let head = usize::from(p[0] & 15) * 4;
                Some((true, p[9], IpAddr::from(*p[16..].first_chunk::<4>()?), &p[head..total]))
            }
            0x86dd => {
                let total = 40 + usize::from(u16::from_be_bytes([p[4], p[5]]));
                Some((false, p[6], IpAddr::from(*p[24..].first_chunk::<16>()?), &p[40..total]))
            }
            _ => None,
        }
    }
}

fn ports(from: u16, to: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (from.to_be_bytes(), to.to_be_bytes());
    [a, b, c, d]
}

fn octets(addr: &str) -> Vec<u8> {
    match ip(addr) {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
