use super::super::scene::{Scene, Turn, who};
use super::*;

const OK: &str = r#"{"Code":1000}"#;

fn get(scene: &Scene) -> Result<Value, Failure> {
    scene.api().call(&who(), &Call::get("/tests/ping"))
}

fn error(scene: &Scene) -> Error {
    get(scene).err().unwrap().into()
}

#[test]
fn a_call_carries_the_headers_of_the_reference_client() {
    let scene = Scene::new("headers");
    scene.http.json("POST /x", 200, OK);
    let (uid, token) = (Secret::new("u"), Secret::new("t"));
    scene.api().call(&who(), &Call::post("/x", "{}".to_owned()).by(&uid, &token)).unwrap();
    let request = scene.http.seen.borrow()[0].clone();
    let names: Vec<_> = request.headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    assert_eq!(
        names,
        [
            "x-pm-appversion: linux-vpn-cli@5.2.5+x86-64",
            "User-Agent: ProtonVPN/5.2.5",
            "Accept: */*",
            "x-pm-uid: u",
            "Authorization: Bearer t",
            "Content-Type: application/json",
        ]
    );
}

#[test]
fn a_busy_api_is_waited_for_as_it_asks_within_our_time() {
    let scene = Scene::new("busy");
    scene.http.page("GET /tests/ping", 429, &[("retry-after", "4")]);
    scene.http.page("GET /tests/ping", 503, &[("retry-after", "5")]);
    scene.http.json("GET /tests/ping", 200, OK);
    assert!(get(&scene).is_ok());
    assert_eq!(scene.clock.total(), secs(9));
}

#[test]
fn a_busy_api_without_a_time_is_waited_for_some_seconds_three_times_at_most() {
    let scene = Scene::new("busy-silent");
    for _ in 0..3 {
        scene.http.page("GET /tests/ping", 503, &[]);
    }
    assert_eq!(
        error(&scene).to_string(),
        "Proton's API is overloaded (HTTP 503): try again in a few minutes"
    );
    assert!((6..=16).contains(&scene.clock.total().as_secs()));
}

#[test]
fn a_wait_beyond_our_time_is_said_and_not_waited() {
    let scene = Scene::new("busy-long");
    scene.http.page("GET /tests/ping", 429, &[("retry-after", "3600")]);
    let e = error(&scene);
    assert_eq!(e.to_string(), "Proton's API asks to wait 3600 s (HTTP 429): try again then");
    assert_eq!((e.exit(), scene.clock.total()), (Exit::Provider, Duration::ZERO));
}

#[test]
fn a_gateways_timeout_is_asked_again_at_once_and_other_errors_never() {
    let scene = Scene::new("gateway");
    scene.http.page("GET /tests/ping", 502, &[]);
    scene.http.page("GET /tests/ping", 408, &[]);
    scene.http.json("GET /tests/ping", 200, OK);
    assert!(get(&scene).is_ok());
    assert_eq!(scene.clock.total(), Duration::ZERO);
    scene.http.page("GET /tests/ping", 500, &[]);
    let e = error(&scene);
    assert_eq!(e.to_string(), "what answers is not Proton's API (HTTP 500): text/html");
    assert_eq!(e.exit(), Exit::Provider);
}

#[test]
fn what_does_not_arrive_is_asked_again_only_where_that_changes_nothing() {
    let scene = Scene::new("lost");
    let reset = || Turn::Fail(HttpError::Connect("reset".to_owned()));
    scene.http.turn("GET /tests/ping", reset());
    scene.http.json("GET /tests/ping", 200, OK);
    assert!(get(&scene).is_ok());
    scene.http.turn("POST /x", reset());
    let lost = scene.api().call(&who(), &Call::post("/x", String::new()));
    assert!(matches!(lost, Err(Failure::Away(_))));
    for failure in
        [HttpError::TimedOut, HttpError::Tls("x".into()), HttpError::Resolve("no such name".into())]
    {
        scene.http.turn("GET /tests/ping", Turn::Fail(failure));
        assert_eq!(error(&scene).exit(), Exit::Provider);
    }
    assert!(scene.http.is_over());
}

#[test]
fn html_and_cut_json_are_not_the_apis_word() {
    let scene = Scene::new("html");
    scene.http.page("GET /tests/ping", 200, &[]);
    let text = error(&scene).to_string();
    assert_eq!(text, "what answers is not Proton's API (HTTP 200): text/html");
    assert!(!text.contains("secret"));
    scene.http.json("GET /tests/ping", 200, "{\"Code\":1000,\"x\":");
    assert!(error(&scene).to_string().contains("JSON ends in the middle"));
    scene.http.json("GET /tests/ping", 200, "[]");
    assert!(error(&scene).to_string().contains("JSON without a code"));
}

#[test]
fn every_refusal_says_what_to_do_and_has_its_exit() {
    let cases = [
        (422, 8002, Exit::LoginRefused, "wrong user name"),
        (422, 9001, Exit::LoginRefused, "--proton-login code"),
        (422, 12087, Exit::LoginRefused, "--proton-login code"),
        (422, 5003, Exit::Provider, "app_version under [protonvpn]"),
        (400, 5002, Exit::Provider, "app_version under [protonvpn]"),
        (400, 2064, Exit::Provider, "app_version under [protonvpn]"),
        (422, 10013, Exit::LoginRefused, "pvpn init --proton"),
        (403, 9100, Exit::LoginRefused, "pvpn init --proton"),
        (422, 2028, Exit::LoginRefused, "wait some hours"),
        (422, 8100, Exit::LoginRefused, "SSO"),
        (422, 10002, Exit::LoginRefused, "account.proton.me"),
        (422, 10004, Exit::LoginRefused, "paid plan"),
        (422, 86300, Exit::LoginRefused, "administrator"),
        (422, 85131, Exit::Provider, "Proton's API refused"),
    ];
    for (status, code, exit, words) in cases {
        let scene = Scene::new(&format!("code-{code}"));
        scene.http.json(
            "GET /tests/ping",
            status,
            &format!("{{\"Code\":{code},\"Error\":\"No.\",\"Details\":[\"x\"]}}"),
        );
        let e = error(&scene);
        assert_eq!(e.exit(), exit, "{code}");
        assert!(e.to_string().contains(words) && e.to_string().contains("No"), "{code}: {e}");
    }
}

#[test]
fn a_final_refusal_is_not_repeated_whatever_its_status() {
    let scene = Scene::new("final");
    scene.http.json("GET /tests/ping", 429, r#"{"Code":2028,"Error":"unusual activity"}"#);
    assert_eq!(error(&scene).exit(), Exit::LoginRefused);
    assert!(scene.http.is_over());
}

#[test]
fn a_refusal_that_says_a_token_back_does_not_show_it() {
    let scene = Scene::new("echo");
    let token = "x3fzq7wn5k2mdo4ba6rjtyluc2vhepgs";
    let reply =
        format!(r#"{{"Code":10013,"Error":"Invalid refresh token '{token}' (refresh_token={token})"}}"#);
    scene.http.json("GET /tests/ping", 422, &reply);
    let e = error(&scene).to_string();
    assert!(!e.contains(&token[..20]) && e.contains("Invalid refresh token '***'"), "{e}");
}

#[test]
fn a_path_that_is_a_secret_is_not_named() {
    let call = Call::get("/auth/v4/sessions/forks/abcdefghijklmnopqrst?x=y");
    assert_eq!(name(&call), "Get /auth/v4/sessions/forks/");
}
