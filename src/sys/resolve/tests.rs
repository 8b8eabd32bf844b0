use super::*;
use crate::time::secs;
use std::net::TcpListener;
use std::thread;

/// A name server that answers each datagram with what `reply` makes of it; it ends with the test's process.
fn server(reply: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut b = [0; 512];
        while let Ok((n, from)) = socket.recv_from(&mut b) {
            for answer in reply(&b[..n]) {
                socket.send_to(&answer, from).unwrap();
            }
        }
    });
    addr
}

/// The question's reply with this flags word and these answers (an address of its own family each).
fn reply(question: &[u8], flags: u16, answers: u8) -> Vec<u8> {
    let mut b = question.to_vec();
    b[2..4].copy_from_slice(&flags.to_be_bytes());
    b[7] = answers;
    let kind = question[question.len() - 3];
    for i in 0..answers {
        b.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, if kind == 1 { 4 } else { 16 }]);
        let mut addr =
            if kind == 1 { vec![203, 0, 113] } else { Ipv6Addr::UNSPECIFIED.octets()[..15].to_vec() };
        addr.push(11 + i);
        b.extend(addr);
    }
    b
}

/// With patience for a second family that is answered by a thread of a busy machine.
fn resolver(servers: &[SocketAddr]) -> Resolver {
    let resolver = Resolver::new(servers.to_vec(), Egress::plain());
    Resolver { hosts_path: PathBuf::from("/nonexistent"), second_family_timeout: secs(20), ..resolver }
}

fn found(servers: &[SocketAddr]) -> Result<Vec<String>, ResolveError> {
    let found = resolver(servers).resolve("vpn.example", secs(20))?;
    Ok(found.iter().map(IpAddr::to_string).collect())
}

#[test]
fn both_families_are_found_ipv4_first() {
    let s = server(|q| vec![reply(q, 0x8180, 1)]);
    assert_eq!(found(&[s]).unwrap(), ["203.0.113.11", "::b"]);
}

#[test]
fn a_silent_second_family_hides_nothing() {
    let s = server(|q| if q[q.len() - 3] == 1 { vec![reply(q, 0x8180, 1)] } else { vec![] });
    let hurried = Resolver { second_family_timeout: SECOND_FAMILY, ..resolver(&[s]) };
    assert_eq!(
        hurried.resolve("vpn.example", secs(20)).unwrap(),
        ["203.0.113.11".parse::<IpAddr>().unwrap()]
    );
}

#[test]
fn forged_answers_before_the_true_one_are_passed_over() {
    let s = server(|q| {
        let mut other_id = reply(q, 0x8180, 2);
        other_id[0] ^= 1;
        let mut other_name = reply(q, 0x8180, 2);
        other_name[13] ^= 1;
        vec![other_id, other_name, vec![], vec![0xa5; 40], reply(q, 0x8180, 1)]
    });
    assert_eq!(found(&[s]).unwrap(), ["203.0.113.11", "::b"]);
}

#[test]
fn a_failing_server_is_passed_over_and_a_denied_name_is_not_asked_of_another() {
    let refusing = server(|q| vec![reply(q, 0x8185, 0)]);
    let good = server(|q| vec![reply(q, 0x8180, 1)]);
    let denying = server(|q| vec![reply(q, 0x8183, 0)]);
    // No test's server is at this address, so its port stays closed.
    let closed = "127.0.0.9:9".parse().unwrap();
    assert_eq!(found(&[closed, refusing, good]).unwrap(), ["203.0.113.11", "::b"]);
    assert_eq!(found(&[denying, good]), Err(ResolveError::NoName));
    assert!(matches!(found(&[refusing]), Err(ResolveError::NoAnswer(_))));
    assert_eq!(found(&[]), Err(ResolveError::NoServers));
}

#[test]
fn a_truncated_answer_is_asked_again_over_tcp() {
    // A port may be another test's by UDP.
    let (listener, socket) = (0..100)
        .find_map(|_| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let socket = UdpSocket::bind(listener.local_addr().unwrap()).ok()?;
            Some((listener, socket))
        })
        .unwrap();
    let addr = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut b = [0; 512];
        while let Ok((n, from)) = socket.recv_from(&mut b) {
            socket.send_to(&reply(&b[..n], 0x8380, 0), from).unwrap();
        }
    });
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut len = [0; 2];
            stream.read_exact(&mut len).unwrap();
            let mut q = vec![0; usize::from(u16::from_be_bytes(len))];
            stream.read_exact(&mut q).unwrap();
            let answer = reply(&q, 0x8180, 40);
            stream.write_all(&(answer.len() as u16).to_be_bytes()).unwrap();
            let (first, rest) = answer.split_at(7);
            stream.write_all(first).unwrap();
            stream.write_all(rest).unwrap();
        }
    });
    assert_eq!(found(&[addr]).unwrap().len(), 80);
}

#[test]
fn the_time_given_bounds_the_search() {
    let silent = server(|_| vec![]);
    let result = resolver(&[silent]).resolve("vpn.example", millis(30));
    assert!(matches!(result, Err(ResolveError::NoAnswer(_))));
}

#[test]
fn literal_addresses_and_names_without_meaning_are_not_asked() {
    let r = resolver(&["127.0.0.1:9".parse().unwrap()]);
    assert_eq!(r.resolve("192.0.2.1", secs(1)).unwrap(), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(r.resolve("[::1]", secs(1)).unwrap(), [IpAddr::from(Ipv6Addr::LOCALHOST)]);
    assert_eq!(r.resolve("no such host", secs(1)), Err(ResolveError::NoName));
}

#[test]
fn the_hosts_file_comes_first() {
    let text = "127.0.0.1 localhost # first\n::1 six seven\n10.0.0.7\tseven Eight.lan\n#1.1.1.1 seven\n";
    let names = |n: &str| in_hosts(text, n).iter().map(IpAddr::to_string).collect::<Vec<_>>();
    assert_eq!(names("seven"), ["10.0.0.7", "::1"]);
    assert_eq!(names("eight.LAN."), ["10.0.0.7"]);
    assert_eq!(names("nine"), [""; 0]);
    assert_eq!(in_hosts("", "localhost").len(), 2);
}

#[test]
fn name_servers_are_read_in_order() {
    let text =
        "# nameserver 1.1.1.1\nsearch lan\nnameserver 192.168.1.1\nnameserver fe80::1%eth0\noptions edns0\n";
    let found: Vec<String> = servers_in(text).iter().map(SocketAddr::to_string).collect();
    assert_eq!(found, ["192.168.1.1:53", "[fe80::1]:53"]);
}

/// Whom pvpn itself asks, outside the tunnel, on a machine with these files.
fn outside(files: &[(&str, &str)]) -> Vec<String> {
    let read =
        |path: &str| files.iter().find(|(p, _)| *p == path).map_or(String::new(), |(_, t)| t.to_string());
    outside_in(&read).iter().map(|s| s.ip().to_string()).collect()
}

#[test]
fn the_tunnels_servers_are_not_asked_outside_whoever_was_told_of_them() {
    let ours = "# Written by pvpn while its tunnel is up.\nnameserver 10.2.0.1\n";
    let stub = "nameserver 127.0.0.53\n";
    let resolved =
        [(RESOLV_CONF, ours), (BACKUP, stub), (UPLINKS, "nameserver 10.2.0.1\nnameserver 192.168.1.1\n")];
    assert_eq!(outside(&resolved), ["192.168.1.1", "127.0.0.53"]);
    let resolvconf = [(RESOLV_CONF, ours), (BACKUP, "nameserver 10.2.0.1\nnameserver 192.168.1.1\n")];
    assert_eq!(outside(&resolvconf), ["192.168.1.1"]);
    assert_eq!(outside(&[(RESOLV_CONF, ours)]), [""; 0]);
    assert_eq!(outside(&[(RESOLV_CONF, "nameserver 10.2.0.1\n")]), ["10.2.0.1"]);
}
