use super::super::scene::{Scene, who};
use super::*;
use crate::wire::http::HttpError;

const FORK: &str = r#"{"Code":1000,"Selector":"abcdefghijklmnopqrst","UserCode":"ABCD1234"}"#;
const TOKENS: &str = r#"{"Code":1000,"UID":"u","AccessToken":"at","RefreshToken":"rt","ExpiresIn":600,"Scopes":["vpn"],"Payload":null}"#;
const START: &str = "GET /auth/v4/sessions/forks";
const POLL: &str = "GET /auth/v4/sessions/forks/abcdefghijklmnopqrst";

/// A person with patience for this many looks.
struct Patient(u32, String);

impl Ask for Patient {
    fn password(&mut self, _: &str, _: bool) -> Option<Secret> {
        None
    }

    fn second_factor(&mut self, _: bool) -> Option<Secret> {
        None
    }

    fn show_code(&mut self, code: &str, url: &str) {
        self.1 = format!("{code} {url}");
    }

    fn keep_waiting(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

fn log_in(scene: &Scene, person: &mut Patient) -> Result<Session> {
    login(&scene.api(), &who(), "me", person)
}

#[test]
fn a_code_is_shown_and_looked_for_every_five_seconds_through_all_that_passes() {
    let scene = Scene::new("fork");
    scene.http.json(START, 200, FORK);
    scene.http.json(POLL, 422, r#"{"Code":2011,"Error":"not yet"}"#);
    scene.http.turn(POLL, super::super::scene::Turn::Fail(HttpError::TimedOut));
    scene.http.page(POLL, 500, &[]);
    scene.http.json(POLL, 200, TOKENS);
    let mut person = Patient(100, String::new());
    let session = log_in(&scene, &mut person).ok().unwrap();
    assert_eq!((session.user.as_str(), session.access_token.reveal()), ("me", "at"));
    assert_eq!(session.identity.app_version, TV_APP_VERSION);
    assert_eq!(scene.clock.total(), secs(20));
    let url = "https://account.proton.me/vpn/tv/code/ABCD1234?clientId=android_tv-vpn";
    assert_eq!(person.1, format!("ABCD1234 {url}"));
}

#[test]
fn where_a_session_is_wanted_first_one_without_account_is_made() {
    let scene = Scene::new("guest");
    scene.http.json(START, 401, r#"{"Code":401}"#);
    scene.http.json("POST /auth/v4/sessions", 200, &TOKENS.replace("\"at\"", "\"guest\""));
    scene.http.json(START, 200, FORK);
    scene.http.json(POLL, 200, TOKENS);
    assert!(log_in(&scene, &mut Patient(9, String::new())).is_ok());
    let bearer = |at: usize| {
        let seen = scene.http.seen.borrow();
        seen[at].headers.iter().find(|(n, _)| n == "Authorization").map(|(_, v)| v.clone())
    };
    assert_eq!((bearer(0), bearer(3)), (None, Some("Bearer guest".to_owned())));
}

#[test]
fn an_expired_code_a_refusal_and_a_person_who_gives_up_end_it() {
    let end = |status, body: &str, exit| {
        let scene = Scene::new(&format!("end-{}", body.len()));
        scene.http.json(START, 200, FORK);
        scene.http.json(POLL, status, body);
        assert_eq!(log_in(&scene, &mut Patient(2, String::new())).err().unwrap().exit(), exit);
        assert!(scene.http.is_over());
    };
    end(422, r#"{"Code":2501,"Error":"gone"}"#, Exit::LoginRefused);
    end(422, r#"{"Code":5003,"Error":"too old"}"#, Exit::Provider);
    end(422, r#"{"Code":2011,"Error":"pending ..."}"#, Exit::Interrupted);
    end(403, r#"{"Code":2011,"Error":"not allowed at all"}"#, Exit::Provider);
}

#[test]
fn a_configured_tv_is_what_a_code_login_shows_itself_as() {
    let tv = Identity { app_version: "apple_tv-vpn@9.0.0".to_owned(), user_agent: "tv".to_owned() };
    assert_eq!(identity(&tv), tv);
    assert_eq!(identity(&who()).app_version, TV_APP_VERSION);
}
