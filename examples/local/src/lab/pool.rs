//! Jobs on threads, results in the order of the jobs.
//!
//! Which thread takes which job is left to chance; what comes out is not: a job sees nothing but
//! itself, and its result goes to its own place. So any number of threads gives the same bytes.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Runs every job on one of `threads` threads. `done` hears of each result as it comes, in no
/// particular order, on the calling thread.
pub(super) fn in_order<'j, J, R>(
    jobs: &'j [J],
    threads: NonZeroUsize,
    run: impl Fn(&'j J) -> R + Sync,
    mut done: impl FnMut(usize, &R),
) -> Vec<R>
where
    J: Sync,
    R: Send,
{
    let next = AtomicUsize::new(0);
    let mut results: Vec<Option<R>> = jobs.iter().map(|_| None).collect();
    thread::scope(|scope| {
        let (finished, finishing) = mpsc::channel();
        for _ in 0..threads.get().min(jobs.len()) {
            let (finished, next, run) = (finished.clone(), &next, &run);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { return };
                    if finished.send((index, run(job))).is_err() {
                        return;
                    }
                }
            });
        }
        // The threads alone hold it from here on: when they have ended, so has the channel.
        drop(finished);
        for (index, result) in finishing {
            done(index, &result);
            results[index] = Some(result);
        }
    });
    results.into_iter().flatten().collect()
}

/// How many threads this machine is worth.
pub(super) fn threads_of_this_machine() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn threads(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).expect("above zero")
    }

    #[test]
    fn no_jobs_give_no_results() {
        let none: Vec<u8> = in_order(&[], threads(4), |job: &u8| *job, |_, _| {});
        assert!(none.is_empty());
    }

    #[test]
    fn results_are_in_the_order_of_the_jobs_whoever_is_first() {
        let jobs: Vec<u64> = (0..40).collect();
        let slow_first = |job: &u64| {
            thread::sleep(Duration::from_millis(if *job < 4 { 10 } else { 0 }));
            job * job
        };
        for count in [1, 2, 7, 100] {
            let mut heard = Vec::new();
            let results = in_order(&jobs, threads(count), slow_first, |index, _| heard.push(index));
            assert_eq!(results, jobs.iter().map(|job| job * job).collect::<Vec<_>>());
            heard.sort_unstable();
            assert_eq!(heard, (0..40).collect::<Vec<_>>());
        }
    }
}
