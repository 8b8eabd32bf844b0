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

fn await_reply(socket: &EchoSocket) {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut fds, PollTimeout::from(5_000_u16)), Ok(1));
}

type Heard = (IpAddr, u16, Vec<u8>, Instant);

/// What is there, with the time of its arrival.
fn heard(socket: &EchoSocket, inbox: &mut Inbox) -> (Vec<Heard>, bool) {
    let mut heard = Vec::new();
    let hear = &mut |r: Reply<'_>| heard.push((r.from, r.seq, r.payload.to_vec(), r.at));
    let more = socket.receive_many(inbox, hear).unwrap();
    (heard, more)
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
        await_reply(&socket);
        let (replies, more) = heard(&socket, &mut Inbox::new(4));
        let [(from, seq, payload, at)] = &replies[..] else { panic!("{replies:?}") };
        assert_eq!((*from, *seq, &payload[..], more), (addr, 7, &b"hello"[..], false));
        // The two clocks are read one after the other, hence the slack of a millisecond.
        assert!(*at + millis(1) >= before && *at <= System.now());
        assert_eq!(socket.receive().unwrap(), None);
    }
}

#[test]
fn many_are_taken_by_as_few_calls_as_the_inbox_allows() {
    for (ipv4, addr) in [(true, "127.0.0.1"), (false, "::1")] {
        let addr: IpAddr = addr.parse().unwrap();
        let Some(socket) = open(ipv4) else { return };
        let payloads: Vec<Vec<u8>> = (0..50).map(|n| vec![n; usize::from(n)]).collect();
        let send = |n: u16| socket.send(addr, n, &payloads[usize::from(n)]);
        if send(0).is_err() {
            continue; // no IPv6 here
        }
        (1..50).for_each(|n| send(n).unwrap());
        let (mut inbox, mut replies) = (Inbox::new(16), Vec::new());
        while replies.len() < 50 {
            await_reply(&socket);
            let (some, more) = heard(&socket, &mut inbox);
            assert_eq!(more, some.len() == 16);
            replies.extend(some);
        }
        for ((n, wanted), (from, seq, payload, _)) in (0..).zip(&payloads).zip(&replies) {
            assert_eq!((*from, *seq, payload), (addr, n, wanted));
        }
        // In the order of their arrival, each with a time of its own that is not the look's.
        assert!(replies.windows(2).all(|w| w[0].3 <= w[1].3 + millis(1)));
        assert!(!heard(&socket, &mut inbox).1);
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
    await_reply(&ours);
    assert_eq!(ours.receive().unwrap(), Some((addr, 9)));
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
        assert!(Clocks::read().arrival(stamp) >= now);
    }
    let recent = Clocks::read().arrival(Some(wall - millis(500)));
    assert!(recent < System.now() - millis(499));
}
