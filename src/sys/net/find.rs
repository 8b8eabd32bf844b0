//! Reads what a tunnel is planned against.

use super::Net;
use crate::sys::Machine;
use crate::sys::files::Files;
use crate::sys::netlink::errno;
use crate::tunnel::plan::{DISABLE_IPV6, Found, SRC_VALID_MARK};
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// What is there, seen from a tunnel called `interface` whose encrypted packets have this mark.
pub fn find(
    sys: &dyn Machine,
    interface: &str,
    endpoints: &[Option<SocketAddr>],
    mark: u32,
) -> io::Result<Found> {
    let (net, files) = (sys.net(), sys.files());
    let links = net.links()?;
    let rules = net.rules()?;
    let checked = |link: &str| setting(files, &format!("net/ipv4/conf/{link}/rp_filter"));
    let is_device = links.iter().any(|l| l.name == interface && l.is_wireguard());
    Ok(Found {
        addresses: net.addresses()?,
        routes: net.routes()?,
        device: if is_device { Some(net.wireguard(interface)?) } else { None },
        endpoint_mtu: endpoint_mtu(net, endpoints, mark)?,
        // Where the kernel routes IPv6, it has rules of its own.
        has_ipv6: rules.iter().any(|r| !r.ipv4),
        allows_ipv6: setting(files, DISABLE_IPV6) == Some(0),
        checks_marks: setting(files, SRC_VALID_MARK).is_some_and(|n| n > 0),
        // The kernel uses the greater one; a link to come begins with the default.
        is_strict: checked("all").max(checked(interface).or_else(|| checked("default"))) == Some(1),
        links,
        rules,
    })
}

/// The smallest MTU on the way to any of them; an endpoint without a route counts for nothing yet.
fn endpoint_mtu(net: &dyn Net, endpoints: &[Option<SocketAddr>], mark: u32) -> io::Result<Option<u32>> {
    let mut least = None;
    for endpoint in endpoints.iter().flatten() {
        match net.route_to(endpoint.ip(), mark) {
            Ok(path) => least = Some(least.map_or(path.mtu, |l: u32| l.min(path.mtu))),
            Err(e) if is_no_route(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(least)
}

fn is_no_route(e: &io::Error) -> bool {
    let none = [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::EACCES, libc::EINVAL, libc::EAFNOSUPPORT];
    errno(e).is_some_and(|n| none.contains(&n))
}

fn setting(files: &dyn Files, path: &str) -> Option<u32> {
    let bytes = files.read(&Path::new("/proc/sys").join(path), 64).ok()?;
    String::from_utf8_lossy(&bytes).trim().parse().ok()
}

#[cfg(test)]
mod tests;
