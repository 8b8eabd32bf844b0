//! The classic BPF program of an echo socket: an echo reply, our identifier, our run number, else nothing.

use crate::sys::socket::attach_filter;
use crate::wire::icmp::{REPLY_V4, REPLY_V6};
use nix::libc;
use std::io;
use std::os::fd::OwnedFd;

/// Opcodes of linux/bpf_common.h.
const LOAD_BYTE_X: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_IND) as u16;
const LOAD_HALF_X: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16;
const LOAD_WORD_X: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_IND) as u16;
const HEADER_TO_X: u16 = (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16;
const NUMBER_TO_X: u16 = (libc::BPF_LDX | libc::BPF_W | libc::BPF_IMM) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

const TYPE: u32 = 0;
const IDENTIFIER: u32 = 4;
const PAYLOAD: u32 = 8;

fn step(code: u16, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

/// Goes on if equal, else skips `over` steps.
fn unless(k: u32, over: u8) -> libc::sock_filter {
    libc::sock_filter { code: JUMP_EQUAL, jt: 0, jf: over, k }
}

/// Raw IPv4 sockets see the packet from its IP header, raw IPv6 ones from the ICMPv6 header: X is what to skip.
fn program(ipv4: bool, id: u16, run: u32) -> [libc::sock_filter; 9] {
    [
        if ipv4 { step(HEADER_TO_X, 0) } else { step(NUMBER_TO_X, 0) },
        step(LOAD_BYTE_X, TYPE),
        unless(u32::from(if ipv4 { REPLY_V4 } else { REPLY_V6 }), 5),
        step(LOAD_HALF_X, IDENTIFIER),
        unless(u32::from(id), 3),
        step(LOAD_WORD_X, PAYLOAD),
        unless(run, 1),
        step(RETURN, u32::MAX),
        step(RETURN, 0),
    ]
}

/// Attaches the program to a raw socket.
pub fn attach(fd: &OwnedFd, ipv4: bool, id: u16, run: u32) -> io::Result<()> {
    attach_filter(fd, &mut program(ipv4, id, run))
}
