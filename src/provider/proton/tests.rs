use super::scene::{NOW, Scene, Turn};
use super::*;
use crate::provider::{Endpoint, PortHold};
use crate::time::{Duration, UnixTime};
use crate::wire::http::{HttpError, Request};

const PLAN: &str =
    r#"{"Code":1000,"VPN":{"PlanTitle":"VPN Plus","MaxTier":2,"MaxConnect":10,"Password":"ovpn-secret"}}"#;
const FREE: &str = r#"{"Code":1000,"VPN":{"PlanTitle":"Proton Free","MaxTier":0,"MaxConnect":1}}"#;
const LIST: &str = r#"{"Code":1000,"LogicalServers":[{"Name":"NL#12","ExitCountry":"NL","Domain":"nl-12.protonvpn.net","Tier":2,"Features":4,
 "City":"Amsterdam","Score":1,"ID":"nl12","Status":1,"Load":31,"Servers":[{"EntryIP":"203.0.113.11","ExitIP":"203.0.113.12",
 "X25519PublicKey":"+HCLUCm6PdbDIaKtEM3pOWBEKSB/UdpBwRY5cNl6ZnI=","Status":1}]},
 {"Name":"NL-FREE#1","ExitCountry":"NL","Domain":"f","Tier":0,"Features":0,"City":"Amsterdam","Score":2,"ID":"f1","Status":1,"Load":3,
 "Servers":[{"EntryIP":"203.0.113.13","X25519PublicKey":"+HCLUCm6PdbDIaKtEM3pOWBEKSB/UdpBwRY5cNl6ZnI=","Status":1}]}]}"#;

fn certificate(life: u64, features: &str) -> String {
    format!("{{\"Code\":1000,\"ExpirationTime\":{},\"Features\":{features}}}", NOW + life)
}

const YEAR: u64 = 365 * 86_400;

/// The list, the plan and the certificate of a first connection.
fn first_time(scene: &Scene, plan: &str) {
    scene.log_in();
    scene.http.json("GET /vpn/v1/logicals", 200, LIST);
    scene.http.json("GET /vpn/v2", 200, plan);
}

#[test]
fn a_first_connection_lists_certifies_and_leaves_a_conf_and_the_next_asks_nothing() {
    let scene = Scene::new("first");
    first_time(&scene, PLAN);
    scene.http.json("POST /vpn/v1/certificate", 200, &certificate(YEAR, r#"{"port-forwarding":true}"#));
    let mut proton = scene.proton("wireguard_port = 88\n");
    let servers = proton.list_servers(false).unwrap();
    assert_eq!(servers.len(), 2);
    let nl = servers.iter().find(|s| s.name == "NL#12").unwrap().clone();
    let opened = proton.open(&nl).unwrap();
    assert_eq!(opened.port, PortHold::NatPmp { gateway: "10.2.0.1".parse().unwrap() });
    assert_eq!(opened.tunnel.peers[0].endpoint, Some(Endpoint::Addr("203.0.113.11:88".parse().unwrap())));
    assert!(opened.tunnel.carries(true) && !opened.tunnel.carries(false));
    let conf = scene.text("wireguard/NL-12.conf");
    assert!(conf.contains("# NL#12\n") && conf.contains("# NAT-PMP (Port Forwarding) = on\n"), "{conf}");
    assert!(conf.contains(opened.tunnel.private_key.reveal_text().reveal()));
    // Another process, no API at all: a fresh list, a known plan, a good certificate.
    let mut again = scene.proton("wireguard_port = 88\n");
    assert_eq!(again.list_servers(false).unwrap(), servers);
    assert_eq!(again.open(&nl).unwrap().tunnel, opened.tunnel);
    assert!(scene.http.is_over());
}

#[test]
fn the_password_is_the_first_line_of_its_file() {
    let scene = Scene::new("pass-file");
    let path = scene.dir.join("pass");
    std::fs::write(&path, "correct horse\r\nwritten down in spring\n").unwrap();
    let proton = scene.proton(&format!("user = x\npass_file = {}\n", path.display()));
    let known = proton.credentials().unwrap();
    assert_eq!(known.password.unwrap().reveal(), "correct horse");
}

#[test]
fn files_are_readable_by_their_owner_alone_and_hold_no_openvpn_password() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new("modes");
    first_time(&scene, PLAN);
    scene.http.json("POST /vpn/v1/certificate", 200, &certificate(YEAR, "[]"));
    let mut proton = scene.proton("");
    let nl = proton.list_servers(false).unwrap().remove(0);
    proton.open(&nl).unwrap();
    for name in ["session.json", "account.json", "key.json", "servers.json", "../wireguard/NL-12.conf"] {
        let path = scene.dir.join("proton").join(name);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        assert!(!std::fs::read_to_string(path).unwrap().contains("ovpn-secret"));
    }
    let mode = std::fs::metadata(scene.dir.join("proton")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_free_plan_is_told_before_connecting_and_asks_for_no_forwarding() {
    let scene = Scene::new("free");
    first_time(&scene, FREE);
    scene.http.json("POST /vpn/v1/certificate", 200, &certificate(YEAR, "[]"));
    let mut proton = scene.proton("");
    let servers = proton.list_servers(false).unwrap();
    assert_eq!(servers.len(), 1);
    let opened = proton.open(&servers[0]).unwrap();
    let PortHold::Unavailable(why) = opened.port else { panic!("held") };
    assert_eq!(why, "the plan (Proton Free) has no P2P servers and forwards no port");
    assert!(scene.http.bodies().last().unwrap().contains("\"PortForwarding\":false"));
}

#[test]
fn a_key_that_is_known_already_is_renewed() {
    let scene = Scene::new("known");
    first_time(&scene, PLAN);
    scene.http.json(
        "POST /vpn/v1/certificate",
        409,
        r#"{"Code":2500,"Error":"already has one","Details":[]}"#,
    );
    scene.http.json("POST /vpn/v1/certificate", 200, &certificate(YEAR, "{}"));
    let mut proton = scene.proton("");
    let nl = proton.list_servers(false).unwrap().remove(0);
    proton.open(&nl).unwrap();
    let bodies = scene.http.bodies();
    assert!(
        !bodies[bodies.len() - 2].contains("Renew") && bodies[bodies.len() - 1].contains("\"Renew\":true")
    );
}

#[test]
fn a_certificate_is_renewed_by_the_supervisor_with_the_same_key() {
    let scene = Scene::new("renew");
    first_time(&scene, PLAN);
    scene.http.json("POST /vpn/v1/certificate", 200, &certificate(1000, "{}"));
    let mut proton = scene.proton("");
    let nl = proton.list_servers(false).unwrap().remove(0);
    let before = proton.open(&nl).unwrap();
    assert_eq!(proton.look().unwrap().due_at, Some(UnixTime(NOW + 750)));
    scene.clock.sleep(Duration::from_secs(751));
    scene.http.json("POST /vpn/v1/certificate", 200, &certificate(YEAR, "{}"));
    let kept = proton.renew().unwrap();
    assert_eq!((kept.problem, kept.failed, kept.logged_in), (None, None, Some(true)));
    assert_eq!(kept.due_at, Some(UnixTime(NOW + 86_400)), "the plan and the list are read daily");
    assert!(scene.http.bodies().last().unwrap().contains("\"Renew\":true"));
    assert_eq!(proton.open(&nl).unwrap().tunnel, before.tunnel);
}

#[test]
fn a_renewal_that_fails_leaves_the_certificate_at_work_and_is_a_problem_near_its_end() {
    let scene = Scene::new("renew-fails");
    first_time(&scene, PLAN);
    scene.http.json("POST /vpn/v1/certificate", 200, &certificate(1000, "{}"));
    let mut proton = scene.proton("");
    let nl = proton.list_servers(false).unwrap().remove(0);
    proton.open(&nl).unwrap();
    let away = || Turn::Fail(HttpError::Connect("refused".to_owned()));
    scene.clock.sleep(Duration::from_secs(800));
    scene.http.turn("POST /vpn/v1/certificate", away());
    let kept = proton.renew().unwrap();
    assert_eq!((kept.due_at, kept.problem), (Some(UnixTime(NOW + 750)), None));
    let why = "renew the certificate: Proton's API is not reachable: refused";
    assert_eq!(kept.failed.as_deref(), Some(why));
    scene.clock.sleep(Duration::from_secs(75));
    scene.http.turn("POST /vpn/v1/certificate", away());
    let problem = proton.renew().unwrap().problem.unwrap();
    assert_eq!(problem, format!("{why}; the key works until {}", UnixTime(NOW + 1000)));
    assert!(proton.open(&nl).is_ok(), "nobody is asked while it lives");
    scene.clock.sleep(Duration::from_secs(225));
    scene.http.turn("POST /vpn/v1/certificate", away());
    let refused = proton.open(&nl).unwrap_err();
    assert_eq!(refused.exit(), Exit::Provider);
    assert!(refused.to_string().starts_with("get a certificate from Proton: "), "{refused}");
}

#[test]
fn a_dead_session_is_told_with_the_command_and_what_still_works_and_nobody_is_asked_again() {
    let scene = Scene::new("dead");
    first_time(&scene, PLAN);
    scene.http.json("POST /vpn/v1/certificate", 200, &certificate(YEAR, "{}"));
    let mut proton = scene.proton("");
    let nl = proton.list_servers(false).unwrap().remove(0);
    proton.open(&nl).unwrap();
    scene.clock.sleep(Duration::from_secs(8 * 86_400));
    scene.http.json("POST /auth/refresh", 422, r#"{"Code":10013,"Error":"Invalid refresh token"}"#);
    let kept = proton.renew().unwrap();
    let ends = UnixTime(NOW + YEAR);
    let text =
        format!("Proton's session has ended: log in with `pvpn init --proton`; the key works until {ends}");
    assert_eq!((kept.logged_in, kept.due_at, kept.problem.as_ref()), (Some(false), None, Some(&text)));
    assert_eq!(scene.proton("").look().unwrap().problem, Some(text), "the next look says the same");
    assert!(scene.http.is_over());
    scene.log_in();
    assert_eq!(scene.proton("").look().unwrap().problem, None);
}

#[test]
fn a_dead_session_leads_to_one_login_and_its_refusal_to_no_more() {
    let scene = Scene::new("one-login");
    first_time(&scene, PLAN);
    scene.http.json("POST /vpn/v1/certificate", 200, &certificate(YEAR, "{}"));
    let keys = "user = me\npass = hunter2\n";
    let nl = scene.proton(keys).list_servers(false).unwrap().remove(0);
    scene.proton(keys).open(&nl).unwrap();
    std::fs::remove_file(scene.dir.join("proton/session.json")).unwrap();
    let looked = scene.proton(keys).look().unwrap();
    assert_eq!((looked.due_at, looked.problem), (Some(UnixTime(NOW)), None), "a login may cure it");
    scene.http.json("POST /auth/info", 422, r#"{"Code":9001,"Error":"please complete CAPTCHA."}"#);
    let kept = scene.proton(keys).renew().unwrap();
    assert_eq!((kept.logged_in, kept.due_at), (Some(false), None));
    let problem = kept.problem.unwrap();
    assert!(problem.contains("--proton-login code") && problem.contains("the key works until"), "{problem}");
    for _ in 0..3 {
        assert_eq!(scene.proton(keys).look().unwrap().due_at, None);
        assert!(scene.proton(keys).open(&nl).is_ok(), "the key goes on");
    }
    assert!(scene.http.is_over());
    // Another password in the file is another matter.
    assert!(scene.proton("user = me\npass = other\n").look().unwrap().due_at.is_some());
}

#[test]
fn refused_logins_of_many_processes_come_ever_more_seldom() {
    let scene = Scene::new("ladder");
    let keys = "user = me\npass = hunter2\n";
    for _ in 0..3 {
        scene.http.json("POST /auth/info", 422, r#"{"Code":8002,"Error":"Incorrect login credentials."}"#);
        assert_eq!(scene.proton(keys).list_servers(false).unwrap_err().exit(), Exit::LoginRefused);
    }
    for _ in 0..5 {
        let refused = scene.proton(keys).list_servers(false).unwrap_err();
        assert_eq!(refused.exit(), Exit::LoginRefused);
        assert!(refused.to_string().contains("not tried again for 15 min"), "{refused}");
    }
    assert!(scene.http.is_over());
    scene.clock.sleep(Duration::from_secs(900));
    scene.http.json("POST /auth/info", 422, r#"{"Code":8002,"Error":"Incorrect login credentials."}"#);
    assert!(!scene.proton(keys).list_servers(false).unwrap_err().to_string().contains("not tried"));
    assert!(scene.http.is_over());
}

#[test]
fn in_a_hurry_what_is_on_disk_serves_whatever_its_age() {
    let scene = Scene::new("hurry");
    first_time(&scene, PLAN);
    scene.http.json("POST /vpn/v1/certificate", 200, &certificate(YEAR, "{}"));
    let mut proton = scene.proton("");
    let nl = proton.list_servers(false).unwrap().remove(0);
    let opened = proton.open(&nl).unwrap();
    // Long past list, loads, plan, session and the certificate's renewal.
    scene.clock.sleep(Duration::from_secs(340 * 86_400));
    let mut hurried = scene.proton("netshield = 2\n");
    hurried.hurry();
    assert_eq!(hurried.list_servers(false).unwrap().len(), 2);
    assert_eq!(hurried.open(&nl).unwrap().tunnel, opened.tunnel);
    assert!(scene.http.is_over());
}

#[test]
fn a_silent_api_is_waited_for_only_while_nothing_is_on_disk() {
    let scene = Scene::new("patience");
    first_time(&scene, PLAN);
    scene.http.json("POST /vpn/v1/certificate", 200, &certificate(YEAR, "{}"));
    let mut proton = scene.proton("");
    let nl = proton.list_servers(false).unwrap().remove(0);
    proton.open(&nl).unwrap();
    scene.clock.sleep(Duration::from_secs(2 * 86_400));
    scene.http.turn("POST /auth/refresh", Turn::Fail(HttpError::TimedOut));
    scene.http.turn("GET /vpn/v1/logicals", Turn::Fail(HttpError::TimedOut));
    let mut proton = scene.proton("");
    assert_eq!(proton.list_servers(false).unwrap().len(), 2);
    assert!(proton.open(&nl).is_ok());
    assert!(scene.http.is_over(), "one answer that does not come is enough");
    let limits: Vec<_> = scene.http.seen.borrow().iter().rev().take(2).map(|r| r.timeout).collect();
    assert!(limits.iter().all(|t| *t <= PATIENCE), "{limits:?}");
}

#[test]
fn the_list_on_disk_serves_while_the_api_is_away() {
    let scene = Scene::new("away");
    first_time(&scene, PLAN);
    let mut proton = scene.proton("");
    assert_eq!(proton.list_servers(false).unwrap().len(), 2);
    scene.clock.sleep(Duration::from_secs(7 * 3600));
    for _ in 0..3 {
        scene.http.turn("POST /auth/refresh", Turn::Fail(HttpError::Connect("no route".to_owned())));
        scene.http.turn("GET /vpn/v1/logicals", Turn::Fail(HttpError::TimedOut));
        assert_eq!(scene.proton("").list_servers(false).unwrap().len(), 2);
    }
    for (status, body) in [(200, "<html>"), (200, "{\"Code\":1000,\"LogicalServers\":[{"), (500, "oops")] {
        scene.http.turn("POST /auth/refresh", Turn::Fail(HttpError::Connect("no route".to_owned())));
        scene.http.json("GET /vpn/v1/logicals", status, body);
        assert_eq!(proton.list_servers(true).unwrap().len(), 2, "{body}");
    }
    assert!(scene.has("proton/session.json"), "no network error ends a session");
}

#[test]
fn an_old_list_is_asked_for_by_its_validator_and_kept_when_unchanged() {
    let scene = Scene::new("validator");
    scene.log_in();
    let headers = [("content-type", "application/json"), ("last-modified", "Sat, 21 Nov 2026 00:00:00 GMT")];
    let headers = headers.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
    scene.http.turn("GET /vpn/v1/logicals", Turn::Reply(200, headers, LIST.as_bytes().to_vec()));
    scene.http.json("GET /vpn/v2", 200, PLAN);
    scene.proton("").list_servers(false).unwrap();
    scene.http.turn("GET /vpn/v1/logicals", Turn::Reply(304, Vec::new(), Vec::new()));
    assert_eq!(scene.proton("").list_servers(true).unwrap().len(), 2);
    let since =
        |r: &Request| r.headers.iter().find(|(n, _)| n == "If-Modified-Since").map(|(_, v)| v.clone());
    let asked: Vec<_> = scene.http.seen.borrow().iter().filter_map(since).collect();
    assert_eq!(asked, ["Thu, 01 Jan 1970 00:00:00 GMT", "Sat, 21 Nov 2026 00:00:00 GMT"]);
}

#[test]
fn loads_older_than_half_an_hour_are_refreshed_alone() {
    let scene = Scene::new("loads");
    first_time(&scene, PLAN);
    scene.proton("").list_servers(false).unwrap();
    scene.clock.sleep(Duration::from_secs(31 * 60));
    let loads = r#"{"Code":1000,"LogicalServers":[{"ID":"nl12","Load":99,"Score":7,"Status":1}]}"#;
    scene.http.json("GET /vpn/v1/loads", 200, loads);
    let servers = scene.proton("").list_servers(false).unwrap();
    assert_eq!(servers.iter().find(|s| s.name == "NL#12").unwrap().load, Some(99));
    assert_eq!(scene.proton("").list_servers(false).unwrap(), servers);
    scene.clock.sleep(Duration::from_secs(20 * 60));
    assert_eq!(scene.proton("").list_servers(false).unwrap(), servers);
}

#[test]
fn without_session_or_password_the_command_is_named() {
    let scene = Scene::new("nobody");
    let refused = scene.proton("").list_servers(false).unwrap_err();
    assert_eq!(refused.exit(), Exit::LoginRefused);
    assert!(
        refused.to_string().ends_with("not logged in to Proton: log in with `pvpn init --proton`"),
        "{refused}"
    );
}

#[test]
fn a_refused_login_is_not_repeated_by_the_same_process() {
    let scene = Scene::new("no-repeat");
    let body =
        r#"{"Code":9001,"Error":"please complete CAPTCHA.","Details":{"HumanVerificationToken":"T0KEN"}}"#;
    scene.http.json("POST /auth/info", 422, body);
    let mut proton = scene.proton("user = me\npass = hunter2\n");
    for _ in 0..3 {
        let refused = proton.list_servers(false).unwrap_err();
        assert_eq!(refused.exit(), Exit::LoginRefused);
        assert!(refused.to_string().contains("--proton-login code"), "{refused}");
        assert!(!refused.to_string().contains("T0KEN"));
    }
    assert!(scene.http.is_over());
}

#[test]
fn a_logout_ends_the_session_there_and_here() {
    let scene = Scene::new("logout");
    scene.log_in();
    scene.http.json("DELETE /auth", 200, r#"{"Code":1000}"#);
    let told = crate::cmd::logout::proton(&mut scene.proton("")).unwrap();
    assert_eq!(told, "Logged out of Proton.");
    assert!(!scene.has("proton/session.json"));
    let told = crate::cmd::logout::proton(&mut scene.proton("")).unwrap();
    assert_eq!(told, "Was not logged in to Proton.");
    // A refused token is refreshed once, so that the session ends.
    scene.log_in();
    scene.http.json("DELETE /auth", 401, r#"{"Code":401,"Error":"Invalid access token"}"#);
    scene.http.json("POST /auth/refresh", 422, r#"{"Code":10013,"Error":"Invalid refresh token"}"#);
    scene.proton("").log_out().unwrap();
    assert!(!scene.has("proton/session.json"));
    // Nobody there: gone from disk, and said.
    scene.log_in();
    scene.http.turn("DELETE /auth", Turn::Fail(HttpError::Resolve("api.test: no such name".to_owned())));
    assert_eq!(scene.proton("").log_out().unwrap_err().exit(), Exit::Provider);
    assert!(!scene.has("proton/session.json"));
}

#[test]
fn a_raised_app_version_of_the_same_app_is_taken_up() {
    let scene = Scene::new("raised");
    scene.log_in();
    scene.http.json("GET /vpn/v2", 200, PLAN);
    scene.proton("app_version = linux-vpn-cli@9.9.9\n").account().unwrap();
    std::fs::remove_file(scene.dir.join("proton/account.json")).unwrap();
    scene.http.json("GET /vpn/v2", 200, PLAN);
    scene.proton("app_version = browser-vpn@1.3.5\n").account().unwrap();
    let app = |r: &Request| r.headers.iter().find(|(n, _)| n == "x-pm-appversion").unwrap().1.clone();
    let seen: Vec<_> = scene.http.seen.borrow().iter().map(app).collect();
    assert_eq!(seen, ["linux-vpn-cli@9.9.9", "linux-vpn-cli@5.2.5+x86-64"]);
}
