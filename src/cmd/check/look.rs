//! What can be told by looking and asking, without trying to get out.

use super::Scene;
use crate::address::IpNet;
use crate::error::{Error, Result};
use crate::status::finding::Finding;
use crate::status::{DnsMode, PortState, QbittorrentState};
use crate::sys::http::Http;
use crate::sys::nft;
use crate::sys::resolve::{self, ResolveError, Resolver};
use crate::sys::socket::Egress;
use crate::time::{Duration, secs};
use crate::wire::http::{Reply, Request, Route};
use crate::wire::rtnl::{MAIN_TABLE, RouteKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `check` ends within 30 s (contract); this and [`RESOLVE`] are its long waits.
const ASK: Duration = secs(12);
const RESOLVE: Duration = secs(6);
/// An address and a newline; more is a page.
const BODY_MOST: u64 = 512;
/// Nobody's (RFC 3849), to ask which way it would go.
const SOMEWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// A name that is never there (RFC 6761 section 6.4), asked for where the configuration names an address.
const NO_NAME: &str = "pvpn.invalid";

/// That the kernel's rules are those of the state.
pub fn killswitch(scene: &Scene) -> Finding {
    const NAME: &str = "killswitch";
    if !scene.is_closed() {
        return Finding::ok(
            NAME,
            "off: the tunnel takes everything, but nothing holds programs back that avoid it",
        );
    }
    match nft::open().and_then(|mut socket| nft::state(&mut socket)) {
        Ok(Some(state)) if state.closed => Finding::ok(NAME, "on, and its rules are loaded"),
        Ok(_) => Finding::failed(NAME, "on, but its rules are not loaded", "run `pvpn killswitch on`"),
        Err(e) => Finding::unknown(NAME, format!("on; the rules cannot be read: {e}")),
    }
}

/// What address the world sees behind the tunnel.
pub fn address(scene: &Scene, http: &dyn Http, url: &str) -> Finding {
    const NAME: &str = "address";
    let seen = match ask(scene, http, url) {
        Ok(seen) => seen,
        Err(e) => return Finding::unknown(NAME, format!("{url} cannot be asked through the tunnel: {e}")),
    };
    let own = scene.net().addresses().unwrap_or_default();
    if own.iter().any(|a| a.net.addr == seen) {
        let text = format!("the world sees {seen}, which is this machine's own");
        return Finding::failed(NAME, text, "run `pvpn connect` again, and report this");
    }
    let listed = scene.snapshot.server.as_ref().and_then(|s| s.exit_address.clone());
    Finding::ok(
        NAME,
        match listed {
            Some(listed) if listed == seen.to_string() => format!("the world sees {seen}, the server's own"),
            Some(listed) => format!("the world sees {seen} (the server list says {listed})"),
            None => format!("the world sees {seen}"),
        },
    )
}

fn ask(scene: &Scene, http: &dyn Http, url: &str) -> Result<IpAddr> {
    let source = scene.source().ok_or_else(|| Error::failed("the tunnel has no address"))?;
    let interface = scene.interface.name.clone();
    let mut request = Request::get(url);
    request.route = Route::Tunnel { interface, source };
    request.timeout = ASK;
    request.body_limit = BODY_MOST;
    request.redirects = 2;
    let response = http.send(&request).map_err(|e| Error::failed(e.to_string()))?;
    let reply = Reply::read(response).map_err(|_| Error::failed("its answer is no address"))?;
    let text = reply.text();
    text.trim()
        .parse()
        .map_err(|_| Error::failed(format!("its answer is no address (HTTP {})", reply.status)))
}

/// Which resolver answers, and whether it is the tunnel's.
pub fn resolver(scene: &Scene, url: &str) -> Finding {
    const NAME: &str = "resolver";
    let servers: Vec<IpAddr> = resolve::machine_servers().iter().map(|s| s.ip()).collect();
    let names = servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if servers.is_empty() {
        return Finding::failed(NAME, "/etc/resolv.conf names none", "run `pvpn connect` again");
    }
    let dns = &scene.snapshot.dns;
    let is_tunnels = |a: &IpAddr| dns.servers.iter().any(|s| s.parse() == Ok(*a));
    if dns.mode == DnsMode::Provider && !servers.iter().all(|a| is_tunnels(a) || a.is_loopback()) {
        let text = format!("/etc/resolv.conf names {names}, the tunnel's is {}", dns.servers.join(", "));
        return Finding::failed(NAME, text, "run `pvpn connect` again: it takes the file back");
    }
    let name = Some(host_of(url)).filter(|host| !is_address(host)).unwrap_or(NO_NAME);
    let answered = match Resolver::new(resolve::machine_servers(), Egress::plain()).resolve(name, RESOLVE) {
        // "No such name" is an answer.
        Err(ResolveError::NoName) => Ok(()),
        other => other.map(|_| ()),
    };
    match (answered, dns.mode) {
        (Err(e), _) => {
            Finding::failed(NAME, format!("{names}: {e}"), "see `pvpn status`: is the tunnel healthy?")
        }
        (Ok(_), DnsMode::Provider) => Finding::ok(NAME, format!("{names} answers, through the tunnel")),
        (Ok(_), DnsMode::Machine) => Finding::failed(
            NAME,
            format!("{names} answers, the machine's own: whoever runs it can read the names"),
            "connect with `--dns true`",
        ),
    }
}

fn is_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}

/// That IPv6 goes through the tunnel or nowhere.
pub fn ipv6(scene: &Scene) -> Finding {
    const NAME: &str = "ipv6";
    match scene.net().route_to(SOMEWHERE_V6.into(), 0) {
        Err(_) => Finding::ok(NAME, "answered \"unreachable\": nothing is sent bare"),
        Ok(path) if path.device == scene.interface.name => Finding::ok(NAME, "goes through the tunnel"),
        Ok(path) if scene.is_closed() => {
            Finding::ok(NAME, format!("the route by {} ends in the kill switch's drop", path.device))
        }
        Ok(path) => Finding::failed(
            NAME,
            format!("goes past the tunnel, by {}", path.device),
            "run `pvpn connect` again, or close the kill switch",
        ),
    }
}

/// Routes that somebody put in to lead single networks past the tunnel (TunnelVision, CVE-2024-3661).
pub fn routes(scene: &Scene) -> Finding {
    const NAME: &str = "routes";
    let routes = match scene.net().routes() {
        Ok(routes) => routes,
        Err(e) => return Finding::unknown(NAME, format!("they cannot be listed: {e}")),
    };
    let addresses = scene.net().addresses().unwrap_or_default();
    let attached = addresses.iter().map(|a| a.net.network());
    let near: Vec<IpNet> = attached.chain(scene.allowed.lan.iter().copied()).collect();
    let (mut followed, mut idle) = (Vec::new(), 0);
    for route in routes.iter().filter(|r| r.table == MAIN_TABLE && r.kind == RouteKind::Unicast) {
        let is_ours = route.device.as_deref() == Some(&scene.interface.name);
        if route.to.prefix == 0 || is_ours || is_near(&route.to, &near) {
            continue;
        }
        match scene.net().route_to(someone_of(&route.to), 0) {
            Ok(path) if path.device != scene.interface.name => followed.push(route.to_string()),
            _ => idle += 1,
        }
    }
    match (followed.is_empty(), idle) {
        (true, 0) => Finding::ok(NAME, "none leads past the tunnel"),
        (true, n) => Finding::ok(NAME, format!("{n} of others for single networks, not followed")),
        (false, _) => {
            let dropped = if scene.is_closed() { "; the kill switch drops what takes them" } else { "" };
            Finding::failed(
                NAME,
                format!("past the tunnel lead {}{dropped}", followed.join(" | ")),
                "look who put them there: a DHCP server (option 121), or another program",
            )
        }
    }
}

/// An address of this network that is a host's. Its first is none where the network begins at 0: to the kernel that means
/// this machine. The middle of 192.0.0.0/2 is a multicast group; a quarter of the way up serves all that a lease would name.
fn someone_of(net: &IpNet) -> IpAddr {
    match net.addr {
        IpAddr::V4(a) => {
            let quarter = (1_u32 << 30).checked_shr(net.prefix.into()).unwrap_or(0);
            Ipv4Addr::from_bits(a.to_bits() | quarter).into()
        }
        IpAddr::V6(a) => {
            let quarter = (1_u128 << 126).checked_shr(net.prefix.into()).unwrap_or(0);
            Ipv6Addr::from_bits(a.to_bits() | quarter).into()
        }
    }
}

fn is_near(to: &IpNet, near: &[IpNet]) -> bool {
    let is_local = match to.addr {
        IpAddr::V4(a) => a.is_link_local() || a.is_multicast() || a.is_loopback(),
        IpAddr::V6(a) => a.is_unicast_link_local() || a.is_multicast() || a.is_loopback(),
    };
    is_local || near.iter().any(|net| net.covers(to))
}

/// The forwarded port: whether it is held, and whether anybody listens.
pub fn port(scene: &Scene) -> Finding {
    const NAME: &str = "port";
    let port = &scene.snapshot.port;
    let Some(number) = port.number else {
        return match port.state {
            PortState::Off => Finding::ok(NAME, "port forwarding is off"),
            PortState::Unavailable => Finding::ok(NAME, "this server forwards none"),
            _ => Finding::unknown(NAME, "none is granted yet; asking goes on"),
        };
    };
    let listening = scene.source().and_then(|address| {
        let at = std::net::SocketAddr::new(address, number);
        scene.net().is_listening(false, at, &scene.interface.name).ok()
    });
    let is_told = scene.snapshot.qbittorrent.state != QbittorrentState::Off;
    match listening {
        Some(false) if !is_told => Finding::unknown(
            NAME,
            format!("{number} is held; no program listens on it, and none is to be told (enable = false)"),
        ),
        Some(false) => Finding::failed(
            NAME,
            format!("{number} is forwarded, but no program listens on it"),
            "start qBittorrent, or see `pvpn status` for why it has another port",
        ),
        _ => Finding::unknown(
            NAME,
            format!(
                "{number} is held; whether it is open can be told from outside alone, by another machine"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_address_stands_between_scheme_and_path() {
        for (url, host) in [
            ("https://api64.ipify.org", "api64.ipify.org"),
            ("http://10.0.0.1:8000/ip?x", "10.0.0.1"),
            ("http://[2001:db8::1]:80/", "[2001:db8::1]"),
            ("https://[2001:db8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(host_of(url), host);
            assert_eq!(is_address(host), !host.starts_with("api"));
        }
    }

    #[test]
    fn the_address_asked_about_is_a_hosts_of_the_routes_network() {
        for (net, someone) in [
            ("0.0.0.0/1", "32.0.0.0"),
            ("128.0.0.0/1", "160.0.0.0"),
            ("192.0.0.0/2", "208.0.0.0"),
            ("198.51.100.0/24", "198.51.100.64"),
            ("8.8.8.8/32", "8.8.8.8"),
            ("::/1", "2000::"),
            ("2000::/3", "2800::"),
            ("2001:db8::1/128", "2001:db8::1"),
        ] {
            let net: IpNet = net.parse().unwrap();
            assert_eq!(someone_of(&net), someone.parse::<IpAddr>().unwrap(), "{net}");
            assert!(net.covers(&IpNet::host(someone_of(&net))));
        }
    }

    #[test]
    fn an_injected_route_is_not_near_and_the_lans_own_is() {
        let near: Vec<IpNet> = vec!["192.168.1.0/24".parse().unwrap()];
        for (net, is) in [
            ("192.168.1.0/25", true),
            ("224.0.0.0/4", true),
            ("fe80::/64", true),
            ("8.8.8.0/24", false),
            ("10.2.0.1/32", false),
        ] {
            assert_eq!(is_near(&net.parse().unwrap(), &near), is, "{net}");
        }
    }
}
