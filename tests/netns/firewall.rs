//! The rules of every policy in a real kernel. `L1` to `L17` are the leak classes of known audits and advisories; each
//! has a story here that also shows the leak: the same with its rule taken away.
//!
//! No WireGuard is needed: a link named like the tunnel and sockets with its mark stand in for it.

#[path = "firewall/flood.rs"]
mod flood;
#[path = "firewall/forwarded.rs"]
mod forwarded;
#[path = "firewall/frame.rs"]
mod frame;
#[path = "firewall/inward.rs"]
mod inward;
#[path = "firewall/names.rs"]
mod names;
#[path = "firewall/outward.rs"]
mod outward;
#[path = "firewall/packet_sockets.rs"]
mod packet_sockets;
#[path = "firewall/policies.rs"]
mod policies;
#[path = "firewall/presence.rs"]
mod presence;
#[path = "firewall/text.rs"]
mod text;
#[path = "firewall/world.rs"]
mod world;

use crate::in_namespace;
use world::World;

/// Tells a story in a world of its own. `test` is the calling test's name below `firewall`.
fn in_world(test: &str, story: impl FnOnce(&mut World)) {
    in_namespace(&format!("firewall::{test}"), || story(&mut World::new()));
}

const NOTHING: [&str; 0] = [];
