//! Two lanes of blocking work beside the loop: one outside the tunnel, one local and inside it. A lane runs one job at a
//! time, on a thread that ends with its queue, so that an idle supervisor has one thread and no stacks beside it. A
//! job is handed a value and answers with a value; a descriptor wakes the loop. Nothing else is shared.

use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Which lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Outside = 0,
    Local = 1,
}

/// Chosen: several times what TLS and a list parser need; pages never touched cost nothing.
const STACK: usize = 1 << 20;

type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// The lanes. `T` is what jobs answer.
pub struct Workers<T> {
    waker: Arc<EventFd>,
    sender: Sender<(Lane, T)>,
    receiver: Receiver<(Lane, T)>,
    queues: [VecDeque<Job<T>>; 2],
    busy: [bool; 2],
}

impl<T: Send + 'static> Workers<T> {
    pub fn new() -> io::Result<Workers<T>> {
        let waker = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let (sender, receiver) = channel();
        Ok(Workers { waker: Arc::new(waker), sender, receiver, queues: Default::default(), busy: [false; 2] })
    }

    /// Runs the job when its lane is free.
    pub fn start(&mut self, lane: Lane, job: impl FnOnce() -> T + Send + 'static) {
        self.queues[lane as usize].push_back(Box::new(job));
        self.run_next(lane);
    }

    fn run_next(&mut self, lane: Lane) {
        if self.busy[lane as usize] {
            return;
        }
        let Some(job) = self.queues[lane as usize].pop_front() else { return };
        let (sender, waker) = (self.sender.clone(), Arc::clone(&self.waker));
        let spawned = thread::Builder::new().stack_size(STACK).spawn(move || {
            let answer = job();
            // Both fail only when the loop is gone, and with it whoever would want the answer.
            let _ = sender.send((lane, answer));
            let _ = waker.write(1);
        });
        match spawned {
            Ok(_) => self.busy[lane as usize] = true,
            // Without a thread its answer never comes; the machines' own deadlines go on.
            Err(e) => log::error!("worker: start a thread: {e}"),
        }
    }

    pub fn is_busy(&self, lane: Lane) -> bool {
        self.busy[lane as usize]
    }

    /// The answers that are there.
    pub fn poll_answers(&mut self) -> Vec<T> {
        let _ = self.waker.read();
        let mut answers = Vec::new();
        while let Ok((lane, answer)) = self.receiver.try_recv() {
            self.busy[lane as usize] = false;
            self.run_next(lane);
            answers.push(answer);
        }
        answers
    }
}

impl<T> AsFd for Workers<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    fn wait(workers: &mut Workers<u32>) -> Vec<u32> {
        poll(&mut [PollFd::new(workers.as_fd(), PollFlags::POLLIN)], PollTimeout::from(5000u16)).unwrap();
        workers.poll_answers()
    }

    #[test]
    fn a_lane_runs_its_jobs_in_order_and_lanes_do_not_wait_for_each_other() {
        let mut workers = Workers::new().unwrap();
        let (free, gate) = channel::<()>();
        workers.start(Lane::Outside, move || {
            let _ = gate.recv();
            1
        });
        workers.start(Lane::Outside, || 2);
        workers.start(Lane::Local, || 3);
        assert_eq!(wait(&mut workers), [3]);
        free.send(()).unwrap();
        let mut answers = Vec::new();
        while answers.len() < 2 {
            answers.extend(wait(&mut workers));
        }
        assert_eq!(answers, [1, 2]);
        assert!(!workers.is_busy(Lane::Outside) && !workers.is_busy(Lane::Local));
    }
}
