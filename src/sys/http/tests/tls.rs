//! TLS against a rustls server with certificates made on the spot.

use super::*;
use crate::wire::http::Anchor;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, GeneralSubtree, IsCa, KeyPair, NameConstraints, SanType,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::sync::Arc;

struct Authority {
    key: KeyPair,
    cert: rcgen::Certificate,
}

fn authority(name: &str) -> Authority {
    confined_authority(name, None)
}

/// One that says that it speaks for the names below this one alone.
fn confined_authority(name: &str, domain: Option<&str>) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.name_constraints = domain.map(|domain| NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(domain.to_owned())],
        excluded_subtrees: Vec::new(),
    });
    let key = KeyPair::generate().unwrap();
    Authority { cert: params.self_signed(&key).unwrap(), key }
}

impl Authority {
    fn anchors(&self) -> Vec<Anchor> {
        anchors_from_pem(self.cert.pem().as_bytes()).unwrap()
    }

    fn only(&self, name_from_cn: bool) -> Trust {
        Trust::Only { anchors: self.anchors(), name_from_cn }
    }

    /// A server with a leaf of this authority that answers once a connection and ends it properly, or not.
    fn server(&self, leaf: Leaf) -> SocketAddr {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, leaf.common_name);
        if let Some(name) = leaf.alternative {
            params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        }
        if leaf.expired {
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let chain = vec![params.signed_by(&key, &self.cert, &self.key).unwrap().der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        serve(Arc::new(config), leaf)
    }
}

#[derive(Clone, Copy)]
struct Leaf {
    common_name: &'static str,
    alternative: Option<&'static str>,
    expired: bool,
    closes_properly: bool,
    reply: &'static str,
}

const HELLO: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello";
const PLAIN: Leaf = Leaf {
    common_name: "x",
    alternative: Some("vpn.test"),
    expired: false,
    closes_properly: true,
    reply: HELLO,
};
const COMMON_NAME: Leaf = Leaf { common_name: "Server-12621-0a", alternative: None, ..PLAIN };

fn serve(config: Arc<ServerConfig>, leaf: Leaf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(connection, socket.unwrap());
            if stream.conn.complete_io(&mut stream.sock).is_err() {
                continue; // the client did not like the certificate
            }
            read_request(&mut stream);
            stream.write_all(leaf.reply.as_bytes()).unwrap();
            if leaf.closes_properly {
                stream.conn.send_close_notify();
            }
            stream.flush().unwrap();
        }
    });
    addr
}

fn request(host: &str, addr: SocketAddr, trust: Trust) -> Request {
    Request {
        route: Route::Local,
        connect_to: Some(addr),
        trust,
        ..Request::get(format!("https://{host}:{}/?token=s3cret", addr.port()))
    }
}

fn refused(request: &Request) -> String {
    match send(request).err() {
        Some(HttpError::Tls(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_added_root_is_trusted_beside_the_built_in_ones_and_a_stranger_is_not() {
    let (ours, other) = (authority("ours"), authority("other"));
    let addr = ours.server(PLAIN);
    let trusting = |a: &Authority| Trust::Web { extra_pem: Some(a.cert.pem().into_bytes()) };
    assert_eq!(body(&request("vpn.test", addr, trusting(&ours))).unwrap(), "hello");
    refused(&request("vpn.test", addr, trusting(&other)));
    refused(&request("vpn.test", addr, Trust::Web { extra_pem: None }));
    assert!(!refused(&request("other.test", addr, trusting(&ours))).contains("s3cret"));
}

#[test]
fn only_the_given_anchors_are_trusted() {
    let (ours, other) = (authority("ours"), authority("other"));
    let addr = ours.server(PLAIN);
    for name_from_cn in [false, true] {
        assert_eq!(body(&request("vpn.test", addr, ours.only(name_from_cn))).unwrap(), "hello");
        refused(&request("vpn.test", addr, other.only(name_from_cn)));
        refused(&request("vpn2.test", addr, ours.only(name_from_cn)));
    }
}

#[test]
fn an_anchor_speaks_for_no_more_names_than_its_certificate_says() {
    let ours = confined_authority("ours", Some("vpn.test"));
    let other = confined_authority("other", Some("other.test"));
    let (addr, of_other) = (ours.server(PLAIN), other.server(PLAIN));
    let trusts = |a: &Authority| {
        let web = Trust::Web { extra_pem: Some(a.cert.pem().into_bytes()) };
        [web, a.only(false), a.only(true)]
    };
    for (trust, of_another) in trusts(&ours).into_iter().zip(trusts(&other)) {
        assert_eq!(body(&request("vpn.test", addr, trust)).unwrap(), "hello");
        refused(&request("vpn.test", of_other, of_another));
    }
}

#[test]
fn a_leaf_without_alternative_name_is_matched_by_its_common_name_byte_for_byte() {
    let ours = authority("ours");
    let addr = ours.server(COMMON_NAME);
    assert_eq!(body(&request("Server-12621-0a", addr, ours.only(true))).unwrap(), "hello");
    refused(&request("server-12621-0a", addr, ours.only(true)));
    refused(&request("Server-12621-0b", addr, ours.only(true)));
    refused(&request("Server-12621-0a", addr, ours.only(false)));
    refused(&request("Server-12621-0a", addr, authority("ours").only(true)));
}

#[test]
fn the_common_name_counts_for_nothing_beside_an_alternative_name() {
    let ours = authority("ours");
    let addr = ours.server(Leaf { alternative: Some("vpn.test"), ..COMMON_NAME });
    refused(&request("Server-12621-0a", addr, ours.only(true)));
    assert_eq!(body(&request("vpn.test", addr, ours.only(true))).unwrap(), "hello");
}

#[test]
fn an_expired_leaf_is_refused_by_common_name_too() {
    let ours = authority("ours");
    refused(&request("Server-12621-0a", ours.server(Leaf { expired: true, ..COMMON_NAME }), ours.only(true)));
    refused(&request("vpn.test", ours.server(Leaf { expired: true, ..PLAIN }), ours.only(false)));
}

#[test]
fn a_body_without_a_length_must_end_with_close_notify() {
    let ours = authority("ours");
    let addr = ours.server(Leaf { closes_properly: false, ..PLAIN });
    assert!(body(&request("vpn.test", addr, ours.only(false))).is_err());
}

#[test]
fn https_is_never_redirected_to_http() {
    let ours = authority("ours");
    let reply = "HTTP/1.1 302 F\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n";
    let addr = ours.server(Leaf { reply, ..PLAIN });
    let request = Request { redirects: 1, ..request("vpn.test", addr, ours.only(false)) };
    assert!(matches!(send(&request).err(), Some(HttpError::Protocol(_))));
}

#[test]
fn a_server_without_tls_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0; 2048]);
    });
    refused(&request("vpn.test", addr, authority("ours").only(false)));
}

#[test]
fn a_pem_text_without_certificates_is_an_error() {
    for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(anchors_from_pem(text.as_bytes()).is_err(), "{text}");
    }
}
