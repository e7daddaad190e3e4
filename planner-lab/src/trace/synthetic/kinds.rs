//! Every kind of load that can be made up: its keys, their ranges, and what it is.

use super::SECONDS_MAX;
use super::shape::Shape;
use crate::trace::RATE_PER_S_MAX;

/// One kind.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) keys: &'static [Key],
    pub(super) about: &'static str,
    /// The shape of one value for each key.
    pub(super) build: fn(&[f64]) -> Option<Shape>,
}

/// One key of a kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) quantity: Quantity,
    /// What it is where it is left out; infinite for a time that never comes.
    pub(super) default: Option<f64>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Quantity {
    /// A number of sources.
    Count,
    /// How long something takes, in seconds.
    Duration,
    /// A factor.
    Factor,
    /// A rate per second.
    Rate,
    /// A rate per second that has a logarithm.
    RateAboveZero,
    /// A deviation of a logarithm.
    Sigma,
    /// The index of a heavy tail.
    Tail,
    /// A time from the start, in seconds.
    Time,
}

impl Quantity {
    /// Whether a number is in range.
    pub(super) fn contains(self, value: f64) -> bool {
        match self {
            Self::Count => (1.0..=200.0).contains(&value) && value.fract() == 0.0,
            Self::Duration => (1.0..=f64::from(SECONDS_MAX)).contains(&value),
            Self::Factor | Self::Sigma => (0.0..=10.0).contains(&value),
            Self::Rate => (0.0..=RATE_PER_S_MAX).contains(&value),
            Self::RateAboveZero => (1e-6..=RATE_PER_S_MAX).contains(&value),
            Self::Tail => (1.05..=1.95).contains(&value),
            Self::Time => (0.0..=f64::from(SECONDS_MAX)).contains(&value),
        }
    }

    /// What it has to be, and how to write it.
    pub(super) const fn rule(self) -> &'static str {
        match self {
            Self::Count => "whole number from 1 to 200; write it as in 50",
            Self::Duration => {
                "duration from 1 s to 366 days; write seconds or a unit, as in 90 or 1h"
            }
            Self::Factor => "factor from 0 to 10; write it as in 0.5",
            Self::Rate => "rate from 0 to 1e9 a second; write a number, as in 100",
            Self::RateAboveZero => "rate from 1e-6 to 1e9 a second; write a number, as in 100",
            Self::Sigma => "deviation from 0 to 10; write it as in 0.3",
            Self::Tail => "tail index from 1.05 to 1.95; write it as in 1.5",
            Self::Time => "time from 0 s to 366 days; write seconds or a unit, as in 90 or 1h",
        }
    }

    /// Whether it may end in a unit of time.
    pub(super) const fn is_time(self) -> bool {
        matches!(self, Self::Duration | Self::Time)
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Count => "COUNT",
            Self::Duration | Self::Time => "SECONDS",
            Self::Factor | Self::Sigma | Self::Tail => "NUMBER",
            Self::Rate | Self::RateAboveZero => "RATE",
        }
    }
}

impl Kind {
    /// How it is written; keys in brackets can be left out.
    pub(super) fn usage(&self) -> String {
        let key = |(index, key): (usize, &Key)| {
            let (name, word) = (key.name, key.quantity.word());
            match key.default {
                None if index == 0 => format!(":{name}={word}"),
                None => format!(",{name}={word}"),
                Some(default) if default.is_finite() => format!("[,{name}={word}, else {default}]"),
                Some(_) => format!("[,{name}={word}, else never]"),
            }
        };
        let keys = self.keys.iter().enumerate().map(key).collect::<String>();
        format!("{}{keys}", self.name)
    }
}

/// Keys of which the first is at most the second, wherever both are.
pub(super) const ORDERED: [(&str, &str); 4] =
    [("low", "high"), ("base", "peak"), ("width", "period"), ("at", "back")];

const fn key(name: &'static str, quantity: Quantity) -> Key {
    Key { name, quantity, default: None }
}

const fn or(name: &'static str, quantity: Quantity, default: f64) -> Key {
    Key { name, quantity, default: Some(default) }
}

use Quantity::{Count, Duration, Factor, Rate, RateAboveZero, Sigma, Tail, Time};

/// All kinds by name. The first key of each has no default.
pub(super) const KINDS: [Kind; 11] = [
    Kind {
        name: "constant",
        keys: &[key("rate", Rate)],
        about: "the same rate all the time",
        build: |values| Some(Shape::Constant { rate: *values.first()? }),
    },
    Kind {
        name: "flash",
        keys: &[
            key("base", Rate),
            key("peak", Rate),
            key("at", Time),
            or("rise", Duration, 60.0),
            or("half_life", Duration, 1_800.0),
        ],
        about: "a flash crowd: a linear rise from base to peak, then exponential decay",
        build: |values| {
            let [base, peak, at_s, rise_s, half_life_s] = *values else { return None };
            Some(Shape::Flash { base, peak, at_s, rise_s, half_life_s })
        },
    },
    Kind {
        name: "mmpp",
        keys: &[
            key("low", Rate),
            key("high", Rate),
            key("low_for", Duration),
            key("high_for", Duration),
        ],
        about: "two states, each held for an exponential time with this mean: bursts",
        build: |values| {
            let [low, high, low_for_s, high_for_s] = *values else { return None };
            Some(Shape::Mmpp { low, high, low_for_s, high_for_s })
        },
    },
    Kind {
        name: "onoff",
        keys: &[
            key("mean", Rate),
            or("sources", Count, 50.0),
            or("on", Duration, 60.0),
            or("off", Duration, 240.0),
            or("alpha", Tail, 1.5),
        ],
        about: "equal sources, on and off for Pareto times with these means and tail index: \
                self-similar in the limit, Hurst exponent (3 - alpha) / 2",
        build: |values| {
            let [mean, sources, on_s, off_s, alpha] = *values else { return None };
            Some(Shape::OnOff { mean, sources, on_s, off_s, alpha })
        },
    },
    Kind {
        name: "ramp",
        keys: &[key("from", Rate), key("to", Rate), or("start", Time, 0.0), key("over", Duration)],
        about: "a linear change, constant before and after",
        build: |values| {
            let [from, to, start_s, over_s] = *values else { return None };
            Some(Shape::Ramp { from, to, start_s, over_s })
        },
    },
    Kind {
        name: "sawtooth",
        keys: &[key("low", Rate), key("high", Rate), key("period", Duration)],
        about: "a linear rise in every period, then a drop at once",
        build: |values| {
            let [low, high, period_s] = *values else { return None };
            Some(Shape::Sawtooth { low, high, period_s })
        },
    },
    Kind {
        name: "sine",
        keys: &[
            key("low", Rate),
            key("high", Rate),
            or("period", Duration, 86_400.0),
            or("phase", Time, 0.0),
        ],
        about: "a wave that starts at its lowest, or so many seconds later in its period",
        build: |values| {
            let [low, high, period_s, phase_s] = *values else { return None };
            Some(Shape::Sine { low, high, period_s, phase_s })
        },
    },
    Kind {
        name: "spikes",
        keys: &[
            key("base", Rate),
            key("height", Rate),
            key("period", Duration),
            key("width", Duration),
        ],
        about: "height on top of base in the last width seconds of every period",
        build: |values| {
            let [base, height, period_s, width_s] = *values else { return None };
            Some(Shape::Spikes { base, height, period_s, width_s })
        },
    },
    Kind {
        name: "step",
        keys: &[
            key("from", Rate),
            key("to", Rate),
            key("at", Time),
            or("back", Time, f64::INFINITY),
        ],
        about: "another rate at once, and back",
        build: |values| {
            let [from, to, at_s, back_s] = *values else { return None };
            Some(Shape::Step { from, to, at_s, back_s })
        },
    },
    Kind {
        name: "walk",
        keys: &[key("low", RateAboveZero), key("high", RateAboveZero), or("sigma", Sigma, 0.3)],
        about: "a random walk of the logarithm, sigma an hour, reflected at low and high, from \
                their geometric mean on",
        build: |values| {
            let [low, high, sigma] = *values else { return None };
            Some(Shape::Walk { low, high, sigma })
        },
    },
    Kind {
        name: "weekly",
        keys: &[key("low", Rate), key("high", Rate), or("weekend", Factor, 0.5)],
        about: "a daily wave, lowest at midnight, from Monday on; Saturday and Sunday times weekend",
        build: |values| {
            let [low, high, weekend] = *values else { return None };
            Some(Shape::Weekly { low, high, weekend })
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_builds_from_one_value_for_each_key() {
        for kind in &KINDS {
            assert!((kind.build)(&vec![1.0; kind.keys.len()]).is_some(), "{}", kind.name);
            assert!(kind.keys[0].default.is_none(), "{}", kind.name);
            for key in kind.keys {
                let fits = |it: f64| it.is_infinite() || key.quantity.contains(it);
                assert!(key.default.is_none_or(fits), "{} of {}", key.name, kind.name);
            }
        }
        assert!(KINDS.is_sorted_by_key(|kind| kind.name));
    }
}
