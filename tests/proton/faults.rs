//! An API that fails in every way it can: bounded, clear, and nothing lost.

use super::*;
use pvpn::error::Exit;
use pvpn::provider::Provider as _;

/// What listing says under this fault, without a list on disk.
fn list_under(world: &World, fault: &str) -> std::result::Result<usize, pvpn::error::Error> {
    let _ = std::fs::remove_file(world.dir.join("proton/servers.json"));
    world.change(&format!("{{\"faults\":[{fault}]}}"));
    world.proton("").list_servers(true).map(|s| s.len())
}

#[test]
fn passing_faults_are_overcome() {
    in_namespace("faults::passing_faults_are_overcome", || {
        let world = World::new("passing");
        world.log_in();
        for fault in [
            r#"{"path":"/vpn/v1/logicals","kind":"html","status":503,"retry_after":3,"times":2}"#,
            r#"{"path":"/vpn/v1/logicals","kind":"html","status":429,"retry_after":7}"#,
            r#"{"path":"/vpn/v1/logicals","kind":"html","status":502,"times":2}"#,
            r#"{"path":"/vpn/v1/logicals","kind":"close","times":2}"#,
            r#"{"path":"/vpn/v1/logicals","kind":"code","status":401,"code":401}"#,
        ] {
            assert_eq!(list_under(&world, fault), Ok(7), "{fault}");
        }
        assert_eq!(world.clock.skipped(), secs(13));
        world.assert_no_violation();
    });
}

#[test]
fn lasting_faults_are_told_apart_and_end_with_exit_13_or_10() {
    in_namespace("faults::lasting_faults_are_told_apart_and_end_with_exit_13_or_10", || {
        let world = World::new("lasting");
        world.log_in();
        let list = "\"path\":\"/vpn/v1/logicals\",\"times\":99";
        for (fault, exit, words) in [
            (r#""kind":"html","status":503"#, Exit::Provider, "overloaded (HTTP 503)"),
            (r#""kind":"html","status":429,"retry_after":900"#, Exit::Provider, "wait 900 s (HTTP 429)"),
            (r#""kind":"html","status":200"#, Exit::Provider, "not Proton's API (HTTP 200): text/html"),
            (r#""kind":"html","status":403"#, Exit::Provider, "not Proton's API (HTTP 403)"),
            (r#""kind":"truncate""#, Exit::Provider, "ends in the middle"),
            (r#""kind":"close""#, Exit::Provider, "not reachable"),
            (r#""kind":"code","status":422,"code":5003"#, Exit::Provider, "app_version"),
            (r#""kind":"code","status":422,"code":9001"#, Exit::LoginRefused, "--proton-login code"),
            (r#""kind":"code","status":403,"code":9100"#, Exit::LoginRefused, "log in again"),
            (r#""kind":"code","status":422,"code":86300"#, Exit::LoginRefused, "administrator"),
        ] {
            let e = list_under(&world, &format!("{{{list},{fault}}}")).unwrap_err();
            assert_eq!(e.exit(), exit, "{fault}: {e}");
            assert!(e.to_string().contains(words), "{fault}: {e}");
            assert!(world.has_session());
        }
        world.assert_no_violation();
    });
}

#[test]
fn a_body_that_drips_ends_with_our_time() {
    in_namespace("faults::a_body_that_drips_ends_with_our_time", || {
        let world = World::new("slow");
        world.log_in();
        // The first answer uses up all but two seconds of the budget.
        let faults = concat!(
            r#"{"path":"/vpn/v1/logicals","kind":"html","status":503,"retry_after":23},"#,
            r#"{"path":"/vpn/v1/logicals","kind":"slow","pause":0.3}"#
        );
        let e = list_under(&world, faults).unwrap_err();
        assert_eq!(e.exit(), Exit::Provider);
        assert!(e.to_string().contains("took too long") || e.to_string().contains("timed out"), "{e}");
        assert!(world.has_session());
    });
}

#[test]
fn another_hosts_certificate_is_never_talked_to() {
    in_namespace("faults::another_hosts_certificate_is_never_talked_to", || {
        let world = World::new("host");
        let text = |port, ca: &str| format!("[protonvpn]\napi_url = https://127.0.0.1:{port}\n{ca}");
        let ca = format!("ca_file = {}/ca.pem\n", world.dir.display());
        for config in [text(world.wrong_host_port, &ca), text(world.port, "")] {
            let config = world.parse(&config);
            let mut proton = Proton::new(&config, &world.http, &Disk, &world.clock).unwrap();
            let refused = refusal(proton.log_in(LoginBy::Password, &world.known(), &mut Typed::default()));
            assert_eq!(refused.exit(), Exit::Provider);
            assert!(refused.to_string().contains("not reachable"), "{refused}");
        }
        assert!(world.report().at("seen").items().is_empty());
    });
}

#[test]
fn a_host_that_does_not_resolve_is_named() {
    in_namespace("faults::a_host_that_does_not_resolve_is_named", || {
        let world = World::new("resolve");
        let config = world.parse("[protonvpn]\napi_url = https://api.invalid\n");
        let mut proton = Proton::new(&config, &world.http, &Disk, &world.clock).unwrap();
        let refused = refusal(proton.log_in(LoginBy::Password, &world.known(), &mut Typed::default()));
        assert_eq!(refused.exit(), Exit::Provider);
        assert!(refused.to_string().contains("api.invalid"), "{refused}");
    });
}

#[test]
fn a_lost_answer_to_a_refresh_throws_no_session_away() {
    in_namespace("faults::a_lost_answer_to_a_refresh_throws_no_session_away", || {
        let world = World::new("lost");
        world.log_in();
        for kind in ["close", "html"] {
            let fault = format!("{{\"path\":\"/auth/refresh\",\"kind\":\"{kind}\",\"times\":3}}");
            world.change("{\"expire_access\":true}");
            let e = list_under(&world, &fault).unwrap_err();
            assert_eq!(e.exit(), Exit::Provider, "{e}");
            assert!(world.has_session());
            world.change(r#"{"faults":[]}"#);
            assert_eq!(world.proton("").list_servers(true).unwrap().len(), 7);
        }
        let conflict = r#"{"path":"/auth/refresh","kind":"code","status":409,"code":2500,"times":2}"#;
        world.change("{\"expire_access\":true}");
        assert_eq!(list_under(&world, conflict), Ok(7));
        world.assert_no_violation();
    });
}

#[test]
fn a_refused_app_version_is_a_matter_of_configuration() {
    in_namespace("faults::a_refused_app_version_is_a_matter_of_configuration", || {
        let world = World::new("version");
        for version in ["linux-vpn-cli@3.9.9", "Linux", "other-app@5.0.0"] {
            let mut proton = world.proton(&format!("app_version = {version}\n"));
            let refused = refusal(proton.log_in(LoginBy::Password, &world.known(), &mut Typed::default()));
            assert_eq!(refused.exit(), Exit::Provider);
            assert!(refused.to_string().contains("app_version under [protonvpn]"), "{refused}");
        }
        assert_eq!(world.count("POST /auth/info"), 3, "never repeated");
    });
}
