use super::*;

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Reply { status, headers, body: body.into() }
}

fn judged(status: u16, headers: &[(&str, &str)], body: &str) -> Failure {
    judge(reply(status, headers, body)).unwrap_err()
}

#[test]
fn statuses_mean_what_pias_applications_take_them_for() {
    let html = [("content-type", "text/html; charset=UTF-8")];
    for (status, headers, body, failure) in [
        (401, &[][..], "", Failure::Refused),
        (401, &[], "HTTP Token: Access denied.", Failure::Refused),
        (402, &[], "{}", Failure::Ended),
        (403, &html, "error code: 1020", Failure::Barred),
        (429, &[("retry-after", "7")], "", Failure::Busy { wait: secs(7) }),
        (429, &html, "<html>", Failure::Busy { wait: BUSY_PAUSE }),
        (429, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], "", Failure::Busy { wait: BUSY_PAUSE }),
        (
            200,
            &[],
            r#"{"status":"error","code":"too_many_attempts","message":"Try again later."}"#,
            Failure::Busy { wait: ATTEMPTS_PAUSE },
        ),
        (200, &[], r#"{"status":"ERROR","message":"authentication failed"}"#, Failure::Refused),
        (200, &html, "{\"token\":\"x\"}", Failure::Page { status: 200 }),
        (401, &[], "\n<!DOCTYPE html>", Failure::Page { status: 401 }),
        (402, &html, "", Failure::Page { status: 402 }),
        (500, &[], "", Failure::Page { status: 500 }),
        (302, &[], "", Failure::Page { status: 302 }),
    ] {
        assert_eq!(judged(status, headers, body), failure, "{status} {body}");
    }
    assert!(judge(reply(200, &[], "{\"token\":\"x\"}")).is_ok());
}

#[test]
fn refusals_of_the_account_exit_with_ten_and_all_others_with_thirteen() {
    for failure in [Failure::Refused, Failure::Ended] {
        assert_eq!(failure.exit(), Exit::LoginRefused);
    }
    let away = Failure::Away(HttpError::TimedOut);
    for failure in [away, Failure::Page { status: 200 }, Failure::Barred, Failure::Busy { wait: secs(1) }] {
        assert_eq!(failure.exit(), Exit::Provider);
    }
}

#[test]
fn a_certificate_out_of_its_time_makes_one_look_at_the_clock() {
    let hint = |text: &str| clock_hint(&HttpError::Tls(text.into())).contains("clock");
    assert!(hint("x: invalid peer certificate: certificate expired"));
    assert!(hint("x: invalid peer certificate: certificate not valid yet"));
    assert!(!hint("x: invalid peer certificate: UnknownIssuer"));
    assert!(!clock_hint(&HttpError::Protocol("expired".into())).contains("clock"));
}
