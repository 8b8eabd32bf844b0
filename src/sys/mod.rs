//! All that touches Linux, behind small traits so that everything else runs against [`fake`].

pub mod argv;
pub mod background;
pub mod child;
pub mod clock;
pub mod conntrack;
pub mod control;
mod dbus;
#[cfg(test)]
pub mod fake;
pub mod files;
pub mod http;
pub mod icmp;
pub mod inotify;
pub mod measure;
pub mod memory;
pub mod names;
pub mod net;
pub mod netlink;
pub mod nft;
pub mod notify;
pub mod packet;
pub mod poll;
pub mod remote;
pub mod resolve;
pub mod sent;
pub mod signal;
pub mod sock_diag;
pub mod socket;
mod stack;
pub mod terminal;
pub mod user;
pub mod wireguard;
pub mod worker;

use crate::time::{Duration, Instant, UnixTime};
use files::Files;
use names::Names;
use net::Net;

/// The clocks. The real one is `clock::System`; nothing else reads a clock.
pub trait Clock {
    /// CLOCK_BOOTTIME.
    fn now(&self) -> Instant;
    /// CLOCK_REALTIME.
    fn wall(&self) -> UnixTime;
    /// Waits, on worker threads and in commands only.
    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// What `change` works on.
pub trait Machine {
    fn net(&self) -> &dyn Net;
    fn files(&self) -> &dyn Files;
    fn names(&self) -> &dyn Names;
}

/// The machine itself.
pub struct System {
    net: net::Kernel,
    files: files::Disk,
    clock: clock::System,
}

impl System {
    /// Opens nothing yet.
    pub fn new() -> System {
        System { net: net::Kernel::new(), files: files::Disk, clock: clock::System }
    }
}

impl System {
    pub fn clock(&self) -> &dyn Clock {
        &self.clock
    }
}

impl Default for System {
    fn default() -> System {
        System::new()
    }
}

impl Machine for System {
    fn net(&self) -> &dyn Net {
        &self.net
    }

    fn files(&self) -> &dyn Files {
        &self.files
    }

    fn names(&self) -> &dyn Names {
        &names::Programs
    }
}
