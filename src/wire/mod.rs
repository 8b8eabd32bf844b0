//! Bytes and values. Nothing here has a socket or a clock, and no input panics: length is checked once, at the head of
//! each parser. Imports only `std`, `time` and `address`.

pub mod checksum;
pub mod conntrack;
pub mod dbus;
pub mod dns;
pub mod frame;
pub mod http;
pub mod icmp;
pub mod json;
pub mod natpmp;
pub mod nft;
pub mod nlmsg;
pub mod rtnl;
pub mod sntp;
pub mod sock_diag;
pub mod x509;
