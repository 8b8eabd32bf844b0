//! Tests of the snapshot and the list.

use super::listing::{Listing, Shape};
use super::*;
use crate::provider::{Country, Endpoint, Features};
use crate::time::{UnixTime, millis};

/// The object of `product.md`, status --json, its line breaks taken out and `repairs` added.
const CONTRACT: &str = concat!(
    r#"{"schema":1,"version":"0.1.0","state":"connected","since_at":1780000000,"#,
    r#""server":{"provider":"proton","id":"..","name":"NL#12","country":"NL","city":"Amsterdam","region":null,"#,
    r#""load":31,"features":["p2p"],"endpoint":"203.0.113.11:51820","exit_address":null},"#,
    r#""interface":{"name":"wgpnl","addresses":["10.2.0.2/32"],"mtu":1420,"handshake_age_s":17,"rx_bytes":123,"#,
    r#""tx_bytes":456},"dns":{"mode":"provider","servers":["10.2.0.1"]},"#,
    r#""killswitch":{"on":true,"lan":["192.168.1.0/24"]},"#,
    r#""port":{"state":"held","number":40123,"since_at":1780000003,"expires_s":44},"#,
    r#""qbittorrent":{"state":"synced","version":"v5.2.3","listen_port":40123,"interface":"wgpnl","#,
    r#""listening":true,"active_torrents":3,"connection":"connected"},"#,
    r#""monitor":{"rtt_ms":12.4,"bad_checks":0,"reconnects":0,"repairs":0},"#,
    r#""health":{"link":"ok","handshake":"ok","ping":"ok","dns":"ok","port":"ok","qbittorrent":"ok","session":"ok"},"#,
    r#""choice":{"by":"ping","candidates":40,"reason":".."},"problems":[]}"#,
    "\n"
);

fn connected() -> Snapshot {
    Snapshot::parse(CONTRACT).unwrap()
}

#[test]
fn the_object_of_the_contract_is_read_and_written_byte_for_byte() {
    assert_eq!(connected().emit(), CONTRACT);
}

#[test]
fn unknown_is_null_and_reads_back() {
    let mut snapshot = Snapshot::new(State::Disconnected);
    snapshot.problem(Area::Supervisor, "it died: \"pvpn connect\" adopts the tunnel");
    let line = snapshot.emit();
    assert!(
        line.contains(
            r#""since_at":null,"server":null,"interface":null,"dns":{"mode":"machine","servers":[]}"#
        )
    );
    assert!(
        line.contains(r#""problems":[{"area":"supervisor","text":"it died: \"pvpn connect\" adopts"#),
        "{line}"
    );
    assert_eq!(Snapshot::parse(&line), Some(snapshot));
}

#[test]
fn a_key_of_a_later_version_is_passed_over_and_another_schema_refused() {
    let later = CONTRACT.replacen("{", r#"{"weather":{"sun":[1,2]},"#, 1);
    assert_eq!(Snapshot::parse(&later), Some(connected()));
    assert_eq!(Snapshot::parse(&CONTRACT.replace("\"schema\":1", "\"schema\":2")), None);
    for end in 0..CONTRACT.len() - 2 {
        assert_eq!(Snapshot::parse(&CONTRACT[..end]), None);
    }
}

#[test]
fn the_exit_code_follows_state_and_problems() {
    let exit = |state, problems: usize| {
        let mut s = Snapshot::new(state);
        (0..problems).for_each(|_| s.problem(Area::Port, "x"));
        s.exit().code()
    };
    assert_eq!([exit(State::Connected, 0), exit(State::Connected, 1)], [0, 4]);
    assert_eq!(
        [exit(State::Disconnected, 1), exit(State::Blocked, 0), exit(State::Connecting, 0)],
        [3, 5, 6]
    );
}

#[test]
fn people_read_one_line_and_then_details() {
    let mut s = connected();
    s.problem(Area::Clock, "the clock is\nfar behind");
    let now = UnixTime(1_780_000_000 + 7_500);
    assert_eq!(
        s.text(now, Paint::Plain),
        "connected to NL#12 (Amsterdam, NL) for 2 h 5 min, port 40123, kill switch on, 1 problem\n  \
           server      NL#12, proton, 203.0.113.11:51820, load 31 %, p2p\n  \
           interface   wgpnl, 10.2.0.2/32, mtu 1420, handshake 17 s ago, 123 B in, 456 B out\n  \
           dns         provider's, 10.2.0.1\n  \
           kill switch on, lan 192.168.1.0/24\n  \
           port        40123, held, for 2 h 4 min, expires in 44 s\n  \
           qbittorrent synced, v5.2.3, port 40123, on wgpnl, listening, 3 active, connected\n  \
           monitor     12.4 ms\n  \
           health      ok: link handshake ping dns port qbittorrent session\n  \
           choice      by ping of 40: ..\n  \
           ! clock: the clock is?far behind\n"
    );
    let coloured = s.text(now, Paint::Colour);
    assert!(coloured.starts_with("\x1b[33mconnected\x1b[0m to NL#12"), "{coloured}");
}

#[test]
fn each_state_has_its_line() {
    let line = |state, on| {
        let mut s = Snapshot::new(state);
        s.killswitch.on = on;
        s.text(UnixTime(0), Paint::Plain).lines().next().map(str::to_owned)
    };
    assert_eq!(line(State::Disconnected, Some(false)).unwrap(), "disconnected, kill switch off");
    assert_eq!(line(State::Disconnected, None).unwrap(), "disconnected");
    assert_eq!(line(State::Blocked, Some(true)).unwrap(), "blocked: kill switch on, no tunnel");
    assert_eq!(line(State::Connecting, Some(true)).unwrap(), "connecting, kill switch on");
    let mut s = connected();
    s.port.state = PortState::Doubtful;
    assert!(s.text(UnixTime(0), Paint::Plain).contains("port 40123 (doubtful)"));
}

fn server(name: &str) -> Server {
    Server {
        provider: ProviderKind::Proton,
        id: "x".into(),
        name: name.into(),
        host: None,
        country: Country::parse("NL"),
        city: None,
        region: None,
        load: Some(7),
        score: None,
        features: Features { p2p: true, forwards: Some(true), ..Features::default() },
        endpoint: Endpoint::Addr("203.0.113.11:51820".parse().unwrap()),
        tcp_probe: None,
        exit_address: None,
    }
}

#[test]
fn a_list_is_a_table_for_people_and_tabs_for_pipes() {
    let rows = [(server("NL#1"), None), (server("NL#100\t"), Some(millis(12)))];
    let text = |shape, rows: &[(Server, Option<crate::time::Duration>)]| {
        let (mut listing, mut text) = (Listing::default(), String::new());
        rows.iter().for_each(|(s, rtt)| listing.push(s, *rtt));
        let end: Result<(), ()> = listing.emit(shape, &mut |piece| {
            text.push_str(piece);
            Ok(())
        });
        assert!(end.is_ok());
        text
    };
    let table = |width| Shape::Table { width, paint: Paint::Plain };
    assert_eq!(
        text(table(120), &rows),
        "NAME     COUNTRY  CITY  FEATURES             LOAD  ENDPOINT             RTT\n\
         NL#1     NL       -     p2p,port-forwarding     7  203.0.113.11:51820     -\n\
         NL#100?  NL       -     p2p,port-forwarding     7  203.0.113.11:51820  12.0\n"
    );
    assert_eq!(
        text(Shape::Tabs, &rows),
        "NL#1\tNL\t-\tp2p,port-forwarding\t7\t203.0.113.11:51820\t-\n\
         NL#100?\tNL\t-\tp2p,port-forwarding\t7\t203.0.113.11:51820\t12.0\n"
    );
    assert!(text(table(40), &rows).lines().all(|l| l.len() <= 40));
    assert_eq!(
        text(Shape::Json, &rows[..1]),
        "[{\"provider\":\"proton\",\"name\":\"NL#1\",\"country\":\"NL\",\"city\":null,\
         \"features\":[\"p2p\",\"port-forwarding\"],\"load\":7,\"endpoint\":\"203.0.113.11:51820\",\"rtt_ms\":null}]\n"
    );
    assert_eq!(text(Shape::Json, &[]), "[]\n");
    assert_eq!(text(Shape::Tabs, &[]), "");
}
