use super::super::scene::{Scene, who};
use super::super::vectors::{SECOND_EPHEMERAL, SECOND_MESSAGE};
use super::*;

/// `/auth/info` of a recorded exchange with another version or salt.
fn info(version: u32, salt: &str, ephemeral: &str) -> String {
    let mut out =
        format!("{{\"Code\":1000,\"Version\":{version},\"SRPSession\":\"s\",\"Username\":\"\",\"Salt\":");
    quote(&mut out, salt);
    for (key, value) in [("Modulus", SECOND_MESSAGE), ("ServerEphemeral", ephemeral)] {
        out.push_str(&format!(",\"{key}\":"));
        quote(&mut out, value);
    }
    out.push('}');
    out
}

fn known() -> Credentials {
    Credentials { user: "me".to_owned(), password: Some(Secret::new("pw")), ..Credentials::default() }
}

fn refused(scene: &Scene, known: &Credentials) -> Error {
    login(&scene.api(), &who(), known, &mut Unattended).err().expect("a refusal")
}

#[test]
fn an_account_of_an_old_hash_is_told_to_sign_in_once_on_the_web() {
    let scene = Scene::new("old-hash");
    scene.http.json("POST /auth/info", 200, &info(2, "3tC4PlzRjfDX4Q==", SECOND_EPHEMERAL));
    let e = refused(&scene, &known());
    assert_eq!(e.exit(), Exit::LoginRefused);
    assert!(e.to_string().contains("account.proton.me"), "{e}");
}

#[test]
fn an_exchange_that_makes_no_sense_is_not_answered() {
    for (name, body) in [
        ("salt", info(4, "!", SECOND_EPHEMERAL)),
        ("short", info(4, "3tC4PlzRjfDX4Q==", "AAAA")),
        ("zero", info(4, "3tC4PlzRjfDX4Q==", &STANDARD.encode([0; 256]))),
        ("empty", "{\"Code\":1000}".to_owned()),
        ("unsigned", info(4, "3tC4PlzRjfDX4Q==", SECOND_EPHEMERAL).replace("c00y", "c01y")),
    ] {
        let scene = Scene::new(&format!("nonsense-{name}"));
        scene.http.json("POST /auth/info", 200, &body);
        assert_eq!(refused(&scene, &known()).exit(), Exit::LoginRefused, "{name}");
        assert!(scene.http.is_over());
    }
}

#[test]
fn a_reply_without_the_servers_proof_keeps_nothing() {
    let scene = Scene::new("no-proof");
    scene.http.json("POST /auth/info", 200, &info(4, "3tC4PlzRjfDX4Q==", SECOND_EPHEMERAL));
    let tokens = r#"{"Code":1000,"UID":"u","AccessToken":"at","RefreshToken":"rt","Scopes":["vpn"]}"#;
    scene.http.json("POST /auth", 200, tokens);
    assert!(refused(&scene, &known()).to_string().contains("does not prove"));
}

#[test]
fn a_wrong_password_nobody_can_correct_is_tried_once() {
    let scene = Scene::new("once");
    scene.http.json("POST /auth/info", 200, &info(4, "3tC4PlzRjfDX4Q==", SECOND_EPHEMERAL));
    scene.http.json("POST /auth", 422, r#"{"Code":8002,"Error":"Incorrect login credentials"}"#);
    assert_eq!(refused(&scene, &known()).exit(), Exit::LoginRefused);
    assert!(scene.http.is_over());
    let body = &scene.http.bodies()[1];
    assert!(
        body.starts_with("{\"Username\":\"me\",\"ClientEphemeral\":\"")
            && body.ends_with("\"SRPSession\":\"s\"}")
    );
}

#[test]
fn without_password_or_with_an_unreadable_secret_nothing_is_sent() {
    let scene = Scene::new("nothing-sent");
    assert_eq!(refused(&scene, &Credentials { password: None, ..known() }).exit(), Exit::LoginRefused);
    let odd = Credentials { totp_secret: Some(Secret::new("not base32!")), ..known() };
    assert_eq!(refused(&scene, &odd).exit(), Exit::BadConfig);
}

#[test]
fn a_computed_code_is_not_sent_twice() {
    let scene = Scene::new("codes");
    let known = Credentials { totp_secret: Some(Secret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")), ..known() };
    let mut codes = Codes::new(&known).unwrap();
    let api = scene.api();
    let sent: Vec<_> = std::iter::from_fn(|| codes.next(&api, &mut Unattended)).collect();
    assert_eq!(sent.len(), TRIES_MOST as usize);
    assert!(sent[0] != sent[1] && sent[1] != sent[2]);
}
