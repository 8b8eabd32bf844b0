use super::SyncState::*;
use super::*;
use crate::config::secret::Secret;
use crate::qbittorrent::Auth;
use crate::time::millis;
use model::{Qb, World, at, desired, no_memory, settings};

mod model;

#[test]
fn a_first_connection_sets_everything_and_keeps_what_was_there() {
    let mut w = World::new(Qb::v4());
    w.desire(desired(40123));
    assert_eq!(w.state(), Synced);
    assert_eq!(w.qb.listens_on(), Some("10.2.0.2:40123".to_owned()));
    assert!(!w.qb.random_port && !w.qb.upnp);
    let view = w.sync.view();
    assert_eq!(
        (view.version.as_deref(), view.listen_port, view.listening),
        (Some("v4.5.2"), Some(40123), Some(true))
    );
    assert_eq!((view.interface.as_deref(), view.connection.as_deref()), (Some("wgpnl"), Some("connected")));
    let earlier = w.stored.last().unwrap().earlier.clone().unwrap();
    assert_eq!((earlier.listen_port, earlier.upnp), (Some(6881), Some(true)));
    assert_eq!(Memory::parse(&w.stored[0].emit()), Some(w.stored[0].clone()));
    assert_eq!(w.qb.calls("setPreferences"), 1);
    assert_eq!(w.qb.calls("reannounce"), 1);
}

#[test]
fn without_a_forwarded_port_its_own_one_is_left_alone_and_given_back_after_one() {
    let none = || Desired { port: None, ..desired(1) };
    let mut w = World::with(Qb { listen_port: 8999, ..Qb::v4() }, settings());
    w.desire(none());
    assert_eq!((w.state(), w.qb.listens_on()), (Synced, Some("10.2.0.2:8999".to_owned())));
    w.desire(desired(40123));
    assert_eq!(w.qb.listens_on(), Some("10.2.0.2:40123".to_owned()));
    for _ in 0..2 {
        w.desire(none());
        assert_eq!((w.state(), w.qb.listens_on()), (Synced, Some("10.2.0.2:6999".to_owned())));
    }
    w.desire(desired(40124));
    assert_eq!(w.qb.listens_on(), Some("10.2.0.2:40124".to_owned()));
}

#[test]
fn the_dialect_of_five_two_is_spoken_as_well() {
    let mut w = World::new(Qb::v5_2());
    w.desire(desired(40123));
    assert_eq!(w.state(), Synced);
    assert_eq!(w.qb.listens_on(), Some("10.2.0.2:40123".to_owned()));
    assert_eq!(w.qb.logins, 1);
}

#[test]
fn a_key_is_used_without_any_login() {
    let mut w = World::with(Qb::v5_2(), Settings { auth: Auth::Key(Secret::new("qbt_key")), ..settings() });
    w.desire(desired(40123));
    assert_eq!((w.state(), w.qb.logins), (Synced, 0));
    let mut w = World::with(Qb::v5_2(), Settings { auth: Auth::Key(Secret::new("qbt_wrong")), ..settings() });
    w.desire(desired(40123));
    assert_eq!((w.state(), w.qb.calls("setPreferences")), (Refused, 0));
}

#[test]
fn while_all_is_well_only_the_kernel_is_asked() {
    let mut w = World::new(Qb::v4());
    w.desire(desired(40123));
    let before = (w.qb.log.len(), w.wakes);
    w.run_for(secs(595));
    assert_eq!(w.qb.log.len(), before.0);
    w.run_for(secs(3600));
    assert_eq!(w.qb.calls("setPreferences"), 1);
    let wakes = w.wakes - before.1;
    assert!(wakes <= 4195 / 15 + 6 * 5, "{wakes} wake-ups in 4195 s");
}

#[test]
fn a_restarted_qbittorrent_is_back_on_the_port_within_twenty_seconds() {
    let mut w = World::new(Qb::v4());
    w.desire(desired(40123));
    w.run_for(secs(100));
    w.qb.restart_with_own_settings();
    w.run_for(secs(20));
    assert_eq!((w.state(), w.qb.listens_on()), (Synced, Some("10.2.0.2:40123".to_owned())));
}

#[test]
fn one_that_a_person_bound_to_every_address_is_back_on_the_tunnel_within_twenty_seconds() {
    let mut w = World::new(Qb::v4());
    w.desire(desired(40123));
    for _ in 0..2 {
        w.run_for(secs(100));
        (w.qb.interface, w.qb.address) = (String::new(), String::new());
        w.qb.listening = Some("0.0.0.0:40123".to_owned());
        w.run_for(secs(20));
        assert_eq!((w.state(), w.qb.listens_on()), (Synced, Some("10.2.0.2:40123".to_owned())));
    }
    // Somebody else's socket is looked into once.
    w.qb.listening = Some("0.0.0.0:40123".to_owned());
    let before = w.qb.calls("app/preferences");
    w.run_for(secs(400));
    assert_eq!(w.qb.calls("app/preferences"), before + 1);
}

#[test]
fn a_late_start_is_noticed_without_a_request_before() {
    let mut w = World::new(Qb { alive: false, ..Qb::v4() });
    w.desire(desired(40123));
    assert_eq!(w.state(), Unreachable);
    let before = w.qb.log.len();
    w.run_for(secs(3600));
    assert_eq!(w.qb.log.len(), before);
    w.qb.alive = true;
    w.run_for(secs(17));
    assert_eq!(w.state(), Synced);
}

#[test]
fn another_dialect_after_an_upgrade_needs_no_word() {
    let mut w = World::new(Qb::v4());
    w.desire(desired(40123));
    w.qb.alive = false;
    w.run_for(secs(30));
    assert_eq!(w.sync.view().listening, None);
    let torrents = std::mem::take(&mut w.qb.torrents);
    w.qb = Qb { torrents, ..Qb::v5_2() };
    w.run_for(secs(20));
    assert_eq!((w.state(), w.sync.view().version.as_deref()), (Synced, Some("v5.2.0")));
}

#[test]
fn a_wrong_password_stops_before_the_ban_and_is_tried_again_when_mended() {
    let mut w = World::new(Qb { password: Some("other"), ..Qb::v4() });
    w.desire(desired(40123));
    assert_eq!(w.state(), Refused);
    for n in 0..50 {
        w.desire(desired(40_000 + n));
    }
    w.run_for(secs(7 * 24 * 3600));
    assert_eq!((w.state(), w.qb.failed_logins), (Refused, 3));
    let auth = Auth::Password { user: "admin".to_owned(), pass: Secret::new("other") };
    w.input(Input::Settings(Settings { auth, ..settings() }));
    assert_eq!(w.state(), Synced);
}

#[test]
fn a_restart_of_qbittorrent_is_worth_another_login() {
    let mut w = World::new(Qb { password: Some("other"), ..Qb::v4() });
    w.desire(desired(40123));
    w.qb.alive = false;
    w.run_for(secs(40));
    w.qb = Qb::v4();
    w.run_for(secs(20));
    assert_eq!(w.state(), Synced);
}

#[test]
fn a_ban_is_waited_out() {
    let mut w = World::new(Qb { failed_logins: 5, ..Qb::v4() });
    w.desire(desired(40123));
    assert_eq!(w.state(), Refused);
    w.run_for(secs(3600));
    assert_eq!(w.qb.calls("auth/login"), 1);
    w.qb.failed_logins = 0;
    w.run_for(secs(120));
    assert_eq!(w.state(), Synced);
}

#[test]
fn a_lost_session_is_opened_again() {
    let mut w = World::new(Qb::v4());
    w.desire(desired(40123));
    w.qb.session = false;
    w.desire(desired(40124));
    assert_eq!((w.state(), w.qb.logins), (Synced, 2));
}

#[test]
fn behind_another_published_port_the_right_host_is_found_once() {
    let mut w = World::new(Qb { host: Some("localhost"), ..Qb::v4() });
    w.desire(desired(40123));
    assert_eq!(w.state(), Synced);
    let before = w.qb.log.len();
    w.desire(desired(40124));
    assert!(w.qb.log[before..].iter().all(|l| !l.ends_with("401")), "{:?}", w.qb.log);
}

#[test]
fn a_qbittorrent_that_listens_nowhere_is_rebound_by_two_writes_with_a_pause() {
    let mut w = World::new(Qb { deaf: 1, ..Qb::v4() });
    w.desire(desired(40123));
    w.run_for(secs(10));
    assert_eq!((w.state(), w.qb.listens_on()), (Synced, Some("10.2.0.2:40123".to_owned())));
    let ports: Vec<_> = w.qb.ports_written.iter().map(|(_, port)| *port).collect();
    assert_eq!(ports, [40123, 0, 40123]);
    assert!(w.qb.ports_written[2].0.since(w.qb.ports_written[1].0) >= secs(2));
}

/// Seen on 4.5.2: a link that went and came keeps name, address and port, and qBittorrent a socket of the one that is gone.
#[test]
fn where_nothing_has_to_be_written_it_is_rebound_without_long_patience() {
    let mut w = World::new(Qb::v4());
    w.desire(desired(40123));
    w.input(Input::Desired(None));
    w.qb.listening = None;
    w.desire(desired(40123));
    w.run_for(secs(3));
    assert_eq!((w.state(), w.qb.listens_on()), (Synced, Some("10.2.0.2:40123".to_owned())));
    let ports: Vec<_> = w.qb.ports_written.iter().map(|(_, port)| *port).collect();
    assert_eq!(ports, [40123, 0, 40123]);
}

/// A goal that changes half-way begins anew; what was written is waited for all the same, and trackers are told.
#[test]
fn what_an_interrupted_cycle_wrote_is_waited_for_and_announced() {
    let mut w = World::new(Qb::v4());
    w.sync.handle(at(0), Input::Desired(Some(desired(40123))));
    w.run_for(millis(100));
    w.qb.deaf = 1;
    w.desire(Desired { interface: "wgpch".to_owned(), ..desired(40123) });
    w.run_for(millis(600));
    assert_eq!((w.state(), w.qb.ports_written.len()), (Pending, 1));
    w.qb.listening = Some("10.2.0.2:40123".to_owned());
    w.run_for(secs(2));
    assert_eq!((w.state(), w.qb.ports_written.len(), w.qb.calls("reannounce")), (Synced, 1, 1));
}

#[test]
fn one_that_never_listens_is_said_and_not_written_to_without_end() {
    let mut w = World::new(Qb { deaf: u32::MAX, ..Qb::v4() });
    w.desire(desired(40123));
    w.run_for(secs(3600));
    assert_eq!(w.state(), Pending);
    assert_eq!(w.sync.view().text.as_deref(), Some("the port is set but nothing listens on it"));
    assert_eq!(w.sync.view().listening, Some(false));
    assert!(w.qb.ports_written.len() <= 1 + 2 * 12, "{:?}", w.qb.ports_written.len());
}

#[test]
fn a_setting_that_is_not_kept_is_not_written_without_end() {
    let mut w = World::new(Qb { keeps: false, ..Qb::v4() });
    w.desire(desired(40123));
    w.run_for(secs(60));
    assert_eq!(w.state(), Pending);
    assert!(w.qb.calls("setPreferences") <= 3 * 5);
}

#[test]
fn where_the_kernel_shows_nothing_the_preferences_are_read_instead() {
    let mut w = World::new(Qb { visible: false, ..Qb::v4() });
    w.desire(desired(40123));
    assert_eq!((w.state(), w.sync.view().listening), (Synced, None));
    w.run_for(secs(60));
    w.qb.restart_with_own_settings();
    w.run_for(secs(20));
    assert_eq!((w.state(), w.qb.listens_on()), (Synced, Some("10.2.0.2:40123".to_owned())));
}

#[test]
fn before_a_port_is_granted_only_the_binding_is_set() {
    let mut w = World::new(Qb::v4());
    w.desire(Desired { port: None, ..desired(0) });
    assert_eq!((w.state(), w.qb.listens_on()), (Synced, Some("10.2.0.2:6881".to_owned())));
    assert!(w.qb.ports_written.is_empty());
}

#[test]
fn another_address_after_a_switch_is_followed() {
    let mut w = World::new(Qb::v4());
    w.desire(desired(40123));
    w.qb.tunnel = "10.2.0.3";
    w.desire(Desired { interface: "wgpch".to_owned(), address: [10, 2, 0, 3].into(), ..desired(40123) });
    assert_eq!((w.state(), w.qb.listens_on()), (Synced, Some("10.2.0.3:40123".to_owned())));
}

#[test]
fn disconnecting_gives_the_port_back_and_leaves_the_binding() {
    let mut w = World::new(Qb::v4());
    w.desire(desired(40123));
    w.input(Input::Restore);
    assert!(w.sync.view().restored);
    assert_eq!((w.qb.listen_port, w.qb.interface.as_str()), (6999, "wgpnl"));
    assert_eq!(w.sync.poll_timeout(), None);
}

#[test]
fn a_disconnect_waits_for_nobody() {
    let mut w = World::new(Qb::v4());
    w.input(Input::Restore);
    assert_eq!((w.sync.view().restored, w.sync.poll_timeout(), w.qb.log.len()), (true, None, 0));
    let mut w = World::new(Qb::v4());
    w.desire(desired(40123));
    w.qb.alive = false;
    w.input(Input::Restore);
    assert_eq!((w.sync.view().restored, w.sync.poll_timeout()), (false, None));
    let mut w = World::new(Qb { password: Some("other"), ..Qb::v4() });
    w.desire(desired(40123));
    w.input(Input::Restore);
    assert_eq!((w.sync.poll_timeout(), w.qb.failed_logins), (None, 1));
}

#[test]
fn a_qbittorrent_on_another_machine_is_judged_by_its_preferences() {
    let mut w = World::with(Qb::v4(), Settings { url: "http://192.168.1.9:8080".to_owned(), ..settings() });
    w.desire(desired(40123));
    w.run_for(secs(100));
    assert_eq!((w.state(), w.sync.view().listening, w.looks), (Synced, None, 0));
}

#[test]
fn with_unbind_the_earlier_binding_comes_back() {
    let mut w = World::with(Qb::v4(), Settings { unbind: true, ..settings() });
    w.desire(desired(40123));
    w.input(Input::Restore);
    assert_eq!((w.qb.listen_port, w.qb.interface.as_str(), w.qb.upnp), (6999, "", true));
    assert_eq!(w.stored.last(), Some(&no_memory()));
}

#[test]
fn disabled_means_no_request_ever() {
    let mut w = World::with(Qb::v4(), Settings { enable: false, ..settings() });
    w.desire(desired(40123));
    w.input(Input::Healthy(true));
    w.run_for(secs(3600));
    w.input(Input::Refresh);
    w.input(Input::Restore);
    assert_eq!((w.state(), w.qb.log.len(), w.looks), (Off, 0, 0));
    w.desire(desired(40123));
    w.input(Input::Settings(settings()));
    assert_eq!(w.state(), Synced);
    w.input(Input::Settings(Settings { enable: false, ..settings() }));
    assert_eq!((w.state(), w.sync.poll_timeout()), (Off, None));
}

#[test]
fn a_webui_that_takes_half_a_minute_is_given_that_time_until_it_is_quick_or_gone() {
    let mut sync = Sync::new(settings(), no_memory(), at(0));
    sync.handle(at(0), Input::Desired(Some(desired(40123))));
    let mut limits = Vec::new();
    let gone = HttpError::Connect("connection refused".to_owned());
    for (id, reply) in
        [(0, HttpError::TimedOut), (1, HttpError::TimedOut), (2, gone), (3, HttpError::TimedOut)]
    {
        while let Some(action) = sync.poll_action() {
            match action {
                Action::Send { request, .. } => limits.push(request.timeout.as_secs()),
                _ => panic!("{action:?}"),
            }
        }
        sync.handle(at(id * 20_000), Input::Reply { id, reply: Err(reply) });
        sync.handle(sync.poll_timeout().unwrap(), Input::Wake);
        sync.poll_action(); // whether the WebUI listens
        sync.handle(at(id * 20_000 + 6000), Input::Listening(Some(true)));
    }
    assert_eq!(limits, [5, 40, 40, 5]);
}

#[test]
fn a_reply_that_never_comes_is_a_failure_after_half_a_minute() {
    let mut sync = Sync::new(settings(), no_memory(), at(0));
    sync.handle(at(0), Input::Desired(Some(desired(40123))));
    assert_eq!(sync.poll_timeout(), Some(at(30_000)));
    sync.handle(at(30_000), Input::Wake);
    assert_eq!(sync.view().state, Unreachable);
    let late = HttpError::TimedOut;
    sync.handle(at(30_001), Input::Reply { id: 0, reply: Err(late) });
    assert_eq!(sync.poll_timeout(), Some(at(35_000)));
}

#[test]
fn stalled_torrents_are_set_going_once_and_those_of_a_person_stay() {
    let mut w = World::new(Qb::v4());
    w.qb.torrents = vec![("aa", "stalledDL"), ("bb", "pausedDL")];
    w.desire(desired(40123));
    w.input(Input::Healthy(true));
    w.run_for(secs(600));
    assert_eq!(w.qb.commands, ["reannounce all", "reannounce aa", "pause aa", "resume aa"]);
    let stopped: Vec<_> = w.stored.iter().map(|m| m.stopped.len()).collect();
    assert_eq!(stopped, [0, 1, 0]); // on disk while it stands still
}

#[test]
fn what_was_active_when_last_healthy_is_started_after_a_reconnect() {
    let mut w = World::new(Qb::v5_2());
    w.qb.torrents = vec![("aa", "downloading"), ("bb", "downloading"), ("cc", "stoppedDL")];
    w.input(Input::Healthy(true));
    w.desire(desired(40123));
    w.input(Input::Healthy(false));
    w.qb.torrents = vec![("aa", "error"), ("bb", "stoppedDL"), ("cc", "stoppedDL")];
    w.input(Input::Healthy(true));
    w.run_for(millis(10));
    assert_eq!(w.qb.commands, ["reannounce all", "start aa"]);
}
