//! Many messages by one call of the kernel: recvmmsg(2), with the time at which each was received.
//!
//! The types with `repr(C)` are what the kernel writes, in its layout; they are plain bytes and numbers, of which any value
//! is valid. An IPv4 or IPv6 address is read out of its bytes (ip(7), ipv6(7)).

use crate::time::Duration;
use nix::errno::Errno;
use nix::libc;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

/// Bytes of a reply looked at: IPv4 header with options, ICMP header, payload.
const PACKET_MOST: usize = 256;
/// sockaddr_in6, the larger of the two.
const NAME: usize = size_of::<libc::sockaddr_in6>();

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Name([u8; NAME]);

/// The one control message that is asked for: its header, and a time (socket(7), SO_TIMESTAMPNS).
#[derive(Clone, Copy)]
#[repr(C)]
struct Control {
    head: libc::cmsghdr,
    at: libc::timespec,
}

#[derive(Clone, Copy)]
struct Slot {
    name: Name,
    control: Control,
    packet: [u8; PACKET_MOST],
}

const EMPTY: Slot = Slot {
    name: Name([0; NAME]),
    control: Control {
        head: libc::cmsghdr { cmsg_len: 0, cmsg_level: 0, cmsg_type: 0 },
        at: libc::timespec { tv_sec: 0, tv_nsec: 0 },
    },
    packet: [0; PACKET_MOST],
};

/// Room for the messages of one call.
pub struct Inbox {
    slots: Vec<Slot>,
    lens: Vec<usize>,
}

/// A message as the kernel handed it out.
pub(super) struct Message<'a> {
    pub from: Option<IpAddr>,
    pub bytes: &'a [u8],
    /// When it was received, on the wall clock.
    pub stamp: Option<Duration>,
}

impl Inbox {
    /// Takes at most so many at once.
    pub fn new(most: usize) -> Inbox {
        Inbox { slots: vec![EMPTY; most], lens: Vec::with_capacity(most) }
    }

    /// Fills it with what has come; an empty one if nothing has. Whether there may be more.
    pub(super) fn fill(&mut self, fd: &OwnedFd) -> io::Result<bool> {
        self.lens.clear();
        let mut parts: Vec<libc::iovec> = Vec::with_capacity(self.slots.len());
        let mut heads: Vec<libc::mmsghdr> = Vec::with_capacity(self.slots.len());
        for slot in &mut self.slots {
            (slot.name, slot.control) = (EMPTY.name, EMPTY.control);
            parts.push(libc::iovec { iov_base: slot.packet.as_mut_ptr().cast(), iov_len: PACKET_MOST });
            let mut head = blank();
            head.msg_hdr.msg_name = slot.name.0.as_mut_ptr().cast();
            head.msg_hdr.msg_namelen = NAME as libc::socklen_t;
            head.msg_hdr.msg_control = ptr::from_mut(&mut slot.control).cast();
            head.msg_hdr.msg_controllen = size_of::<Control>() as _;
            heads.push(head);
        }
        for (head, part) in heads.iter_mut().zip(&mut parts) {
            head.msg_hdr.msg_iov = part;
            head.msg_hdr.msg_iovlen = 1;
        }
        let came = loop {
            // SAFETY: each head points to the name, the control message and the packet of its own slot and to its own
            // part, all of the stated lengths, and all of them live unmoved through the call.
            let n = unsafe {
                libc::recvmmsg(
                    fd.as_raw_fd(),
                    heads.as_mut_ptr(),
                    heads.len() as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                    ptr::null_mut(),
                )
            };
            match Errno::result(n) {
                Ok(n) => break usize::try_from(n).unwrap_or(0),
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Ok(false),
                Err(e) => return Err(e.into()),
            }
        };
        self.lens.extend(heads.iter().take(came).map(|head| (head.msg_len as usize).min(PACKET_MOST)));
        Ok(came == self.slots.len())
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.slots.iter().zip(&self.lens).map(|(slot, &len)| Message {
            from: slot.name.addr(),
            bytes: &slot.packet[..len],
            stamp: slot.control.stamp(),
        })
    }
}

impl Name {
    fn addr(&self) -> Option<IpAddr> {
        let (family, rest) = self.0.split_first_chunk::<2>()?;
        // Behind the family: port and address; with IPv6 port, flow label and address.
        match i32::from(u16::from_ne_bytes(*family)) {
            libc::AF_INET => Some(Ipv4Addr::from(*rest.get(2..)?.first_chunk::<4>()?).into()),
            libc::AF_INET6 => Some(Ipv6Addr::from(*rest.get(6..)?.first_chunk::<16>()?).into()),
            _ => None,
        }
    }
}

impl Control {
    fn stamp(&self) -> Option<Duration> {
        let is_stamp =
            (self.head.cmsg_level, self.head.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS);
        let (secs, nanos) = (u64::try_from(self.at.tv_sec).ok()?, u32::try_from(self.at.tv_nsec).ok()?);
        is_stamp.then(|| Duration::new(secs, nanos))
    }
}

fn blank() -> libc::mmsghdr {
    // SAFETY: numbers and pointers, for all of which zero is valid.
    unsafe { std::mem::zeroed() }
}
