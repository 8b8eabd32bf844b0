//! Whether somebody else has the ports that qBittorrent is to have.

use crate::qbittorrent::{Auth, WebUi};
use crate::status::finding::Finding;
use std::fs;
use std::path::Path;

/// TCP_LISTEN as `/proc/net/tcp` writes it (proc_net(5)).
const LISTEN: &str = "0A";

/// A socket that listens, and whose it is where that can be seen.
pub struct Listener {
    pub port: u16,
    pub program: Option<String>,
}

/// All that listen for TCP on this machine.
pub fn listeners() -> Vec<Listener> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let sockets: Vec<(u16, u64)> = tables.iter().flat_map(|text| listening(text)).collect();
    let owners = owners(Path::new("/proc"), &sockets);
    let program = |inode| owners.iter().find(|(i, _)| *i == inode).map(|(_, program)| program.clone());
    sockets.iter().map(|(port, inode)| Listener { port: *port, program: program(*inode) }).collect()
}

/// Port and inode of each line that listens: `sl local_address rem_address st tx:rx tr:when retr uid timeout inode`.
fn listening(text: &str) -> impl Iterator<Item = (u16, u64)> {
    text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_, port) = words.get(1)?.rsplit_once(':')?;
        let is_listening = words.get(3) == Some(&LISTEN);
        let pair = (u16::from_str_radix(port, 16).ok()?, words.get(9)?.parse().ok()?);
        is_listening.then_some(pair)
    })
}

/// The programs that hold these sockets.
fn owners(proc: &Path, sockets: &[(u16, u64)]) -> Vec<(u64, String)> {
    let mut owners = Vec::new();
    for process in fs::read_dir(proc).into_iter().flatten().flatten() {
        let open = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        for inode in open.filter_map(|fd| socket(&fs::read_link(fd.path()).ok()?)) {
            if !sockets.iter().any(|(_, i)| *i == inode) {
                continue;
            }
            if let Ok(program) = fs::read_to_string(process.path().join("comm")) {
                owners.push((inode, program.trim_end().to_owned()));
            }
        }
    }
    owners
}

fn socket(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// qBittorrent's own port beside its WebUI's, and that nobody else has it or the forwarded one.
pub fn look(url: &str, port: u16, forwarded: Option<u16>, listeners: &[Listener]) -> Finding {
    let Some((_, webui)) = WebUi::new(url, Auth::None).local_socket() else {
        return Finding::ok("ports", format!("listen port {port} without a forwarded one"));
    };
    if webui == port {
        let text = format!("[qbittorrent] port {port} is the WebUI's own");
        return Finding::failed("ports", text, "choose another port");
    }
    let is_other = |l: &&Listener| l.program.as_ref().is_some_and(|p| !p.starts_with("qbittorrent"));
    let has = |wanted: u16| listeners.iter().filter(move |l| l.port == wanted).find(is_other);
    let taken = [Some((port, "qBittorrent's own")), forwarded.map(|p| (p, "the forwarded one"))];
    for (port, what) in taken.into_iter().flatten() {
        if let Some(program) = has(port).and_then(|l| l.program.as_ref()) {
            return Finding::failed(
                "ports",
                format!("port {port}, {what}, is taken by {program}"),
                "give that program another port, or choose another `port` in [qbittorrent]",
            );
        }
    }
    Finding::ok("ports", format!("listen port {port} without a forwarded one, and nobody else has it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux 6.1, `/proc/net/tcp`: sshd on 22, a connection of it, a WebUI on 8080 of loopback.
    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 15511 1 0000000000000000 100 0 0 10 0
   1: 0A01A8C0:0016 1401A8C0:D2F0 01 00000000:00000000 02:000A7214 00000000     0        0 18222 4 0000000000000000 20 4 30 10 -1
   2: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 17020 1 0000000000000000 100 0 0 10 0
";

    #[test]
    fn listening_sockets_are_read_from_the_kernels_table() {
        assert_eq!(listening(TABLE).collect::<Vec<_>>(), [(22, 15511), (8080, 17020)]);
        assert_eq!(listening("").count(), 0);
        assert_eq!(socket(Path::new("socket:[15511]")), Some(15511));
        assert_eq!(socket(Path::new("/dev/null")), None);
    }

    #[test]
    fn our_own_listener_is_found_with_our_own_name() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        let programs: Vec<_> =
            listeners().into_iter().filter(|l| l.port == port).map(|l| l.program).collect();
        assert_eq!(programs, [Some(comm.trim_end().to_owned())]);
    }

    #[test]
    fn a_port_that_somebody_else_has_is_named() {
        let by = |port, program: &str| [Listener { port, program: Some(program.to_owned()) }];
        let url = "http://127.0.0.1:8080";
        let is_failed = |listeners: &[Listener]| look(url, 6881, Some(40123), listeners).is_failed();
        assert!(!is_failed(&[]) && !is_failed(&by(6881, "qbittorrent-nox")) && !is_failed(&by(22, "sshd")));
        assert!(is_failed(&by(6881, "transmission-da")) && is_failed(&by(40123, "rtorrent")));
        assert!(look(url, 8080, None, &[]).is_failed());
        // On another machine it has ports of its own.
        assert!(!look("http://192.168.1.9:8080", 6881, None, &by(6881, "rtorrent")).is_failed());
    }
}
