//! CPU time of this process, and the interleaved measurement of several contestants.

use rustix::time::{ClockId, clock_gettime};

/// CPU seconds that this process has used.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// One implementation under measurement: does so many steps, goes on where it was.
pub struct Contestant<'a> {
    run: Box<dyn FnMut(usize) + 'a>,
    steps: usize,
    fastest_ns: f64,
}

impl<'a> Contestant<'a> {
    /// A contestant that `run`s a number of steps, `steps` in each round.
    pub fn new(steps: usize, run: impl FnMut(usize) + 'a) -> Self {
        Self { run: Box::new(run), steps, fastest_ns: f64::INFINITY }
    }

    /// CPU nanoseconds a step in the fastest round: interference only ever adds.
    pub const fn ns(&self) -> f64 {
        self.fastest_ns
    }
}

/// Runs all contestants by turns, `rounds` times, after one round that does not count: whatever the
/// machine does meanwhile, it does to all of them.
pub fn measure(contestants: &mut [Contestant<'_>], rounds: usize) {
    for round in 0..=rounds {
        for contestant in &mut *contestants {
            let start = cpu_seconds();
            (contestant.run)(contestant.steps);
            let took_ns = (cpu_seconds() - start) * 1e9 / contestant.steps as f64;
            if round > 0 {
                contestant.fastest_ns = contestant.fastest_ns.min(took_ns);
            }
        }
    }
}
