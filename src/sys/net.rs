//! The network part of the machine, as a trait: links, addresses, routes, rules, WireGuard, conntrack and nftables.
//!
//! [`Kernel`] is the real one over netlink; `fake` holds the other. [`Monitor`] hears what others change.
//!
//! Every failure keeps its errno ([`netlink::errno`](super::netlink::errno)). Making what is there already exactly so,
//! and undoing what is gone, is `Ok`. Nothing here decides anything.

#[cfg(test)]
pub mod fake;
mod find;
pub mod kernel;
pub mod monitor;

use crate::firewall::ruleset::Ruleset;
use crate::tunnel::device::{Device, DeviceChange};
use crate::wire::rtnl::{Address, Link, Path, Route, Rule};
use std::io;
use std::net::{IpAddr, SocketAddr};

pub use find::find;
pub use kernel::Kernel;
pub use monitor::{Changed, Monitor};

/// Which conntrack entries are deleted, so that established flows do not survive a change of policy (leak class L10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flows {
    /// All but those whose mark is one of these.
    Unmarked(Vec<u32>),
    /// Those whose original or reply direction has this source address.
    From(IpAddr),
}

/// The machine's network configuration. Reading needs no right except for [`Net::wireguard`]; changing needs
/// CAP_NET_ADMIN.
pub trait Net {
    fn links(&self) -> io::Result<Vec<Link>>;
    fn addresses(&self) -> io::Result<Vec<Address>>;
    /// Of every table, both families.
    fn routes(&self) -> io::Result<Vec<Route>>;
    fn rules(&self) -> io::Result<Vec<Rule>>;
    /// Which way a packet of ours with this mark would go to `to`.
    fn route_to(&self, to: IpAddr, mark: u32) -> io::Result<Path>;

    /// Makes a WireGuard link, down. EOPNOTSUPP with one clear sentence where the kernel has no WireGuard; EEXIST when
    /// the name is taken.
    fn add_wireguard_link(&self, name: &str, mtu: u32) -> io::Result<()>;
    /// With its addresses, routes and peers.
    fn delete_link(&self, name: &str) -> io::Result<()>;
    fn set_link_up(&self, name: &str, up: bool) -> io::Result<()>;
    fn set_mtu(&self, name: &str, mtu: u32) -> io::Result<()>;

    fn add_address(&self, address: &Address) -> io::Result<()>;
    fn delete_address(&self, address: &Address) -> io::Result<()>;
    /// Adds the route, or puts it atomically in the place of the one it [`replaces`](Route::replaces).
    fn replace_route(&self, route: &Route) -> io::Result<()>;
    fn delete_route(&self, route: &Route) -> io::Result<()>;
    fn add_rule(&self, rule: &Rule) -> io::Result<()>;
    fn delete_rule(&self, rule: &Rule) -> io::Result<()>;

    /// What the kernel shows of this device. ENODEV when there is none, EPERM without CAP_NET_ADMIN.
    fn wireguard(&self, name: &str) -> io::Result<Device>;
    /// Changes what the change names and nothing else.
    fn set_wireguard(&self, name: &str, change: &DeviceChange) -> io::Result<()>;

    /// Makes our nftables tables hold exactly these rules, in one transaction; without tables, none of ours stays.
    fn load_ruleset(&self, ruleset: &Ruleset) -> io::Result<()>;
    /// How many entries went. A kernel without connection tracking has none.
    fn flush_conntrack(&self, flows: &Flows) -> io::Result<usize>;

    /// Whether a socket of any program in this network namespace listens on (TCP) or is bound to (UDP) this address and
    /// port, by itself or by a wildcard that includes it. One that is bound to another link than `device` does not count.
    fn is_listening(&self, udp: bool, at: SocketAddr, device: &str) -> io::Result<bool>;
}
