//! Torrents set going again after a connection (`[qbittorrent] resume`).
//!
//! Those active when the tunnel was last healthy are started, unless somebody stopped them meanwhile. When no download
//! has been active for two minutes, stalled ones are reannounced; half a minute later they are stopped and started,
//! once. A torrent stopped here is remembered on disk until it is started, so that a supervisor that dies in between
//! leaves none behind. With `all`, everything is started at the end, whoever stopped it.

use crate::config::Resume;
use crate::qbittorrent::{Call, Filter, Hashes, Torrent};
use crate::time::{Duration, Instant, secs};
use log::{debug, info};

/// The contract's two minutes.
const PATIENCE: Duration = secs(120);
/// From the reannouncement to the stop; chosen: trackers answer within seconds.
const REANNOUNCED: Duration = secs(30);
/// From the stop to the start; chosen: libtorrent closes its connections within one.
const STOPPED: Duration = secs(2);

/// From a failed start to the next; chosen.
const RETRY: Duration = secs(15);

/// What is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Done,
    /// Looks at those that were active before.
    Reviewing(Vec<String>),
    Reviving(Vec<String>),
    Watching {
        until: Instant,
    },
    Listing,
    Reannouncing(Vec<String>),
    Waiting {
        hashes: Vec<String>,
        until: Instant,
    },
    /// Looks which of them still stall: a person may have stopped some.
    Relisting(Vec<String>),
    Stopping(Vec<String>),
    Stopped {
        hashes: Vec<String>,
        until: Instant,
    },
}

#[derive(Clone, Debug)]
pub struct Recovery {
    resume: Resume,
    step: Step,
}

impl Recovery {
    /// `stopped` is what an earlier supervisor stopped and did not start again.
    pub fn new(now: Instant, resume: Resume, stopped: Vec<String>) -> Recovery {
        let step =
            if stopped.is_empty() { Step::Done } else { Step::Stopped { hashes: stopped, until: now } };
        Recovery { resume, step }
    }

    /// Begins after a connection; `active` were going when the tunnel was last healthy.
    pub fn begin(&mut self, now: Instant, active: &[String]) {
        let until = now + PATIENCE;
        if self.resume == Resume::Off || matches!(self.step, Step::Stopping(_) | Step::Stopped { .. }) {
            return;
        }
        self.step = match active {
            [] => Step::Watching { until },
            active => Step::Reviewing(active.to_vec()),
        };
    }

    pub fn set_resume(&mut self, resume: Resume) {
        self.resume = resume;
    }

    /// Ours that stand still, to be kept on disk.
    pub fn stopped(&self) -> &[String] {
        match &self.step {
            Step::Stopping(hashes) | Step::Stopped { hashes, .. } => hashes,
            _ => &[],
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.step {
            Step::Watching { until } | Step::Waiting { until, .. } | Step::Stopped { until, .. } => {
                Some(*until)
            }
            _ => None,
        }
    }

    /// The call that is due.
    pub fn next_call(&self, now: Instant) -> Option<Call> {
        let these = |hashes: &Vec<String>| Hashes::These(hashes.clone());
        match &self.step {
            Step::Done => None,
            Step::Reviewing(hashes) => Some(Call::Torrents(Filter::These(hashes.clone()))),
            Step::Reviving(hashes) => Some(Call::Start(these(hashes))),
            Step::Watching { until } | Step::Waiting { until, .. } | Step::Stopped { until, .. }
                if *until > now =>
            {
                None
            }
            Step::Watching { .. } | Step::Waiting { .. } => Some(Call::Torrents(Filter::Active)),
            Step::Listing | Step::Relisting(_) => Some(Call::Torrents(Filter::StalledDownloading)),
            Step::Reannouncing(hashes) => Some(Call::Reannounce(these(hashes))),
            Step::Stopping(hashes) => Some(Call::Stop(these(hashes))),
            Step::Stopped { .. } if self.resume == Resume::All => Some(Call::Start(Hashes::All)),
            Step::Stopped { hashes, .. } => Some(Call::Start(these(hashes))),
        }
    }

    /// The call went through; `torrents` is the list, where one was asked for.
    pub fn handle_done(&mut self, now: Instant, torrents: &[Torrent]) {
        let hashes = || torrents.iter().map(|t| t.hash.clone()).collect::<Vec<_>>();
        let going = torrents.iter().any(Torrent::is_downloading);
        let watching = Step::Watching { until: now + PATIENCE };
        self.step = match std::mem::replace(&mut self.step, Step::Done) {
            Step::Reviewing(_) => {
                let ours = torrents.iter().filter(|t| !t.is_stopped()).map(|t| t.hash.clone());
                match ours.collect::<Vec<_>>() {
                    none if none.is_empty() => watching,
                    ours => Step::Reviving(ours),
                }
            }
            Step::Reviving(hashes) => {
                debug!("qbittorrent: {} torrents that were active before are started", hashes.len());
                watching
            }
            Step::Watching { .. } | Step::Waiting { .. } if going => Step::Done,
            Step::Watching { .. } => Step::Listing,
            Step::Listing if !torrents.is_empty() => Step::Reannouncing(hashes()),
            Step::Relisting(ours) if torrents.iter().any(|t| ours.contains(&t.hash)) => {
                Step::Stopping(hashes().into_iter().filter(|hash| ours.contains(hash)).collect())
            }
            Step::Listing | Step::Relisting(_) if self.resume == Resume::All => {
                Step::Stopped { hashes: Vec::new(), until: now }
            }
            Step::Listing | Step::Relisting(_) => Step::Done,
            Step::Reannouncing(hashes) => {
                info!("qbittorrent: no download for two minutes: {} torrents reannounced", hashes.len());
                Step::Waiting { hashes, until: now + REANNOUNCED }
            }
            Step::Waiting { hashes, .. } => Step::Relisting(hashes),
            Step::Stopping(hashes) => Step::Stopped { hashes, until: now + STOPPED },
            Step::Stopped { hashes, .. } => {
                info!("qbittorrent: {} stalled torrents stopped and started", hashes.len());
                Step::Done
            }
            Step::Done => Step::Done,
        };
    }

    /// The call was refused or the tunnel is ill: given up, but what was stopped is started as soon as possible.
    pub fn give_up(&mut self, now: Instant) {
        self.step = match std::mem::replace(&mut self.step, Step::Done) {
            Step::Stopping(hashes) | Step::Stopped { hashes, .. } => {
                Step::Stopped { hashes, until: now + RETRY }
            }
            _ => Step::Done,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalled_torrents_are_reannounced_then_stopped_and_started_once() {
        let mut r = Recovery::new(at(0), Resume::Stalled, Vec::new());
        r.begin(at(0), &[]);
        assert_eq!((r.poll_timeout(), r.next_call(at(119))), (Some(at(120)), None));
        assert_eq!(step(&mut r, 120, &[]), Call::Torrents(Filter::Active));
        assert_eq!(step(&mut r, 120, &[torrent("aa", 0)]), Call::Torrents(Filter::StalledDownloading));
        assert_eq!(step(&mut r, 120, &[]), Call::Reannounce(these(&["aa"])));
        assert_eq!(r.next_call(at(149)), None);
        assert_eq!(step(&mut r, 150, &[]), Call::Torrents(Filter::Active));
        assert_eq!(step(&mut r, 150, &[torrent("aa", 0)]), Call::Torrents(Filter::StalledDownloading));
        assert_eq!(r.stopped(), ["aa"]); // on disk before it is done
        assert_eq!(step(&mut r, 150, &[]), Call::Stop(these(&["aa"])));
        assert_eq!(r.next_call(at(151)), None);
        assert_eq!(step(&mut r, 152, &[]), Call::Start(these(&["aa"])));
        assert_eq!((r.next_call(at(9999)), r.poll_timeout(), r.stopped().len()), (None, None, 0));
    }

    #[test]
    fn what_a_person_stops_after_the_reannouncement_stays_stopped() {
        for (left, next) in
            [(vec![torrent("aa", 0), torrent("cc", 0)], Some(Call::Stop(these(&["aa"])))), (vec![], None)]
        {
            let mut r = Recovery::new(at(0), Resume::Stalled, Vec::new());
            r.begin(at(0), &[]);
            step(&mut r, 120, &[]);
            step(&mut r, 120, &[torrent("aa", 0), torrent("bb", 0)]);
            step(&mut r, 120, &[]);
            step(&mut r, 150, &[]);
            step(&mut r, 150, &left);
            assert_eq!(r.next_call(at(150)), next);
        }
    }

    #[test]
    fn a_download_that_moves_is_left_alone() {
        let mut r = Recovery::new(at(0), Resume::Stalled, Vec::new());
        r.begin(at(0), &[]);
        step(&mut r, 120, &[torrent("aa", 900)]);
        assert_eq!(r.next_call(at(9999)), None);
    }

    #[test]
    fn those_active_before_are_started_but_not_those_stopped_by_a_person() {
        let mut r = Recovery::new(at(0), Resume::Stalled, Vec::new());
        r.begin(at(0), &["aa".to_owned(), "bb".to_owned()]);
        let stopped = Torrent { state: "pausedDL".to_owned(), ..torrent("bb", 0) };
        let asked = step(&mut r, 1, &[torrent("aa", 0), stopped]);
        assert_eq!(asked, Call::Torrents(Filter::These(vec!["aa".to_owned(), "bb".to_owned()])));
        assert_eq!(step(&mut r, 1, &[]), Call::Start(these(&["aa"])));
        assert_eq!(r.poll_timeout(), Some(at(121)));
    }

    #[test]
    fn off_does_nothing_and_all_starts_all() {
        let mut r = Recovery::new(at(0), Resume::Off, Vec::new());
        r.begin(at(0), &["aa".to_owned()]);
        assert_eq!((r.next_call(at(9999)), r.poll_timeout()), (None, None));
        let mut r = Recovery::new(at(0), Resume::All, Vec::new());
        r.begin(at(0), &[]);
        step(&mut r, 120, &[]);
        step(&mut r, 120, &[]);
        assert_eq!(step(&mut r, 120, &[]), Call::Start(Hashes::All));
    }

    #[test]
    fn what_was_stopped_is_started_by_the_next_supervisor_and_in_spite_of_failures() {
        let mut r = Recovery::new(at(0), Resume::Stalled, vec!["aa".to_owned()]);
        r.give_up(at(0));
        r.begin(at(1), &[]);
        assert_eq!(step(&mut r, 15, &[]), Call::Start(these(&["aa"])));
    }

    fn at(s: u64) -> Instant {
        Instant::BOOT + secs(s)
    }

    fn torrent(hash: &str, dlspeed: i64) -> Torrent {
        Torrent { hash: hash.to_owned(), state: "stalledDL".to_owned(), dlspeed: Some(dlspeed) }
    }

    fn these(hashes: &[&str]) -> Hashes {
        Hashes::These(hashes.iter().map(|h| (*h).to_owned()).collect())
    }

    /// The call due at this second, answered with this list.
    fn step(r: &mut Recovery, s: u64, torrents: &[Torrent]) -> Call {
        let call = r.next_call(at(s)).unwrap();
        r.handle_done(at(s), torrents);
        call
    }
}
