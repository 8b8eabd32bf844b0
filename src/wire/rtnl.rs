//! rtnetlink (linux/rtnetlink.h, if_link.h, if_addr.h, fib_rules.h; rtnetlink(7)): links, addresses, routes and rules
//! as values, and their messages.
//!
//! A value names its link; the kernel knows numbers. Emitting takes the number beside the value, parsing returns it
//! beside the value, and whoever lists them puts the name in. Everything foreign that a value can't express (multipath
//! routes, next-hop objects) still parses, as a route without device.

pub mod link;
pub mod route;
pub mod rule;

use crate::address::IpNet;
use crate::wire::nlmsg::{Attr, Malformed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use link::{Address, Link};
pub use route::{Path, Route, RouteKind};
pub use rule::{Rule, RuleAction};

/// The main routing table (RT_TABLE_MAIN).
pub const MAIN_TABLE: u32 = 254;
/// Who made a route or rule (rtm_protocol, FRA_PROTOCOL): ours. Chosen: not in iproute2's `rt_protos`, clear of the
/// routing daemons' numbers from 186 on.
pub const OUR_PROTOCOL: u8 = 0x76;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The attribute of this kind inside another.
fn inner<'a>(attr: &Attr<'a>, kind: u16) -> Result<Option<Attr<'a>>, Malformed> {
    for attr in attr.attrs() {
        let attr = attr?;
        if attr.kind == kind {
            return Ok(Some(attr));
        }
    }
    Ok(None)
}

fn family(ipv4: bool) -> u8 {
    if ipv4 { AF_INET } else { AF_INET6 }
}

fn any(family: u8) -> Result<IpNet, Malformed> {
    match family {
        AF_INET => Ok(IpNet { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 }),
        AF_INET6 => Ok(IpNet { addr: IpAddr::V6(Ipv6Addr::UNSPECIFIED), prefix: 0 }),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests;
