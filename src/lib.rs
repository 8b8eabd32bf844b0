//! pvpn: WireGuard by Proton VPN, PIA or a `.conf`, fail closed, with the port held and qBittorrent told.
//!
//! Modules stand in the order data flows. Everything is blocking; the daemon's machines take time and input as
//! arguments and return actions, `daemon/run.rs` holds the only `poll(2)`, and all that touches Linux lives in `sys`.

// ask
pub mod cli;
pub mod cmd;
pub mod config;

// choose
pub mod provider;
pub mod select;

// change the machine
pub mod change;
pub mod dns;
pub mod firewall;
pub mod tunnel;

// keep it so
pub mod daemon;
pub mod qbittorrent;
pub mod status;

// bytes and Linux
pub mod address;
pub mod error;
pub mod logging;
pub mod sys;
pub mod time;
pub mod wire;
