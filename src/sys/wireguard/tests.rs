use super::*;
use crate::config::secret::SecretKey;
use crate::sys::netlink::errno;
use crate::time::secs;
use wireguard_uapi::linux::set::WgPeerF::{RemoveMe, ReplaceAllowedIps};

fn config() -> PeerConfig {
    PeerConfig {
        public_key: PublicKey([3; 32]),
        preshared_key: None,
        endpoint: Some("203.0.113.11:51820".parse().unwrap()),
        keepalive: None,
        allowed_ips: vec!["10.2.0.0/16".parse().unwrap()],
    }
}

#[test]
fn a_peer_that_is_set_loses_what_it_is_not_given() {
    let set = PeerChange::Set(config());
    let peer = peer(&set);
    assert_eq!((peer.public_key, &peer.flags[..]), (&[3; 32], &[ReplaceAllowedIps][..]));
    assert_eq!((peer.preshared_key, peer.persistent_keepalive_interval), (Some(&NO_KEY), Some(0)));
    assert_eq!(peer.allowed_ips[0].cidr_mask, Some(16));
    let kept = PeerConfig {
        preshared_key: Some(SecretKey::new([5; 32])),
        keepalive: Some(secs(25)),
        endpoint: None,
        ..config()
    };
    let kept = set_peer(&kept);
    assert_eq!((kept.preshared_key, kept.persistent_keepalive_interval), (Some(&[5; 32]), Some(25)));
    assert_eq!(kept.endpoint, None);
}

#[test]
fn a_peer_that_goes_is_only_named() {
    let remove = PeerChange::Remove(PublicKey([3; 32]));
    let peer = peer(&remove);
    assert_eq!((peer.public_key, &peer.flags[..]), (&[3; 32], &[RemoveMe][..]));
    assert!(peer.allowed_ips.is_empty() && peer.endpoint.is_none() && peer.preshared_key.is_none());
}

#[test]
fn errors_of_neli_keep_their_errno() {
    let wrapped = NlError::Wrapped(WrappedError::IOError(io::Error::from_raw_os_error(libc::EPERM)));
    assert_eq!(errno(&from_neli(wrapped)), Some(libc::EPERM));
    assert_eq!(from_neli(NlError::NoAck).to_string(), "No ack received");
}
