//! Real echo replies of the loopback interface. Without CAP_NET_RAW and without ping sockets there is nothing to test.

use super::*;
use crate::time::{millis, secs};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

fn open(ipv4: bool) -> Option<EchoSocket> {
    match EchoSocket::open(ipv4, &Egress::plain()) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => None,
        other => Some(other.unwrap()),
    }
}

fn next(socket: &EchoSocket) -> Option<Reply> {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(5_000_u16)).unwrap();
    socket.receive().unwrap()
}

#[test]
fn loopback_answers_with_what_was_sent_and_the_kernels_own_time() {
    for (ipv4, addr) in [(true, "127.0.0.1"), (false, "::1")] {
        let addr: IpAddr = addr.parse().unwrap();
        let Some(socket) = open(ipv4) else { return };
        let before = System.now();
        if socket.send(addr, 7, b"hello").is_err() {
            continue; // no IPv6 here
        }
        let reply = next(&socket).unwrap();
        assert_eq!((reply.from, reply.seq, &reply.payload[..]), (addr, 7, &b"hello"[..]));
        // The two clocks are read one after the other, hence the slack of a millisecond.
        assert!(reply.at + millis(1) >= before && reply.at <= System.now());
        assert_eq!(socket.receive().unwrap(), None);
    }
}

#[test]
fn replies_to_others_do_not_wake_us() {
    let addr: IpAddr = "127.0.0.1".parse().unwrap();
    let (Some(ours), Some(other)) = (open(true), open(true)) else { return };
    for seq in 0..100 {
        other.send(addr, seq, b"not ours").unwrap();
    }
    // A stranger with our identifier and another run number.
    let stranger = EchoSocket { run: other.run, id: ours.id, fd: other.fd.try_clone().unwrap(), ..other };
    stranger.send(addr, 3, b"forged").unwrap();
    ours.send(addr, 9, b"ours").unwrap();
    assert_eq!(next(&ours).unwrap().seq, 9);
    assert_eq!(ours.receive().unwrap(), None);
    let mut unfiltered = 0;
    while other.receive().unwrap().is_some() {
        unfiltered += 1;
    }
    assert!(unfiltered > 0, "the other socket hears its own: the filter is what keeps them from ours");
}

#[test]
fn a_stamp_that_cannot_be_is_not_believed() {
    let wall = Duration::from(clock_gettime(ClockId::CLOCK_REALTIME).unwrap());
    let now = System.now();
    for stamp in [None, Some(wall + secs(3_600)), Some(wall - secs(3_600))] {
        assert!(arrival(stamp) >= now);
    }
    let recent = arrival(Some(wall - millis(500)));
    assert!(recent < System.now() - millis(499));
}
