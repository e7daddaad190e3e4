//! When requests arrive: a Poisson process whose rate changes in steps, or a list.

use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Distribution, Exp1};

use super::units::{nanos, seconds};

/// A source of arrivals, in order.
pub(super) trait Arrivals {
    /// The next arrival in nanoseconds; `u64::MAX` when there is none. Each is told once.
    fn next_ns(&mut self) -> u64;
}

/// A Poisson process. Arrivals of a process of rate one, in which time passes at the rate asked
/// for: the same seed gives the same requests whatever the rates and wherever the steps end.
#[derive(Clone, Debug)]
pub(super) struct Poisson {
    rng: Xoshiro256PlusPlus,
    /// Expected requests from the last arrival, or from the start of the step, to the next one.
    gap: f64,
    /// Whether the arrival at the end of that gap was told.
    told: bool,
    /// Start of the step.
    from_ns: u64,
    rate_per_s: f64,
    /// Where the gap begins, in seconds from the start of the step.
    last_s: f64,
    /// Where it ends.
    offset_s: f64,
}

impl Poisson {
    pub(super) fn new(mut rng: Xoshiro256PlusPlus) -> Self {
        let gap = Exp1.sample(&mut rng);
        Self { rng, gap, told: false, from_ns: 0, rate_per_s: 0.0, last_s: 0.0, offset_s: 0.0 }
    }

    /// Begins a step.
    pub(super) const fn begin(&mut self, from_ns: u64, rate_per_s: f64) {
        self.from_ns = from_ns;
        self.rate_per_s = rate_per_s;
        self.last_s = 0.0;
    }

    /// Ends a step: the arrival that was told last lies beyond it, and what is left of its gap
    /// goes on in the next.
    pub(super) fn pause(&mut self, until_ns: u64) {
        if self.rate_per_s > 0.0 {
            let passed_s = seconds(until_ns - self.from_ns) - self.last_s;
            self.gap = (self.gap - passed_s * self.rate_per_s).max(0.0);
            self.told = false;
        }
    }
}

impl Arrivals for Poisson {
    fn next_ns(&mut self) -> u64 {
        if self.rate_per_s <= 0.0 {
            return u64::MAX;
        }
        if self.told {
            self.last_s = self.offset_s;
            self.gap = Exp1.sample(&mut self.rng);
        }
        self.told = true;
        self.offset_s = self.last_s + self.gap / self.rate_per_s;
        self.from_ns.saturating_add(nanos(self.offset_s))
    }
}

/// Arrivals at given times.
#[derive(Clone, Debug)]
pub(super) struct Listed<'a> {
    from_ns: u64,
    end_ns: u64,
    offsets_s: std::slice::Iter<'a, f64>,
}

impl<'a> Listed<'a> {
    /// Ascending offsets from `from_ns`, in seconds. Those that round to the end come just before.
    pub(super) fn new(from_ns: u64, end_ns: u64, offsets_s: &'a [f64]) -> Self {
        Self { from_ns, end_ns, offsets_s: offsets_s.iter() }
    }
}

impl Arrivals for Listed<'_> {
    fn next_ns(&mut self) -> u64 {
        let Some(offset_s) = self.offsets_s.next() else { return u64::MAX };
        self.from_ns.saturating_add(nanos(*offset_s)).min(self.end_ns - 1)
    }
}
