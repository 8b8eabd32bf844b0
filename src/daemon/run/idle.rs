//! A first packet into an idle tunnel, heard at once instead of at the next tick.
//!
//! The socket is open while the tunnel is idle, and closed by the first packet, so that a busy tunnel pays nothing for
//! it. What pvpn itself sends into the tunnel is taken away before it counts.

use super::super::Event;
use super::Supervisor;
use crate::sys::sent::Sent;
use std::os::fd::{AsFd, BorrowedFd};

/// The socket; `None`: it could not be opened, and only the ticks tell.
pub struct Listening {
    interface: String,
    sent: Option<Sent>,
}

impl Listening {
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.sent.as_ref().map(AsFd::as_fd)
    }
}

impl Supervisor {
    /// Opens or closes the socket, as the daemon wants it.
    pub(super) fn listen_for_traffic(&mut self) {
        let wanted = self.daemon.idle_tunnel();
        if self.listening.as_ref().map(|l| l.interface.as_str()) == wanted {
            return;
        }
        self.listening = wanted.map(|interface| {
            let opened = Sent::open(interface);
            if let Err(e) = &opened {
                log::debug!("monitor: hear what is sent through {interface}: {e}");
            }
            Listening { interface: interface.to_owned(), sent: opened.ok() }
        });
    }

    /// Sends something of our own, which is no news.
    pub(super) fn quietly<T>(&mut self, send: impl FnOnce(&mut Supervisor) -> T) -> T {
        // What came before is told first.
        self.read_sent();
        let done = send(self);
        if let Some(sent) = self.listening.as_ref().and_then(|l| l.sent.as_ref()) {
            sent.discard();
        }
        done
    }

    pub(super) fn read_sent(&mut self) {
        let Some(sent) = self.listening.as_ref().and_then(|l| l.sent.as_ref()) else { return };
        match sent.take() {
            Ok(false) => {}
            Ok(true) => {
                log::debug!("monitor: somebody sends into the idle tunnel");
                self.handle(Event::Stirred);
            }
            Err(e) => {
                // Its interface went. Another look, and with it another socket.
                log::debug!("monitor: hear what is sent: {e}");
                self.handle(Event::Stirred);
            }
        }
    }
}
