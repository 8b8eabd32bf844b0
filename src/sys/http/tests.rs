use super::*;
use crate::time::{millis, secs};
use crate::wire::http::Trust;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;

mod tls;

/// A server on loopback that reads each request's head and body and lets `answer` write to the connection.
fn server(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = read_request(&mut stream);
            answer(&request, &mut stream);
        }
    });
    addr
}

/// Reads a head and as much of a body as its Content-Length says.
fn read_request(stream: &mut impl Read) -> String {
    let mut b = Vec::new();
    let mut byte = [0];
    let ends = |b: &[u8]| {
        let text = String::from_utf8_lossy(b).to_ascii_lowercase();
        let head = text.find("\r\n\r\n")? + 4;
        let len =
            text.split_once("content-length: ").map_or("0", |(_, v)| v.split("\r\n").next().unwrap_or("0"));
        Some(head + len.parse::<usize>().unwrap())
    };
    while ends(&b).is_none_or(|end| b.len() < end) {
        stream.read_exact(&mut byte).unwrap();
        b.push(byte[0]);
    }
    String::from_utf8(b).unwrap()
}

/// A server that always answers with these bytes.
fn fixed(reply: &'static [u8]) -> SocketAddr {
    server(move |_, s| s.write_all(reply).unwrap())
}

fn local(addr: SocketAddr, path: &str) -> Request {
    Request { route: Route::Local, ..Request::get(format!("http://{addr}{path}")) }
}

fn send(request: &Request) -> Result<Response, HttpError> {
    Client::default().send(request)
}

fn body(request: &Request) -> io::Result<String> {
    send(request).unwrap().text()
}

#[test]
fn a_request_carries_its_method_headers_and_body_and_nothing_of_its_own() {
    let addr = server(|request, s| {
        let text = request.to_owned();
        write!(s, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).unwrap();
    });
    let post =
        Request::post(format!("http://{addr}/a?b=c"), "application/json", "{}").header("X-Pm-Uid", "u1");
    let echo = body(&Request { route: Route::Local, ..post }).unwrap().to_ascii_lowercase();
    assert!(echo.starts_with("post /a?b=c http/1.1\r\n"), "{echo}");
    assert!(echo.contains("x-pm-uid: u1\r\n") && echo.contains("content-type: application/json\r\n"));
    assert!(echo.contains(&format!("host: {addr}\r\n")) && echo.ends_with("\r\n\r\n{}"));
    assert!(!echo.contains("user-agent") && !echo.contains("cookie"));
    let delete = Request { method: Method::Delete, body: Some(b"x".to_vec()), ..local(addr, "/s") };
    assert!(body(&delete).unwrap().starts_with("DELETE /s "));
}

#[test]
fn refusals_are_replies_with_their_headers() {
    let addr = fixed(b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 5\r\n\r\nlater");
    let mut reply = send(&local(addr, "/")).unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("7")));
    assert_eq!(reply.text().unwrap(), "later");
    let addr = fixed(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(send(&local(addr, "/")).unwrap().status, 503);
}

#[test]
fn a_body_over_its_limit_is_an_error_and_one_at_it_is_not() {
    let addr = fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
    let limited = |body_limit| body(&Request { body_limit, ..local(addr, "/") });
    assert_eq!(limited(10).unwrap(), "0123456789");
    assert_eq!(limited(9).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_body_cut_short_is_an_error() {
    let cut: [&'static [u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\0",
    ];
    for reply in cut {
        assert!(body(&local(fixed(reply), "/")).is_err(), "{}", String::from_utf8_lossy(reply));
    }
    let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n\r\n";
    assert_eq!(body(&local(fixed(whole), "/")).unwrap(), "01234");
}

#[test]
fn a_reset_does_not_pass_for_the_end_of_a_body_without_a_length() {
    let addr = server(|_, s| {
        s.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[1,2").unwrap();
        nix::sys::socket::setsockopt(
            &*s,
            nix::sys::socket::sockopt::Linger,
            &nix::libc::linger { l_onoff: 1, l_linger: 0 },
        )
        .unwrap();
    });
    assert!(send(&local(addr, "/")).and_then(|mut r| r.text().map_err(|_| HttpError::TimedOut)).is_err());
}

#[test]
fn a_slow_head_and_a_slow_body_end_at_the_time_limit() {
    let slow = |head: &'static [u8]| {
        server(move |_, s| {
            s.write_all(head).unwrap();
            let _ = s.read(&mut [0]); // until the client gives up
        })
    };
    let short = |addr, limit| Request { timeout: millis(limit), ..local(addr, "/") };
    assert_eq!(send(&short(slow(b"HTTP/1.1 200 OK\r\n"), 80)).err(), Some(HttpError::TimedOut));
    // So long that the head comes in time, also from a thread of a busy machine.
    let error = [80, 800, 8_000].into_iter().find_map(|limit| {
        let addr = slow(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n0");
        send(&short(addr, limit)).ok()?.text().err()
    });
    assert_eq!(error.unwrap().kind(), io::ErrorKind::TimedOut);
}

#[test]
fn compressed_bodies_are_unpacked() {
    // `printf hello | gzip -n`, GNU gzip 1.12
    let addr = fixed(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25\r\n\r\n\
        \x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6\x10\x36\x05\0\0\0",
    );
    assert_eq!(body(&local(addr, "/")).unwrap(), "hello");
}

#[test]
fn redirects_are_followed_only_as_often_as_allowed_and_only_the_first_host_is_fixed() {
    let end = fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend");
    let addr = server(move |_, s| {
        write!(s, "HTTP/1.1 302 F\r\nLocation: http://{end}/\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    assert_eq!(send(&local(addr, "/")).unwrap().status, 302);
    assert_eq!(body(&Request { redirects: 1, ..local(addr, "/") }).unwrap(), "end");
    let named = Request {
        redirects: 1,
        connect_to: Some(addr),
        route: Route::Local,
        ..Request::get("http://first.invalid/")
    };
    assert_eq!(body(&named).unwrap(), "end");
}

#[test]
fn errors_tell_what_failed_and_never_the_query() {
    // No test's server is at this address, so its port stays closed.
    let closed = "127.0.0.9:9".parse().unwrap();
    let garbage = fixed(b"SSH-2.0-OpenSSH_9.2\r\n\r\n");
    let silent = fixed(b"");
    let texts = [
        local(closed, "/x?token=s3cret"),
        local(garbage, "/x?token=s3cret"),
        local(silent, "/x?token=s3cret"),
    ]
    .map(|r| send(&r).err().unwrap());
    assert!(
        matches!(texts, [HttpError::Connect(_), HttpError::Protocol(_), HttpError::Connect(_)]),
        "{texts:?}"
    );
    assert!(texts.iter().all(|t| !t.to_string().contains("s3cret")));
    let bad = Request { route: Route::Local, ..Request::get("http://a b/?token=s3cret") };
    assert!(!send(&bad).err().unwrap().to_string().contains("s3cret"));
}

#[test]
fn a_name_that_does_not_resolve_is_told_apart() {
    let client = Client::new(vec![]);
    let request =
        Request { route: Route::Local, timeout: secs(20), ..Request::get("http://no_such_host_name..x/") };
    assert!(matches!(client.send(&request), Err(HttpError::Resolve(_))));
}
