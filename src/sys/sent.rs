//! Hears that somebody sends through an interface: a packet socket (packet(7)) whose classic BPF program lets only
//! packets on their way out pass, one byte of each.
//!
//! It is open only while nothing is sent, since every packet of the interface is shown to it. The caller's own packets
//! are heard as well: it takes them away by [`Sent::discard`] right after sending.

use super::socket::attach_filter;
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, socket};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The ancillary load of the packet's type (linux/filter.h, SKF_AD_PKTTYPE).
const PACKET_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
/// if_packet.h, PACKET_OUTGOING.
const OUTGOING: u32 = libc::PACKET_OUTGOING as u32;

/// Readable once somebody sent.
#[derive(Debug)]
pub struct Sent {
    fd: OwnedFd,
}

impl Sent {
    /// Needs CAP_NET_RAW.
    pub fn open(interface: &str) -> io::Result<Sent> {
        let index = if_nametoindex(interface)?;
        // Without a protocol it hears nothing until it is bound, by then with its filter.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Packet, SockType::Datagram, flags, None)?;
        attach(&fd)?;
        bind(&fd, index)?;
        Ok(Sent { fd })
    }

    /// Whether anybody sent since the last time; forgotten then. An error: the interface is gone.
    pub fn take(&self) -> io::Result<bool> {
        let mut heard = false;
        loop {
            match recv(self.fd.as_raw_fd(), &mut [0; 1], MsgFlags::empty()) {
                Ok(_) => heard = true,
                Err(nix::errno::Errno::EAGAIN) => return Ok(heard),
                Err(nix::errno::Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// What was sent so far was ours.
    pub fn discard(&self) {
        // An error stays with a dead interface: the next take says it.
        let _ = self.take();
    }
}

impl AsFd for Sent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn attach(fd: &OwnedFd) -> io::Result<()> {
    let step = |code: u32, k, jf| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, PACKET_TYPE, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, OUTGOING, 1),
        step(libc::BPF_RET | libc::BPF_K, 1, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0),
    ];
    attach_filter(fd, &mut steps)
}

fn bind(fd: &OwnedFd, index: u32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: i32::try_from(index).map_err(|_| io::ErrorKind::InvalidInput)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: `address` lives through the call and its whole size is given; the kernel copies it.
    let done = unsafe {
        libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as libc::socklen_t)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
