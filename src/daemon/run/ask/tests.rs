use super::*;
use std::net::Ipv4Addr;
use std::thread;

fn server() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// Answers one datagram.
fn answer(
    socket: UdpSocket,
    reply: impl FnOnce(&[u8]) -> Vec<u8> + Send + 'static,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut b = [0; 512];
        let (n, from) = socket.recv_from(&mut b).unwrap();
        socket.send_to(&reply(&b[..n]), from).unwrap();
    })
}

#[test]
fn a_persons_time_servers_come_before_the_pool() {
    let text = "[Time]\n#NTP=192.0.2.1\nNTP=ntp.lan 192.0.2.2\n  NTP=\nFallbackNTP=192.0.2.3\n";
    assert_eq!(time_servers(text), ["ntp.lan", "192.0.2.2", POOL]);
    assert_eq!(time_servers(""), [POOL]);
}

#[test]
fn a_time_server_is_believed_only_if_it_saw_the_question() {
    for forged in [false, true] {
        let (socket, addr) = server();
        let serving = answer(socket, move |request| {
            let mut reply = [0; sntp::LENGTH];
            (reply[0], reply[1]) = (0x24, 2);
            reply[24..32].copy_from_slice(&request[40..48]);
            reply[40..44].copy_from_slice(&(2_208_988_800_u32 + 1_780_000_000).to_be_bytes());
            reply[31] ^= u8::from(forged);
            reply.to_vec()
        });
        let told = ask_time_at(addr, 0x1122_3344_5566_7788, &Egress::plain());
        serving.join().unwrap();
        let wanted =
            if forged { Err("no answer to this question".to_owned()) } else { Ok(UnixTime(1_780_000_000)) };
        assert_eq!(told, wanted);
    }
}

fn asked(rcode: u8, other_id: bool) -> Option<bool> {
    let (socket, addr) = server();
    let question = Question::ask(addr, &Egress::plain()).unwrap();
    assert_eq!(question.read(), None, "not yet");
    let serving = answer(socket, move |query| {
        let mut reply = query.to_vec();
        (reply[2], reply[3]) = (0x81, 0x80 | rcode);
        reply[0] ^= u8::from(other_id);
        reply
    });
    serving.join().unwrap();
    question.read()
}

#[test]
fn a_resolver_that_knows_or_knows_better_is_well() {
    assert_eq!(asked(0, false), Some(true));
    assert_eq!(asked(3, false), Some(true));
    assert_eq!(asked(2, false), Some(false), "SERVFAIL");
    assert_eq!(asked(0, true), None, "an answer to another question");
}

#[test]
fn where_nobody_listens_the_question_fails_at_once() {
    let (socket, addr) = server();
    drop(socket);
    let question = Question::ask(addr, &Egress::plain()).unwrap();
    assert_eq!(question.read(), Some(false));
}
