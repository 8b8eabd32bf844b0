//! Months against a PIA with a memory of its own: it forgets a port twenty minutes after its last bind, and a token when it
//! pleases. Logins, signatures, binds and changes are counted.

use super::*;

struct World {
    story: Story,
    /// The token that is good, and logins made.
    token: u32,
    logins: u32,
    signatures: u32,
    binds: u32,
    /// What the disk holds.
    disk: Option<Grant>,
    /// Signed ports: number and end.
    signed: Vec<(u16, u64)>,
    bound_until: Instant,
    numbers: Vec<u16>,
    random: u64,
    /// Of a hundred requests so many get no answer.
    loss: u64,
    /// Until then another has our first number on this server.
    busy_until: Instant,
    /// The server has forgotten us: only another connection helps.
    is_stranger: bool,
    /// The machine's clock stands at the beginning of 1970: no certificate is good then.
    is_clockless: bool,
    unbound: Duration,
}

impl World {
    fn new() -> World {
        World {
            story: Story { holder: Pia::new(gateway(), None), now: at(0), id: 0 },
            token: 1,
            logins: 0,
            signatures: 0,
            binds: 0,
            disk: None,
            signed: Vec::new(),
            bound_until: at(0),
            numbers: Vec::new(),
            random: 0x9e37_79b9_7f4a_7c15,
            loss: 0,
            busy_until: at(0),
            is_stranger: false,
            is_clockless: false,
            unbound: Duration::ZERO,
        }
    }

    fn chance(&mut self, of_hundred: u64) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 100 < of_hundred
    }

    /// Performs what the machine asks for, until it rests.
    fn settle(&mut self) {
        while let Some(action) = self.story.holder.poll_action() {
            let now = self.story.now;
            let input = match action {
                Action::ReadGrant => Input::Grant(self.disk.clone()),
                Action::KeepGrant(grant) => {
                    self.disk = grant;
                    continue;
                }
                Action::Token { refused } => {
                    if refused.is_some() || self.logins == 0 {
                        self.logins += 1;
                    }
                    Input::Token(Ok(Secret::new(self.token.to_string())))
                }
                Action::Send { id, request } => {
                    let lost = self.chance(self.loss);
                    let reply = if lost { silence() } else { self.answer(&call(&request)) };
                    let wall =
                        if self.is_clockless { UnixTime(now.since_boot().as_secs()) } else { wall(now) };
                    Input::Reply { id, wall, reply }
                }
                other => panic!("{other:?}"),
            };
            self.story.holder.handle(now, input);
            let number = self.story.holder.view(now).number;
            if number.is_some() && number != self.numbers.last().copied() {
                self.numbers.extend(number);
            }
        }
    }

    fn answer(&mut self, call: &str) -> Result<Reply, HttpError> {
        let now = self.story.now;
        if self.is_clockless {
            return Err(HttpError::Tls("zurich406: invalid peer certificate: not valid yet".into()));
        }
        if self.is_stranger {
            return refused(401, "Unauthorized client");
        }
        if let Some(token) = call.strip_prefix("sign for ") {
            if token != self.token.to_string() {
                return refused(401, "Login failed!");
            }
            self.signatures += 1;
            let port = 40_000 + u16::try_from(self.signatures).unwrap();
            let days = now.since_boot().as_secs() / DAY + 62;
            self.signed.push((port, days * DAY));
            return signature(port, days);
        }
        self.binds += 1;
        let port: u16 = call.strip_prefix("bind sig").unwrap().parse().unwrap();
        let known = self.signed.iter().find(|(p, _)| *p == port);
        if known.is_none_or(|(_, end)| now.since_boot().as_secs() >= *end) {
            return refused(400, "expired");
        }
        if now < self.busy_until && port == self.signed[0].0 {
            let body = "{\"status\":\"\",\"message\":\"Port is busy. Please use another server\"}";
            return reply(409, body);
        }
        self.bound_until = now + secs(20 * 60);
        bound()
    }

    /// Lives until then.
    fn live(&mut self, until: Instant) {
        self.settle();
        while let Some(next) = self.story.holder.poll_timeout().filter(|next| *next < until) {
            self.unbound += next.since(self.bound_until.max(self.story.now));
            self.story.now = self.story.now.max(next);
            self.story.holder.handle(self.story.now, Input::Wake);
            self.settle();
        }
        self.unbound += until.since(self.bound_until.max(self.story.now));
        self.story.now = until;
    }

    /// Another server, or the machine again after a boot.
    fn connect(&mut self, carried: bool) {
        let view = self.story.holder.view(self.story.now);
        let carried = view.number.zip(view.since).filter(|_| carried);
        self.story.holder = Pia::new(gateway(), carried);
        (self.bound_until, self.is_stranger) = (self.story.now, false);
    }
}

#[test]
fn two_calm_months_cost_one_login_and_one_change() {
    let mut world = World::new();
    world.live(at(62 * DAY));
    assert_eq!((world.logins, world.signatures), (1, 2));
    assert_eq!(world.numbers, [40_001, 40_002]);
    // One each ten minutes, and one for the second number.
    assert_eq!(world.binds, 62 * 144 + 1);
    assert_eq!(world.unbound, Duration::ZERO);
}

#[test]
fn two_bad_months_change_the_port_only_when_it_ends() {
    let mut world = World::new();
    world.loss = 30;
    let mut hours = 0;
    while hours < 62 * 24 {
        // Every seven hours another server, every third day a boot, every tenth day the token is over.
        hours += 7;
        world.live(at(hours * 3600));
        world.connect(hours % 72 != 0);
        if hours % 240 < 7 {
            world.token += 1;
        }
    }
    assert_eq!(world.numbers, [40_001, 40_002]);
    assert!(world.logins <= 2, "{} logins", world.logins);
    // Nine in ten lost binds are made good before the port is forgotten; a reconnect costs seconds.
    let share = world.unbound.as_secs_f64() / (62.0 * DAY as f64);
    assert!(share < 0.001, "unbound {:?}", world.unbound);
}

#[test]
fn a_year_changes_the_port_once_in_its_last_week_each_time() {
    let mut world = World::new();
    world.live(at(365 * DAY));
    assert_eq!(world.numbers.len(), 1 + 365 / 55);
    assert_eq!((world.logins, world.unbound), (1, Duration::ZERO));
}

#[test]
fn a_port_busy_for_seconds_is_waited_for_and_one_busy_for_an_hour_is_given_up_once() {
    for (busy, numbers) in [(secs(9), &[40_001][..]), (secs(3600), &[40_001, 40_002])] {
        let mut world = World::new();
        world.live(at(DAY));
        world.busy_until = at(DAY) + busy;
        world.connect(true);
        world.live(at(50 * DAY));
        assert_eq!(world.numbers, numbers, "busy for {busy:?}");
        assert!(world.unbound <= secs(20), "{:?}", world.unbound);
        assert_eq!(world.logins, 1);
    }
}

#[test]
fn a_server_that_forgets_us_each_day_costs_a_minute_each_and_nothing_else() {
    let mut world = World::new();
    for day in 1..=50 {
        world.live(at(day * DAY - 60));
        (world.is_stranger, world.bound_until) = (true, world.story.now);
        // The monitor needs a minute to see that nothing comes back; another addKey, and it is a client again.
        world.live(at(day * DAY));
        world.connect(true);
    }
    assert_eq!(world.numbers, [40_001]);
    assert_eq!((world.logins, world.signatures), (1, 1));
    assert!(world.unbound <= secs(50 * 60), "{:?}", world.unbound);
}

#[test]
fn boots_without_a_clock_cost_the_time_until_it_is_set_and_no_port() {
    let mut world = World::new();
    world.live(at(DAY));
    for day in 2..50 {
        world.is_clockless = true;
        world.connect(false);
        world.live(at(day * DAY));
        world.is_clockless = false;
        world.live(at(day * DAY + 3600));
    }
    assert_eq!(world.numbers, [40_001]);
    assert_eq!((world.logins, world.signatures), (1, 1));
}

#[test]
fn a_token_refused_each_week_costs_a_login_only_when_a_signature_is_due() {
    let mut world = World::new();
    for week in 1..=26 {
        world.live(at(week * 7 * DAY));
        world.token += 1;
    }
    assert_eq!(world.numbers.len(), 1 + 26 * 7 / 55);
    assert_eq!((world.logins, world.signatures), (4, 4));
    assert_eq!(world.unbound, Duration::ZERO);
}
