use super::super::scene::{NOW, Scene, Turn, session, who};
use super::*;
use crate::sys::Clock as _;
use crate::time::{Duration, secs};
use crate::wire::http::HttpError;

const NEXT: &str = r#"{"Code":1000,"AccessToken":"at2","RefreshToken":"rt2","ExpiresIn":2592000,"TokenType":"Bearer","Scope":"vpn","UID":"uid1"}"#;

/// A call that anything 200 satisfies.
fn ping(scene: &Scene) -> Result<(), Trouble> {
    let api = scene.api();
    call(&api, &scene.store(), |s| {
        api.call(&s.identity, &Call::get("/vpn/v2").by(&s.uid, &s.access_token)).map(|_| ())
    })
}

fn refresh_now(scene: &Scene) -> Result<Session, Trouble> {
    refresh(&scene.api(), &scene.store(), &session("at1", "rt1"))
}

#[test]
fn a_session_reads_back_from_its_file() {
    let one = Session { user: "a\"b\\c".to_owned(), ..session("at1", "rt1") };
    assert!(Session::read(&Value::parse(one.emit().as_bytes()).unwrap()) == Some(one));
}

#[test]
fn a_refused_token_is_refreshed_once_and_the_call_repeated() {
    let scene = Scene::new("refused");
    scene.log_in();
    scene.http.json("GET /vpn/v2", 401, r#"{"Code":401,"Error":"Invalid access token"}"#);
    scene.http.json("POST /auth/refresh", 200, NEXT);
    scene.http.json("GET /vpn/v2", 200, r#"{"Code":1000}"#);
    assert!(ping(&scene).is_ok());
    let kept = scene.store().load().unwrap().unwrap();
    assert_eq!((kept.access_token.reveal(), kept.refresh_token.reveal()), ("at2", "rt2"));
    assert_eq!(kept.expires_at, UnixTime(NOW + 2_592_000));
    let bodies = scene.http.bodies();
    assert!(
        bodies[1].contains("\"RefreshToken\":\"rt1\"")
            && bodies[1].contains("\"GrantType\":\"refresh_token\"")
    );
}

#[test]
fn a_bare_401_counts_as_a_refused_token() {
    let scene = Scene::new("bare");
    scene.log_in();
    scene.http.page("GET /vpn/v2", 401, &[]);
    scene.http.json("POST /auth/refresh", 200, NEXT);
    scene.http.json("GET /vpn/v2", 200, r#"{"Code":1000}"#);
    assert!(ping(&scene).is_ok());
}

#[test]
fn a_token_near_its_end_is_refreshed_before_it_is_refused() {
    let scene = Scene::new("near");
    scene.log_in();
    scene.clock.sleep(secs(3400));
    scene.http.json("POST /auth/refresh", 200, NEXT);
    scene.http.json("GET /vpn/v2", 200, r#"{"Code":1000}"#);
    assert!(ping(&scene).is_ok());
    assert!(scene.http.is_over());
}

#[test]
fn tokens_another_process_wrote_are_used_and_ours_are_not_sent() {
    let scene = Scene::new("other");
    scene.store().store(&session("at2", "rt2")).unwrap();
    let got = refresh_now(&scene).unwrap_or_else(|_| panic!("lost"));
    assert_eq!(got.access_token.reveal(), "at2");
    assert!(scene.http.seen.borrow().is_empty());
}

#[test]
fn two_processes_at_once_spend_a_token_once() {
    let scene = Scene::new("two");
    scene.log_in();
    // The other one is in the middle of its exchange: it holds the lock until our third look.
    let theirs = scene.store().lock("session.lock").unwrap();
    let blocked = scene.store().lock("session.lock");
    assert!(blocked.is_err_and(|e| e.to_string().contains("another pvpn keeps")));
    scene.store().write("session.json", session("at2", "rt2").emit().as_bytes()).unwrap();
    drop(theirs);
    assert!(refresh_now(&scene).is_ok_and(|s| s.refresh_token.reveal() == "rt2"));
    assert!(scene.http.seen.borrow().is_empty());
}

#[test]
fn only_the_apis_own_word_ends_a_session() {
    let scene = Scene::new("kept");
    scene.log_in();
    for failure in ["refused", "reset"] {
        scene.http.turn("POST /auth/refresh", Turn::Fail(HttpError::Connect(failure.to_owned())));
        assert!(matches!(refresh_now(&scene), Err(Trouble::Failed(e)) if e.exit() == Exit::Provider));
    }
    scene.http.turn("POST /auth/refresh", Turn::Fail(HttpError::Tls("wrong host".to_owned())));
    assert!(matches!(refresh_now(&scene), Err(Trouble::Failed(_))));
    for (status, body) in [
        (400, "<html>"),
        (422, ""),
        (200, "{\"Code\":1000,\"Acc"),
        (200, "{\"Code\":1000}"),
        (422, "{\"Code\":5003,\"Error\":\"app too old\"}"),
        (422, "{\"Code\":9001}"),
        (400, "{\"Code\":6001}"),
        (500, "{\"Code\":0}"),
    ] {
        scene.http.json("POST /auth/refresh", status, body);
        assert!(matches!(refresh_now(&scene), Err(Trouble::Failed(_))), "{body}");
    }
    assert!(scene.store().load().unwrap() == Some(session("at1", "rt1")));
}

#[test]
fn a_dead_session_is_removed_and_says_how_to_log_in() {
    for (status, body) in
        [(422, "{\"Code\":10013,\"Details\":[]}"), (400, "{\"Code\":10013}"), (422, "{\"Code\":8005}")]
    {
        let scene = Scene::new(&format!("dead-{status}-{}", body.len()));
        scene.log_in();
        scene.http.json("POST /auth/refresh", status, body);
        let lost = Error::from(refresh_now(&scene).err().unwrap());
        assert_eq!(lost.to_string(), "Proton's session has ended: log in with `pvpn init --proton`");
        assert_eq!(lost.exit(), Exit::LoginRefused);
        assert!(scene.store().load().unwrap().is_none());
    }
}

#[test]
fn a_conflict_is_asked_again_at_once_and_not_for_ever() {
    let scene = Scene::new("conflict");
    scene.log_in();
    let busy = r#"{"Code":2500,"Error":"conflict"}"#;
    scene.http.json("POST /auth/refresh", 409, busy);
    scene.http.json("POST /auth/refresh", 200, NEXT);
    assert!(refresh_now(&scene).is_ok());
    assert_eq!(scene.clock.total(), Duration::ZERO);
    scene.store().store(&session("at1", "rt1")).unwrap();
    for _ in 0..4 {
        scene.http.json("POST /auth/refresh", 409, busy);
    }
    assert!(matches!(refresh_now(&scene), Err(Trouble::Failed(_))));
    assert!(scene.http.is_over());
}

#[test]
fn a_session_refused_for_ever_ends_the_call() {
    let scene = Scene::new("for-ever");
    scene.log_in();
    for at in ["at2", "at3"] {
        scene.http.json("GET /vpn/v2", 401, r#"{"Code":401}"#);
        scene.http.json("POST /auth/refresh", 200, &NEXT.replace("at2", at));
    }
    scene.http.json("GET /vpn/v2", 401, r#"{"Code":401}"#);
    let refused = Error::from(ping(&scene).err().unwrap());
    assert_eq!(refused.exit(), Exit::LoginRefused);
    assert!(refused.to_string().contains("pvpn init --proton"), "{refused}");
}

#[test]
fn a_broken_file_counts_as_none_and_a_missing_scope_list_is_read_from_its_older_form() {
    let scene = Scene::new("broken");
    for text in ["", "{", "[]", "{\"uid\":\"x\"}"] {
        scene.store().write("session.json", text.as_bytes()).unwrap();
        assert!(scene.store().load().unwrap().is_none());
    }
    let reply = Value::parse(NEXT.replace("vpn", "self vpn").as_bytes()).unwrap();
    let read = Session::parse(&reply, "me", None, &who(), UnixTime(NOW)).unwrap();
    assert_eq!(read.scopes, ["self", "vpn"]);
}

#[test]
fn an_unset_clock_refreshes_nothing_early() {
    let s = session("at1", "rt1");
    assert!(!s.is_nearly_over(UnixTime(0)));
    assert!(!s.is_nearly_over(UnixTime(NOW)));
    assert!(s.is_nearly_over(UnixTime(NOW + 3301)));
    let brief = Session { expires_at: UnixTime(NOW + 60), ..s };
    assert!(!brief.is_nearly_over(UnixTime(NOW + 30)), "every call would refresh");
}
