//! The shapes, and the arithmetic of those without chance: each second counts at its middle.

use super::random;
use crate::trace::math::{cos_turns, exp2};

/// A shape. Rates are per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    Constant { rate: f64 },
    Flash { base: f64, peak: f64, at_s: f64, rise_s: f64, half_life_s: f64 },
    Mmpp { low: f64, high: f64, low_for_s: f64, high_for_s: f64 },
    OnOff { mean: f64, sources: f64, on_s: f64, off_s: f64, alpha: f64 },
    Ramp { from: f64, to: f64, start_s: f64, over_s: f64 },
    Sawtooth { low: f64, high: f64, period_s: f64 },
    Sine { low: f64, high: f64, period_s: f64, phase_s: f64 },
    Spikes { base: f64, height: f64, period_s: f64, width_s: f64 },
    Step { from: f64, to: f64, at_s: f64, back_s: f64 },
    Walk { low: f64, high: f64, sigma: f64 },
    Weekly { low: f64, high: f64, weekend: f64 },
}

const DAY_S: f64 = 86_400.0;

impl Shape {
    /// Adds its mean over each step to these rates. Chance comes from this seed and stream.
    pub(super) fn add_to(self, rates: &mut [f64], step_s: u32, seed: (u64, u64)) {
        match self {
            Self::Mmpp { low, high, low_for_s, high_for_s } => {
                random::add_mmpp(rates, step_s, seed, [low, high], [low_for_s, high_for_s]);
            }
            Self::OnOff { mean, sources, on_s, off_s, alpha } => {
                let source = random::OnOff {
                    rate: mean / sources * (on_s + off_s) / on_s,
                    on_s,
                    off_s,
                    alpha,
                };
                source.add(rates, step_s, seed, sources);
            }
            Self::Walk { low, high, sigma } => {
                random::add_walk(rates, step_s, seed, [low, high], sigma);
            }
            _ => {
                for (rate, step) in rates.iter_mut().zip(0_u32..) {
                    let start_s = f64::from(step) * f64::from(step_s);
                    let seconds = (0..step_s).map(|second| start_s + f64::from(second) + 0.5);
                    *rate += seconds.map(|at_s| self.at(at_s)).sum::<f64>() / f64::from(step_s);
                }
            }
        }
    }

    /// The rate at a time, of a shape without chance.
    fn at(self, t_s: f64) -> f64 {
        match self {
            Self::Constant { rate } => rate,
            Self::Flash { base, peak, at_s, rise_s, half_life_s } => {
                let since_s = t_s - at_s;
                let share = if since_s < 0.0 {
                    0.0
                } else if since_s < rise_s {
                    since_s / rise_s
                } else {
                    exp2((rise_s - since_s) / half_life_s)
                };
                base + (peak - base) * share
            }
            Self::Ramp { from, to, start_s, over_s } => {
                from + (to - from) * ((t_s - start_s) / over_s).clamp(0.0, 1.0)
            }
            Self::Sawtooth { low, high, period_s } => low + (high - low) * share(t_s, period_s),
            Self::Sine { low, high, period_s, phase_s } => {
                wave(low, high, (t_s + phase_s) / period_s)
            }
            Self::Spikes { base, height, period_s, width_s } => {
                let left_s = (1.0 - share(t_s, period_s)) * period_s;
                if left_s <= width_s { base + height } else { base }
            }
            Self::Step { from, to, at_s, back_s } => {
                if (at_s..back_s).contains(&t_s) {
                    to
                } else {
                    from
                }
            }
            Self::Weekly { low, high, weekend } => {
                let rate = wave(low, high, t_s / DAY_S);
                if share(t_s, 7.0 * DAY_S) >= 5.0 / 7.0 { rate * weekend } else { rate }
            }
            // Those with chance have no rate at a time alone.
            Self::Mmpp { .. } | Self::OnOff { .. } | Self::Walk { .. } => 0.0,
        }
    }
}

/// How far a time is in its period, from 0 to below 1.
fn share(t_s: f64, period_s: f64) -> f64 {
    let periods = t_s / period_s;
    periods - periods.floor()
}

/// A wave that is lowest at whole turns. Within its bounds although a cosine rounds.
fn wave(low: f64, high: f64, turns: f64) -> f64 {
    (low + (high - low) * (1.0 - cos_turns(turns)) / 2.0).clamp(low, high)
}
