//! The token's files between processes, with a site that follows a script.

use super::*;
use crate::config::load;
use crate::sys::files::fake::FakeFiles;
use crate::time::{Duration, Instant, UnixTime};
use crate::wire::http::{HttpError, Response};
use std::cell::{Cell, RefCell};
use std::path::Path;

const BOOTED: u64 = 1_780_000_000;

type Meanwhile = Box<dyn FnOnce(&FakeFiles)>;

#[derive(Default)]
struct World {
    files: FakeFiles,
    passed: Cell<Duration>,
    tokens: Cell<u32>,
    asked: RefCell<Vec<String>>,
    /// What happens while a process waits for its lock.
    meanwhile: RefCell<Option<Meanwhile>>,
}

impl Clock for World {
    fn now(&self) -> Instant {
        Instant::BOOT + self.passed.get()
    }

    fn wall(&self) -> UnixTime {
        UnixTime(BOOTED + self.passed.get().as_secs())
    }

    fn sleep(&self, time: Duration) {
        self.passed.set(self.passed.get() + time);
        if let Some(happens) = self.meanwhile.take() {
            happens(&self.files);
        }
    }
}

impl Http for World {
    fn send(&self, request: &Request) -> std::result::Result<Response, HttpError> {
        let body = String::from_utf8(request.body.clone().unwrap_or_default()).unwrap();
        self.asked.borrow_mut().push(format!("{} {body}", request.url.rsplit('/').next().unwrap()));
        self.tokens.set(self.tokens.get() + 1);
        let text = format!("{{\"token\":\"t{}\"}}", self.tokens.get());
        Ok(Response {
            status: 200,
            headers: Vec::new(),
            body: Box::new(std::io::Cursor::new(text.into_bytes())),
        })
    }
}

const CONFIG: &str = "[pia]\nuser = p1234567\npass = \"a&b+c%\"\n";

impl World {
    fn pia(&self, text: &str) -> Pia<'_> {
        let config = load::parse(text, Path::new("/c"), Path::new("/h")).unwrap();
        Pia::new(&config, self, &self.files, self).unwrap()
    }

    /// What was asked since the last look.
    fn asked(&self) -> Vec<String> {
        // A process that has ended holds no lock.
        self.files.release_locks();
        self.asked.take()
    }
}

const LOGIN: &str = "token username=p1234567&password=a%26b%2Bc%25";

#[test]
fn a_token_is_kept_and_serves_all_processes() {
    let world = World::default();
    assert_eq!(world.pia(CONFIG).token().unwrap().reveal(), "t1");
    assert_eq!(world.asked(), [LOGIN]);
    assert_eq!(world.pia(CONFIG).token().unwrap().reveal(), "t1");
    assert!(world.asked().is_empty());
    assert!(world.files.image(Path::new("/c/pia/auth.json")).unwrap().is_private());
    // Without a password it serves as well.
    assert_eq!(world.pia("[pia]\nuser = p1234567\n").token().unwrap().reveal(), "t1");
    assert_eq!(world.pia("").token().unwrap().reveal(), "t1");
}

#[test]
fn another_users_token_is_not_used() {
    let world = World::default();
    world.pia(CONFIG).token().unwrap();
    world.asked();
    let other = CONFIG.replace("p1234567", "p7654321");
    assert!(!world.pia(&other).is_logged_in().unwrap());
    assert_eq!(world.pia(&other).token().unwrap().reveal(), "t2");
    world.asked();
    assert!(!world.pia(CONFIG).is_logged_in().unwrap());
}

#[test]
fn of_two_that_find_the_token_refused_one_logs_in() {
    let world = World::default();
    let old = world.pia(CONFIG).token().unwrap();
    world.asked();
    assert_eq!(world.pia(CONFIG).replace_token(&old).unwrap().reveal(), "t2");
    assert_eq!(world.asked(), [LOGIN]);
    assert_eq!(world.pia(CONFIG).replace_token(&old).unwrap().reveal(), "t2");
    assert!(world.asked().is_empty());
}

#[test]
fn a_login_waits_for_the_one_another_process_is_making() {
    let world = World::default();
    let lock = world.files.lock(Path::new("/c/pia/auth.lock")).unwrap();
    assert!(lock.is_some());
    *world.meanwhile.borrow_mut() = Some(Box::new(|files| {
        files.write("/c/pia/auth.json", "{\"version\":1,\"user\":\"p1234567\",\"token\":\"theirs\"}");
        files.release_locks();
    }));
    assert_eq!(world.pia(CONFIG).token().unwrap().reveal(), "theirs");
    assert!(world.asked().is_empty());
}

#[test]
fn without_user_or_password_the_way_to_log_in_is_named() {
    let world = World::default();
    for text in ["", "[pia]\nuser = p1\n", "[pia]\npass = x\n", "[pia]\nuser = p1\npass = \"\"\n"] {
        let error = world.pia(text).token().unwrap_err();
        assert_eq!(error.exit(), Exit::LoginRefused, "{text}");
        assert!(error.to_string().contains("pvpn init --pia"));
        assert!(world.asked().is_empty());
    }
}

#[test]
fn the_password_may_be_the_first_line_of_a_file() {
    let world = World::default();
    world.files.write("/c/pass", "a&b+c%\nnote\n");
    world.pia("[pia]\nuser = p1234567\npass_file = pass\n").token().unwrap();
    assert_eq!(world.asked(), [LOGIN]);
    let missing = world.pia("[pia]\nuser = p7\npass_file = nowhere\n").token().unwrap_err();
    assert_eq!(missing.exit(), Exit::BadConfig);
}

#[test]
fn broken_files_are_as_good_as_none() {
    for text in ["", "{", "[]", "{\"token\":7}", "{\"token\":\"\"}"] {
        let world = World::default();
        world.files.write("/c/pia/auth.json", text);
        world.files.write("/c/pia/login.json", text);
        world.files.write("/c/pia/port.json", text);
        assert_eq!(world.pia(CONFIG).token().unwrap().reveal(), "t1");
        let config = load::parse(CONFIG, Path::new("/c"), Path::new("/h")).unwrap();
        assert_eq!(kept_port(&config, &world.files), None);
    }
}

#[test]
fn logins_left_in_the_future_by_a_wrong_clock_hold_up_nobody() {
    let world = World::default();
    let later = BOOTED + 400_000_000;
    let at = vec![later.to_string(); 20].join(",");
    world.files.write(
        "/c/pia/login.json",
        &format!(
            "{{\"version\":1,\"at\":[{at}],\"refusals\":9,\"until\":{later},\"for_all\":true,\"exit\":13}}"
        ),
    );
    world.pia(CONFIG).token().unwrap();
}

#[test]
fn files_that_the_configuration_names_must_be_there_and_be_what_they_should() {
    let world = World::default();
    world.files.write("/c/empty", "");
    for key in ["ca_file", "server_ca_file", "serverlist_key_file"] {
        let text = format!("[pia]\n{key} = nowhere\n");
        let config = load::parse(&text, Path::new("/c"), Path::new("/h")).unwrap();
        let error = Pia::new(&config, &world, &world.files, &world).err().unwrap();
        assert_eq!(error.exit(), Exit::BadConfig);
        assert!(error.to_string().contains(key), "{error}");
    }
    for key in ["server_ca_file", "serverlist_key_file"] {
        let text = format!("[pia]\n{key} = empty\n");
        let config = load::parse(&text, Path::new("/c"), Path::new("/h")).unwrap();
        assert_eq!(Pia::new(&config, &world, &world.files, &world).err().unwrap().exit(), Exit::BadConfig);
    }
}
