//! Links and their addresses (linux/if_link.h, if_addr.h).

use super::{family, inner};
use crate::address::IpNet;
use crate::wire::nlmsg::{Malformed, Message, NLM_F_CREATE, NLM_F_EXCL, attrs_behind};

pub const RTM_NEWLINK: u16 = 16;
pub const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
pub const RTM_NEWADDR: u16 = 20;
pub const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;

/// `struct ifinfomsg`.
const LINK_HEADER: usize = 16;
/// `struct ifaddrmsg`.
const ADDRESS_HEADER: usize = 8;

// Link flags (linux/if.h) and attributes (linux/if_link.h).
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;
const IFF_LOWER_UP: u32 = 1 << 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

const RT_SCOPE_UNIVERSE: u8 = 0;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// `wireguard`, `veth`, `bridge`; `None` for hardware and loopback.
    pub kind: Option<String>,
    pub mtu: u32,
    pub up: bool,
    /// Whether the layer below works: carrier.
    pub lower_up: bool,
    pub loopback: bool,
    /// Whether it is a port of a bridge, bond or the like.
    pub is_port: bool,
    /// The hardware address; empty where there is none.
    pub address: Vec<u8>,
}

impl Link {
    pub fn is_wireguard(&self) -> bool {
        self.kind.as_deref() == Some("wireguard")
    }

    /// Whether frames that leave by it can leave the machine bare: hardware, and what may be the machine's only uplink
    /// where it is itself a container. Not a bridge, whose ports say where a frame goes, nor the port behind which a
    /// container or a virtual machine sits.
    pub fn leads_out(&self) -> bool {
        let leads_in = self.is_port && matches!(self.kind.as_deref(), Some("veth" | "tun"));
        let is_bridge = self.kind.as_deref() == Some("bridge");
        !self.loopback && !self.is_wireguard() && !is_bridge && !leads_in
    }
}

/// An address on a link.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub device: String,
    /// With host bits.
    pub net: IpNet,
}

pub fn dump() -> Message {
    Message::new(RTM_GETLINK, 0, &[0; LINK_HEADER])
}

/// Asks for one link.
pub fn ask(index: u32) -> Message {
    Message::new(RTM_GETLINK, 0, &link_header(index, None))
}

pub fn dump_addresses() -> Message {
    Message::new(RTM_GETADDR, 0, &[0; ADDRESS_HEADER])
}

/// Parses RTM_NEWLINK and RTM_DELLINK.
pub fn parse(payload: &[u8]) -> Result<Link, Malformed> {
    let [_, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, ..] =
        *payload.first_chunk::<LINK_HEADER>().ok_or(Malformed)?;
    let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
    let mut link = Link {
        index: u32::from_ne_bytes([i0, i1, i2, i3]),
        name: String::new(),
        kind: None,
        mtu: 0,
        up: flags & IFF_UP != 0,
        lower_up: flags & IFF_LOWER_UP != 0,
        loopback: flags & IFF_LOOPBACK != 0,
        is_port: false,
        address: Vec::new(),
    };
    for attr in attrs_behind(payload, LINK_HEADER)? {
        let attr = attr?;
        match attr.kind {
            IFLA_IFNAME => link.name = attr.string(),
            IFLA_MASTER => link.is_port = true,
            IFLA_MTU => link.mtu = attr.u32()?,
            IFLA_ADDRESS => link.address = attr.payload.to_vec(),
            IFLA_LINKINFO => {
                let kind = inner(&attr, IFLA_INFO_KIND)?;
                link.kind = kind.map(|k| k.string());
            }
            _ => {}
        }
    }
    Ok(link)
}

pub fn add_wireguard(name: &str, mtu: u32) -> Message {
    let mut m = Message::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &[0; LINK_HEADER]);
    m.put_str(IFLA_IFNAME, name).put_u32(IFLA_MTU, mtu).nest(IFLA_LINKINFO, |m| {
        m.put_str(IFLA_INFO_KIND, "wireguard");
    });
    m
}

pub fn delete(index: u32) -> Message {
    Message::new(RTM_DELLINK, 0, &link_header(index, None))
}

pub fn set_up(index: u32, up: bool) -> Message {
    Message::new(RTM_NEWLINK, 0, &link_header(index, Some(up)))
}

pub fn set_mtu(index: u32, mtu: u32) -> Message {
    let mut m = Message::new(RTM_NEWLINK, 0, &link_header(index, None));
    m.put_u32(IFLA_MTU, mtu);
    m
}

fn link_header(index: u32, up: Option<bool>) -> [u8; LINK_HEADER] {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    if let Some(up) = up {
        header[8..12].copy_from_slice(&(if up { IFF_UP } else { 0 }).to_ne_bytes());
        header[12..16].copy_from_slice(&IFF_UP.to_ne_bytes());
    }
    header
}

/// Parses RTM_NEWADDR and RTM_DELADDR: the link's number and the address.
pub fn parse_address(payload: &[u8]) -> Result<(u32, IpNet), Malformed> {
    let [_, prefix, _, _, i0, i1, i2, i3] = *payload.first_chunk::<ADDRESS_HEADER>().ok_or(Malformed)?;
    let (mut address, mut local) = (None, None);
    for attr in attrs_behind(payload, ADDRESS_HEADER)? {
        let attr = attr?;
        match attr.kind {
            IFA_ADDRESS => address = Some(attr.ip()?),
            IFA_LOCAL => local = Some(attr.ip()?),
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end; IPv6 has no IFA_LOCAL unless there is one.
    let net = IpNet::new(local.or(address).ok_or(Malformed)?, prefix).ok_or(Malformed)?;
    Ok((u32::from_ne_bytes([i0, i1, i2, i3]), net))
}

pub fn add_address(index: u32, address: &Address) -> Message {
    address_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address)
}

pub fn delete_address(index: u32, address: &Address) -> Message {
    address_message(RTM_DELADDR, 0, index, address)
}

fn address_message(kind: u16, flags: u16, index: u32, address: &Address) -> Message {
    let mut header = [family(address.net.is_ipv4()), address.net.prefix, 0, RT_SCOPE_UNIVERSE, 0, 0, 0, 0];
    header[4..].copy_from_slice(&index.to_ne_bytes());
    let mut m = Message::new(kind, flags, &header);
    m.put_ip(IFA_LOCAL, address.net.addr).put_ip(IFA_ADDRESS, address.net.addr);
    m
}
