//! The finite capacity: a few threads, each occupied by one request at a time.
//!
//! The queue is first in, first out, and has no limit: what it does to latency under overload is
//! what the planner is there to see. Not for work that computes anything.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;

/// How far behind schedule a worker may be and still catch up.
///
/// A sleep ends some tens of microseconds late; counting the next request from the planned end
/// keeps that from adding up. Beyond this bound the delay is real, and capacity is lost.
const CATCH_UP_MAX: Duration = Duration::from_millis(5);

/// How a request occupies its worker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Occupation {
    /// Consumes as much CPU time.
    Burn,
    /// Only waits.
    Sleep,
}

/// Threads that serve jobs in the order in which they came.
#[derive(Clone, Debug)]
pub(super) struct Workers {
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    job_added: Condvar,
}

#[derive(Debug)]
struct Job {
    queued_at: Instant,
    duration: Duration,
    done: oneshot::Sender<()>,
}

impl Workers {
    /// Starts `count` threads; they live as long as the process.
    pub(super) fn start(count: u32, occupation: Occupation) -> Result<Self, std::io::Error> {
        let queue = Arc::new(Queue::default());
        for number in 1..=count {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("worker-{number}"))
                .stack_size(64 * 1024)
                .spawn(move || queue.serve(occupation))?;
        }
        Ok(Self { queue })
    }

    /// Queues a job; the receiver resolves once a worker has spent `duration` on it.
    pub(super) fn occupy(&self, duration: Duration) -> oneshot::Receiver<()> {
        let (done, receiver) = oneshot::channel();
        self.queue.lock().push_back(Job { queued_at: Instant::now(), duration, done });
        self.queue.job_added.notify_one();
        receiver
    }
}

impl Queue {
    fn serve(&self, occupation: Occupation) -> ! {
        let mut free_at = Instant::now();
        loop {
            let job = self.next();
            // Nobody waits for it any more, and it has not begun: real servers drop it too.
            if job.done.is_closed() {
                continue;
            }
            match occupation {
                Occupation::Burn => burn(job.duration),
                Occupation::Sleep => {
                    let now = Instant::now();
                    let earliest = now.checked_sub(CATCH_UP_MAX).unwrap_or(now);
                    free_at = free_at.max(job.queued_at).max(earliest) + job.duration;
                    thread::sleep(free_at.saturating_duration_since(now));
                }
            }
            let _client_is_gone = job.done.send(());
        }
    }

    fn next(&self) -> Job {
        let mut jobs = self.lock();
        loop {
            match jobs.pop_front() {
                Some(job) => return job,
                None => {
                    jobs = self.job_added.wait(jobs).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spends CPU time of this thread: on a contended machine that takes longer than `duration`.
fn burn(duration: Duration) {
    let until = thread_cpu_time() + duration;
    while thread_cpu_time() < until {
        std::hint::spin_loop();
    }
}

fn thread_cpu_time() -> Duration {
    // The clock of a running thread is never negative.
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_MS: Duration = Duration::from_millis(10);

    fn start(count: u32, occupation: Occupation) -> Workers {
        Workers::start(count, occupation).expect("threads can be started")
    }

    #[test]
    fn a_job_that_nobody_awaits_any_more_is_skipped() {
        let workers = start(1, Occupation::Sleep);
        let started = Instant::now();
        let first = workers.occupy(TEN_MS);
        for _ in 0..100 {
            drop(workers.occupy(TEN_MS));
        }
        first.blocking_recv().expect("served");
        workers.occupy(TEN_MS).blocking_recv().expect("served");
        assert!(started.elapsed() < 50 * TEN_MS);
    }

    #[test]
    fn one_worker_serves_one_job_at_a_time_and_loses_nothing_between_them() {
        let workers = start(1, Occupation::Sleep);
        let took = || {
            let started = Instant::now();
            let jobs: Vec<_> = (0..200).map(|_| workers.occupy(TEN_MS / 10)).collect();
            for job in jobs {
                job.blocking_recv().expect("served");
            }
            started.elapsed()
        };
        // The quickest of several: on a busy machine any one may lose time for good reason.
        let quickest = (0..10).map(|_| took()).min().unwrap_or_default();
        assert!(quickest >= 20 * TEN_MS, "faster than one worker can be: {quickest:?}");
        // Each sleep alone is some 60 us late: 12 ms in all, if that added up.
        assert!(quickest < 20 * TEN_MS + TEN_MS / 2, "the sleeps add up: {quickest:?}");
    }

    #[test]
    fn an_idle_worker_takes_the_whole_duration() {
        let workers = start(1, Occupation::Sleep);
        thread::sleep(5 * TEN_MS);
        let started = Instant::now();
        workers.occupy(TEN_MS).blocking_recv().expect("served");
        assert!(started.elapsed() >= TEN_MS);
    }

    #[test]
    fn two_workers_serve_two_at_a_time() {
        let workers = start(2, Occupation::Sleep);
        let started = Instant::now();
        let jobs: Vec<_> = (0..50).map(|_| workers.occupy(TEN_MS)).collect();
        for job in jobs {
            job.blocking_recv().expect("served");
        }
        let took = started.elapsed();
        assert!(took >= 25 * TEN_MS && took < 35 * TEN_MS, "{took:?}");
    }

    #[test]
    fn burning_takes_at_least_its_cpu_time() {
        let started = Instant::now();
        start(1, Occupation::Burn).occupy(TEN_MS).blocking_recv().expect("served");
        assert!(started.elapsed() >= TEN_MS);
    }
}
