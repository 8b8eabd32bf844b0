use super::*;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

const INNER: &str = r#"{"token":"xyz","port":40123,"expires_at":"2026-10-01T12:00:00.123456789Z"}"#;

fn reply(status: u16, body: &str) -> Result<Reply, HttpError> {
    Ok(Reply { status, headers: Vec::new(), body: body.into() })
}

fn gateway() -> Gateway {
    let source = "10.44.229.219".parse().unwrap();
    Gateway {
        server_vip: "10.44.128.1".parse().unwrap(),
        cn: "Server-12621-0a".into(),
        route: Route::Tunnel { interface: "wgpch".into(), source },
    }
}

fn grant(payload: &str) -> Grant {
    Grant::parse(payload, "s+i/g=").unwrap()
}

#[test]
fn a_payload_is_read_with_and_without_padding_and_kept_word_for_word() {
    let odd = INNER.replace("\":", "\" : ");
    for payload in [STANDARD.encode(INNER), STANDARD_NO_PAD.encode(INNER), STANDARD.encode(&odd)] {
        let grant = grant(&payload);
        assert_eq!((grant.port, grant.expires_at), (40_123, UnixTime(1_790_856_000)));
        assert_eq!(grant.payload.reveal(), payload);
        let file = Value::parse(grant.emit().as_bytes()).unwrap();
        assert_eq!(Grant::read(&file), Some(grant));
    }
}

#[test]
fn what_is_no_payload_is_none() {
    let bad = |inner: &str| assert_eq!(Grant::parse(&STANDARD.encode(inner), "s"), None, "{inner}");
    for n in 0..INNER.len() {
        bad(&INNER[..n]);
    }
    bad(&INNER.replace("40123", "0"));
    bad(&INNER.replace("40123", "65536"));
    bad(&INNER.replace("40123", "\"40123x\""));
    bad(&INNER.replace("2026-10-01T", "2026-10-01 at "));
    assert_eq!(Grant::parse("not base64!", "s"), None);
    assert_eq!(Grant::parse(&STANDARD.encode(INNER), ""), None);
}

#[test]
fn nothing_secret_is_printed() {
    let grant = grant(&STANDARD.encode(INNER));
    assert_eq!(
        format!("{grant:?}"),
        "Grant { payload: ***, signature: ***, port: 40123, expires_at: UnixTime(1790856000) }"
    );
    let text = format!("{:?}", gateway().bind_request(&grant));
    assert_eq!(text, "Get https://Server-12621-0a:19999/bindPort");
}

#[test]
fn requests_go_through_the_tunnel_and_trust_nobody_yet() {
    let payload = STANDARD.encode(INNER);
    let bind = gateway().bind_request(&grant(&payload));
    let escaped = percent_encode(&payload);
    assert_eq!(
        bind.url,
        format!("https://Server-12621-0a:19999/bindPort?payload={escaped}&signature=s%2Bi%2Fg%3D")
    );
    let sign = gateway().signature_request(&Secret::new("t/k+n"));
    assert_eq!(sign.url, "https://Server-12621-0a:19999/getSignature?token=t%2Fk%2Bn");
    for request in [bind, sign] {
        assert_eq!(request.connect_to, Some("10.44.128.1:19999".parse().unwrap()));
        assert_eq!((&request.route, request.redirects), (&gateway().route, 0));
        assert_eq!(request.trust, Trust::Only { anchors: Vec::new(), name_from_cn: true });
    }
}

#[test]
fn replies_mean_what_they_say() {
    let refused = |status, body: &str| parse_bound(&reply(status, body)).unwrap_err();
    assert_eq!(parse_bound(&reply(200, r#"{"status":"OK","message":"port scheduled for add"}"#)), Ok(()));
    assert_eq!(parse_bound(&reply(200, r#"{"message":"timer refreshed","status":"OK"}"#)), Ok(()));
    // pia-foss/manual-connections issue 81
    assert_eq!(refused(401, r#"{"status":"ERROR","message":"Unauthorized client"}"#), Refusal::Stranger);
    // qdm12/gluetun issue 1336
    let busy = r#"{"status":"","message":"Port 51813 is busy. Please use another server"}"#;
    assert_eq!(refused(409, busy), Refusal::Busy);
    assert_eq!(refused(200, busy), Refusal::Busy);
    assert_eq!(refused(401, r#"{"status":"ERROR","message":"Login failed!"}"#), Refusal::Token);
    assert_eq!(refused(200, r#"{"status":"ERROR","message":"Login failed!"}"#), Refusal::Token);
    assert_eq!(refused(400, r#"{"status":"ERROR","message":"no."}"#), Refusal::Refused("no".into()));
    assert_eq!(refused(400, r#"{"status":"ERROR"}"#), Refusal::Refused("HTTP 400".into()));
    for (status, body) in
        [(200, ""), (200, "{"), (404, "not found"), (401, "<html>"), (500, busy), (302, "{}")]
    {
        assert!(matches!(refused(status, body), Refusal::Away(_)), "{status} {body}");
    }
    assert!(matches!(parse_bound(&Err(HttpError::TimedOut)), Err(Refusal::Away(_))));
}

#[test]
fn a_signature_without_a_port_in_it_is_none() {
    let payload = STANDARD.encode(INNER);
    let body = format!(r#"{{"status":"OK","payload":"{payload}","signature":"sig"}}"#);
    assert_eq!(parse_signature(&reply(200, &body)).unwrap().port, 40_123);
    for n in 0..body.len() {
        assert!(parse_signature(&reply(200, &body[..n])).is_err(), "{n} bytes");
    }
    let system = STANDARD.encode(INNER.replace("40123", "443"));
    assert!(parse_signature(&reply(200, &body.replace(&payload, &system))).is_err());
    let without = body.replace("signature", "sig");
    assert!(matches!(parse_signature(&reply(200, &without)), Err(Refusal::Away(_))));
}
