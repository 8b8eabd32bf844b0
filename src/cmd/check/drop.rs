//! `check --drop`: for five seconds the tunnel carries nothing, and what leaves the links all the same is counted.

use super::Scene;
use super::attempt::{Left, attempts};
use crate::status::finding::Finding;
use crate::sys::control::Connection;
use crate::sys::packet::Tap;
use crate::sys::socket::Egress;
use crate::sys::{Clock, clock};
use crate::time::{Duration, secs};
use std::io;

/// The contract's five seconds, in rounds of attempts.
const ROUNDS: u32 = 5;
const ROUND: Duration = secs(1);

/// What left in that time, by the routes and by bound sockets.
pub fn watch(scene: &Scene) -> io::Result<Left> {
    let numbers: Vec<u32> = scene.links.iter().map(|(n, _)| *n).collect();
    let tap = Tap::open(&numbers)?;
    let mut left = Left::default();
    let mut streams = Vec::new();
    for _ in 0..ROUNDS {
        let until = clock::System.now() + ROUND;
        let bound =
            scene.links.iter().map(|(_, name)| Egress { device: Some(name.clone()), ..Egress::plain() });
        for egress in bound.chain([Egress::plain()]) {
            let (made, open) = attempts(&egress);
            left.attempts += made;
            streams.extend(open);
        }
        left.read(scene, &tap, until)?;
    }
    Ok(left)
}

/// The supervisor hears that we are gone and lets the tunnel carry traffic again.
pub fn end(lent: Connection) {
    std::mem::drop(lent);
}

pub fn judge(seen: io::Result<Left>) -> Finding {
    const NAME: &str = "drop";
    match seen {
        Err(e) => Finding::unknown(NAME, format!("what leaves cannot be seen: {e}")),
        Ok(left) if left.strangers.is_empty() => Finding::ok(
            NAME,
            format!(
                "{} s without the tunnel's traffic, {} attempts: nothing left but {} packets to the server and {} \
                 to the LAN",
                (ROUND * ROUNDS).as_secs(),
                left.attempts,
                left.to_server,
                left.nearby
            ),
        ),
        Ok(left) => Finding::failed(
            NAME,
            format!("without the tunnel's traffic there left {}", left.words()),
            "close the kill switch again with `pvpn killswitch on`, and report this",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stranger_is_a_failure_and_is_named() {
        let clean = Left { attempts: 90, to_server: 3, nearby: 1, ..Left::default() };
        assert!(!judge(Ok(clean)).is_failed());
        let mut leaking = Left::default();
        leaking.strangers.insert("UDP to 192.0.2.1:53 by eth0".to_owned(), 2);
        let found = judge(Ok(leaking));
        assert!(
            found.is_failed() && found.text.contains("2 x UDP to 192.0.2.1:53 by eth0"),
            "{}",
            found.text
        );
    }
}
