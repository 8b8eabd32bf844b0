use super::*;

#[test]
fn three_checks_in_a_row_without_an_answer_end_the_connection() {
    let mut w = World::new();
    w.run_until(60_500);
    assert_eq!(w.monitor.view().ping, Verdict::Ok);
    w.echo = None;
    w.run_until(200_000);
    assert_eq!((w.monitor.view().bad_checks, w.over()), (2, None));
    w.run_until(300_000);
    assert_eq!(w.over(), Some((238_000, Reason::NoEcho { checks: 3 })));
    assert_eq!(w.monitor.poll_timeout(), None);
}

#[test]
fn one_answer_in_a_check_is_enough_and_forgives() {
    let mut w = World::new();
    w.run_until(1000);
    w.lose_echoes = 8; // all of two bad checks, then two lost of three
    w.run_until(200_000);
    assert_eq!(w.monitor.view().bad_checks, 0);
    assert_eq!(w.monitor.view().rtt, Some(millis(20)));
    assert_eq!(w.over(), None);
}

#[test]
fn lasting_slowness_is_as_bad_as_silence() {
    let mut w = World::new();
    w.run_until(1000);
    w.echo = Some(millis(800));
    w.run_until(400_000);
    assert_eq!(w.over().unwrap().1, Reason::Slow { rtt: millis(800), checks: 3 });
}

#[test]
fn a_gateway_that_never_answers_is_judged_by_handshakes_alone() {
    let mut w = World::new();
    w.echo = None;
    w.run_until(3_600_000);
    assert_eq!((w.over(), w.monitor.view().ping), (None, Verdict::Unknown));
    w.handshakes = false;
    w.run_until(4_000_000);
    assert!(matches!(w.over().unwrap().1, Reason::NoHandshake { .. }));
    assert!(w.over().unwrap().0 < 3_600_000 + 180_000 + 62_000);
}

#[test]
fn a_server_that_dies_under_an_upload_is_given_up_in_seconds() {
    let mut w = World::new();
    w.traffic = (50_000, 50_000);
    w.run_until(30_000);
    w.die();
    w.run_until(60_000);
    let (at, reason) = w.over().unwrap();
    assert!(at <= 34_500, "{at} {reason}");
    assert!(matches!(reason, Reason::Silent { .. }));
}

#[test]
fn a_server_that_dies_under_a_download_is_given_up_in_seconds() {
    let mut w = World::new();
    w.traffic = (2_000_000, 40_000);
    w.run_until(30_000);
    w.die();
    w.traffic = (0, 0); // nothing to acknowledge any more
    w.run_until(60_000);
    assert!(w.over().unwrap().0 <= 34_500);
}

#[test]
fn a_server_that_dies_just_when_traffic_begins_is_found_at_the_next_tick() {
    let mut w = World::new();
    w.run_until(100_000);
    w.traffic = (50_000, 50_000);
    w.run_until(101_000);
    w.die();
    w.run_until(120_000);
    assert!(w.over().unwrap().0 <= 117_500);
}

#[test]
fn traffic_that_ends_and_traffic_that_only_sends_cost_an_echo_and_nothing_else() {
    let mut w = World::new();
    w.traffic = (2_000_000, 40_000);
    w.run_until(30_000);
    w.traffic = (0, 80_000); // an upload over UDP; echoes come back
    w.run_until(90_000);
    w.traffic = (0, 0);
    w.run_until(600_000);
    assert_eq!(w.over(), None);
    assert_eq!(w.readds, 0);
}

#[test]
fn without_echoes_a_new_handshake_tells_the_living_from_the_dead() {
    let mut w = World::new();
    w.echo = None;
    w.traffic = (50_000, 50_000);
    w.run_until(30_000);
    w.traffic = (0, 50_000);
    w.run_until(60_000);
    assert_eq!((w.over(), w.readds), (None, 1));
    w.run_until(200_000);
    w.traffic = (50_000, 50_000);
    w.run_until(230_000);
    w.die();
    w.run_until(260_000);
    assert!(w.over().unwrap().0 <= 238_500, "{:?}", w.over());
}

#[test]
fn an_idle_tunnel_wakes_us_five_times_a_minute() {
    let mut w = World::new();
    w.run_until(60_000);
    let before = w.wakes;
    w.run_until(60_000 + 3_600_000);
    assert!(w.wakes - before <= 5 * 60, "{} wake-ups in an hour", w.wakes - before);
}

#[test]
fn a_disturbance_is_checked_at_once_and_other_settings_count_from_then_on() {
    let mut w = World::new();
    w.run_until(20_000);
    w.echoes_sent = 0;
    w.monitor.handle(at(20_000), Input::Disturbed);
    w.run_until(20_100);
    assert_eq!(w.echoes_sent, 1);
    w.monitor.handle(at(20_100), Input::Settings(Settings { interval: secs(5), ..SETTINGS }));
    w.run_until(40_000);
    assert_eq!(w.echoes_sent, 4);
}

const SETTINGS: Settings = Settings { interval: secs(60), failures: 3, latency_threshold: millis(500) };

#[test]
fn a_server_that_died_while_idle_is_given_up_seconds_after_the_first_packet() {
    for echo in [Some(millis(20)), None] {
        let mut w = World::new();
        w.echo = echo;
        w.run_until(190_000);
        assert!(w.monitor.wants_traffic());
        w.die();
        w.run_until(190_500);
        w.traffic = (0, 150); // somebody asks again and again
        w.monitor.handle(w.now, Input::Traffic);
        w.run_until(210_000);
        let (at, reason) = w.over().unwrap();
        assert!(at <= if echo.is_some() { 194_500 } else { 200_500 }, "{at} {reason}");
    }
}

#[test]
fn stray_packets_into_an_idle_tunnel_cost_one_echo_each_and_no_server() {
    let mut w = World::new();
    w.run_until(61_000);
    let (wakes, echoes) = (w.wakes, w.echoes_sent);
    for nth in 1..=10 {
        w.sample.tx_bytes += 96; // to a host that does not answer
        w.monitor.handle(w.now, Input::Traffic);
        w.run_until(61_000 + nth * 10_000);
    }
    assert_eq!(w.over(), None);
    assert!(w.echoes_sent - echoes <= 10 + 2, "{}", w.echoes_sent - echoes);
    assert!(w.wakes - wakes <= 10 * 3 + 10, "{}", w.wakes - wakes);
}

/// A monitor, a device and a gateway.
struct World {
    monitor: Monitor,
    now: Instant,
    /// The gateway's round trip, if it answers.
    echo: Option<Duration>,
    lose_echoes: u32,
    handshakes: bool,
    handshake_at: Instant,
    /// Bytes received and sent a second.
    traffic: (u64, u64),
    alive: bool,
    counted_at: Instant,
    sample: Sample,
    replies: Vec<(Instant, u16)>,
    over: Option<(u64, Reason)>,
    echoes_sent: u32,
    readds: u32,
    wakes: u32,
}

impl World {
    fn new() -> World {
        World {
            monitor: Monitor::new(SETTINGS, at(0)),
            now: at(0),
            echo: Some(millis(20)),
            lose_echoes: 0,
            handshakes: true,
            handshake_at: at(0),
            traffic: (0, 0),
            alive: true,
            counted_at: at(0),
            sample: Sample::default(),
            replies: Vec::new(),
            over: None,
            echoes_sent: 0,
            readds: 0,
            wakes: 0,
        }
    }

    fn die(&mut self) {
        self.count();
        self.alive = false;
    }

    fn over(&self) -> Option<(u64, Reason)> {
        self.over.clone()
    }

    fn run_until(&mut self, ms: u64) {
        loop {
            self.perform();
            let reply = self.replies.iter().map(|(at, _)| *at).min();
            let next = [self.monitor.poll_timeout(), reply].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= at(ms)) else { break };
            self.now = next.max(self.now);
            self.count();
            self.wakes += 1;
            match self.replies.iter().position(|(at, _)| *at <= self.now) {
                Some(i) => {
                    let (_, seq) = self.replies.remove(i);
                    self.sample.rx_bytes += 96;
                    self.monitor.handle(self.now, Input::Echo { seq });
                }
                None => self.monitor.handle(self.now, Input::Wake),
            }
        }
        self.now = at(ms);
        self.count();
    }

    /// Traffic up to this moment, and the handshake a living server makes for it.
    fn count(&mut self) {
        let ms = self.now.since(self.counted_at).as_millis() as u64;
        self.counted_at = self.now;
        self.sample.tx_bytes += self.traffic.1 * ms / 1000;
        if self.alive {
            self.sample.rx_bytes += self.traffic.0 * ms / 1000;
            if self.handshakes && self.now.since(self.handshake_at) > secs(120) {
                self.handshake_at = self.now;
            }
        }
    }

    fn perform(&mut self) {
        while let Some(action) = self.monitor.poll_action() {
            match action {
                Action::SendEcho { seq } => {
                    self.echoes_sent += 1;
                    self.sample.tx_bytes += 96;
                    let lost = self.lose_echoes > 0;
                    self.lose_echoes = self.lose_echoes.saturating_sub(1);
                    if let (Some(rtt), true, false) = (self.echo, self.alive, lost) {
                        self.replies.push((self.now + rtt, seq));
                    }
                }
                Action::TakeSample => {
                    let handshake_age = Some(self.now.since(self.handshake_at));
                    let sample = Sample { handshake_age, ..self.sample };
                    self.monitor.handle(self.now, Input::Sample(Some(sample)));
                }
                Action::ReaddPeer => {
                    self.readds += 1;
                    if self.alive {
                        self.handshake_at = self.now + millis(20);
                        self.sample.rx_bytes += 92;
                    }
                }
                Action::SwitchServer(reason) => {
                    self.over = Some((self.now.since_boot().as_millis() as u64, reason));
                }
            }
        }
    }
}

fn at(ms: u64) -> Instant {
    Instant::BOOT + millis(ms)
}
