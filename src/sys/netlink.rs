//! Our own netlink core, for rtnetlink, nfnetlink, sock_diag and generic netlink (netlink(7)).
//!
//! What always holds: every request has a sequence number of its own and ends with one ACK; answers to other numbers
//! are skipped, so a leftover of a failed request can't be taken for the answer to the next. A dump that the kernel
//! marks as interrupted (NLM_F_DUMP_INTR) or that overran the socket (ENOBUFS) is repeated. Only the kernel is heard.
//! No receive waits longer than [`RECV_TIMEOUT`].
//!
//! A refusal is an `io::Error` that keeps its errno, with the kernel's own words where it gave some: ask
//! [`errno`] instead of `raw_os_error`.

use crate::time::{Duration, secs};
use crate::wire::nlmsg::{self, Ack, Frame, Malformed, Message};
use nix::sys::socket::{self, AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, sockopt};
use nix::sys::time::TimeVal;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::{fmt, mem, ptr};
use zeroize::Zeroize;

/// The kernel answers within the system call that asks, so this is only reached when an answer was lost. Chosen.
pub const RECV_TIMEOUT: Duration = secs(3);
/// More than the 32 KiB that a dump's datagrams have at most (net/netlink/af_netlink.c, `netlink_recvmsg`).
const DATAGRAM_MAX: usize = 64 << 10;
/// Room for the ACKs of a large batch, or for a burst of route changes. Chosen.
const SOCKET_BUFFER: usize = 4 << 20;
/// How often a dump is begun anew before giving up. Chosen: route tables settle between two tries.
const DUMP_TRIES: u32 = 20;

/// Which part of the kernel is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Route,
    Netfilter,
    SockDiag,
    Generic,
}

/// One message of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub kind: u16,
    pub payload: Vec<u8>,
}

/// A refusal with the kernel's words. Inside an `io::Error`; [`errno`] finds it there.
#[derive(Debug)]
pub struct Refused {
    pub errno: i32,
    pub text: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.text, io::Error::from_raw_os_error(self.errno))
    }
}

impl std::error::Error for Refused {}

/// An `io::Error` with this errno, and with words in front of it where there are some.
pub fn refused(errno: i32, text: impl Into<String>) -> io::Error {
    let plain = io::Error::from_raw_os_error(errno);
    let text = text.into();
    if text.is_empty() { plain } else { io::Error::new(plain.kind(), Refused { errno, text }) }
}

/// The errno of a failure, whether or not the kernel added words.
pub fn errno(e: &io::Error) -> Option<i32> {
    let inner = || e.get_ref()?.downcast_ref::<Refused>().map(|r| r.errno);
    e.raw_os_error().or_else(inner)
}

/// Turns a failure with one of these errnos into success: undoing what is gone, making what is there.
pub fn tolerate(result: io::Result<()>, errnos: &[i32]) -> io::Result<()> {
    result.or_else(|e| if errno(&e).is_some_and(|n| errnos.contains(&n)) { Ok(()) } else { Err(e) })
}

impl From<Malformed> for io::Error {
    fn from(_: Malformed) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, "malformed netlink message from the kernel")
    }
}

impl Ack {
    fn into_result(self) -> io::Result<()> {
        if self.errno == 0 { Ok(()) } else { Err(refused(self.errno, self.text.unwrap_or_default())) }
    }
}

/// A socket for requests.
pub struct Socket {
    fd: OwnedFd,
    seq: u32,
    /// A WireGuard device is read with its private key.
    hears_keys: bool,
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Socket {
    /// Errors: EPROTONOSUPPORT where the kernel lacks the protocol.
    pub fn open(protocol: Protocol) -> io::Result<Socket> {
        let socket = Socket::bound(protocol, 0, SockFlag::empty())?;
        // From here on the kernel itself refuses what other programs send to this socket.
        socket::connect(socket.fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(socket)
    }

    /// A socket that hears these multicast groups and never blocks. `groups` are RTNLGRP_ or NFNLGRP_ numbers.
    pub fn subscribe(protocol: Protocol, groups: &[u32]) -> io::Result<Socket> {
        let socket = Socket::bound(protocol, 0, SockFlag::SOCK_NONBLOCK)?;
        for group in groups {
            set_option(&socket.fd, libc::NETLINK_ADD_MEMBERSHIP, *group)?;
        }
        Ok(socket)
    }

    fn bound(protocol: Protocol, groups: u32, flags: SockFlag) -> io::Result<Socket> {
        let protocol = match protocol {
            Protocol::Route => SockProtocol::NetlinkRoute,
            Protocol::Netfilter => SockProtocol::NetlinkNetFilter,
            Protocol::SockDiag => SockProtocol::NetlinkSockDiag,
            Protocol::Generic => SockProtocol::NetlinkGeneric,
        };
        let flags = flags | SockFlag::SOCK_CLOEXEC;
        let fd = socket::socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        set_option(&fd, libc::NETLINK_EXT_ACK, 1)?;
        set_option(&fd, libc::NETLINK_CAP_ACK, 1)?;
        // The first needs CAP_NET_ADMIN; without it net.core.[rw]mem_max bounds what the second gives.
        socket::setsockopt(&fd, sockopt::RcvBufForce, &SOCKET_BUFFER)
            .or_else(|_| socket::setsockopt(&fd, sockopt::RcvBuf, &SOCKET_BUFFER))?;
        socket::setsockopt(&fd, sockopt::SndBufForce, &SOCKET_BUFFER)
            .or_else(|_| socket::setsockopt(&fd, sockopt::SndBuf, &SOCKET_BUFFER))?;
        let timeout = TimeVal::new(RECV_TIMEOUT.as_secs() as _, 0);
        socket::setsockopt(&fd, sockopt::ReceiveTimeout, &timeout)?;
        socket::bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Socket { fd, seq: 0, hears_keys: protocol == SockProtocol::NetlinkGeneric })
    }

    /// Asks for a change and waits for its ACK.
    pub fn request(&mut self, message: &Message) -> io::Result<()> {
        self.ask(message).map(drop)
    }

    /// Asks a question that is no dump: the answers that came before its ACK.
    pub fn ask(&mut self, message: &Message) -> io::Result<Vec<Reply>> {
        let seq = self.send(message, nlmsg::NLM_F_REQUEST | nlmsg::NLM_F_ACK)?;
        let mut replies = Vec::new();
        loop {
            let ended = self.receive(|frame| {
                if frame.seq != seq {
                    return Ok(None);
                }
                if frame.kind == nlmsg::NLMSG_ERROR {
                    return Ok(Some(frame.ack()?.into_result()));
                }
                replies.push(Reply { kind: frame.kind, payload: frame.payload.to_vec() });
                Ok(None)
            })?;
            if let Some(result) = ended {
                return result.map(|()| replies);
            }
        }
    }

    /// Asks for all of something. What comes back is consistent: an interrupted dump is repeated.
    pub fn dump(&mut self, message: &Message) -> io::Result<Vec<Reply>> {
        for _ in 0..DUMP_TRIES {
            match self.dump_once(message) {
                Ok(Some(replies)) => return Ok(replies),
                Ok(None) => {}
                Err(e) if errno(&e) == Some(libc::ENOBUFS) => {}
                Err(e) => return Err(e),
            }
        }
        Err(refused(libc::EAGAIN, "what was read kept changing"))
    }

    /// `None`: it changed while it was read.
    fn dump_once(&mut self, message: &Message) -> io::Result<Option<Vec<Reply>>> {
        let seq = self.send(message, nlmsg::NLM_F_REQUEST | nlmsg::NLM_F_DUMP)?;
        let (mut replies, mut interrupted) = (Vec::new(), false);
        loop {
            let ended = self.receive(|frame| {
                if frame.seq != seq {
                    return Ok(None);
                }
                interrupted |= frame.flags & nlmsg::NLM_F_DUMP_INTR != 0;
                if frame.kind == nlmsg::NLMSG_ERROR || frame.kind == nlmsg::NLMSG_DONE {
                    return Ok(Some(frame.ack()?.into_result()));
                }
                replies.push(Reply { kind: frame.kind, payload: frame.payload.to_vec() });
                Ok(None)
            })?;
            match ended {
                Some(Ok(())) => return Ok((!interrupted).then_some(replies)),
                // Some dumps (generic netlink on older kernels) report the interruption as an error.
                Some(Err(e)) if errno(&e) == Some(libc::EINTR) => return Ok(None),
                Some(Err(e)) => return Err(e),
                None => {}
            }
        }
    }

    /// Sends these messages of one nfnetlink subsystem as one transaction: all of them or none take effect. A refusal
    /// says which message (counted from 1) was the first to fail.
    pub fn batch(&mut self, subsystem: u16, messages: &[Message]) -> io::Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let first = self.seq.wrapping_add(1);
        let mut bytes = Vec::new();
        self.emit(&nlmsg::batch_begin(subsystem), 0, &mut bytes)?;
        for (i, message) in messages.iter().enumerate() {
            // Failures are reported unasked and in order; the last one's ACK says that all were.
            let ack = if i + 1 == messages.len() { nlmsg::NLM_F_ACK } else { 0 };
            self.emit(message, nlmsg::NLM_F_REQUEST | ack, &mut bytes)?;
        }
        let last = self.seq;
        self.emit(&nlmsg::batch_end(subsystem), 0, &mut bytes)?;
        self.send_bytes(&bytes)?;

        let mut failure = None;
        loop {
            let ended = self.receive(|frame| {
                let index = frame.seq.wrapping_sub(first) as usize;
                if index > messages.len() + 1 || frame.kind != nlmsg::NLMSG_ERROR {
                    return Ok(None);
                }
                let ack = frame.ack()?;
                if ack.errno != 0 && failure.is_none() {
                    failure = Some(batch_failure(index, messages, ack));
                }
                // A refusal of the whole transaction is the answer to its first message.
                Ok((index == 0 || frame.seq == last).then_some(()))
            })?;
            if ended.is_some() {
                return failure.map_or(Ok(()), Err);
            }
        }
    }

    fn send(&mut self, message: &Message, flags: u16) -> io::Result<u32> {
        let mut bytes = Vec::new();
        self.emit(message, flags, &mut bytes)?;
        self.send_bytes(&bytes)?;
        Ok(self.seq)
    }

    fn emit(&mut self, message: &Message, flags: u16, into: &mut Vec<u8>) -> io::Result<()> {
        self.seq = self.seq.wrapping_add(1);
        let start = into.len();
        message.emit(self.seq, into).map_err(|_| refused(libc::EMSGSIZE, "netlink message too long"))?;
        // Flags stand at bytes 6 and 7 of the header that was emitted just above.
        into[start + 6..start + 8].copy_from_slice(&(message.flags | flags).to_ne_bytes());
        Ok(())
    }

    fn send_bytes(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match socket::send(self.fd.as_raw_fd(), bytes, socket::MsgFlags::empty()) {
                Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Waits for a datagram and shows `see` its messages until one of them yields something.
    fn receive<T>(&self, see: impl FnMut(&Frame<'_>) -> io::Result<Option<T>>) -> io::Result<Option<T>> {
        self.poll_receive(see).map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock => refused(libc::ETIMEDOUT, "no answer from the kernel"),
            _ => e,
        })
    }

    /// The same for a subscribed socket: `WouldBlock` when nothing is there.
    pub(super) fn poll_receive<T>(
        &self,
        see: impl FnMut(&Frame<'_>) -> io::Result<Option<T>>,
    ) -> io::Result<Option<T>> {
        let mut datagram = Vec::with_capacity(DATAGRAM_MAX);
        receive_from_kernel(&self.fd, &mut datagram)?;
        let seen = first_seen(&datagram, see);
        // Only what came is touched: all 64 KiB take longer than the rest.
        if self.hears_keys {
            datagram.as_mut_slice().zeroize();
        }
        seen
    }
}

/// What the first message gives that gives something.
fn first_seen<T>(
    datagram: &[u8],
    mut see: impl FnMut(&Frame<'_>) -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    for frame in nlmsg::frames(datagram) {
        if let Some(found) = see(&frame?)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn batch_failure(index: usize, messages: &[Message], ack: Ack) -> io::Error {
    let words = ack.text.map(|t| format!(": {t}")).unwrap_or_default();
    let text = match index.checked_sub(1).and_then(|i| messages.get(i)) {
        Some(m) => format!("message {index} of {} (kind {:#06x}){words}", messages.len(), m.kind),
        None => format!("the transaction as a whole{words}"),
    };
    refused(ack.errno, text)
}

fn set_option(fd: &OwnedFd, option: libc::c_int, value: u32) -> io::Result<()> {
    let len = mem::size_of::<u32>() as libc::socklen_t;
    // SAFETY: `value` outlives the call and `len` is its size.
    let done = unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_NETLINK, option, ptr::from_ref(&value).cast(), len)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// One datagram of the kernel's, into the capacity of an empty buffer; those of other senders are dropped.
fn receive_from_kernel(fd: &OwnedFd, buffer: &mut Vec<u8>) -> io::Result<()> {
    loop {
        // SAFETY: sockaddr_nl is plain old data, for which all zeroes is valid.
        let mut from: libc::sockaddr_nl = unsafe { mem::zeroed() };
        let mut from_len = mem::size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: buffer and address outlive the call; as many bytes as said may be written to both.
        let len = unsafe {
            libc::recvfrom(
                fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.capacity(),
                libc::MSG_TRUNC,
                ptr::from_mut(&mut from).cast(),
                &mut from_len,
            )
        };
        let Ok(len) = usize::try_from(len) else {
            let e = io::Error::last_os_error();
            if e.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(e);
        };
        if from.nl_pid != 0 {
            continue;
        }
        if len > buffer.capacity() {
            return Err(refused(libc::EMSGSIZE, "netlink answer too long"));
        }
        // SAFETY: the kernel has just written this many bytes, and they fit.
        unsafe { buffer.set_len(len) };
        return Ok(());
    }
}

#[cfg(test)]
mod tests;
