//! Random interleavings for the other machines: replies of any status and body in any order, late or never, samples and
//! echoes that make no sense, effects that fail. None may panic, spin, or wait for ever while something is owed.

use crate::random::Random;
use pvpn::config::Resume;
use pvpn::config::secret::Secret;
use pvpn::daemon::monitor::{self, Monitor};
use pvpn::daemon::publish::{self, Publisher, Target};
use pvpn::daemon::sync::{self, Desired, Sync};
use pvpn::qbittorrent::Auth;
use pvpn::time::{Instant, millis, secs};
use pvpn::wire::http::{HttpError, Reply};

#[test]
fn no_webui_makes_the_sync_panic_spin_or_wait_for_ever() {
    for seed in 1..=300 {
        let mut random = Random::new(seed);
        let mut now = Instant::BOOT + secs(seed);
        let mut sync =
            Sync::new(settings(&mut random), sync::Memory { earlier: None, stopped: Vec::new() }, now);
        sync.handle(now, sync::Input::Desired(Some(desired(&mut random))));
        let mut logins_since_change = 0;
        for _ in 0..400 {
            let mut actions = 0;
            while let Some(action) = sync.poll_action() {
                actions += 1;
                assert!(actions < 50, "seed {seed}: spins");
                match action {
                    sync::Action::Send { id, request } => {
                        logins_since_change += u32::from(request.url.ends_with("auth/login"));
                        if random.percent(95) {
                            let reply = reply(&mut random, &request.url);
                            now = now + random.between(millis(0), secs(6));
                            sync.handle(now, sync::Input::Reply { id, reply });
                        }
                    }
                    sync::Action::CheckListening { .. } => {
                        let seen = [Some(true), Some(false), None][random.below(3) as usize];
                        sync.handle(now, sync::Input::Listening(seen));
                    }
                    sync::Action::Store(memory) => {
                        assert_eq!(sync::Memory::parse(&memory.emit()), Some(memory));
                    }
                }
            }
            match random.below(20) {
                0 => sync.handle(now, sync::Input::Desired(Some(desired(&mut random)))),
                1 => sync.handle(now, sync::Input::Healthy(random.percent(50))),
                2 => sync.handle(now, sync::Input::Refresh),
                3 => sync.handle(now, sync::Input::Listening(Some(random.percent(50)))),
                4 => sync.handle(
                    now,
                    sync::Input::Reply { id: random.below(1000), reply: Err(HttpError::TimedOut) },
                ),
                _ => {
                    let Some(due) = sync.poll_timeout() else {
                        // The third refused password waits for a word from somebody.
                        assert_eq!(
                            sync.view().state,
                            sync::SyncState::Refused,
                            "seed {seed}: waits for ever"
                        );
                        break;
                    };
                    now = due.max(now);
                    sync.handle(now, sync::Input::Wake);
                    let idle = sync.poll_timeout().is_some_and(|next| next <= now);
                    assert!(!idle, "seed {seed}: woken for nothing");
                }
            }
        }
        assert!(logins_since_change < 400, "seed {seed}");
    }
}

#[test]
fn no_world_makes_the_monitor_panic_spin_or_wait_for_ever() {
    for seed in 1..=300 {
        let mut random = Random::new(seed);
        let mut now = Instant::BOOT + secs(seed);
        let interval = secs(1 + random.below(120));
        let settings =
            monitor::Settings { interval, failures: 3, latency_threshold: millis(1 + random.below(2000)) };
        let mut monitor = Monitor::new(settings, now);
        let mut sample = monitor::Sample::default();
        for _ in 0..600 {
            let mut over = false;
            while let Some(action) = monitor.poll_action() {
                match action {
                    monitor::Action::SendEcho { seq } if random.percent(70) => {
                        now = now + random.between(millis(0), millis(700));
                        monitor.handle(now, monitor::Input::Echo { seq });
                    }
                    monitor::Action::TakeSample if random.percent(95) => {
                        sample.rx_bytes = sample.rx_bytes.wrapping_add(random.below(3) * random.below(5000));
                        sample.tx_bytes = sample.tx_bytes.wrapping_add(random.below(3) * random.below(5000));
                        sample.handshake_age =
                            [None, Some(secs(random.below(400)))][random.below(2) as usize];
                        if random.percent(1) {
                            sample = monitor::Sample::default();
                        }
                        monitor.handle(now, monitor::Input::Sample(Some(sample)));
                    }
                    monitor::Action::TakeSample => monitor.handle(now, monitor::Input::Sample(None)),
                    monitor::Action::SwitchServer(_) => over = true,
                    _ => {}
                }
            }
            if over {
                assert_eq!(monitor.poll_timeout(), None, "seed {seed}");
                break;
            }
            match random.below(20) {
                0 => monitor.handle(now, monitor::Input::Echo { seq: random.below(9) as u16 }),
                1 => monitor.handle(now, monitor::Input::Traffic),
                2 => monitor.handle(now, monitor::Input::Disturbed),
                3 => now = now + random.between(secs(0), secs(3600)),
                _ => {
                    let due = monitor.poll_timeout().unwrap_or_else(|| panic!("seed {seed}: waits for ever"));
                    assert!(due.since(now) <= interval.max(secs(16)), "seed {seed}: sleeps too long");
                    now = due.max(now);
                    monitor.handle(now, monitor::Input::Wake);
                    let idle = monitor.poll_timeout().is_some_and(|next| next <= now);
                    assert!(!idle, "seed {seed}: woken for nothing: {monitor:?}");
                }
            }
        }
    }
}

#[test]
fn whatever_fails_everybody_is_told_the_last_number_in_the_end() {
    for seed in 1..=300 {
        let mut random = Random::new(seed);
        let mut now = Instant::BOOT;
        let mut publisher = Publisher::new(None);
        let (mut told, mut unsure) = ([None; 5], [false; 5]);
        let mut number = None;
        for step in 0..200 {
            let calm = step > 150;
            if !calm && random.percent(20) {
                number = Some(1 + random.below(3) as u16).filter(|_| random.percent(90));
                publisher.handle(now, publish::Input::Number(number));
            }
            while let Some(action) = publisher.poll_action() {
                let (target, value) = match action {
                    publish::Action::WritePortFile(n) => (Target::File, Some(n)),
                    publish::Action::RemovePortFile => (Target::File, None),
                    publish::Action::WriteSecondFile(n) => (Target::SecondFile, Some(n)),
                    publish::Action::RemoveSecondFile => (Target::SecondFile, None),
                    publish::Action::OpenFirewall(n) => (Target::Firewall, n),
                    publish::Action::RunHook(n) => (Target::Hook, Some(n)),
                    publish::Action::TellQbittorrent(n) => (Target::Qbittorrent, n),
                };
                let fails = !calm && random.percent(40);
                if !fails {
                    let known = told[target as usize] == value && !unsure[target as usize];
                    assert!(target == Target::Hook || !known, "seed {seed}: told twice");
                    told[target as usize] = value;
                }
                unsure[target as usize] = fails;
                let result = if fails { Err("no".to_owned()) } else { Ok(()) };
                publisher.handle(now, publish::Input::Done(target, result));
            }
            if let Some(due) = publisher.poll_timeout() {
                now = due.max(now);
                publisher.handle(now, publish::Input::Wake);
            }
        }
        told[Target::Hook as usize] = number; // a hook has no word for "none any more"
        assert_eq!(told, [number; 5], "seed {seed}");
        assert_eq!(publisher.poll_timeout(), None, "seed {seed}");
    }
}

fn settings(random: &mut Random) -> sync::Settings {
    let auth = match random.below(3) {
        0 => Auth::None,
        1 => Auth::Key(Secret::new("qbt_key")),
        _ => Auth::Password { user: "admin".to_owned(), pass: Secret::new("hunter2") },
    };
    let url = ["http://127.0.0.1:8080", "http://10.0.0.9", "https://[::1]:8443/qb", "nonsense"];
    let resume = [Resume::Off, Resume::Stalled, Resume::All][random.below(3) as usize];
    let url = url[random.below(4) as usize].to_owned();
    sync::Settings { enable: true, url, auth, port: 6881, resume, unbind: random.percent(50) }
}

fn desired(random: &mut Random) -> Desired {
    let port = [None, Some(40_000 + random.below(3) as u16)][random.below(2) as usize];
    Desired { port, interface: "wgpnl".to_owned(), address: [10, 2, 0, 2].into() }
}

/// Mostly what that call wants to hear.
fn reply(random: &mut Random, url: &str) -> Result<Reply, HttpError> {
    if random.percent(5) {
        return Err(HttpError::Connect("connection refused".to_owned()));
    }
    let status =
        if random.percent(80) { 200 } else { [204, 401, 403, 404, 500, 302][random.below(6) as usize] };
    let port = 40_000 + random.below(3);
    let prefs =
        format!(r#"{{"listen_port":{port},"random_port":false,"current_network_interface":"wgpnl"}}"#);
    let torrents = r#"[{"hash":"aa","state":"stalledDL","dlspeed":0}]"#.to_owned();
    let body = match url.rsplit('/').next().unwrap_or_default() {
        _ if random.percent(10) => ["", "<html>", "{}", "[]", "Fails."][random.below(5) as usize].to_owned(),
        "version" => "v4.5.2".to_owned(),
        "webapiVersion" => "2.8.19".to_owned(),
        "preferences" => prefs,
        "login" => ["Ok.", "Fails."][random.below(2) as usize].to_owned(),
        info if info.starts_with("info?") => torrents,
        "info" => r#"{"connection_status":"connected"}"#.to_owned(),
        _ => String::new(),
    };
    Ok(Reply {
        status,
        headers: vec![("set-cookie".to_owned(), "SID=1".to_owned())],
        body: body.into_bytes(),
    })
}
