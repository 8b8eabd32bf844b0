//! Logging in, by password and by code, and the first connection after it.

use super::*;
use pvpn::error::Exit;
use pvpn::provider::{PortHold, Provider as _};

#[test]
fn a_password_login_lists_and_opens_with_the_key_the_server_installs() {
    in_namespace("logins::a_password_login_lists_and_opens_with_the_key_the_server_installs", || {
        let world = World::new("password");
        let mut proton = world.proton("wireguard_port = 1224\nnetshield = 2\nvpn_accelerator = false\n");
        let account = proton.log_in(LoginBy::Password, &world.known(), &mut Typed::default()).unwrap();
        assert_eq!((account.plan.as_str(), account.limits()), ("VPN Plus", None));
        let servers = proton.list_servers(false).unwrap();
        let names: Vec<_> = servers.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["CH#5-TOR", "DE#7", "IS-NL#1", "NL#12", "NL#13", "NL-FREE#1", "UK#2"]);
        let server = servers.iter().find(|s| s.name == "NL#12").unwrap();
        let opened = proton.open(server).unwrap();
        assert_eq!(opened.port, PortHold::NatPmp { gateway: "10.2.0.1".parse().unwrap() });
        assert_eq!(opened.server.endpoint.to_string(), "203.0.113.11:1224");
        let report = world.report();
        let certificate = &report.at("certificates").items()[0];
        let private = opened.tunnel.private_key.reveal_text();
        assert_eq!(certificate.at("x25519").text(), Some(public_key(private.reveal()).as_str()));
        let features = certificate.at("features");
        assert_eq!(features.at("PortForwarding").truth(), Some(true));
        assert_eq!(features.at("NetShieldLevel").number(), Some(2));
        assert_eq!(features.at("SplitTCP").truth(), Some(false));
        // The next process asks nothing at all.
        let before = report.at("seen").items().len();
        let keys = "wireguard_port = 1224\nnetshield = 2\nvpn_accelerator = false\n";
        let again = world.proton(keys).open(server).unwrap();
        assert_eq!(again.tunnel, opened.tunnel);
        assert_eq!(world.report().at("seen").items().len(), before);
        world.assert_no_violation();
    });
}

#[test]
fn a_wrong_password_is_asked_for_again_three_times_at_most() {
    in_namespace("logins::a_wrong_password_is_asked_for_again_three_times_at_most", || {
        let world = World::new("wrong");
        let known = Credentials { password: None, ..world.known() };
        let mut person = Typed { passwords: vec!["a", "b", "c", "d"], ..Typed::default() };
        let refused = refusal(world.proton("").log_in(LoginBy::Password, &known, &mut person));
        assert_eq!(refused.exit(), Exit::LoginRefused);
        assert!(refused.to_string().contains("wrong user name, password or code"), "{refused}");
        assert_eq!((person.asked, world.count("POST /auth")), (3, 3));
        let mut person = Typed { passwords: vec!["a", "correct horse battery staple"], ..Typed::default() };
        world.proton("").log_in(LoginBy::Password, &known, &mut person).unwrap();
        assert!(world.has_session());
        world.assert_no_violation();
    });
}

#[test]
fn a_server_that_proves_nothing_gets_nothing_kept() {
    in_namespace("logins::a_server_that_proves_nothing_gets_nothing_kept", || {
        let world = World::new("proof");
        for (change, words) in [
            (r#"{"wrong_server_proof":true}"#, "does not prove"),
            (r#"{"weak_modulus":true}"#, "not signed by Proton"),
        ] {
            world.change(change);
            let refused =
                refusal(world.proton("").log_in(LoginBy::Password, &world.known(), &mut Typed::default()));
            assert_eq!(refused.exit(), Exit::LoginRefused);
            assert!(refused.to_string().contains(words), "{refused}");
            assert!(!world.has_session());
        }
        assert_eq!(world.count("POST /auth"), 1, "a forged group is not answered");
    });
}

#[test]
fn the_second_factor_comes_from_its_secret_a_flag_or_the_person() {
    in_namespace("logins::the_second_factor_comes_from_its_secret_a_flag_or_the_person", || {
        let world = World::new("factor");
        world.change(r#"{"second_factor":1}"#);
        let secret = Secret::new("gezd gnbv gy3t qojq gezd gnbv gy3t qojq");
        let by_secret = Credentials { totp_secret: Some(secret), ..world.known() };
        world.proton("").log_in(LoginBy::Password, &by_secret, &mut Typed::default()).unwrap();
        // A wrong code given, then a right one typed: the half session goes on.
        world.change(r#"{"second_factor":3,"forget_codes":true}"#);
        let step = || System.wall().0 / 30;
        let first_step = step();
        let right = world.report().at("totp").text().unwrap().to_owned();
        let given = Credentials { totp_code: Some(Secret::new("000000")), ..world.known() };
        let mut person = Typed { codes: vec![right], ..Typed::default() };
        world.proton("").log_in(LoginBy::Password, &given, &mut person).unwrap();
        assert_eq!((person.asked, world.count("POST /auth"), world.count("POST /auth/2fa")), (1, 2, 3));
        // A code used up within its step: the next one is waited for, not the same sent again.
        world.change(r#"{"second_factor":1}"#);
        world.proton("").log_in(LoginBy::Password, &by_secret, &mut Typed::default()).unwrap();
        // Where its step has ended by itself meanwhile there is nothing to wait for.
        let least = u64::from(step() == first_step);
        assert!((least..=30).contains(&world.clock.skipped().as_secs()));
        world.assert_no_violation();
    });
}

#[test]
fn without_a_code_the_half_session_is_ended_and_said() {
    in_namespace("logins::without_a_code_the_half_session_is_ended_and_said", || {
        let world = World::new("half");
        for (factor, words) in [(1, "2fa_secret"), (2, "security key")] {
            world.change(&format!("{{\"second_factor\":{factor}}}"));
            let refused =
                refusal(world.proton("").log_in(LoginBy::Password, &world.known(), &mut Typed::default()));
            assert!(refused.to_string().contains(words), "{refused}");
            assert!(!world.has_session());
            assert!(world.report().at("access").items().is_empty());
        }
        let mut person =
            Typed { codes: ["1", "2", "3", "4"].map(str::to_owned).to_vec(), ..Typed::default() };
        world.change(r#"{"second_factor":1}"#);
        let refused = refusal(world.proton("").log_in(LoginBy::Password, &world.known(), &mut person));
        assert_eq!((refused.exit(), person.asked), (Exit::LoginRefused, 3));
    });
}

/// Approves the code once it was shown and a minute has passed.
struct Approver<'w> {
    world: &'w World,
    code: Option<String>,
    url: String,
}

impl Ask for Approver<'_> {
    fn password(&mut self, _: &str, _: bool) -> Option<Secret> {
        panic!("a code login asks for no password")
    }

    fn second_factor(&mut self, _: bool) -> Option<Secret> {
        panic!("a code login asks for no second factor")
    }

    fn show_code(&mut self, code: &str, url: &str) {
        (self.code, self.url) = (Some(code.to_owned()), url.to_owned());
    }

    fn keep_waiting(&mut self) -> bool {
        let approved = if self.world.clock.skipped() > MINUTE { self.code.take() } else { None };
        if let Some(code) = approved {
            self.world.change(&format!("{{\"approve\":\"{code}\"}}"));
        }
        true
    }
}

#[test]
fn a_code_login_needs_neither_password_nor_second_factor() {
    in_namespace("logins::a_code_login_needs_neither_password_nor_second_factor", || {
        let world = World::new("code");
        let mut person = Approver { world: &world, code: None, url: String::new() };
        let known = Credentials::default();
        let mut proton = world.proton("");
        let account = proton.log_in(LoginBy::Code, &known, &mut person).unwrap();
        assert!(account.may_forward());
        assert!(person.url.starts_with("https://account.proton.me/vpn/tv/code/"), "{}", person.url);
        assert!(person.url.ends_with("?clientId=android_tv-vpn"));
        assert!(world.clock.skipped() > MINUTE);
        // The session keeps showing itself as what it was made as, refreshes included.
        world.change(r#"{"expire_access":true}"#);
        assert_eq!(proton.list_servers(true).unwrap().len(), 7);
        let file = std::fs::read_to_string(world.dir.join("proton/session.json")).unwrap();
        assert!(file.contains("android_tv-vpn@"));
        world.assert_no_violation();
    });
}

#[test]
fn a_code_that_nobody_approves_ends_after_ten_minutes() {
    in_namespace("logins::a_code_that_nobody_approves_ends_after_ten_minutes", || {
        let world = World::new("unapproved");
        let refused =
            refusal(world.proton("").log_in(LoginBy::Code, &Credentials::default(), &mut Typed::default()));
        assert_eq!(refused.exit(), Exit::LoginRefused);
        assert!((600..=610).contains(&world.clock.skipped().as_secs()));
        assert!(!world.has_session());
    });
}
