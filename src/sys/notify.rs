//! Telling the service manager how we are (sd_notify(3)): datagrams to the socket that NOTIFY_SOCKET names.
//!
//! Nothing here fails: without a manager, or with one that does not listen, the service runs all the same.

use crate::time::Duration;
use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Variables that are ours alone: hooks do not inherit them (`sys/child.rs`).
pub(super) const VARIABLES: [&str; 5] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"];

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    pub fn from_env() -> Notify {
        let Some(path) = env::var_os("NOTIFY_SOCKET") else { return Notify::default() };
        let number = |name| env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
        // The watchdog is for the process named, or for whoever reads it when none is (sd_watchdog_enabled(3)).
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| is_ours && *usec > 0).map(Duration::from_micros);
        Notify::new(path.as_bytes(), watchdog)
    }

    /// A path, or `@` and an abstract name (unix(7)).
    fn new(path: &[u8], watchdog: Option<Duration>) -> Notify {
        let addr = match path {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
        };
        let socket = UnixDatagram::unbound().and_then(|s| s.set_nonblocking(true).map(|()| s));
        Notify { socket: socket.ok().zip(addr.ok()), watchdog }
    }

    /// How often [`Notify::watchdog`] has to be called: half of what the manager allows; `None` = never.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|w| w / 2)
    }

    /// Connected, or blocked: in either case the boot goes on.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// One line for `systemctl status`.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", text.replace('\n', " ")));
    }

    pub fn watchdog(&self) {
        if self.watchdog.is_some() {
            self.send("WATCHDOG=1");
        }
    }

    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, text: &str) {
        let Some((socket, addr)) = &self.socket else { return };
        if let Err(e) = socket.send_to_addr(text.as_bytes(), addr) {
            log::debug!("notify: {text}: {e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let n = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..n]).into_owned()
    }

    #[test]
    fn the_manager_hears_over_an_abstract_socket() {
        let name = format!("pvpn-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notify = Notify::new(format!("@{name}").as_bytes(), Some(Duration::from_secs(30)));
        notify.ready();
        notify.status("connected to NL#12,\nport 4242");
        notify.watchdog();
        notify.stopping();
        let heard: Vec<String> = (0..4).map(|_| received(&manager)).collect();
        assert_eq!(heard, ["READY=1", "STATUS=connected to NL#12, port 4242", "WATCHDOG=1", "STOPPING=1"]);
        assert_eq!(notify.watchdog_interval(), Some(Duration::from_secs(15)));
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        Notify::default().ready();
        Notify::new(b"/nonexistent/socket", None).ready();
        Notify::new(b"", None).watchdog();
    }
}
