//! One mapping by NAT-PMP, with the supervisor's own machine.

use pvpn::daemon::lease::natpmp::{NatPmp, Settings};
use pvpn::daemon::lease::{Action, Input, PortState};
use pvpn::sys::Clock;
use pvpn::sys::clock::System;
use std::error::Error;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

pub fn map(gateway: IpAddr) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect((gateway, 5351))?;
    let settings = Settings { gateway, own_port: 6881, log_fallback: false };
    let mut lease = NatPmp::new(settings, System.now(), None);
    let mut b = [0; 64];
    loop {
        while let Some(action) = lease.poll_action() {
            if let Action::SendDatagram(bytes) = action {
                socket.send(&bytes)?;
            }
        }
        let now = System.now();
        if lease.view(now).state == PortState::Held {
            return Ok(());
        }
        let left = lease.poll_timeout().map_or(Duration::from_secs(1), |at| at.since(now));
        socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match socket.recv_from(&mut b) {
            Ok((n, from)) => lease.handle(System.now(), Input::Datagram { from, bytes: &b[..n] }),
            Err(_) => lease.handle(System.now(), Input::Wake),
        }
    }
}
