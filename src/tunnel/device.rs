//! A WireGuard device as values: what to set ([`DeviceChange`]) and what the kernel shows ([`Device`]).
//!
//! A change names only what differs. Peers that it does not name keep their session, so adopting a running tunnel or
//! changing one peer never forces a handshake on another.

use crate::address::IpNet;
use crate::config::secret::{PublicKey, SecretKey};
use crate::time::Duration;
use std::net::SocketAddr;

/// A peer as it shall be, endpoint resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    pub public_key: PublicKey,
    pub preshared_key: Option<SecretKey>,
    pub endpoint: Option<SocketAddr>,
    /// Whole seconds; `None` = off.
    pub keepalive: Option<Duration>,
    pub allowed_ips: Vec<IpNet>,
}

/// A whole device as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceConfig {
    pub private_key: SecretKey,
    /// `None`: the kernel chooses one when the link comes up.
    pub listen_port: Option<u16>,
    /// 0 = no mark.
    pub fwmark: u32,
    pub peers: Vec<PeerConfig>,
}

/// What to change about a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerChange {
    /// Added, or set in place: its allowed addresses are replaced, a preshared key or keepalive that is `None` goes.
    /// Its session stays where the peer was there before.
    Set(PeerConfig),
    /// Removed with its session; one that is gone already is fine.
    Remove(PublicKey),
}

/// What to change about a device; `None` leaves as it is. Peers change in this order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DeviceChange {
    pub private_key: Option<SecretKey>,
    pub listen_port: Option<u16>,
    pub fwmark: Option<u32>,
    pub peers: Vec<PeerChange>,
}

/// A peer as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerState {
    pub public_key: PublicKey,
    pub preshared_key: Option<SecretKey>,
    pub endpoint: Option<SocketAddr>,
    /// Since the Unix epoch, by the wall clock at that moment; `None` = never.
    pub last_handshake: Option<Duration>,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub keepalive: Option<Duration>,
    pub allowed_ips: Vec<IpNet>,
}

/// A device as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub index: u32,
    pub name: String,
    pub private_key: Option<SecretKey>,
    pub public_key: Option<PublicKey>,
    pub listen_port: u16,
    pub fwmark: u32,
    pub peers: Vec<PeerState>,
}

impl DeviceChange {
    pub fn is_empty(&self) -> bool {
        *self == DeviceChange::default()
    }

    /// Removes and adds this peer: its handshake begins afresh at once, where the kernel alone would wait 5 s
    /// (REKEY_TIMEOUT, WireGuard whitepaper section 6.1).
    pub fn restart(peer: PeerConfig) -> DeviceChange {
        let peers = vec![PeerChange::Remove(peer.public_key), PeerChange::Set(peer)];
        DeviceChange { peers, ..DeviceChange::default() }
    }
}

impl DeviceConfig {
    /// What turns `current` into this. Empty when it is so already. Peers to come are set before others go, so that
    /// addresses they share are never without a peer.
    pub fn change_from(&self, current: &Device) -> DeviceChange {
        let equal = |p: &&PeerConfig| current.peers.iter().any(|c| p.is_shown_as(c));
        let set = self.peers.iter().filter(|p| !equal(p)).cloned().map(PeerChange::Set);
        let goes = |key: &PublicKey| !self.peers.iter().any(|p| p.public_key == *key);
        let gone = current.peers.iter().map(|p| p.public_key).filter(goes).map(PeerChange::Remove);
        DeviceChange {
            private_key: (current.private_key.as_ref() != Some(&self.private_key))
                .then(|| self.private_key.clone()),
            listen_port: self.listen_port.filter(|port| *port != current.listen_port),
            fwmark: (self.fwmark != current.fwmark).then_some(self.fwmark),
            peers: set.chain(gone).collect(),
        }
    }

    /// Whether the kernel shows what was set. Endpoints that roamed since count as set.
    pub fn is_shown_by(&self, device: &Device) -> bool {
        self.change_from(device).is_empty()
    }
}

impl PeerConfig {
    /// Whether the kernel's peer is this one. Allowed addresses compare as sets of networks.
    fn is_shown_as(&self, shown: &PeerState) -> bool {
        self.public_key == shown.public_key
            && self.preshared_key == shown.preshared_key
            && (self.endpoint.is_none() || self.endpoint == shown.endpoint)
            && self.keepalive.filter(|k| !k.is_zero()) == shown.keepalive
            && networks(&self.allowed_ips) == networks(&shown.allowed_ips)
    }
}

fn networks(nets: &[IpNet]) -> Vec<IpNet> {
    let mut nets: Vec<IpNet> = nets.iter().map(IpNet::network).collect();
    nets.sort_unstable();
    nets.dedup();
    nets
}

#[cfg(test)]
mod tests;
