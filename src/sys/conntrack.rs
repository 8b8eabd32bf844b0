//! Ends established flows, so that they do not survive a change of policy (leak class L10).

use super::net::Flows;
use super::netlink::{self, Socket};
use crate::wire::conntrack::{self, Flow};
use std::io;

/// Deletes the entries that `flows` names; how many went. An entry that ends by itself meanwhile is fine.
pub fn flush(socket: &mut Socket, flows: &Flows) -> io::Result<usize> {
    let replies = match socket.dump(&conntrack::dump()) {
        // nfnetlink's answer when the subsystem's module is not there (net/netfilter/nfnetlink.c).
        Err(e) if matches!(netlink::errno(&e), Some(libc::EINVAL | libc::EOPNOTSUPP)) => return Ok(0),
        replies => replies?,
    };
    let mut gone = 0;
    let mut singly = true;
    if matches!(flows, Flows::Unmarked(kept) if !kept.contains(&0)) {
        // A torrent machine has thousands; a kernel that can't take them by mark refuses.
        singly = socket.request(&conntrack::delete_unmarked()).is_err();
    }
    for reply in replies {
        let flow = conntrack::parse(&reply.payload)?;
        if !flows.name(&flow) {
            continue;
        }
        if singly || flow.mark != 0 {
            netlink::tolerate(socket.request(&conntrack::delete(&flow)), &[libc::ENOENT])?;
        }
        gone += 1;
    }
    Ok(gone)
}

impl Flows {
    fn name(&self, flow: &Flow) -> bool {
        match self {
            Flows::Unmarked(kept) => !kept.contains(&flow.mark),
            Flows::From(addr) => flow.source == Some(*addr) || flow.reply_source == Some(*addr),
        }
    }
}
