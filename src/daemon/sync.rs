//! qBittorrent as desired state: it has the granted port and listens on the tunnel's address, whatever restarted.
//!
//! A *cycle* reads the preferences, writes what differs, reads them back, and then asks the kernel whether something
//! really listens there, since qBittorrent can accept a setting and listen nowhere (`qbittorrent.md`; then the port is
//! set to 0 and back, because it acts on a changed value only). Between cycles only the kernel is asked, every 16 s and
//! without a request: a qBittorrent that restarted with other settings is seen by that, and one that is bound to the
//! tunnel no more. All preferences are read again every ten minutes. Every pause bends to the wake-ups of others:
//! [`Input::Wake`] is welcome at any time.
//!
//! A refused password is tried rarely, so that qBittorrent never bans the machine (five failures), and again at once
//! when the configuration or qBittorrent changes. What it had before is handed to the caller to keep ([`Memory`]).

mod cycle;
mod look;
mod memory;
pub mod resume;
mod settings;

#[cfg(test)]
mod tests;

use crate::qbittorrent::{Call, WebUi, Wish};
pub use crate::status::QbittorrentState as SyncState;
use crate::time::{Duration, Instant, secs};
use crate::wire::http::{HttpError, Reply, Request};
use cycle::Cycle;
use log::debug;
pub use memory::Memory;
use resume::Recovery;
pub use settings::Settings;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Looks at the kernel: with a sync of a second or two, a restarted qBittorrent is back within the promised 20 s. A
/// little more than half of a lease's half life, so that every other look is paid for by a renewal.
const LOOK_INTERVAL: Duration = secs(16);
/// A wake-up for another reason is used from here on, so that looks cost none of their own; chosen.
const LOOK_LEAST: Duration = secs(8);
/// Version, preferences, connection and torrents; chosen: four replies in ten minutes are no load.
const READ_INTERVAL: Duration = secs(600);
/// A look that the caller owes, or a reply after its request's own limit.
const ANSWER_TIMEOUT: Duration = secs(25);
/// While unreachable: at first for this long ...
const UNREACHABLE_LIVELY: Duration = secs(60);
/// ... that often, then every `LOOK_INTERVAL`; chosen.
const UNREACHABLE_RETRY: Duration = secs(5);

/// What it should have while the tunnel is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The published number; `None` leaves the port alone until one is granted.
    pub port: Option<u16>,
    pub interface: String,
    /// The tunnel's address, IPv4 where it has one.
    pub address: IpAddr,
}

/// For `status`; what is not known is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub state: SyncState,
    pub version: Option<String>,
    pub listen_port: Option<u16>,
    pub interface: Option<String>,
    pub listening: Option<bool>,
    pub active_torrents: Option<u32>,
    pub connection: Option<String>,
    /// Why it is not synced.
    pub text: Option<String>,
    /// After [`Input::Restore`]: whether it was given its settings back.
    pub restored: bool,
}

#[derive(Clone, Debug)]
pub enum Action {
    /// Answer with [`Input::Reply`] of the same number.
    Send {
        id: u64,
        request: Request,
    },
    /// Ask the kernel (sock_diag) whether a TCP socket listens there, on this address or on all; answer with
    /// [`Input::Listening`]; `None` where that can't be seen.
    CheckListening {
        address: IpAddr,
        port: u16,
    },
    Store(Memory),
}

#[derive(Debug)]
pub enum Input {
    /// What it should have; `None` while there is no tunnel: then it is left as it is.
    Desired(Option<Desired>),
    /// Whether traffic flows through the tunnel, on change.
    Healthy(bool),
    Reply {
        id: u64,
        reply: Result<Reply, HttpError>,
    },
    Listening(Option<bool>),
    Settings(Settings),
    /// Somebody wants to see it as it is: read everything soon.
    Refresh,
    /// The person disconnects: give it its port back, at once or not at all: without `poll_timeout` it is over, and
    /// [`View::restored`] says how it ended.
    Restore,
    Wake,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Goal {
    Nothing,
    Tunnel(Desired),
    Restore,
}

/// Which socket is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socket {
    Peers,
    /// The same port on loopback, where nothing listens that is bound to the tunnel.
    Everywhere,
    WebUi,
}

#[derive(Debug)]
enum Activity {
    /// Nothing is wanted.
    Idle,
    /// Synced.
    Resting {
        looked_at: Instant,
    },
    Looking {
        socket: Socket,
        give_up_at: Instant,
    },
    Calling {
        id: u64,
        call: Call,
        give_up_at: Instant,
    },
    /// Gives qBittorrent time to apply what was written.
    Settling {
        until: Instant,
    },
    /// Tries again later; with `knock` only after a look at the WebUI's socket.
    Waiting {
        retry_at: Instant,
        knock: bool,
    },
    /// The login is refused; `was_down` once the WebUI's socket was gone, since a restart forgets the count.
    Refused {
        retry_at: Option<Instant>,
        look_at: Instant,
        was_down: bool,
    },
}

#[derive(Debug)]
pub struct Sync {
    settings: Settings,
    ui: WebUi,
    goal: Goal,
    memory: Memory,
    activity: Activity,
    cycle: Cycle,
    recovery: Recovery,
    /// Those that moved when the tunnel was last healthy.
    active: Vec<String>,
    healthy: bool,
    /// When everything is read again.
    read_at: Instant,
    unreachable_since: Option<Instant>,
    rebound_at: Option<Instant>,
    /// It was seen to listen outside the tunnel too, and looked into.
    everywhere: bool,
    logins_refused: u32,
    next_id: u64,
    view: View,
    actions: VecDeque<Action>,
}

impl Sync {
    pub fn new(settings: Settings, memory: Memory, now: Instant) -> Sync {
        let state = if settings.enable { SyncState::Pending } else { SyncState::Off };
        let recovery = Recovery::new(now, settings.resume, memory.stopped.clone());
        Sync {
            ui: WebUi::new(&settings.url, settings.auth.clone()),
            settings,
            goal: Goal::Nothing,
            memory,
            activity: Activity::Idle,
            cycle: Cycle::default(),
            recovery,
            active: Vec::new(),
            healthy: false,
            read_at: now,
            unreachable_since: None,
            rebound_at: None,
            everywhere: false,
            logins_refused: 0,
            next_id: 0,
            view: View {
                state,
                version: None,
                listen_port: None,
                interface: None,
                listening: None,
                active_torrents: None,
                connection: None,
                text: None,
                restored: false,
            },
            actions: VecDeque::new(),
        }
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Settings(settings) => self.handle_settings(now, settings),
            Input::Desired(desired) => self.handle_desired(now, desired),
            Input::Restore => self.handle_goal(now, Goal::Restore),
            Input::Healthy(healthy) => self.handle_healthy(now, healthy),
            Input::Reply { id, reply } => match &self.activity {
                Activity::Calling { id: expected, call, .. } if *expected == id => {
                    let call = call.clone();
                    self.handle_reply(now, &call, reply);
                }
                _ => debug!("qbittorrent: ignoring a reply that came too late"),
            },
            Input::Listening(seen) => match self.activity {
                Activity::Looking { socket, .. } => self.handle_listening(now, socket, seen),
                Activity::Refused { .. } => self.handle_refused_look(now, seen),
                _ => {}
            },
            Input::Refresh => {
                if matches!(self.activity, Activity::Resting { .. }) {
                    self.begin(now, "somebody asks");
                }
            }
            Input::Wake => self.handle_wake(now),
        }
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.activity {
            Activity::Idle => None,
            Activity::Resting { looked_at } => {
                let look = *looked_at + LOOK_INTERVAL;
                let recovery = self.recovery.poll_timeout().filter(|_| self.healthy);
                [Some(look), Some(self.read_at), recovery].into_iter().flatten().min()
            }
            Activity::Looking { give_up_at, .. } | Activity::Calling { give_up_at, .. } => Some(*give_up_at),
            Activity::Settling { until } => Some(*until),
            Activity::Waiting { retry_at, .. } => Some(*retry_at),
            Activity::Refused { retry_at, look_at, .. } => {
                let look = self.ui.local_socket().map(|_| *look_at);
                [*retry_at, look].into_iter().flatten().min()
            }
        }
    }

    pub fn view(&self) -> &View {
        &self.view
    }

    fn handle_settings(&mut self, now: Instant, settings: Settings) {
        if settings == self.settings {
            return;
        }
        self.ui = WebUi::new(&settings.url, settings.auth.clone());
        self.recovery.set_resume(settings.resume);
        self.logins_refused = 0;
        self.view.state = if settings.enable { SyncState::Pending } else { SyncState::Off };
        self.view.text = None;
        self.settings = settings;
        self.begin(now, "the configuration changed");
    }

    /// Where a forwarded port has ended while the tunnel goes on, its own one takes its place: the other would be announced
    /// in vain.
    fn handle_desired(&mut self, now: Instant, desired: Option<Desired>) {
        let had_port = matches!(&self.goal, Goal::Tunnel(Desired { port: Some(_), .. }));
        let own_port = had_port.then_some(self.settings.port);
        let goal = desired.map(|d| Goal::Tunnel(Desired { port: d.port.or(own_port), ..d }));
        self.handle_goal(now, goal.unwrap_or(Goal::Nothing));
    }

    fn handle_goal(&mut self, now: Instant, goal: Goal) {
        if goal == self.goal {
            return;
        }
        self.goal = goal;
        self.view.restored = false;
        if self.settings.enable && self.goal != Goal::Nothing && self.view.state == SyncState::Synced {
            self.view.state = SyncState::Pending;
        }
        let untouched = self.memory.earlier.is_none();
        match (&self.goal, &self.activity) {
            (Goal::Restore, _) if untouched => {
                self.view.restored = true;
                self.activity = Activity::Idle;
            }
            // A refusal stands whatever is wanted: asking more often would end in a ban.
            (Goal::Restore, Activity::Refused { .. }) => self.activity = Activity::Idle,
            (Goal::Tunnel(_), Activity::Refused { .. }) => {}
            _ => self.begin(now, "what it should have changed"),
        }
    }

    fn handle_healthy(&mut self, now: Instant, healthy: bool) {
        if std::mem::replace(&mut self.healthy, healthy) == healthy {
            return;
        }
        if healthy {
            self.recovery.begin(now, &self.active);
            self.handle_wake(now);
        } else {
            self.recovery.give_up(now);
        }
    }

    fn handle_wake(&mut self, now: Instant) {
        match self.activity {
            Activity::Idle => {}
            Activity::Resting { .. } if self.read_at <= now => self.begin(now, "ten minutes are over"),
            Activity::Resting { .. } if self.healthy && self.recovery.next_call(now).is_some() => {
                self.advance(now);
            }
            Activity::Resting { looked_at } if looked_at + LOOK_LEAST <= now => {
                self.look(now, Socket::Peers);
            }
            Activity::Looking { socket, give_up_at } if give_up_at <= now => {
                self.handle_listening(now, socket, None);
            }
            Activity::Calling { give_up_at, .. } if give_up_at <= now => {
                self.handle_failure(now, &HttpError::TimedOut);
            }
            Activity::Settling { until } if until <= now => self.advance(now),
            Activity::Waiting { retry_at, knock } if retry_at <= now => {
                if knock && self.ui.local_socket().is_some() {
                    self.look(now, Socket::WebUi);
                } else {
                    self.begin(now, "trying again");
                }
            }
            Activity::Refused { retry_at: Some(at), .. } if at <= now => {
                self.begin(now, "the login may have been mended");
            }
            Activity::Refused { look_at, .. } if look_at <= now && self.ui.local_socket().is_some() => {
                self.look_while_refused(now);
            }
            _ => {}
        }
    }

    /// What preferences are to be set; `None` when nothing is wanted.
    fn wish(&self) -> Option<Wish> {
        match &self.goal {
            Goal::Nothing => None,
            Goal::Tunnel(desired) => Some(Wish {
                listen_port: desired.port,
                random_port: Some(false),
                upnp: Some(false),
                interface: Some(desired.interface.clone()),
                address: Some(desired.address.to_string()),
            }),
            Goal::Restore => {
                let port = Wish { listen_port: Some(self.settings.port), ..Wish::default() };
                Some(match &self.memory.earlier {
                    Some(earlier) if self.settings.unbind => Wish {
                        random_port: earlier.random_port,
                        upnp: earlier.upnp,
                        interface: earlier.current_network_interface.clone(),
                        address: earlier.current_interface_address.clone(),
                        ..port
                    },
                    Some(_) | None => port,
                })
            }
        }
    }
}
