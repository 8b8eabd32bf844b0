//! Asks a qBittorrent for its version, logging in where it wants that: the shortest proof that it can be told a port.

use crate::error::{Error, Exit, Result};
use crate::qbittorrent::{Auth, Call, Verdict, WebUi};
use crate::sys::http::Http;
use crate::time::{Duration, secs};
use crate::wire::http::{Reply, shown};

/// Requests until it must have said something; more than every `Host` header, each with a login (chosen).
const REQUESTS_MOST: usize = 16;
/// A version is a few characters; more is some other program's page.
const VERSION_MOST: usize = 40;
const CALL_TIMEOUT: Duration = secs(5);

/// Exit 10 when it refuses the credentials, 1 when it is not there or something else is.
pub fn version(http: &dyn Http, url: &str, auth: &Auth) -> Result<String> {
    let mut ui = WebUi::new(url, auth.clone());
    let url = &shown(url);
    let mut call = Call::Version;
    for _ in 0..REQUESTS_MOST {
        let reply = ask(http, &ui, &call, url)?;
        let was = std::mem::replace(&mut call, Call::Version);
        match (ui.judge(&was, &reply), was) {
            (Verdict::Done, Call::Version) => return read_version(&reply, url),
            // Logged in: once more.
            (Verdict::Done, _) => {}
            (Verdict::NeedsLogin, Call::Version) if matches!(auth, Auth::Password { .. }) => {
                call = Call::Login
            }
            (Verdict::NeedsLogin, _) => {
                return Err(refused("wants a login: give its user and password, or an API key"));
            }
            (Verdict::WrongHost, _) if ui.try_next_host() => {}
            (Verdict::WrongHost, _) => return Err(refused("refuses the key, or the name it is called by")),
            (Verdict::WrongPassword, _) => return Err(refused("refuses the user and password")),
            (Verdict::Banned, _) => {
                return Err(refused(
                    "has banned this machine after failed logins: restart it, or wait an hour",
                ));
            }
            (Verdict::Unknown, _) => return Err(foreign(url, "it does not know the call")),
            (Verdict::Odd(status), _) => return Err(foreign(url, &format!("HTTP {status}"))),
        }
    }
    Err(foreign(url, "it asks for a login again and again"))
}

fn ask(http: &dyn Http, ui: &WebUi, call: &Call, url: &str) -> Result<Reply> {
    let mut request = ui.request(call);
    request.timeout = CALL_TIMEOUT;
    let away =
        |why: &dyn std::fmt::Display| Error::failed(format!("qBittorrent at {url} does not answer: {why}"));
    let response = http.send(&request).map_err(|e| away(&e))?;
    Reply::read(response).map_err(|e| away(&e))
}

fn read_version(reply: &Reply, url: &str) -> Result<String> {
    let text = reply.text();
    let text = text.trim();
    let is_version = text.strip_prefix('v').unwrap_or(text).starts_with(|c: char| c.is_ascii_digit());
    if !is_version || text.len() > VERSION_MOST || text.contains(char::is_control) {
        return Err(foreign(url, "what it says is no version"));
    }
    Ok(text.to_owned())
}

fn refused(why: &str) -> Error {
    Error::new(Exit::LoginRefused, format!("qBittorrent {why}"))
}

fn foreign(url: &str, why: &str) -> Error {
    Error::failed(format!("what answers at {url} is not qBittorrent's WebUI: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::secret::Secret;
    use crate::wire::http::{HttpError, Request, Response};
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::io::Cursor;

    /// Replies in order, each with its status, body and cookie.
    struct Script(RefCell<VecDeque<(u16, &'static str)>>, RefCell<Vec<String>>);

    impl Http for Script {
        fn send(&self, request: &Request) -> std::result::Result<Response, HttpError> {
            self.1.borrow_mut().push(format!("{request:?}"));
            let (status, body) =
                self.0.borrow_mut().pop_front().ok_or(HttpError::Connect("connection refused".into()))?;
            let headers = vec![("set-cookie".to_owned(), "SID=abc; path=/".to_owned())];
            Ok(Response { status, headers, body: Box::new(Cursor::new(body)) })
        }
    }

    fn asked(auth: &Auth, replies: &[(u16, &'static str)]) -> (Result<String>, usize) {
        let script = Script(RefCell::new(replies.iter().copied().collect()), RefCell::default());
        let result = version(&script, "http://127.0.0.1:8080", auth);
        (result, script.1.borrow().len())
    }

    fn password() -> Auth {
        Auth::Password { user: "admin".into(), pass: Secret::new("secret-one") }
    }

    #[test]
    fn a_version_comes_with_and_without_a_login() {
        assert_eq!(asked(&Auth::None, &[(200, "v5.1.0")]), (Ok("v5.1.0".into()), 1));
        let login = [(403, "Forbidden"), (200, "Ok."), (200, "v4.6.3")];
        assert_eq!(asked(&password(), &login), (Ok("v4.6.3".into()), 3));
        let behind_a_port = [(401, ""), (401, ""), (403, ""), (204, ""), (200, "v5.2.0")];
        assert_eq!(asked(&password(), &behind_a_port).0, Ok("v5.2.0".into()));
    }

    #[test]
    fn a_refusal_exits_with_10_and_shows_no_password() {
        for replies in [&[(403, ""), (200, "Fails.")][..], &[(403, ""), (401, "")], &[(403, ""), (403, "")]] {
            let e = asked(&password(), replies).0.unwrap_err();
            assert_eq!(e.exit(), Exit::LoginRefused, "{e}");
            assert!(!e.to_string().contains("secret-one"));
        }
        assert_eq!(asked(&Auth::None, &[(403, "")]).0.unwrap_err().exit(), Exit::LoginRefused);
    }

    #[test]
    fn whatever_else_answers_is_not_taken_for_it() {
        for replies in [&[(200, "<html>")][..], &[(200, "")], &[(404, "")], &[(500, "")], &[]] {
            assert_eq!(asked(&Auth::None, replies).0.unwrap_err().exit(), Exit::Failed);
        }
        let for_ever: Vec<(u16, &str)> = [(403, ""), (204, "")].into_iter().cycle().take(99).collect();
        assert!(asked(&password(), &for_ever).1 <= REQUESTS_MOST);
    }
}
