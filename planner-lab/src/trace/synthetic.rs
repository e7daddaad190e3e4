//! Loads that are made up: a sum of shapes, each written as `kind:key=value,key=value`.
//!
//! Rates are per second; times are seconds, or end in `m`, `h` or `d`. Parts are joined with `+`:
//! `weekly:low=100,high=900+flash:base=0,peak=500,at=2d`. [`Synthetic::help`] lists all kinds and
//! their keys. Not for arrivals, which [`Arrivals`](super::Arrivals) draws.

mod kinds;
mod parse;
mod random;
mod shape;

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use thiserror::Error;

use super::{STEPS_MAX, Trace, TraceError, check_step};
use kinds::{KINDS, Key};
use shape::Shape;

/// Parts of a load, at most.
pub const PARTS_MAX: usize = 8;
/// Longest trace that is made up, in seconds: a leap year.
pub const SECONDS_MAX: u32 = 366 * 86_400;

/// A load that is made up.
///
/// The same text, length, step, seed and build give the same rates. Kinds without chance only take
/// `+ - * /`, so theirs are the same bits on every platform too.
///
/// ```
/// use planner_lab::trace::Synthetic;
///
/// let day = Synthetic::parse("sine:low=100,high=1000,period=1d")?;
/// let trace = day.trace(86_400, 60, 7)?;
/// assert_eq!(trace.rate_at(0).round(), 100.0);
/// assert_eq!(trace.rate_at(43_200).round(), 1_000.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Synthetic {
    parts: Vec<Part>,
}

/// One shape, with the numbers it was written with.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    kind: &'static str,
    keys: &'static [Key],
    /// One for each key; infinite where a time never comes.
    values: Vec<f64>,
    shape: Shape,
}

/// Why a text is no load.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum SyntheticError {
    /// Something between commas is not a key with a value.
    #[error("{kind}: {text:?} is not KEY=VALUE; write it as one, with commas between them")]
    Form {
        /// Of which kind.
        kind: &'static str,
        /// What is there.
        text: String,
    },
    /// A key that has no default is left out.
    #[error("{kind}: {key} is not given; write {usage}")]
    Missing {
        /// Of which kind.
        kind: &'static str,
        /// Which key.
        key: &'static str,
        /// How the kind is written.
        usage: String,
    },
    /// Two values contradict each other.
    #[error(
        "{kind}: {lesser} of {lesser_value} is above {greater} of {greater_value}; swap them, or \
         change one"
    )]
    Order {
        /// Of which kind.
        kind: &'static str,
        /// The key that has to be the lesser.
        lesser: &'static str,
        /// Its value.
        lesser_value: f64,
        /// The other key.
        greater: &'static str,
        /// Its value.
        greater_value: f64,
    },
    /// A key is given twice.
    #[error("{kind}: {key} is given twice; keep one")]
    Repeated {
        /// Of which kind.
        kind: &'static str,
        /// Which key.
        key: &'static str,
    },
    /// More parts than a load may have.
    #[error("{parts} parts are more than 8; leave some out")]
    TooMany {
        /// How many.
        parts: usize,
    },
    /// There is no such key.
    #[error("{kind}: {key:?} is no key of it; write {usage}")]
    UnknownKey {
        /// Of which kind.
        kind: &'static str,
        /// What is there.
        key: String,
        /// How the kind is written.
        usage: String,
    },
    /// There is no such kind.
    #[error("{kind:?} is no kind of load; take one of {kinds}")]
    UnknownKind {
        /// What is there.
        kind: String,
        /// Those that there are.
        kinds: String,
    },
    /// A value that is not in the range of its key.
    #[error("{kind}: {key}: {value:?} is no {rule}")]
    Value {
        /// Of which kind.
        kind: &'static str,
        /// Which key.
        key: &'static str,
        /// What is there.
        value: String,
        /// What it has to be, and how to write it.
        rule: &'static str,
    },
}

impl Synthetic {
    /// Reads a load such as `sine:low=100,high=1000,period=86400`.
    ///
    /// # Errors
    ///
    /// [`SyntheticError`], which names kind, key, value and rule.
    pub fn parse(text: &str) -> Result<Self, SyntheticError> {
        parse::parts(text).map(|parts| Self { parts })
    }

    /// How every kind is written and what it is, a line each.
    pub fn help() -> String {
        let line = |kind: &kinds::Kind| format!("{}\n    {}\n", kind.usage(), kind.about);
        KINDS.iter().map(line).collect()
    }

    /// The rates of this load, each the mean over its step. The last step is whole: the trace lasts
    /// `seconds`, rounded up to steps.
    ///
    /// Takes time in proportion to `seconds`, and for `onoff` to its sources times the steps.
    ///
    /// # Errors
    ///
    /// [`TraceError::Argument`] when the length is not from 1 s to a leap year, the step is out of
    /// range, there are too many steps, or the sum of the parts exceeds 1e9 a second.
    pub fn trace(&self, seconds: u32, step_s: u32, seed: u64) -> Result<Trace, TraceError> {
        check_step(step_s)?;
        let steps = seconds.div_ceil(step_s) as usize;
        if !(1..=SECONDS_MAX).contains(&seconds) || steps > STEPS_MAX {
            return Err(TraceError::Argument {
                what: "length",
                value: format!("{seconds} s in {steps} steps"),
                rule: "from 1 s to 31622400 s, in at most 4000000 steps",
                remedy: "take a shorter one, or a longer step",
            });
        }
        let mut rates_per_s = vec![0.0; steps];
        for (part, stream) in self.parts.iter().zip(0..) {
            part.shape.add_to(&mut rates_per_s, step_s, (seed, stream));
        }
        let text = self.to_string();
        let mut trace = Trace::new(&text, step_s, rates_per_s)?;
        trace.note(&format!("made up with seed {seed} as {text}"));
        Ok(trace)
    }
}

impl FromStr for Synthetic {
    type Err = SyntheticError;

    fn from_str(text: &str) -> Result<Self, SyntheticError> {
        Self::parse(text)
    }
}

/// With all keys, defaults included; read again, it is the same load.
impl Display for Synthetic {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            let plus = if index == 0 { "" } else { "+" };
            write!(f, "{plus}{}", part.kind)?;
            let given = part.keys.iter().zip(&part.values).filter(|(_, value)| value.is_finite());
            for (nth, (key, value)) in given.enumerate() {
                write!(f, "{}{}={value}", if nth == 0 { ':' } else { ',' }, key.name)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(text: &str, seconds: u32, step_s: u32) -> Trace {
        let load = Synthetic::parse(text).expect("a load");
        load.trace(seconds, step_s, 11).expect("a trace")
    }

    fn mean(trace: &Trace) -> f64 {
        trace.expected() / trace.duration_s() as f64
    }

    #[test]
    fn a_length_out_of_range_is_refused() {
        let load = Synthetic::parse("constant:rate=1").expect("a load");
        for (seconds, step_s, steps) in
            [(0, 1, 0), (31_622_401, 60, 527_041), (9_000_000, 1, 9_000_000)]
        {
            assert_eq!(
                load.trace(seconds, step_s, 1).expect_err("refused").to_string(),
                format!(
                    "length: {seconds} s in {steps} steps is not from 1 s to 31622400 s, in at most \
                     4000000 steps; take a shorter one, or a longer step"
                )
            );
        }
        assert!(load.trace(60, 0, 1).is_err());
        let high = Synthetic::parse("constant:rate=1e9+constant:rate=1").expect("a load");
        assert!(high.trace(60, 60, 1).is_err());
    }

    #[test]
    fn shapes_without_chance_are_what_they_say() {
        for (text, expected) in [
            ("constant:rate=3", [3.0; 6]),
            ("step:from=1,to=5,at=20", [1.0, 1.0, 5.0, 5.0, 5.0, 5.0]),
            ("step:from=1,to=5,at=20,back=45", [1.0, 1.0, 5.0, 5.0, 3.0, 1.0]),
            ("ramp:from=0,to=40,start=10,over=40", [0.0, 5.0, 15.0, 25.0, 35.0, 40.0]),
            ("sawtooth:low=0,high=30,period=30", [5.0, 15.0, 25.0, 5.0, 15.0, 25.0]),
            ("spikes:base=1,height=9,period=30,width=5", [1.0, 1.0, 5.5, 1.0, 1.0, 5.5]),
            ("constant:rate=1+step:from=0,to=1,at=30", [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]),
        ] {
            let rates = trace(text, 60, 10);
            for (rate, expected) in rates.rates_per_s().iter().zip(expected) {
                assert!((rate - expected).abs() < 1e-9, "{text}: {rates:?}");
            }
        }
    }

    #[test]
    fn a_flash_crowd_comes_suddenly_and_halves() {
        let flash = trace("flash:base=10,peak=810,at=100,rise=10,half_life=50", 400, 1);
        assert_eq!(flash.rate_at(99), 10.0);
        assert!((flash.rate_at(110) - 804.0).abs() < 5.0, "{}", flash.rate_at(110));
        assert!((flash.rate_at(160) - 407.0).abs() < 5.0, "{}", flash.rate_at(160));
        assert!(flash.rates_per_s().iter().all(|rate| (10.0..=810.0).contains(rate)));
    }

    #[test]
    fn a_week_is_quiet_at_its_end() {
        let week = trace("weekly:low=100,high=900,weekend=0.5", 7 * 86_400, 3_600);
        let noon = |day: u64| week.rate_at(day * 86_400 + 12 * 3_600).round();
        assert_eq!([0, 4, 5, 6].map(noon), [895.0, 895.0, 448.0, 448.0]);
        let night = trace("weekly:low=100,high=900", 86_400, 60);
        assert_eq!(night.rate_at(0).round(), 100.0);
    }

    #[test]
    fn a_walk_stays_within_its_bounds_and_moves() {
        let walk = trace("walk:low=50,high=800,sigma=2", 7 * 86_400, 60);
        assert!(walk.rates_per_s().iter().all(|rate| (50.0..=800.0).contains(rate)));
        // Reflected: it does not stay at a bound.
        assert!(!walk.rates_per_s().iter().any(|rate| *rate == 50.0 || *rate == 800.0));
        assert!(walk.quantile(0.9) > 2.0 * walk.quantile(0.1));
        let still = trace("walk:low=50,high=800,sigma=0", 600, 60);
        assert!(still.rates_per_s().iter().all(|rate| (rate - 200.0).abs() < 1e-9));
    }

    #[test]
    fn bursts_of_two_states_have_the_mean_of_their_shares() {
        let bursts = trace("mmpp:low=100,high=1000,low_for=270,high_for=30", 86_400 * 20, 60);
        assert!((mean(&bursts) / 190.0 - 1.0).abs() < 0.1, "{}", mean(&bursts));
        let step = 1e-6;
        assert!(bursts.rates_per_s().iter().all(|it| (100.0 - step..1_000.0 + step).contains(it)));
        assert!(bursts.quantile(0.05) < 101.0 && bursts.quantile(0.99) > 600.0);
    }

    #[test]
    fn sources_that_come_and_go_keep_their_mean_and_stay_correlated() {
        let noise = trace("onoff:mean=500,sources=100,on=60,off=240,alpha=1.4", 86_400 * 7, 10);
        assert!((mean(&noise) / 500.0 - 1.0).abs() < 0.15, "{}", mean(&noise));
        // Long memory: means over 100 steps vary far more than a tenth of the steps themselves.
        let deviation = |trace: &Trace| {
            let (mean, steps) = (mean(trace), trace.rates_per_s().len() as f64);
            let squares = trace.rates_per_s().iter().map(|rate| (rate - mean) * (rate - mean));
            (squares.sum::<f64>() / steps).sqrt()
        };
        let coarse = noise.clone().resampled(1_000).expect("coarser");
        assert!(deviation(&coarse) > 0.25 * deviation(&noise));
    }

    #[test]
    fn a_seed_repeats_itself_and_another_does_not() {
        for text in
            ["walk:low=1,high=9", "mmpp:low=1,high=9,low_for=60,high_for=60", "onoff:mean=50"]
        {
            let load = Synthetic::parse(text).expect("a load");
            let rates = |seed| load.trace(36_000, 60, seed).map(|it| it.rates_per_s().to_vec());
            assert_eq!(rates(1), rates(1), "{text}");
            assert_ne!(rates(1), rates(2), "{text}");
        }
    }

    #[test]
    fn what_was_made_up_says_how() {
        let trace = trace("ramp:to=9,from=0,over=1h", 60, 60);
        assert_eq!(trace.name(), "ramp:from=0,to=9,start=0,over=3600");
        assert_eq!(
            trace.provenance(),
            ["made up with seed 11 as ramp:from=0,to=9,start=0,over=3600"]
        );
    }
}
