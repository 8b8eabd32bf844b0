//! The provider PIA against a PIA in another language (`tests/pia_server`), over real TLS on loopback.

#[path = "pia/port.rs"]
mod port;
#[path = "pia/site.rs"]
mod site;

use pvpn::cli::Connect;
use pvpn::daemon::wish::Wish;
use pvpn::error::Exit;
use pvpn::provider::{PortHold, Provider, ProviderKind, Server};
use pvpn::qbittorrent::{Auth, Call, WebUi};
use pvpn::select::memory::Memory;
use pvpn::select::probe::Plan;
use pvpn::select::{decide, shortlist};
use pvpn::sys::Clock;
use pvpn::sys::http::{Client, Http};
use pvpn::sys::measure::{Onlooker, measure_servers};
use pvpn::sys::resolve::Resolver;
use pvpn::sys::socket::Egress;
use pvpn::time::secs;
use pvpn::wire::http::{HttpError, Request, Trust};
use site::{KEYS, PASSWORD, Site, in_namespace};
use std::os::unix::fs::PermissionsExt;

fn named(servers: &[Server], id: &str) -> Server {
    servers.iter().find(|s| s.id == id).unwrap_or_else(|| panic!("{id}")).clone()
}

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_user_and_a_password_become_a_tunnel() {
    in_namespace("a_user_and_a_password_become_a_tunnel", || {
        let site = Site::start("tunnel");
        let mut pia = site.pia();
        let servers = pia.list_servers(false).unwrap();
        let ids: Vec<&str> = servers.iter().map(|s| s.id.as_str()).collect();
        let [swiss, swiss2, uk, us] =
            ["swiss/zurich406", "swiss/Server-12619-0a", "uk/london407", "us_atlanta/Server-10759-2a"];
        assert_eq!(ids[..4], [swiss, swiss2, uk, us]);
        assert_eq!(ids.len(), 7, "{ids:?}");
        let server = named(&servers, swiss);
        assert_eq!((server.name.as_str(), server.city.as_deref()), ("swiss", Some("Switzerland")));
        assert_eq!(server.tcp_probe, Some("203.0.113.8:443".parse().unwrap()));
        assert_eq!(named(&servers, uk).country.unwrap().as_str(), "GB");
        assert!(named(&servers, "greenland/nuuk401").features.virtual_location);

        let connection = pia.open(&server).unwrap();
        assert_eq!(site.calls(), ["list 200", "token 200", "addkey 200"]);
        let tunnel = &connection.tunnel;
        assert_eq!(tunnel.addresses, ["10.44.128.10/32".parse().unwrap()]);
        assert_eq!(tunnel.peers[0].endpoint.as_ref().unwrap().to_string(), "203.0.113.7:1337");
        assert_eq!(tunnel.peers[0].allowed_ips, ["0.0.0.0/0".parse().unwrap()]);
        assert!(tunnel.carries(true) && !tunnel.carries(false));
        let (server_vip, cn) = ("10.44.128.1".parse().unwrap(), "zurich406".to_owned());
        assert_eq!(connection.port, PortHold::Pia { server_vip, cn });

        // Another process, another key on the same token and list.
        let again = site.pia().open(&server).unwrap();
        assert_ne!(again.tunnel.private_key, tunnel.private_key);
        assert_eq!(site.calls(), ["addkey 200"]);
        assert!(matches!(pia.open(&named(&servers, us)).unwrap().port, PortHold::Unavailable(_)));
        assert_eq!([mode(&site.path("auth.json")), mode(&site.path("servers.json"))], [0o600; 2]);
        assert_eq!(mode(&site.path("")), 0o700);
        assert!(!site.path("../wireguard").exists());
    });
}

/// qBittorrent's WebUI at this port, whose authority nobody knows.
#[test]
fn a_webui_of_this_machine_may_have_signed_its_certificate_itself() {
    in_namespace("a_webui_of_this_machine_may_have_signed_its_certificate_itself", || {
        let site = Site::start("webui");
        let ask = |request: &Request| Client::new(Vec::new()).send(request).map(|reply| reply.status);
        for host in ["127.0.0.1", "localhost"] {
            let ui = WebUi::new(&format!("https://{host}:{}", site.list), Auth::None);
            let request = ui.request(&Call::Version);
            assert_eq!(ask(&request), Ok(404));
            let strict = Request { trust: Trust::Web { extra_pem: None }, ..request };
            assert!(matches!(ask(&strict), Err(HttpError::Tls(_))), "{:?}", ask(&strict));
        }
    });
}

#[test]
fn each_refusal_of_a_login_has_its_exit_and_none_is_repeated() {
    in_namespace("each_refusal_of_a_login_has_its_exit_and_none_is_repeated", || {
        let site = Site::start("login");
        let html = r#""type":"text/html","body":"<html>down</html>""#;
        let faults = [
            (r#"{"status":401,"body":"{}"}"#.to_owned(), Exit::LoginRefused, "refuses this user"),
            (r#"{"status":402,"body":"{}"}"#.to_owned(), Exit::LoginRefused, "expired"),
            (r#"{"status":403,"body":"error code: 1020"}"#.to_owned(), Exit::Provider, "403"),
            (format!("{{\"status\":200,{html}}}"), Exit::Provider, "out of order"),
            (format!("{{\"status\":401,{html}}}"), Exit::Provider, "out of order"),
            (format!("{{\"status\":503,{html}}}"), Exit::Provider, "503"),
            (r#"{"status":200,"body":"{\"token\":\"\"}"}"#.to_owned(), Exit::Provider, "out of order"),
        ];
        for (fault, exit, words) in faults {
            site.faults(&format!("{{\"token\":{fault}}}"));
            let error = site.pia().log_in().unwrap_err();
            assert_eq!(error.exit(), exit, "{fault}");
            assert!(error.to_string().contains(words), "{error}");
            assert!(!error.to_string().contains(PASSWORD));
            assert_eq!(site.calls().len(), 1, "{fault}");
        }
        assert!(!site.path("auth.json").exists());
        site.pia().log_in().unwrap();
        assert_eq!(site.calls(), ["token 200"]);
    });
}

#[test]
fn a_rate_limit_is_kept_by_all_processes_for_as_long_as_it_says() {
    in_namespace("a_rate_limit_is_kept_by_all_processes_for_as_long_as_it_says", || {
        let site = Site::start("limit");
        let busy = [
            (r#"{"status":429,"headers":{"Retry-After":"7"},"body":""}"#, 7),
            (r#"{"status":429,"body":"<html>slow down</html>"}"#, 59),
            (r#"{"status":401,"body":"{\"status\":\"error\",\"code\":\"too_many_attempts\"}"}"#, 150),
        ];
        for (fault, wait) in busy {
            site.faults(&format!("{{\"token\":{fault}}}"));
            let error = site.pia().log_in().unwrap_err();
            assert_eq!(error.exit(), Exit::Provider);
            assert!(error.to_string().contains(&format!("{wait} s")), "{error}");
            assert_eq!(site.pia().log_in().unwrap_err().exit(), Exit::Provider);
            assert_eq!(site.calls().len(), 1);
            site.clock.sleep(secs(wait));
        }
        site.pia().log_in().unwrap();
    });
}

#[test]
fn a_wrong_password_is_not_tried_for_ever() {
    in_namespace("a_wrong_password_is_not_tried_for_ever", || {
        let site = Site::start("loop");
        let wrong = site.config_with("wrong", "");
        // A day of a supervisor that tries each minute.
        for _ in 0..1440 {
            assert_eq!(site.pia_of(&wrong).log_in().unwrap_err().exit(), Exit::LoginRefused);
            site.clock.sleep(secs(60));
        }
        let logins = site.calls().len();
        assert!(logins < 35, "{logins} logins");
        // Another password is another matter.
        site.pia().log_in().unwrap();
    });
}

#[test]
fn a_token_refused_is_replaced_once() {
    in_namespace("a_token_refused_is_replaced_once", || {
        let site = Site::start("token");
        let mut pia = site.pia();
        let server = named(&pia.list_servers(false).unwrap(), "uk/london407");
        pia.open(&server).unwrap();
        site.order(r#"{"revoke":true}"#);
        site.calls();
        pia.open(&server).unwrap();
        assert_eq!(site.calls(), ["addkey 200", "token 200", "addkey 200"]);
        // Servers that refuse every token lead to no second login.
        site.faults(r#"{"addkey":{"status":401,"body":"{\"status\":\"ERROR\",\"message\":\"Login failed!\"}","times":999}}"#);
        let error = pia.open(&server).unwrap_err();
        assert_eq!(error.exit(), Exit::LoginRefused);
        assert_eq!(site.calls(), ["addkey 401", "token 200", "addkey 401"]);
        // However often they are asked, the logins end before they lock the account.
        for _ in 0..40 {
            pia.open(&server).unwrap_err();
        }
        let logins = site.calls().iter().filter(|c| *c == "token 200").count();
        assert!(logins <= 10, "{logins} logins");
    });
}

#[test]
fn addkey_failures_are_told_apart_and_cost_no_login() {
    in_namespace("addkey_failures_are_told_apart_and_cost_no_login", || {
        let site = Site::start("addkey");
        let mut pia = site.pia();
        let server = named(&pia.list_servers(false).unwrap(), "uk/london407");
        pia.open(&server).unwrap();
        site.calls();
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let other = format!(
            r#"{{\"status\":\"OK\",\"server_key\":\"{key}\",\"server_port\":1337,\"server_vip\":\"10.0.0.1\",\"peer_ip\":\"10.0.0.2\",\"peer_pubkey\":\"{key}\"}}"#
        );
        let other = format!(r#"{{"status":200,"body":"{other}"}}"#);
        for (fault, words) in [
            (r#"{"status":500,"type":"text/html","body":"<html>"}"#, "web page"),
            (r#"{"status":504,"body":""}"#, "makes no sense"),
            (
                r#"{"status":200,"body":"{\"status\":\"ERROR\",\"message\":\"out of addresses\"}"}"#,
                "out of addresses",
            ),
            (r#"{"status":200,"body":"{\"status\":\"OK\"}"}"#, "gives no key"),
            (&other, "another key than ours"),
            (r#"{"cut":true}"#, "london407"),
        ] {
            site.faults(&format!("{{\"addkey\":{fault}}}"));
            let error = pia.open(&server).unwrap_err();
            assert_eq!(error.exit(), Exit::Provider, "{fault}");
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(site.calls().len(), 1, "{fault}");
        }
        pia.open(&server).unwrap();
    });
}

#[test]
fn only_pias_authority_and_only_the_right_name_are_trusted() {
    in_namespace("only_pias_authority_and_only_the_right_name_are_trusted", || {
        let site = Site::start("trust");
        let mut pia = site.pia();
        let servers = pia.list_servers(false).unwrap();
        // A leaf with a common name alone is fine.
        pia.open(&named(&servers, "swiss/Server-12619-0a")).unwrap();
        for (id, words) in [
            ("greenland/nuuk401", "clock"),
            ("greenland/nuuk402", "not valid for name"),
            ("greenland/nuuk403", "UnknownIssuer"),
        ] {
            let error = pia.open(&named(&servers, id)).unwrap_err();
            assert_eq!(error.exit(), Exit::Provider);
            assert!(error.to_string().contains(words), "{error}");
        }
        // The servers' authority is no authority for the web sites, nor the other way round.
        let mut config = site.config();
        config.pia.server_ca_file = Some(format!("{KEYS}/web/ca.pem").into());
        let error = site.pia_of(&config).open(&servers[0]).unwrap_err();
        assert!(error.to_string().contains("UnknownIssuer"), "{error}");
        config.pia.ca_file = Some(format!("{KEYS}/vpn/ca.pem").into());
        let error = site.pia_of(&config).list_servers(true);
        assert!(error.is_ok(), "the list kept serves");
        assert!(site.pia_of(&config).log_in().unwrap_err().to_string().contains("UnknownIssuer"));
    });
}

#[test]
fn the_list_is_only_believed_with_its_signature_and_the_last_good_one_goes_on() {
    in_namespace("the_list_is_only_believed_with_its_signature_and_the_last_good_one_goes_on", || {
        let site = Site::start("list");
        for (order, words) in
            [(r#"{"list":"tampered"}"#, "does not hold"), (r#"{"list":"unsigned"}"#, "no signature")]
        {
            site.order(order);
            let error = site.pia().list_servers(false).unwrap_err();
            assert_eq!(error.exit(), Exit::Provider);
            assert!(error.to_string().contains(words), "{error}");
            assert!(!site.path("servers.json").exists());
        }
        site.order(r#"{"list":null}"#);
        assert_eq!(site.pia().list_servers(false).unwrap().len(), 7);
        for order in [r#"{"list":"tampered"}"#, r#"{"list":"unsigned"}"#] {
            site.order(order);
            assert_eq!(site.pia().list_servers(true).unwrap().len(), 7);
        }
        site.faults(r#"{"list":{"status":502,"type":"text/html","body":"<html>"}}"#);
        assert_eq!(site.pia().list_servers(true).unwrap().len(), 7);
        // A region that is away for a while is not fatal.
        site.order(r#"{"list":null,"lose":["swiss","greenland"]}"#);
        assert_eq!(site.pia().list_servers(true).unwrap().len(), 2);
        // What was changed on disk is not believed either.
        let kept = std::fs::read_to_string(site.path("servers.json")).unwrap();
        std::fs::write(site.path("servers.json"), kept.replace("203.0.113.11", "198.51.100.6")).unwrap();
        site.calls();
        assert_eq!(site.pia().list_servers(false).unwrap()[0].endpoint.to_string(), "203.0.113.11:1337");
        assert_eq!(site.calls(), ["list 200"]);
        // Fresh for six hours.
        site.pia().list_servers(false).unwrap();
        site.clock.sleep(secs(6 * 3600));
        site.pia().list_servers(false).unwrap();
        assert_eq!(site.calls(), ["list 200"]);
    });
}

#[test]
fn logging_out_ends_the_token_and_removes_what_is_secret() {
    in_namespace("logging_out_ends_the_token_and_removes_what_is_secret", || {
        let site = Site::start("logout");
        let mut pia = site.pia();
        pia.log_in().unwrap();
        std::fs::write(site.path("port.json"), "{}").unwrap();
        let token = pia.token().unwrap();
        pia.log_out().unwrap();
        assert_eq!(site.calls(), ["token 200", "expire 200"]);
        assert!(!pia.is_logged_in().unwrap());
        assert!(!site.path("auth.json").exists() && !site.path("port.json").exists());
        // Nobody to tell: fine. A token that is over already: fine. PIA away: said, and gone all the same.
        pia.log_out().unwrap();
        pia.log_in().unwrap();
        assert_ne!(pia.token().unwrap(), token);
        site.order(r#"{"revoke":true}"#);
        pia.log_out().unwrap();
        pia.log_in().unwrap();
        site.faults(r#"{"expire":{"status":503,"body":"<html>"}}"#);
        assert_eq!(pia.log_out().unwrap_err().exit(), Exit::Provider);
        assert!(!site.path("auth.json").exists());
    });
}

#[test]
fn a_dedicated_address_is_a_server_that_asks_with_its_own_token() {
    in_namespace("a_dedicated_address_is_a_server_that_asks_with_its_own_token", || {
        let site = Site::start("dip");
        let config = site.config_with(PASSWORD, "dip_token = DIPgood\n");
        let mut pia = site.pia_of(&config);
        let servers = pia.list_servers(false).unwrap();
        assert_eq!(site.calls(), ["list 200", "token 200", "dedicated 200"]);
        let server = named(&servers, "dedicated-ip/zurich499");
        assert_eq!((server.name.as_str(), server.city.as_deref()), ("dedicated-ip", Some("Switzerland")));
        assert_eq!((server.country.unwrap().as_str(), server.features.forwards), ("CH", Some(true)));
        let connection = pia.open(&server).unwrap();
        assert!(matches!(connection.port, PortHold::Pia { .. }));
        // Asked for again after a day, and with a token that is over once more.
        assert_eq!(site.pia_of(&config).list_servers(false).unwrap().len(), 8);
        assert_eq!(site.calls(), ["addkey 200"]);
        site.order(r#"{"revoke":true}"#);
        site.clock.sleep(secs(86_400));
        site.pia_of(&config).list_servers(false).unwrap();
        assert_eq!(site.calls(), ["list 200", "dedicated 401", "token 200", "dedicated 200"]);
        // One that is over, or a word PIA does not know, leaves the list as it is.
        for token in ["DIPover", "DIPnonsense"] {
            let config = site.config_with(PASSWORD, &format!("dip_token = {token}\n"));
            assert_eq!(site.pia_of(&config).list_servers(false).unwrap().len(), 7);
        }
        assert_eq!(mode(&site.path("dedicated.json")), 0o600);
    });
}

#[test]
fn the_fastest_region_is_found_by_tcp_where_no_server_answers_a_ping() {
    in_namespace("the_fastest_region_is_found_by_tcp_where_no_server_answers_a_ping", || {
        std::fs::write("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1").unwrap();
        let site = Site::start("tcp");
        let servers = site.pia().list_servers(false).unwrap();
        // The meta server of zurich406 listens; nobody else does.
        let _meta = std::net::TcpListener::bind("203.0.113.8:443").unwrap();
        let wish = Wish::new(&site.config(), ProviderKind::Pia, &Connect::default());
        let list = shortlist(&servers, &wish.wanted(true)).unwrap();
        let sample = list.sample();
        assert!(sample.iter().all(|s| s.features.forwards == Some(true)), "a port is wanted");
        let resolver = Resolver::new(Vec::new(), Egress::plain());
        let mut alone = Onlooker { progress: &mut |_, _| {} };
        let found = measure_servers(&sample, &Plan::default(), &Egress::plain(), &resolver, &mut alone);
        let samples: Vec<_> = sample.into_iter().zip(found.unwrap()).collect();
        let decision = decide(&list, &samples, None, &Memory::default(), site.clock.now());
        assert_eq!(decision.servers[0].id, "swiss/zurich406", "{}", decision.choice.reason);
        assert_eq!(decision.choice.by.name(), "ping");
    });
}
