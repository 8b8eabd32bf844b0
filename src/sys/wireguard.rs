//! WireGuard devices over generic netlink (linux/wireguard.h).
//!
//! wireguard-uapi (with neli) sets; what the kernel shows is read by our own parser ([`read`]), since theirs takes an
//! unknown attribute for an error and a broken dump for a whole device. Setting keeps the kernel's errno. Their log
//! messages hold keys: our logger drops every target but our own.

mod read;

use super::netlink::{Socket, refused};
use crate::config::secret::PublicKey;
use crate::tunnel::device::{Device, DeviceChange, PeerChange, PeerConfig};
use neli::err::{NlError, WrappedError};
use std::io;
use wireguard_uapi::WgSocket;
use wireguard_uapi::err::{ConnectError, SetDeviceError};
use wireguard_uapi::linux::set::{AllowedIp, Device as SetDevice, Peer, WgPeerF};

/// All zeroes take a preshared key away (WGPEER_A_PRESHARED_KEY).
const NO_KEY: [u8; 32] = [0; 32];

/// What a person is told where the kernel has no WireGuard.
pub fn missing() -> io::Error {
    refused(libc::EOPNOTSUPP, "this kernel has no WireGuard (the wireguard module is missing)")
}

/// Reads a device with its private key. ENODEV: no such link; EOPNOTSUPP: no WireGuard; EPERM: not permitted.
pub fn read(socket: &mut Socket, name: &str) -> io::Result<Device> {
    read::device(socket, name)
}

/// Changes what `change` names, in its order, and nothing else.
pub fn set(name: &str, change: &DeviceChange) -> io::Result<()> {
    let mut socket = WgSocket::connect().map_err(|e| match e {
        ConnectError::NlError(e) => from_neli(e),
        ConnectError::ResolveFamilyError(_) => missing(),
    })?;
    let mut device = SetDevice::from_ifname(name);
    device.private_key = change.private_key.as_ref().map(|k| k.reveal());
    device.listen_port = change.listen_port;
    device.fwmark = change.fwmark;
    device.peers = change.peers.iter().map(peer).collect();
    socket.set_device(device).map_err(|e| match e {
        SetDeviceError::NlError(e) => from_neli(e),
        SetDeviceError::NlSerError(e) => io::Error::other(e.to_string()),
    })
}

fn peer(change: &PeerChange) -> Peer<'_> {
    match change {
        PeerChange::Remove(PublicKey(key)) => Peer::from_public_key(key).flags(vec![WgPeerF::RemoveMe]),
        PeerChange::Set(config) => set_peer(config),
    }
}

fn set_peer(config: &PeerConfig) -> Peer<'_> {
    let mut peer = Peer::from_public_key(&config.public_key.0).flags(vec![WgPeerF::ReplaceAllowedIps]);
    peer.preshared_key = Some(config.preshared_key.as_ref().map_or(&NO_KEY, |k| k.reveal()));
    peer.endpoint = config.endpoint.as_ref();
    let secs = config.keepalive.map_or(0, |k| k.as_secs());
    peer.persistent_keepalive_interval = Some(u16::try_from(secs).unwrap_or(u16::MAX));
    let allowed = config.allowed_ips.iter();
    peer.allowed_ips = allowed.map(|n| AllowedIp { ipaddr: &n.addr, cidr_mask: Some(n.prefix) }).collect();
    peer
}

fn from_neli(e: NlError) -> io::Error {
    match e {
        NlError::Nlmsgerr(e) => refused(e.error.saturating_neg(), ""),
        NlError::Wrapped(WrappedError::IOError(e)) => e,
        e => io::Error::other(e.to_string()),
    }
}

#[cfg(test)]
mod tests;
