//! The shapes with chance, each from a stream of its own of the seed.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_distr::{Distribution, Exp, Pareto, StandardNormal};

use crate::trace::math::exp;

fn generator((seed, stream): (u64, u64)) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    random
}

/// Adds a walk of the logarithm, step by step, reflected at its bounds.
pub(super) fn add_walk(
    rates: &mut [f64],
    step_s: u32,
    seed: (u64, u64),
    [low, high]: [f64; 2],
    sigma: f64,
) {
    let mut random = generator(seed);
    let step_sigma = sigma * (f64::from(step_s) / 3_600.0).sqrt();
    let mut level = (low * high).sqrt();
    for rate in rates {
        *rate += level;
        let move_: f64 = StandardNormal.sample(&mut random);
        let moved = level * exp(step_sigma * move_);
        let reflected = if moved > high {
            high * high / moved
        } else if moved < low {
            low * low / moved
        } else {
            moved
        };
        // A move of more than the whole range ends at a bound.
        level = reflected.clamp(low, high);
    }
}

/// Adds two states that follow each other, each held for an exponential time.
pub(super) fn add_mmpp(
    rates: &mut [f64],
    step_s: u32,
    seed: (u64, u64),
    [low, high]: [f64; 2],
    [low_for_s, high_for_s]: [f64; 2],
) {
    let (Ok(low_for), Ok(high_for)) = (Exp::new(1.0 / low_for_s), Exp::new(1.0 / high_for_s))
    else {
        return;
    };
    for rate in rates.iter_mut() {
        *rate += low;
    }
    let mut random = generator(seed);
    let is_high = random.random::<f64>() < high_for_s / (low_for_s + high_for_s);
    let held = Held { on: high_for, off: low_for };
    held.add(rates, step_s, high - low, is_high, &mut random);
}

/// A source that sends at a rate while it is on.
#[derive(Clone, Copy)]
pub(super) struct OnOff {
    pub(super) rate: f64,
    pub(super) on_s: f64,
    pub(super) off_s: f64,
    pub(super) alpha: f64,
}

impl OnOff {
    /// Adds so many of them. Each starts on or off by its shares, at the beginning of that time.
    pub(super) fn add(self, rates: &mut [f64], step_s: u32, seed: (u64, u64), sources: f64) {
        // The mean of a Pareto time is alpha / (alpha - 1) times its shortest.
        let holding =
            |mean_s: f64| Pareto::new(mean_s * (self.alpha - 1.0) / self.alpha, self.alpha);
        let (Ok(on), Ok(off)) = (holding(self.on_s), holding(self.off_s)) else { return };
        let mut random = generator(seed);
        let held = Held { on, off };
        let mut left = sources;
        while left > 0.0 {
            let is_on = random.random::<f64>() < self.on_s / (self.on_s + self.off_s);
            held.add(rates, step_s, self.rate, is_on, &mut random);
            left -= 1.0;
        }
    }
}

/// How long each of two states is held.
struct Held<D> {
    on: D,
    off: D,
}

impl<D: Distribution<f64>> Held<D> {
    /// Adds the rate, as the mean over each step, for the times that are on.
    fn add(
        &self,
        rates: &mut [f64],
        step_s: u32,
        rate: f64,
        mut is_on: bool,
        random: &mut ChaCha8Rng,
    ) {
        let end_s = rates.len() as f64 * f64::from(step_s);
        let mut at_s = 0.0;
        while at_s < end_s {
            let for_s = if is_on { self.on.sample(random) } else { self.off.sample(random) };
            if is_on {
                add_between(rates, f64::from(step_s), [at_s, (at_s + for_s).min(end_s)], rate);
            }
            at_s += for_s;
            is_on = !is_on;
        }
    }
}

/// Adds a rate between two times within the trace.
fn add_between(rates: &mut [f64], step_s: f64, [from_s, to_s]: [f64; 2], rate: f64) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "times are from 0 to the end of a trace, and what is beyond is left out"
    )]
    let step_of = |at_s: f64| (at_s / step_s) as usize;
    let (first, last) = (step_of(from_s), step_of(to_s));
    let steps = rates.iter_mut().enumerate().take(last.saturating_add(1)).skip(first);
    for (step, sum) in steps {
        let start_s = step as f64 * step_s;
        let within_s = to_s.min(start_s + step_s) - from_s.max(start_s);
        *sum += rate * within_s.max(0.0) / step_s;
    }
}
