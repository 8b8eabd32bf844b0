//! Regions and their servers, from the JSON of the server list (version 6) to [`Server`] values.
//!
//! Each WireGuard server of a region is a server of its own, named by the region's id: another server of the region is the
//! next to try when one does not answer. What is offline, has no WireGuard server, or is not of the form the
//! rest relies on (an IPv4 address, a name that is safe in an address) is left out; unknown keys are ignored.

use crate::provider::{Country, Endpoint, Features, ProviderKind, Server};
use crate::wire::json::{JsonError, Reader};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Port of addKey and of WireGuard "ever since"; the list says so too.
pub const WIREGUARD_PORT: u16 = 1337;
/// `servers.meta` is measured here, by TCP connect alone: its certificate may be another owner's.
const META_PORT: u16 = 443;
/// Streaming-optimised regions end so.
const STREAMING_END: &str = "-so";

/// A region of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    pub id: String,
    /// For people.
    pub name: String,
    pub country: Option<Country>,
    pub forwards: bool,
    /// Its hardware stands elsewhere.
    pub is_virtual: bool,
    pub is_offline: bool,
    /// PIA's own applications do not pick it by themselves.
    pub is_on_request: bool,
    pub wireguard: Vec<Host>,
    pub meta: Vec<Host>,
    /// Of the WireGuard servers.
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    pub address: Ipv4Addr,
    /// The name its certificate has.
    pub cn: String,
}

/// All servers one can connect to.
pub fn servers(regions: &[Region]) -> Vec<Server> {
    let usable = regions.iter().filter(|r| !r.is_offline);
    usable.flat_map(|r| r.wireguard.iter().map(move |host| server(r, host))).collect()
}

fn server(region: &Region, host: &Host) -> Server {
    // The addresses of one `cn` differ by what they serve; any of the region's is about as near.
    let meta = region.meta.iter().find(|m| m.cn == host.cn).or(region.meta.first());
    Server {
        provider: ProviderKind::Pia,
        id: format!("{}/{}", region.id, host.cn),
        name: region.id.clone(),
        host: Some(host.cn.clone()),
        country: region.country,
        city: Some(region.name.clone()).filter(|n| !n.is_empty()),
        region: Some(region.id.clone()),
        load: None,
        score: None,
        features: Features {
            p2p: region.forwards,
            streaming: region.id.ends_with(STREAMING_END),
            forwards: Some(region.forwards),
            virtual_location: region.is_virtual,
            on_request: region.is_on_request,
            ..Features::default()
        },
        endpoint: Endpoint::Addr(SocketAddr::new(IpAddr::V4(host.address), region.port)),
        tcp_probe: meta.map(|m| SocketAddr::new(IpAddr::V4(m.address), META_PORT)),
        exit_address: None,
    }
}

/// Reads line 1 of the list.
pub fn parse(json: &[u8]) -> Result<Vec<Region>, JsonError> {
    let mut r = Reader::new(json);
    let (mut regions, mut port) = (Vec::new(), WIREGUARD_PORT);
    if r.enter_object()? {
        while let Some(key) = r.next_key(&["groups", "regions"])? {
            match key {
                0 => port = parse_port(&mut r)?.unwrap_or(port),
                1 if r.enter_array()? => {
                    while r.next_item()? {
                        regions.extend(parse_region(&mut r)?);
                    }
                }
                1 => {}
                _ => r.skip()?,
            }
        }
    }
    r.end()?;
    for region in &mut regions {
        region.port = port;
    }
    Ok(regions)
}

/// `groups.wg[0].ports[0]`.
fn parse_port(r: &mut Reader<impl Read>) -> Result<Option<u16>, JsonError> {
    let mut first = None;
    if !r.enter_object()? {
        return Ok(None);
    }
    while let Some(key) = r.next_key(&["wg"])? {
        if key != 0 {
            r.skip()?;
            continue;
        }
        if !r.enter_array()? {
            continue;
        }
        while r.next_item()? {
            if !r.enter_object()? {
                continue;
            }
            while let Some(key) = r.next_key(&["ports"])? {
                if key != 0 {
                    r.skip()?;
                } else if r.enter_array()? {
                    while r.next_item()? {
                        first = first.or(r.number()?);
                    }
                }
            }
        }
    }
    // Whole numbers from 1 to 65535 convert exactly; anything else is no port.
    Ok(first.filter(|n| n.fract() == 0.0 && (1.0..=65535.0).contains(n)).map(|n| n as u16))
}

fn parse_region(r: &mut Reader<impl Read>) -> Result<Option<Region>, JsonError> {
    const KEYS: [&str; 8] =
        ["id", "name", "country", "port_forward", "geo", "offline", "servers", "auto_region"];
    let mut region = Region {
        id: String::new(),
        name: String::new(),
        country: None,
        forwards: false,
        is_virtual: false,
        is_offline: false,
        is_on_request: false,
        wireguard: Vec::new(),
        meta: Vec::new(),
        port: WIREGUARD_PORT,
    };
    if !r.enter_object()? {
        return Ok(None);
    }
    while let Some(key) = r.next_key(&KEYS)? {
        match key {
            0 => region.id = r.string()?.unwrap_or_default().to_owned(),
            1 => region.name = r.string()?.unwrap_or_default().to_owned(),
            2 => region.country = r.string()?.and_then(Country::parse),
            3 => region.forwards = r.number()? == Some(1.0),
            4 => region.is_virtual = r.number()? == Some(1.0),
            5 => region.is_offline = r.number()? == Some(1.0),
            6 => parse_servers(r, &mut region)?,
            7 => region.is_on_request = r.number()? == Some(0.0),
            _ => r.skip()?,
        }
    }
    Ok(Some(region).filter(|region| is_word(&region.id)))
}

fn parse_servers(r: &mut Reader<impl Read>, region: &mut Region) -> Result<(), JsonError> {
    if !r.enter_object()? {
        return Ok(());
    }
    while let Some(key) = r.next_key(&["wg", "meta"])? {
        let hosts = match key {
            0 => &mut region.wireguard,
            1 => &mut region.meta,
            _ => {
                r.skip()?;
                continue;
            }
        };
        if r.enter_array()? {
            while r.next_item()? {
                hosts.extend(parse_host(r)?);
            }
        }
    }
    Ok(())
}

fn parse_host(r: &mut Reader<impl Read>) -> Result<Option<Host>, JsonError> {
    let (mut address, mut cn) = (None, String::new());
    if !r.enter_object()? {
        return Ok(None);
    }
    while let Some(key) = r.next_key(&["ip", "cn"])? {
        match key {
            0 => address = r.string()?.and_then(|t| t.parse().ok()),
            1 => cn = r.string()?.unwrap_or_default().to_owned(),
            _ => r.skip()?,
        }
    }
    Ok(address.filter(|_| is_word(&cn)).map(|address| Host { address, cn }))
}

/// Letters, digits, `-`, `_` and `.`: what is safe as a host name in an address, in a file and on a terminal.
pub fn is_word(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= 63 && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
