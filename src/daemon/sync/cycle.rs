//! One cycle of [`Sync`]: from reaching the WebUI to the kernel's word that something listens.
//!
//! [`Sync::advance`] is the whole order of things: it looks at what this cycle knows and begins the first thing that is
//! missing. Every reply adds to the knowledge and advances again, so that a goal that changes half-way needs no special
//! case.

use super::{
    ANSWER_TIMEOUT, Action, Activity, Goal, LOOK_INTERVAL, Memory, READ_INTERVAL, Socket, Sync, SyncState,
    UNREACHABLE_LIVELY, UNREACHABLE_RETRY,
};
use crate::qbittorrent::{
    ApiVersion, Auth, Call, Filter, Hashes, Preferences, Torrent, Verdict, Wish, parse_connection,
};
use crate::time::{Duration, Instant, millis, secs};
use crate::wire::http::{HttpError, Reply, plain, shown};
use log::{debug, info, warn};

/// Looks after a write, while qBittorrent applies it: it takes well under a second on a Pi; chosen.
pub const SETTLE: [Duration; 4] = [millis(300), millis(700), secs(1), secs(2)];
/// Between port 0 and the port again: both writes at once would be one change.
const REBIND_PAUSE: Duration = secs(2);
/// What qBittorrent does not keep is not written more often in a row; chosen.
const WRITES_MOST: u32 = 3;
/// After something that may pass; chosen.
pub const PENDING_PAUSE: Duration = secs(15);
/// A ban lasts an hour by default.
const BAN_PAUSE: Duration = secs(3660);
/// After the first, second and third refused password: a fourth waits for a change, since the fifth means a ban.
const REFUSED_PAUSES: [Option<Duration>; 3] = [Some(secs(3600)), Some(secs(6 * 3600)), None];

/// Of what may call itself a version, whatever listens there; chosen.
const VERSION_MOST: usize = 40;

/// What this cycle knows and did.
#[derive(Clone, Debug, Default)]
pub struct Cycle {
    pub reached: bool,
    /// Preferences alone, since they are all that a look at the kernel would have shown.
    pub brief: bool,
    pub logged_in: bool,
    pub prefs: Option<Preferences>,
    pub writes: u32,
    /// Whether a port was written: then trackers are told.
    pub moved: bool,
    pub rebinding: bool,
    pub looks: usize,
    pub listening: Listening,
    pub connection_read: bool,
    pub torrents_read: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listening {
    #[default]
    NotAsked,
    Answered,
}

impl Sync {
    pub(super) fn begin(&mut self, now: Instant, why: &str) {
        if !self.settings.enable || self.goal == Goal::Nothing {
            self.activity = Activity::Idle;
            return;
        }
        debug!("qbittorrent: looking into it: {why}");
        // What an earlier one wrote may still be at work, and no tracker knows of it.
        self.cycle = Cycle { moved: self.cycle.moved, ..Cycle::default() };
        if !matches!(self.activity, Activity::Calling { .. }) {
            self.advance(now);
        }
    }

    /// Begins the first thing that is missing.
    pub(super) fn advance(&mut self, now: Instant) {
        let Some(wish) = self.wish() else {
            self.activity = Activity::Idle;
            return;
        };
        if !self.cycle.reached && !self.cycle.brief {
            return self.call(now, Call::Version);
        }
        let Some(prefs) = self.cycle.prefs.clone() else {
            return self.call(now, Call::Preferences);
        };
        if self.goal != Goal::Restore {
            self.remember(&prefs);
        }
        let missing = if self.cycle.rebinding { unport() } else { prefs.missing(&wish) };
        if !missing.is_empty() {
            return self.write(now, missing);
        }
        if self.goal == Goal::Restore {
            return self.finish_restore();
        }
        if self.cycle.listening == Listening::NotAsked {
            return self.look(now, Socket::Peers);
        }
        if std::mem::take(&mut self.cycle.moved) {
            return self.call(now, Call::Reannounce(Hashes::All));
        }
        if !self.cycle.connection_read && !self.cycle.brief {
            return self.call(now, Call::Connection);
        }
        if !self.cycle.torrents_read && !self.cycle.brief {
            return self.call(now, Call::Torrents(Filter::Active));
        }
        match self.recovery.next_call(now) {
            Some(call) if self.healthy => {
                self.store_stopped();
                self.call(now, call);
            }
            _ => self.finish(now),
        }
    }

    fn call(&mut self, now: Instant, call: Call) {
        let id = self.next_id;
        self.next_id += 1;
        let request = self.ui.request(&call);
        let give_up_at = now + request.timeout + ANSWER_TIMEOUT;
        self.activity = Activity::Calling { id, call, give_up_at };
        self.actions.push_back(Action::Send { id, request });
    }

    fn write(&mut self, now: Instant, missing: Wish) {
        if self.cycle.writes >= WRITES_MOST {
            let text = format!("qBittorrent does not keep what is set: {}", missing.to_json());
            return self.wait(now, SyncState::Pending, PENDING_PAUSE, text);
        }
        debug!("qbittorrent: writing {missing:?}");
        self.cycle.writes += 1;
        self.cycle.moved |= missing.listen_port.is_some() || missing.address.is_some();
        self.call(now, Call::SetPreferences(missing));
    }

    /// Keeps what it had before our first write.
    fn remember(&mut self, prefs: &Preferences) {
        if self.memory.earlier.is_none() {
            self.memory.earlier = Some(prefs.clone());
            self.actions.push_back(Action::Store(self.memory.clone()));
        }
    }

    fn store_stopped(&mut self) {
        if self.memory.stopped != self.recovery.stopped() {
            self.memory.stopped = self.recovery.stopped().to_vec();
            self.actions.push_back(Action::Store(self.memory.clone()));
        }
    }

    fn finish(&mut self, now: Instant) {
        if self.view.state != SyncState::Synced {
            let port = self.view.listen_port.map_or("unchanged".to_owned(), |p| p.to_string());
            info!("qbittorrent: in step: port {port} on {}", self.view.interface.as_deref().unwrap_or("-"));
        }
        self.unreachable_since = None;
        self.view.state = SyncState::Synced;
        self.view.text = None;
        self.store_stopped();
        if !std::mem::replace(&mut self.cycle.brief, false) {
            self.read_at = now + READ_INTERVAL;
        }
        self.cycle.torrents_read = true; // from here on lists belong to the recovery
        self.activity = Activity::Resting { looked_at: now };
    }

    fn finish_restore(&mut self) {
        info!("qbittorrent: has its port {} back", self.settings.port);
        if self.settings.unbind {
            self.memory = Memory::default();
            self.actions.push_back(Action::Store(Memory::default()));
        }
        self.view.restored = true;
        self.view.state = SyncState::Synced;
        self.activity = Activity::Idle;
    }

    /// Ends the cycle without success and tries again later.
    pub(super) fn wait(&mut self, now: Instant, state: SyncState, pause: Duration, text: String) {
        if self.view.state != state || self.view.text.as_ref() != Some(&text) {
            warn!("qbittorrent: {text}");
        }
        let knock = state == SyncState::Unreachable;
        self.view.state = state;
        self.view.text = Some(text);
        self.activity = match self.goal {
            Goal::Restore => Activity::Idle, // somebody waits for the disconnect: one try is all there is
            Goal::Nothing | Goal::Tunnel(_) => Activity::Waiting { retry_at: now + pause, knock },
        };
    }

    fn refuse(&mut self, now: Instant, pause: Option<Duration>, text: &str) {
        if self.view.state != SyncState::Refused {
            warn!("qbittorrent: {text}");
        }
        self.view.state = SyncState::Refused;
        self.view.text = Some(text.to_owned());
        let retry_at = pause.map(|p| now + p);
        self.activity = match self.goal {
            Goal::Restore => Activity::Idle,
            Goal::Nothing | Goal::Tunnel(_) => {
                Activity::Refused { retry_at, look_at: now + LOOK_INTERVAL, was_down: false }
            }
        };
    }

    pub(super) fn handle_failure(&mut self, now: Instant, error: &HttpError) {
        let since = *self.unreachable_since.get_or_insert(now);
        self.ui.forget_session(error);
        self.view.listening = None;
        self.view.connection = None;
        let lively = now.since(since) < UNREACHABLE_LIVELY;
        let pause = if lively { UNREACHABLE_RETRY } else { LOOK_INTERVAL };
        self.wait(
            now,
            SyncState::Unreachable,
            pause,
            format!("WebUI at {}: {error}", shown(&self.settings.url)),
        );
    }

    pub(super) fn handle_reply(&mut self, now: Instant, call: &Call, reply: Result<Reply, HttpError>) {
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => return self.handle_failure(now, &error),
        };
        match self.ui.judge(call, &reply) {
            Verdict::Done => self.handle_done(now, call, &reply),
            Verdict::NeedsLogin => self.handle_needs_login(now),
            Verdict::WrongHost if self.ui.try_next_host() => {
                debug!("qbittorrent: 401: trying another Host header");
                self.call(now, call.clone());
            }
            Verdict::WrongHost => {
                self.refuse(now, Some(secs(600)), "the WebUI refuses the key or the address it is asked by");
            }
            Verdict::WrongPassword => {
                let pause = REFUSED_PAUSES.get(self.logins_refused as usize).copied().flatten();
                self.logins_refused = self.logins_refused.saturating_add(1);
                self.refuse(now, pause, "user or password is wrong (not tried again soon, to avoid a ban)");
            }
            Verdict::Banned => {
                self.refuse(now, Some(BAN_PAUSE), "qBittorrent has banned this machine for an hour");
            }
            Verdict::Unknown | Verdict::Odd(_) if is_recovery(call) => {
                debug!("qbittorrent: {} to {call:?}: leaving it", reply.status);
                self.give_up_torrents(now);
            }
            Verdict::Unknown | Verdict::Odd(_) => {
                let text = format!("the WebUI answers {} to {}", reply.status, name(call));
                self.wait(now, SyncState::Pending, PENDING_PAUSE, text);
            }
        }
    }

    /// The rest of the cycle goes on without the lists.
    fn give_up_torrents(&mut self, now: Instant) {
        self.recovery.give_up(now);
        self.cycle.torrents_read = true;
        self.advance(now);
    }

    fn handle_needs_login(&mut self, now: Instant) {
        match self.ui.auth() {
            Auth::Password { .. } if !self.cycle.logged_in => self.call(now, Call::Login),
            Auth::Password { .. } => {
                let text = "the WebUI forgets the session at once".to_owned();
                self.wait(now, SyncState::Pending, PENDING_PAUSE, text);
            }
            Auth::None => {
                self.refuse(now, Some(secs(600)), "the WebUI wants a login: set user and pass, or api_key")
            }
            Auth::Key(_) => self.refuse(now, Some(secs(600)), "the API key is refused"),
        }
    }

    fn handle_done(&mut self, now: Instant, call: &Call, reply: &Reply) {
        let understood = match call {
            Call::Version => {
                let version = plain(&reply.text(), VERSION_MOST);
                if self.view.version.as_ref() == Some(&version) && self.ui.knows_api() {
                    self.cycle.reached = true;
                    return self.advance(now);
                }
                info!("qbittorrent: version {version}");
                self.view.version = Some(version);
                return self.call(now, Call::ApiVersion);
            }
            Call::ApiVersion => {
                self.cycle.reached = true;
                ApiVersion::parse(&reply.text()).map(|api| self.ui.set_api(api)).is_some()
            }
            Call::Login => {
                self.cycle.logged_in = true;
                self.logins_refused = 0;
                true
            }
            Call::Preferences => match Preferences::parse(reply) {
                Some(prefs) => {
                    self.note_preferences(&prefs);
                    true
                }
                None => false,
            },
            Call::SetPreferences(wish) => return self.handle_written(now, wish),
            Call::Connection => {
                self.cycle.connection_read = true;
                self.view.connection = parse_connection(reply);
                self.view.connection.is_some()
            }
            Call::Torrents(_) | Call::Start(_) | Call::Stop(_) | Call::Reannounce(_) => {
                return self.handle_torrents(now, call, reply);
            }
        };
        if understood {
            self.advance(now);
        } else {
            let text = format!("the WebUI's answer to {} makes no sense", name(call));
            self.wait(now, SyncState::Pending, PENDING_PAUSE, text);
        }
    }

    fn note_preferences(&mut self, prefs: &Preferences) {
        self.view.listen_port = prefs.listen_port.and_then(|p| u16::try_from(p).ok());
        self.view.interface = prefs.current_network_interface.clone();
        self.cycle.prefs = Some(prefs.clone());
    }

    fn handle_written(&mut self, now: Instant, wish: &Wish) {
        self.cycle.prefs = None; // read back
        self.cycle.looks = 0;
        self.cycle.listening = Listening::NotAsked;
        let rebinding = std::mem::take(&mut self.cycle.rebinding) && wish.listen_port == Some(0);
        let pause = if rebinding { REBIND_PAUSE } else { SETTLE[0] };
        self.activity = Activity::Settling { until: now + pause };
    }

    fn handle_torrents(&mut self, now: Instant, call: &Call, reply: &Reply) {
        let torrents = match call {
            Call::Torrents(_) => Torrent::parse_list(reply),
            _ => Some(Vec::new()),
        };
        let Some(torrents) = torrents else {
            return self.give_up_torrents(now);
        };
        if *call == Call::Torrents(Filter::Active) {
            self.view.active_torrents = u32::try_from(torrents.len()).ok();
            if self.healthy {
                self.active = torrents.iter().map(|t| t.hash.clone()).collect();
            }
        }
        let ours = *call == Call::Reannounce(Hashes::All);
        if !ours && std::mem::replace(&mut self.cycle.torrents_read, true) {
            self.recovery.handle_done(now, &torrents);
        }
        self.advance(now);
    }
}

/// The first half of a forced rebind: any port.
fn unport() -> Wish {
    Wish { listen_port: Some(0), ..Wish::default() }
}

fn is_recovery(call: &Call) -> bool {
    matches!(call, Call::Torrents(_) | Call::Start(_) | Call::Stop(_) | Call::Reannounce(_))
}

fn name(call: &Call) -> &'static str {
    match call {
        Call::Version => "app/version",
        Call::ApiVersion => "app/webapiVersion",
        Call::Login => "auth/login",
        Call::Preferences => "app/preferences",
        Call::SetPreferences(_) => "app/setPreferences",
        Call::Connection => "transfer/info",
        Call::Torrents(_) => "torrents/info",
        Call::Start(_) => "torrents/start",
        Call::Stop(_) => "torrents/stop",
        Call::Reannounce(_) => "torrents/reannounce",
    }
}
