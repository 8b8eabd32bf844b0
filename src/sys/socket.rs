//! Sockets that leave by a chosen way: by mark outside the tunnel, bound to the tunnel's interface, or as the routes
//! say. The mark, the device and the source address are set before the first packet, so that none leaves by
//! another way. All are close-on-exec.

use crate::firewall::OWN_MARK;
use crate::time::Duration;
use crate::wire::http::Route;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect, setsockopt, socket,
    sockopt,
};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// By which way a socket's packets leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// SO_MARK; needs CAP_NET_ADMIN.
    pub mark: Option<u32>,
    /// SO_BINDTODEVICE: packets leave and arrive by this interface whatever the routes say.
    pub device: Option<String>,
    /// Source address, for destinations of its family.
    pub source: Option<IpAddr>,
}

impl Egress {
    /// Past the tunnel and through a closed kill switch: pvpn's own mark.
    pub fn outside() -> Egress {
        Egress { mark: Some(OWN_MARK), ..Egress::default() }
    }

    /// Inside the tunnel, whatever the routes say.
    pub fn tunnel(interface: &str, source: IpAddr) -> Egress {
        Egress { mark: None, device: Some(interface.to_owned()), source: Some(source) }
    }

    /// As the machine's routes say.
    pub fn plain() -> Egress {
        Egress::default()
    }

    /// Sets mark, device and source address of a socket for peers of this family.
    pub fn apply(&self, fd: &OwnedFd, ipv4: bool) -> io::Result<()> {
        if let Some(mark) = self.mark {
            setsockopt(fd, sockopt::Mark, &mark)?;
        }
        if let Some(device) = &self.device {
            setsockopt(fd, sockopt::BindToDevice, &device.into())?;
        }
        if let Some(source) = self.source.filter(|s| s.is_ipv4() == ipv4) {
            bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(source, 0)))?;
        }
        Ok(())
    }
}

impl From<&Route> for Egress {
    fn from(route: &Route) -> Egress {
        match route {
            Route::Outside => Egress::outside(),
            Route::Tunnel { interface, source } => Egress::tunnel(interface, *source),
            Route::Local => Egress::plain(),
        }
    }
}

/// A socket of this kind for peers of `ipv4` or IPv6, with its way out set, nothing sent.
pub fn open(
    ipv4: bool,
    kind: SockType,
    flags: SockFlag,
    protocol: Option<SockProtocol>,
    egress: &Egress,
) -> io::Result<OwnedFd> {
    let family = if ipv4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, kind, flags | SockFlag::SOCK_CLOEXEC, protocol)?;
    egress.apply(&fd, ipv4)?;
    Ok(fd)
}

/// Attaches a classic BPF program to a socket (socket(7), SO_ATTACH_FILTER): what it does not let pass wakes nobody.
pub fn attach_filter(fd: &OwnedFd, steps: &mut [libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(steps.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: steps.as_mut_ptr() };
    // SAFETY: `program` and the `steps` it points to live through the call; the kernel copies both.
    let done = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A UDP socket that talks to `peer` alone: the kernel drops what other hosts send. The port is the kernel's choice,
/// at random.
pub fn udp(peer: SocketAddr, egress: &Egress) -> io::Result<UdpSocket> {
    let fd = open(peer.is_ipv4(), SockType::Datagram, SockFlag::empty(), None, egress)?;
    connect(fd.as_raw_fd(), &SockaddrStorage::from(peer))?;
    Ok(UdpSocket::from(fd))
}

/// Begins a TCP connection and returns at once: the socket is non-blocking, and writable once connected or failed.
/// [`connected`] then says which.
pub fn tcp_begin(peer: SocketAddr, egress: &Egress) -> io::Result<TcpStream> {
    let fd = open(peer.is_ipv4(), SockType::Stream, SockFlag::SOCK_NONBLOCK, None, egress)?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(peer)) {
        Ok(()) | Err(nix::errno::Errno::EINPROGRESS) => Ok(TcpStream::from(fd)),
        Err(e) => Err(e.into()),
    }
}

/// The outcome of a connection begun by [`tcp_begin`], after it became writable.
pub fn connected(stream: &TcpStream) -> io::Result<()> {
    stream.take_error()?.map_or(Ok(()), Err)
}

/// Connects within `timeout`; the stream blocks, without Nagle's delay.
pub fn tcp(peer: SocketAddr, egress: &Egress, timeout: Duration) -> io::Result<TcpStream> {
    let stream = tcp_begin(peer, egress)?;
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
    let limit = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
    if poll(&mut fds, limit)? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    connected(&stream)?;
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::secs;
    use std::net::TcpListener;

    #[test]
    fn a_plain_stream_connects_and_a_closed_port_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let stream = tcp(addr, &Egress::plain(), secs(5)).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        drop(listener);
        let refused = tcp(addr, &Egress::plain(), secs(5)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn the_source_address_is_the_one_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = "127.0.0.77".parse().ok();
        let egress = Egress { source, ..Egress::plain() };
        let stream = tcp(listener.local_addr().unwrap(), &egress, secs(5)).unwrap();
        assert_eq!(Some(stream.local_addr().unwrap().ip()), source);
    }

    #[test]
    fn a_datagram_from_another_host_is_not_heard() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = udp(server.local_addr().unwrap(), &Egress::plain()).unwrap();
        let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
        let to = client.local_addr().unwrap();
        let _ = stranger.send_to(b"forged", to);
        server.send_to(b"true", to).unwrap();
        let mut b = [0; 16];
        let n = client.recv(&mut b).unwrap();
        assert_eq!(&b[..n], b"true");
    }

    #[test]
    fn an_interface_that_does_not_exist_is_an_error_not_another_way_out() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let egress = Egress { device: Some("none0".to_owned()), ..Egress::plain() };
        assert!(tcp(listener.local_addr().unwrap(), &egress, secs(5)).is_err());
    }
}
