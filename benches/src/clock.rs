//! CPU time of this process, and the interleaved measurement of several contestants.

use rustix::time::{ClockId, clock_gettime};

/// CPU seconds that this process has used.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// One implementation under measurement: does so many steps, goes on where it was.
pub struct Contestant<'a> {
    /// Its name in the table.
    pub name: &'static str,
    run: Box<dyn FnMut(usize) + 'a>,
    rounds_ns: Vec<f64>,
}

impl<'a> Contestant<'a> {
    /// A contestant that `run`s a number of steps.
    pub fn new(name: &'static str, run: impl FnMut(usize) + 'a) -> Self {
        Self { name, run: Box::new(run), rounds_ns: Vec::new() }
    }

    /// Median CPU nanoseconds a step over all rounds.
    ///
    /// # Panics
    ///
    /// When nothing was measured.
    pub fn ns(&self) -> f64 {
        let mut sorted = self.rounds_ns.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

/// Runs all contestants by turns, `rounds` times `steps` steps each, after one round that does not
/// count: whatever the machine does meanwhile, it does to all of them.
pub fn measure(contestants: &mut [Contestant<'_>], rounds: usize, steps: usize) {
    for round in 0..=rounds {
        for contestant in &mut *contestants {
            let start = cpu_seconds();
            (contestant.run)(steps);
            let took_ns = (cpu_seconds() - start) * 1e9 / steps as f64;
            if round > 0 {
                contestant.rounds_ns.push(took_ns);
            }
        }
    }
}
