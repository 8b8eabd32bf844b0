//! Getting from a wish to a tunnel that answers: choose, open, make the link, shake hands, commit.
//!
//! One [`Attempt`] runs at a time. The tunnel that carries traffic, if there is one, stays until another has shaken
//! hands, so that a switch has no gap; what an attempt made is taken back when it fails or is cancelled. Four
//! purposes differ in how they end: the first connection and a person's switch have a deadline and report, the
//! replacement of a bad server goes on for ever, ever more slowly, and never loops fast; the way back to a better server
//! is tried once.
//!
//! WireGuard tells nobody of a handshake, so the device is read every [`LOOK`] while one is awaited. The kernel repeats
//! an unanswered initiation after 5 s (whitepaper section 6.1); adding the peer anew after [`RESTART`] begins at once.

mod purpose;

use crate::error::{Error, Exit};
use crate::provider::Server;
use crate::time::{Duration, Instant, millis, secs};
pub use purpose::{Choice, Purpose, Ready};
use std::collections::VecDeque;

/// Between two looks at the device while a handshake is awaited; chosen: far below a round trip that matters.
const LOOK: Duration = millis(20);
/// An initiation unanswered this long is begun anew (the contract's issue 3 names 1.5 s).
const RESTART: Duration = millis(1500);
/// A server that has not answered by then is left for the next; chosen: three initiations.
const PATIENCE: Duration = millis(4200);
/// The only candidate gets longer: there is nothing else to try.
const PATIENCE_ALONE: Duration = secs(12);
/// A better server that is come back to: what carries traffic may stand still meanwhile. Chosen: two initiations.
const PATIENCE_BACK: Duration = secs(3);
/// A person's attempt goes through its candidates until then; leaves half of `connect`'s 60 s for the port.
const PERSON: Duration = secs(25);
/// Pause before the candidates of a replacement are chosen afresh, doubling from the first to the last.
const PAUSE_FIRST: Duration = secs(2);
const PAUSE_MOST: Duration = secs(60);

/// What happened.
#[derive(Debug)]
pub enum Input {
    Begin(Purpose),
    Chosen(Result<Choice, Error>),
    Opened(Box<Result<Ready, Error>>),
    /// The link was made (or its peer changed in place).
    Linked(Result<(), Error>),
    /// What a look at the device showed: whether a handshake with the server happened since the link was made.
    Looked {
        shaken: bool,
    },
    /// Routes, rules, resolver and policy are the other tunnel's.
    Committed(Result<(), Error>),
    /// The server in use is the one to take: the attempt is over.
    Stay,
    Cancel,
    /// What has to come first failed: the attempt ends with this.
    Fail(Error),
    /// The network came back: a pause is over.
    Retry,
    Wake,
}

/// What the caller is to do; each but `Say` and `Restart` is answered by an input of its own.
#[derive(Debug)]
pub enum Action {
    /// A line for the person who waits.
    Say(String),
    Choose,
    Open(Box<Server>),
    Link(Box<Ready>),
    Look,
    Restart,
    Commit,
    /// Take back what [`Action::Link`] made for this server. `bad`: it is to be avoided for a while.
    Drop {
        server: Box<Server>,
        bad: bool,
    },
    /// The attempt is over.
    Finish(Result<(), Error>),
}

#[derive(Debug)]
struct Attempt {
    purpose: Purpose,
    until: Option<Instant>,
    choice: Choice,
    rest: VecDeque<Server>,
    last_error: Option<Error>,
    pause: Duration,
}

#[derive(Debug)]
enum Stage {
    Choosing,
    Opening(Server),
    Linking(Server),
    Shaking { server: Server, since: Instant, look_at: Instant, restart_at: Instant, give_up_at: Instant },
    Committing(Server),
    Pausing { until: Instant },
}

/// The machine. `Rest` is `None`.
#[derive(Debug, Default)]
pub struct Phase {
    running: Option<(Attempt, Stage)>,
    actions: VecDeque<Action>,
}

impl Phase {
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub fn purpose(&self) -> Option<&Purpose> {
        self.running.as_ref().map(|(a, _)| &a.purpose)
    }

    pub fn choice(&self) -> Option<&Choice> {
        self.running.as_ref().map(|(a, _)| &a.choice)
    }

    /// The server being tried.
    pub fn server(&self) -> Option<&Server> {
        match &self.running.as_ref()?.1 {
            Stage::Choosing | Stage::Pausing { .. } => None,
            Stage::Opening(s) | Stage::Linking(s) | Stage::Committing(s) => Some(s),
            Stage::Shaking { server, .. } => Some(server),
        }
    }

    /// Whether a whole round of candidates brought nothing.
    pub fn was_in_vain(&self) -> bool {
        self.running.as_ref().is_some_and(|(a, _)| a.pause > PAUSE_FIRST)
    }

    /// Why the last server of the running attempt was left.
    pub fn trouble(&self) -> Option<&Error> {
        self.running.as_ref()?.0.last_error.as_ref()
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.running.as_ref()?.1 {
            Stage::Shaking { look_at, .. } => Some(*look_at),
            Stage::Pausing { until } => Some(*until),
            _ => None,
        }
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        if let Input::Begin(purpose) = input {
            return self.begin(now, purpose);
        }
        let Some((mut attempt, stage)) = self.running.take() else { return };
        let input = match input {
            Input::Cancel => return self.cancel(stage, Error::new(Exit::Interrupted, "interrupted")),
            Input::Fail(e) => return self.cancel(stage, e),
            input => input,
        };
        let next = match (stage, input) {
            (Stage::Choosing, Input::Chosen(result)) => self.chosen(now, &mut attempt, result),
            (Stage::Choosing, Input::Stay) => {
                self.actions.push_back(Action::Finish(Ok(())));
                None
            }
            (Stage::Opening(server), Input::Opened(result)) => {
                self.opened(now, &mut attempt, server, *result)
            }
            (Stage::Linking(server), Input::Linked(result)) => self.linked(now, &mut attempt, server, result),
            (Stage::Committing(server), Input::Committed(result)) => {
                self.committed(now, &mut attempt, server, result)
            }
            (Stage::Shaking { server, .. }, Input::Looked { shaken: true }) => {
                self.actions.push_back(Action::Commit);
                Some(Stage::Committing(server))
            }
            (stage @ Stage::Shaking { .. }, Input::Wake) => self.wait_for_handshake(now, &mut attempt, stage),
            (Stage::Pausing { .. }, Input::Retry) => {
                attempt.pause = PAUSE_FIRST;
                self.actions.push_back(Action::Choose);
                Some(Stage::Choosing)
            }
            (Stage::Pausing { until }, Input::Wake) if now >= until => {
                self.actions.push_back(Action::Choose);
                Some(Stage::Choosing)
            }
            (stage, _) => Some(stage),
        };
        self.running = next.map(|stage| (attempt, stage));
    }

    fn begin(&mut self, now: Instant, purpose: Purpose) {
        if let Some((_, stage)) = self.running.take() {
            self.cancel_quietly(stage);
        }
        let until = (!purpose.is_endless()).then_some(now + PERSON);
        let attempt = Attempt {
            purpose,
            until,
            choice: Choice::default(),
            rest: VecDeque::new(),
            last_error: None,
            pause: PAUSE_FIRST,
        };
        self.actions.push_back(Action::Choose);
        self.running = Some((attempt, Stage::Choosing));
    }

    fn cancel_quietly(&mut self, stage: Stage) {
        if let Stage::Linking(server) | Stage::Committing(server) | Stage::Shaking { server, .. } = stage {
            self.actions.push_back(Action::Drop { server: Box::new(server), bad: false });
        }
    }

    fn cancel(&mut self, stage: Stage, e: Error) {
        self.cancel_quietly(stage);
        self.actions.push_back(Action::Finish(Err(e)));
    }

    fn chosen(
        &mut self,
        now: Instant,
        attempt: &mut Attempt,
        result: Result<Choice, Error>,
    ) -> Option<Stage> {
        match result {
            Ok(choice) => {
                attempt.rest = choice.ranked.iter().cloned().collect();
                attempt.choice = choice;
                self.try_next(now, attempt)
            }
            Err(e) => self.round_failed(now, attempt, e),
        }
    }

    /// The next candidate, or the end of this round.
    fn try_next(&mut self, now: Instant, attempt: &mut Attempt) -> Option<Stage> {
        let in_time = attempt.until.is_none_or(|until| now < until);
        match attempt.rest.pop_front() {
            Some(server) if in_time => {
                self.actions.push_back(Action::Open(Box::new(server.clone())));
                Some(Stage::Opening(server))
            }
            _ => {
                let e = attempt.last_error.clone();
                self.round_failed(
                    now,
                    attempt,
                    e.unwrap_or_else(|| Error::new(Exit::NoServer, "no server left to try")),
                )
            }
        }
    }

    /// No candidate worked. What no repetition cures ends even an endless attempt.
    fn round_failed(&mut self, now: Instant, attempt: &mut Attempt, error: Error) -> Option<Stage> {
        let hopeless = matches!(error.exit(), Exit::LoginRefused | Exit::BadConfig | Exit::NotPermitted)
            && matches!(attempt.purpose, Purpose::First { .. });
        if !attempt.purpose.is_endless() || hopeless {
            self.actions.push_back(Action::Finish(Err(error)));
            return None;
        }
        let until = now + attempt.pause;
        let say = format!("{error}; trying again in {} s", attempt.pause.as_secs());
        self.actions.push_back(Action::Say(say));
        attempt.last_error = Some(error);
        attempt.pause = (attempt.pause * 2).min(PAUSE_MOST);
        Some(Stage::Pausing { until })
    }

    fn opened(
        &mut self,
        now: Instant,
        attempt: &mut Attempt,
        server: Server,
        result: Result<Ready, Error>,
    ) -> Option<Stage> {
        match result {
            Ok(ready) => {
                self.actions.push_back(Action::Link(Box::new(ready)));
                Some(Stage::Linking(server))
            }
            // The account is refused whatever the server.
            Err(e) if e.exit() == Exit::LoginRefused => self.round_failed(now, attempt, e),
            Err(e) => {
                self.actions.push_back(Action::Say(e.to_string()));
                attempt.last_error = Some(e);
                self.try_next(now, attempt)
            }
        }
    }

    fn linked(
        &mut self,
        now: Instant,
        attempt: &mut Attempt,
        server: Server,
        result: Result<(), Error>,
    ) -> Option<Stage> {
        match result {
            Ok(()) => {
                let patience = match (&attempt.purpose, attempt.choice.ranked.len()) {
                    (Purpose::Return, _) => PATIENCE_BACK,
                    (_, 0 | 1) => PATIENCE_ALONE,
                    _ => PATIENCE,
                };
                self.actions.push_back(Action::Look);
                Some(Stage::Shaking {
                    server,
                    since: now,
                    look_at: now + LOOK,
                    restart_at: now + RESTART,
                    give_up_at: now + patience,
                })
            }
            // What the kernel refuses for one server it refuses for all.
            Err(e) => {
                self.actions.push_back(Action::Drop { server: Box::new(server), bad: false });
                self.round_failed(now, attempt, e)
            }
        }
    }

    fn wait_for_handshake(&mut self, now: Instant, attempt: &mut Attempt, stage: Stage) -> Option<Stage> {
        let Stage::Shaking { server, since, mut look_at, mut restart_at, give_up_at } = stage else {
            return Some(stage);
        };
        if now >= give_up_at {
            let waited = now.since(since).as_secs();
            let text =
                format!("{} at {} does not answer: no handshake in {waited} s", server.name, server.endpoint);
            self.actions.push_back(Action::Say(text.clone()));
            self.actions.push_back(Action::Drop { server: Box::new(server), bad: true });
            attempt.last_error = Some(Error::new(
                Exit::NoHandshake,
                format!("{text} (is its key still valid, and UDP let through?)"),
            ));
            return self.try_next(now, attempt);
        }
        if now >= restart_at {
            self.actions.push_back(Action::Restart);
            restart_at = now + RESTART;
        }
        if now >= look_at {
            self.actions.push_back(Action::Look);
            look_at = now + LOOK;
        }
        Some(Stage::Shaking { server, since, look_at, restart_at, give_up_at })
    }

    fn committed(
        &mut self,
        now: Instant,
        attempt: &mut Attempt,
        server: Server,
        result: Result<(), Error>,
    ) -> Option<Stage> {
        match result {
            Ok(()) => {
                self.actions.push_back(Action::Finish(Ok(())));
                None
            }
            Err(e) => {
                self.actions.push_back(Action::Drop { server: Box::new(server), bad: false });
                self.round_failed(now, attempt, e)
            }
        }
    }
}

#[cfg(test)]
mod tests;
