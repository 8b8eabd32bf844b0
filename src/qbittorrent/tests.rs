use super::*;

#[test]
fn both_dialects_log_in_and_keep_their_cookie() {
    // Heads as 4.5.2 (Debian bookworm) and, by its source, 5.2.0 send them.
    for (status, body, cookie, kept) in [
        (200, "Ok.", "SID=abc/def+1; HttpOnly; SameSite=Strict; path=/", "SID=abc/def+1"),
        (204, "", "QBT_SID_8080=xyz==; HttpOnly; SameSite=Lax; path=/", "QBT_SID_8080=xyz=="),
    ] {
        let mut ui = ui("http://127.0.0.1:8080");
        assert_eq!(ui.judge(&Call::Login, &reply(status, &[("set-cookie", cookie)], body)), Verdict::Done);
        assert_eq!(header(&ui.request(&Call::Preferences), "Cookie"), Some(kept));
    }
}

#[test]
fn both_dialects_refuse_a_login_and_a_ban_is_told_apart() {
    let mut ui = ui("http://127.0.0.1:8080");
    assert_eq!(ui.judge(&Call::Login, &reply(200, &[], "Fails.")), Verdict::WrongPassword);
    assert_eq!(ui.judge(&Call::Login, &reply(401, &[], "")), Verdict::WrongPassword);
    assert_eq!(ui.judge(&Call::Login, &reply(403, &[], "Your IP address has been banned")), Verdict::Banned);
    assert_eq!(ui.judge(&Call::Preferences, &reply(403, &[], "Forbidden")), Verdict::NeedsLogin);
    assert_eq!(ui.judge(&Call::Preferences, &reply(401, &[], "Unauthorized")), Verdict::WrongHost);
    assert_eq!(ui.judge(&Call::Stop(Hashes::All), &reply(404, &[], "Not Found")), Verdict::Unknown);
    assert_eq!(ui.judge(&Call::Preferences, &reply(500, &[], "")), Verdict::Odd(500));
}

#[test]
fn other_cookies_are_left_alone_and_a_lost_session_is_forgotten() {
    let mut ui = ui("http://127.0.0.1:8080");
    ui.judge(&Call::Version, &reply(200, &[("set-cookie", "SIDE=1"), ("x-sid", "SID=2")], "v5.1.4"));
    assert_eq!(header(&ui.request(&Call::Version), "Cookie"), None);
    ui.judge(&Call::Version, &reply(200, &[("set-cookie", "SID=1")], "v5.1.4"));
    assert_eq!(header(&ui.request(&Call::Version), "Cookie"), Some("SID=1"));
    assert_eq!(header(&ui.request(&Call::Login), "Cookie"), None);
    ui.judge(&Call::Preferences, &reply(403, &[], ""));
    assert_eq!(header(&ui.request(&Call::Version), "Cookie"), None);
}

#[test]
fn a_key_goes_as_bearer_and_without_a_cookie() {
    let mut ui = WebUi::new("http://127.0.0.1:8080/", Auth::Key(Secret::new("qbt_0123456789")));
    ui.judge(&Call::Version, &reply(200, &[("set-cookie", "SID=1")], ""));
    let request = ui.request(&Call::Version);
    assert_eq!(request.url, "http://127.0.0.1:8080/api/v2/app/version");
    assert_eq!(header(&request, "Authorization"), Some("Bearer qbt_0123456789"));
    assert_eq!(header(&request, "Cookie"), None);
}

#[test]
fn secrets_are_in_no_debug_text() {
    let mut ui = ui("http://127.0.0.1:8080");
    ui.judge(&Call::Login, &reply(200, &[("set-cookie", "SID=s3cret")], "Ok."));
    let texts = format!("{ui:?} {:?} {:?}", ui.request(&Call::Login), ui.request(&Call::Version));
    assert!(!texts.contains("hunter2") && !texts.contains("s3cret"), "{texts}");
}

#[test]
fn a_login_is_a_form_and_claims_no_origin() {
    let request = ui("http://127.0.0.1:8080").request(&Call::Login);
    assert_eq!(body(&request), "username=admin&password=hunter2%26%20%C3%A4%3D");
    assert_eq!(header(&request, "Content-Type"), Some("application/x-www-form-urlencoded"));
    let names: Vec<_> = request.headers.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["Content-Type"]);
    assert_eq!((request.route, request.redirects), (Route::Local, 0));
}

#[test]
fn preferences_are_compared_key_by_key_and_only_the_difference_is_written() {
    let prefs = Preferences::parse(&reply(200, &[], PREFERENCES)).unwrap();
    assert_eq!(prefs.listen_port, Some(6881));
    let missing = prefs.missing(&wish());
    assert_eq!(
        missing,
        Wish {
            upnp: Some(false),
            listen_port: Some(40123),
            address: Some("10.2.0.2".into()),
            ..Wish::default()
        }
    );
    let request = ui("http://127.0.0.1:8080").request(&Call::SetPreferences(missing));
    assert_eq!(
        body(&request),
        "json=%7B%22current_interface_address%22%3A%2210.2.0.2%22%2C%22listen_port%22%3A40123%2C%22upnp%22%3Afalse%7D"
    );
}

#[test]
fn a_key_that_a_dialect_dropped_is_not_missed() {
    let prefs = Preferences::parse(&reply(200, &[], r#"{"listen_port":40123}"#)).unwrap();
    assert!(prefs.missing(&wish()).is_empty());
    assert_eq!(prefs.missing(&Wish { listen_port: Some(1), ..wish() }).listen_port, Some(1));
}

#[test]
fn bodies_that_are_not_what_was_asked_for_are_refused() {
    for text in ["", "[]", "<html>", "{\"listen_port\":\"x\"}", "{", "null"] {
        assert_eq!(Preferences::parse(&reply(200, &[], text)), None, "{text}");
    }
    for n in 0..PREFERENCES.len() {
        assert_eq!(Preferences::parse(&reply(200, &[], &PREFERENCES[..n])), None);
    }
    assert_eq!(Torrent::parse_list(&reply(200, &[], "{}")), None);
    assert_eq!(parse_connection(&reply(200, &[], "Ok.")), None);
}

#[test]
fn torrents_are_paused_before_and_stopped_since_five() {
    let mut ui = ui("http://127.0.0.1:8080");
    let these = Hashes::These(vec!["aa".into(), "bb".into()]);
    for (version, stop, start) in
        [("2.8.19", "pause", "resume"), ("2.11.2", "stop", "start"), ("2.15.1", "stop", "start")]
    {
        ui.set_api(ApiVersion::parse(version).unwrap());
        let request = ui.request(&Call::Stop(these.clone()));
        assert!(request.url.ends_with(&format!("/torrents/{stop}")));
        assert_eq!(body(&request), "hashes=aa%7Cbb");
        assert!(ui.request(&Call::Start(Hashes::All)).url.ends_with(&format!("/torrents/{start}")));
    }
    let listed = ui.request(&Call::Torrents(Filter::These(vec!["aa".into(), "bb".into()]))).url;
    assert!(listed.ends_with("torrents/info?hashes=aa%7Cbb&limit=250"), "{listed}");
    assert_eq!(ApiVersion::parse("five"), None);
}

#[test]
fn torrents_and_the_connection_are_read_from_larger_objects() {
    let list = r#"[{"added_on":1,"dlspeed":120,"hash":"aa","state":"downloading","tags":"x"},
        {"hash":"bb","state":"stalledDL","dlspeed":0,"magnet_uri":"magnet:?"},{"hash":"cc","state":"uploading"}]"#;
    let list = Torrent::parse_list(&reply(200, &[], list)).unwrap();
    assert_eq!(list.iter().map(Torrent::is_downloading).collect::<Vec<_>>(), [true, false, false]);
    let info = r#"{"connection_status":"firewalled","dht_nodes":0,"dl_info_speed":0}"#;
    assert_eq!(parse_connection(&reply(200, &[], info)).as_deref(), Some("firewalled"));
}

#[test]
fn behind_a_published_port_other_host_headers_are_tried() {
    let mut ui = ui("http://127.0.0.1:18080");
    assert_eq!(header(&ui.request(&Call::Version), "Host"), None);
    let mut tried = Vec::new();
    while ui.try_next_host() {
        tried.push(header(&ui.request(&Call::Version), "Host").unwrap().to_owned());
    }
    assert_eq!(tried, ["localhost:18080", "127.0.0.1", "localhost", "localhost:8080"]);
    assert_eq!(header(&ui.request(&Call::Version), "Host"), None);
}

#[test]
fn a_webui_on_this_machine_has_a_socket_to_look_at() {
    let socket = |url| ui(url).local_socket().map(|(a, p)| format!("{a} {p}"));
    assert_eq!(socket("http://127.0.0.1:8080").as_deref(), Some("127.0.0.1 8080"));
    assert_eq!(socket("http://localhost/qb").as_deref(), Some("127.0.0.1 80"));
    assert_eq!(socket("https://[::1]").as_deref(), Some("::1 443"));
    assert_eq!(socket("http://192.168.1.9:8080"), None);
    assert_eq!(socket("http://nas:8080"), None);
}

#[test]
fn a_certificate_of_its_own_is_taken_from_this_machine_alone() {
    let trusts = |url| {
        let request = ui(url).request(&Call::Version);
        (request.trust == Trust::ThisMachine, request.connect_to.map(|to| to.to_string()))
    };
    assert_eq!(trusts("https://127.0.0.1:8443/qb/"), (true, Some("127.0.0.1:8443".to_owned())));
    assert_eq!(trusts("https://localhost"), (true, Some("127.0.0.1:443".to_owned())));
    for url in
        ["https://nas:8443", "https://192.168.1.9:8443", "https://127.0.0.1.nas", "http://127.0.0.1:8080"]
    {
        assert_eq!(trusts(url), (false, None), "{url}");
    }
}

/// Some of what 4.5.2 answers.
const PREFERENCES: &str = r#"{"add_trackers":"","alternative_webui_enabled":false,"current_interface_address":"",
    "current_network_interface":"wgpnl","listen_port":6881,"max_ratio":-1,"random_port":false,"scan_dirs":{},
    "upnp":true,"web_ui_api_key":"qbt_"}"#;

fn wish() -> Wish {
    Wish {
        listen_port: Some(40123),
        random_port: Some(false),
        upnp: Some(false),
        interface: Some("wgpnl".to_owned()),
        address: Some("10.2.0.2".to_owned()),
    }
}

fn ui(url: &str) -> WebUi {
    WebUi::new(url, Auth::Password { user: "admin".to_owned(), pass: Secret::new("hunter2& ä=") })
}

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Reply { status, headers, body: body.as_bytes().to_vec() }
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn body(request: &Request) -> &str {
    std::str::from_utf8(request.body.as_deref().unwrap_or_default()).unwrap()
}
