//! A real kernel, without touching the machine: each test runs itself once more in a user and network namespace of its
//! own (`unshare -rn`), where it is root and nothing leaves.

#[path = "netns/disk.rs"]
mod disk;
#[path = "netns/firewall.rs"]
mod firewall;
#[path = "netns/namespace.rs"]
mod namespace;
#[path = "netns/net.rs"]
mod net;
#[path = "netns/sent.rs"]
mod sent;

use namespace::{in_namespace, run};
