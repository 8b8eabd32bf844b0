use super::*;
use crate::time::secs;
use crate::wire::nlmsg::{NLMSG_DONE, frames};

/// A dump of the device `wgp0` on Linux 6.1 (x86-64), set up with wg(8). The keys are no secrets: 0x08 01.. 41, and 32
/// times 3, 4 or 5.
const DEVICE: &[u8] = include_bytes!("../../../../tests/data/netlink/wg-device.bin");

fn replies(capture: &[u8]) -> Vec<Reply> {
    let all = frames(capture).map(|f| f.unwrap());
    all.filter(|f| f.kind != NLMSG_DONE)
        .map(|f| Reply { kind: f.kind, payload: f.payload.to_vec() })
        .collect()
}

/// A message made of these attributes, as a dump would bring it.
fn reply(fill: impl FnOnce(&mut Message)) -> Reply {
    let mut message = Message::new(0x20, 0, &[WG_CMD_GET_DEVICE, VERSION, 0, 0]);
    fill(&mut message);
    let mut bytes = Vec::new();
    message.emit(1, &mut bytes).unwrap();
    Reply { kind: 0x20, payload: bytes[16..].to_vec() }
}

#[test]
fn a_device_of_the_kernel_is_read_with_everything() {
    let device = parse(&replies(DEVICE)).unwrap();
    let mut private = [1; 32];
    (private[0], private[31]) = (8, 65);
    assert_eq!((device.name.as_str(), device.listen_port, device.fwmark), ("wgp0", 51820, 0x1076));
    assert_eq!(device.private_key, Some(SecretKey::new(private)));
    assert!(device.public_key.is_some() && device.index > 0);
    let [first, second] = &device.peers[..] else { panic!("{device:?}") };
    assert_eq!(first.public_key, PublicKey([3; 32]));
    assert_eq!(first.preshared_key, Some(SecretKey::new([5; 32])));
    assert_eq!(first.endpoint, Some("203.0.113.11:51820".parse().unwrap()));
    assert_eq!((first.keepalive, first.last_handshake), (Some(secs(25)), None));
    assert_eq!(first.allowed_ips, ["0.0.0.0/0", "10.2.0.0/16"].map(|n| n.parse().unwrap()));
    assert_eq!(second.endpoint, Some("[2001:db8::1]:51821".parse().unwrap()));
    assert_eq!((&second.preshared_key, second.keepalive), (&None, None));
    assert_eq!(second.allowed_ips, ["::/0".parse().unwrap()]);
}

#[test]
fn keys_are_not_printed() {
    let text = format!("{:?}", parse(&replies(DEVICE)).unwrap());
    assert!(text.contains("private_key: Some(***)"), "{text}");
}

/// What follows a message that was full in the midst of this peer: the peer's key again, and more of its addresses.
fn continued(key: [u8; 32], octet: u8) -> Reply {
    reply(|m| {
        m.nest(WGDEVICE_A_PEERS, |m| {
            m.nest(0, |m| {
                m.put(WGPEER_A_PUBLIC_KEY, &key).nest(WGPEER_A_ALLOWEDIPS, |m| {
                    m.nest(0, |m| {
                        m.put_u16(1, AF_INET).put(WGALLOWEDIP_A_IPADDR, &[10, 7, 0, octet]);
                        m.put_u8(WGALLOWEDIP_A_CIDR_MASK, 32);
                    });
                });
            });
        });
    })
}

#[test]
fn a_peer_that_fills_several_messages_is_put_together() {
    let mut all = replies(DEVICE);
    all.extend([continued([4; 32], 1), continued([4; 32], 2), continued([6; 32], 3)]);
    let device = parse(&all).unwrap();
    let addresses: Vec<usize> = device.peers.iter().map(|p| p.allowed_ips.len()).collect();
    assert_eq!(addresses, [2, 3, 1]);
    assert_eq!(device.peers[1].endpoint, Some("[2001:db8::1]:51821".parse().unwrap()));
}

#[test]
fn unknown_attributes_are_passed_over() {
    let later = reply(|m| {
        m.put_u32(WGDEVICE_A_IFINDEX, 7).put_str(WGDEVICE_A_IFNAME, "wgp0").put_u32(99, 1);
        m.nest(WGDEVICE_A_PEERS, |m| {
            m.nest(0, |m| {
                m.put(WGPEER_A_PUBLIC_KEY, &[3; 32]).put(77, b"later");
                m.put(WGPEER_A_ENDPOINT, &[40, 0, 0, 0]); // neither AF_INET nor AF_INET6
                m.put(WGPEER_A_LAST_HANDSHAKE_TIME, &[&7u64.to_ne_bytes()[..], &9u64.to_ne_bytes()].concat());
            });
        });
    });
    let device = parse(&[later]).unwrap();
    assert_eq!((device.index, device.peers[0].endpoint), (7, None));
    assert_eq!(device.peers[0].last_handshake, Some(Duration::new(7, 9)));
}

#[test]
fn an_empty_dump_or_one_without_its_head_is_no_device() {
    assert_eq!(parse(&[]), Err(Malformed));
    assert_eq!(parse(&[continued([4; 32], 1)]), Err(Malformed));
}

#[test]
fn every_truncation_and_mutation_is_a_device_or_malformed() {
    let [whole] = &replies(DEVICE)[..] else { panic!("one message") };
    for len in 0..whole.payload.len() {
        let cut = Reply { kind: whole.kind, payload: whole.payload[..len].to_vec() };
        let _ = parse(&[cut]);
    }
    for at in 0..whole.payload.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut mutated = whole.clone();
            mutated.payload[at] = byte;
            let _ = parse(&[mutated]);
        }
    }
}
