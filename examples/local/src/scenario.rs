//! The load of a run as one line of text, and the exact instants at which its requests are due.
//!
//! `"30x20,60x120,40x20"` is 30 seconds at 20 requests/s, 60 s at 120/s, 40 s at 20/s;
//! `"60x10..150,60x150..10"` ramps from 10/s to 150/s in a minute and back in another.
//!
//! Not for sending anything (that is [`crate::loadgen`]), and not for replaying recorded traffic.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use thiserror::Error;

/// Phases in one scenario, at most.
pub const PHASES_MAX: usize = 64;
/// The longest phase, in seconds: one day.
pub const PHASE_S_MAX: f64 = 86_400.0;
/// The highest rate, in requests per second.
pub const RATE_PER_S_MAX: f64 = 10_000.0;
/// Requests that a scenario may plan, at most.
pub const ARRIVALS_MAX: f64 = 5_000_000.0;

/// A load over time: phases of constant or linearly changing request rate, one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    phases: Vec<Phase>,
}

impl Scenario {
    /// The phases in order; never empty.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// How long the whole scenario lasts, in seconds.
    pub fn duration_s(&self) -> f64 {
        self.phases.iter().map(|phase| phase.duration_s).sum()
    }

    /// The planned rate at `t_s` seconds from the start; zero before the start and after the end.
    pub fn rate_at(&self, t_s: f64) -> f64 {
        let mut start_s = 0.0;
        for phase in &self.phases {
            let within_s = t_s - start_s;
            if (0.0..phase.duration_s).contains(&within_s) {
                let share = within_s / phase.duration_s;
                return phase.rate_from_per_s
                    + (phase.rate_to_per_s - phase.rate_from_per_s) * share;
            }
            start_s += phase.duration_s;
        }
        0.0
    }

    /// The highest planned rate, in requests per second.
    pub fn peak(&self) -> f64 {
        self.phases
            .iter()
            .flat_map(|phase| [phase.rate_from_per_s, phase.rate_to_per_s])
            .fold(0.0, f64::max)
    }

    /// How many requests the scenario plans on average over all seeds.
    pub fn arrivals_expected(&self) -> f64 {
        self.phases.iter().map(Phase::arrivals_expected).sum()
    }

    /// When each request is due, in seconds from the start, ascending.
    ///
    /// A Poisson process whose rate follows the phases. Unit-rate arrivals are drawn first and
    /// mapped through the inverse of the cumulative rate, so that the same seed gives the same
    /// instants everywhere (`libm`, not the platform's logarithm).
    pub fn arrivals_s(&self, seed: u64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut arrivals_s = Vec::new();
        let mut due = exponential(&mut random);
        let mut planned_before = 0.0;
        let mut start_s = 0.0;
        for phase in &self.phases {
            let planned = phase.arrivals_expected();
            while due < planned_before + planned {
                arrivals_s.push(start_s + phase.instant_of(due - planned_before));
                due += exponential(&mut random);
            }
            planned_before += planned;
            start_s += phase.duration_s;
        }
        arrivals_s
    }
}

/// One part of a scenario: a duration, and a rate that is constant or changes linearly.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_field_names, reason = "the units, which are all seconds")]
pub struct Phase {
    duration_s: f64,
    rate_from_per_s: f64,
    rate_to_per_s: f64,
}

impl Phase {
    /// How long the phase lasts, in seconds.
    pub fn duration_s(&self) -> f64 {
        self.duration_s
    }

    /// The rate at the start of the phase, in requests per second.
    pub fn rate_from_per_s(&self) -> f64 {
        self.rate_from_per_s
    }

    /// The rate at the end of the phase, in requests per second.
    pub fn rate_to_per_s(&self) -> f64 {
        self.rate_to_per_s
    }

    fn arrivals_expected(&self) -> f64 {
        self.duration_s * f64::midpoint(self.rate_from_per_s, self.rate_to_per_s)
    }

    /// The instant within the phase at which `arrivals` requests are expected to have come.
    ///
    /// Solves `from*t + (to-from)/(2*duration) * t^2 = arrivals` in the form that stays exact
    /// when the rate is constant and when it starts at zero.
    fn instant_of(&self, arrivals: f64) -> f64 {
        let slope = (self.rate_to_per_s - self.rate_from_per_s) / self.duration_s;
        let rate_from = self.rate_from_per_s;
        let rate_then = (rate_from * rate_from + 2.0 * slope * arrivals).max(0.0).sqrt();
        let speed = rate_from + rate_then;
        if speed > 0.0 { (2.0 * arrivals / speed).clamp(0.0, self.duration_s) } else { 0.0 }
    }
}

impl Display for Phase {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}x{}", self.duration_s, self.rate_from_per_s)?;
        if self.rate_from_per_s != self.rate_to_per_s {
            write!(out, "..{}", self.rate_to_per_s)?;
        }
        Ok(())
    }
}

impl Display for Scenario {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        for (index, phase) in self.phases.iter().enumerate() {
            if index > 0 {
                out.write_str(",")?;
            }
            write!(out, "{phase}")?;
        }
        Ok(())
    }
}

/// Why a text is not a scenario.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ScenarioError {
    /// A phase is not of the form `SECONDSxRATE` or `SECONDSxFROM..TO`.
    #[error(
        "scenario phase {phase} is {text:?}: a phase is SECONDSxRATE or SECONDSxFROM..TO; \
         for example 30x20 is 30 s at 20 requests/s, 60x10..150 a ramp of 60 s"
    )]
    Form {
        /// Number of the phase, from 1.
        phase: usize,
        /// The phase as given.
        text: String,
    },
    /// A duration is outside its range.
    #[error(
        "scenario phase {phase} ({text}) lasts {seconds} s: a phase lasts 1 to 86400 s; \
         for example 30x20 is 30 s at 20 requests/s"
    )]
    Seconds {
        /// Number of the phase, from 1.
        phase: usize,
        /// The phase as given.
        text: String,
        /// The duration as given.
        seconds: f64,
    },
    /// A rate is outside its range.
    #[error(
        "scenario phase {phase} ({text}) has a rate of {rate} requests/s: a rate is 0 to 10000; \
         for example 30x20 is 30 s at 20 requests/s"
    )]
    Rate {
        /// Number of the phase, from 1.
        phase: usize,
        /// The phase as given.
        text: String,
        /// The rate as given.
        rate: f64,
    },
    /// There are too many phases.
    #[error("the scenario has {phases} phases: at most 64 are allowed; join some, or use a ramp")]
    TooManyPhases {
        /// Phases as given.
        phases: usize,
    },
    /// The scenario plans too many requests.
    #[error(
        "the scenario plans {arrivals:.0} requests: at most 5000000 are allowed; \
         make it shorter or slower"
    )]
    TooManyArrivals {
        /// Requests planned.
        arrivals: f64,
    },
}

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, ScenarioError> {
        let phases = text.split(',').count();
        if phases > PHASES_MAX {
            return Err(ScenarioError::TooManyPhases { phases });
        }
        let phases = text
            .split(',')
            .enumerate()
            .map(|(index, phase)| parse_phase(index + 1, phase.trim()))
            .collect::<Result<Vec<_>, _>>()?;
        let scenario = Self { phases };
        let arrivals = scenario.arrivals_expected();
        if arrivals > ARRIVALS_MAX {
            return Err(ScenarioError::TooManyArrivals { arrivals });
        }
        Ok(scenario)
    }
}

fn parse_phase(phase: usize, text: &str) -> Result<Phase, ScenarioError> {
    let form = || ScenarioError::Form { phase, text: text.to_owned() };
    let (seconds, rates) = text.split_once('x').ok_or_else(form)?;
    let (from, to) = rates.split_once("..").unwrap_or((rates, rates));
    let duration_s = parse_number(seconds).ok_or_else(form)?;
    let rate_from_per_s = parse_number(from).ok_or_else(form)?;
    let rate_to_per_s = parse_number(to).ok_or_else(form)?;
    if !(1.0..=PHASE_S_MAX).contains(&duration_s) {
        return Err(ScenarioError::Seconds { phase, text: text.to_owned(), seconds: duration_s });
    }
    for rate in [rate_from_per_s, rate_to_per_s] {
        if !(0.0..=RATE_PER_S_MAX).contains(&rate) {
            return Err(ScenarioError::Rate { phase, text: text.to_owned(), rate });
        }
    }
    Ok(Phase { duration_s, rate_from_per_s, rate_to_per_s })
}

/// Digits with at most one decimal point between them: no sign, exponent, `inf` or `nan`.
fn parse_number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let closed = !text.starts_with('.') && !text.ends_with('.');
    if plain && closed { text.parse().ok() } else { None }
}

/// A waiting time with mean one.
fn exponential(random: &mut ChaCha8Rng) -> f64 {
    // 53 random bits, the precision of f64: uniform in [0, 1), so its complement is never zero.
    let uniform = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    -libm::log(1.0 - uniform)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(text: &str) -> Scenario {
        text.parse().expect("the test gives a valid scenario")
    }

    fn refusal(text: &str) -> String {
        text.parse::<Scenario>().expect_err("the test gives an invalid scenario").to_string()
    }

    #[test]
    fn a_phase_without_a_rate_is_refused_with_an_example() {
        assert_eq!(
            refusal("30x20,60"),
            "scenario phase 2 is \"60\": a phase is SECONDSxRATE or SECONDSxFROM..TO; \
             for example 30x20 is 30 s at 20 requests/s, 60x10..150 a ramp of 60 s"
        );
    }

    #[test]
    fn anything_but_plain_numbers_is_refused() {
        for text in [
            "",
            "x",
            "30x",
            "x20",
            "-1x20",
            "30x-1",
            "1e3x1",
            "infx1",
            "30xnan",
            "30x20x10",
            "30x20,",
            "30x1..",
            "30x..2",
            "30x1..2..3",
            "3.x1",
            "30x1.2.3",
            "30×20",
        ] {
            let error = text.parse::<Scenario>().expect_err(text);
            assert!(matches!(error, ScenarioError::Form { .. }), "{text:?} gave {error:?}");
        }
    }

    #[test]
    fn a_duration_outside_its_range_is_refused_with_the_range() {
        assert_eq!(
            refusal("30x20,0.5x20"),
            "scenario phase 2 (0.5x20) lasts 0.5 s: a phase lasts 1 to 86400 s; \
             for example 30x20 is 30 s at 20 requests/s"
        );
        assert!(refusal("86401x1").contains("lasts 86401 s"));
    }

    #[test]
    fn a_rate_outside_its_range_is_refused_with_the_range() {
        assert_eq!(
            refusal("30x20..10001"),
            "scenario phase 1 (30x20..10001) has a rate of 10001 requests/s: a rate is 0 to \
             10000; for example 30x20 is 30 s at 20 requests/s"
        );
    }

    #[test]
    fn sixty_four_phases_are_allowed_and_one_more_is_refused() {
        assert_eq!(scenario(&vec!["1x1"; 64].join(",")).phases().len(), 64);
        assert_eq!(
            refusal(&vec!["1x1"; 65].join(",")),
            "the scenario has 65 phases: at most 64 are allowed; join some, or use a ramp"
        );
    }

    #[test]
    fn five_million_requests_are_allowed_and_more_are_refused() {
        assert_eq!(scenario("500x10000").arrivals_expected(), 5_000_000.0);
        assert_eq!(
            refusal("501x10000"),
            "the scenario plans 5010000 requests: at most 5000000 are allowed; \
             make it shorter or slower"
        );
    }

    #[test]
    fn the_text_of_a_scenario_parses_to_the_same_scenario() {
        for text in ["30x20,60x120,40x20", "60x10..150,60x150..10", "1.25x0.1..3", "5x0"] {
            assert_eq!(scenario(text).to_string(), text);
            assert_eq!(scenario(&scenario(text).to_string()), scenario(text));
        }
        assert_eq!(scenario(" 30x20 , 5x1..1").to_string(), "30x20,5x1");
    }

    #[test]
    fn the_rate_follows_the_phases_and_is_zero_outside_them() {
        let steps = scenario("40x30,1x400,40x30");
        assert_eq!(steps.duration_s(), 81.0);
        assert_eq!(steps.peak(), 400.0);
        let rates = [-0.1, 0.0, 39.9, 40.0, 40.9, 41.0, 80.9, 81.0].map(|t_s| steps.rate_at(t_s));
        assert_eq!(rates, [0.0, 30.0, 30.0, 400.0, 400.0, 30.0, 30.0, 0.0]);
        assert_eq!(scenario("60x10..150,60x150..10").rate_at(30.0), 80.0);
        assert_eq!(scenario("60x10..150,60x150..10").rate_at(90.0), 80.0);
    }

    #[test]
    fn phases_of_rate_zero_have_no_arrivals() {
        assert!(scenario("100x0").arrivals_s(1).is_empty());
        let gap = scenario("20x50,10x0,20x50").arrivals_s(1);
        assert!(gap.iter().all(|at_s| !(20.0..30.0).contains(at_s)));
        assert!(gap.iter().any(|at_s| *at_s >= 30.0));
    }

    #[test]
    fn the_same_seed_gives_the_same_instants_and_another_seed_others() {
        let ramp = scenario("60x10..150,60x150..10");
        assert_eq!(ramp.arrivals_s(7), ramp.arrivals_s(7));
        assert_ne!(ramp.arrivals_s(7), ramp.arrivals_s(8));
    }

    #[test]
    fn the_count_is_within_four_sigma_of_the_integral_of_the_rate() {
        for text in ["30x20,60x120,40x20", "60x10..150,60x150..10", "50x0..200", "50x200..0"] {
            let scenario = scenario(text);
            for seed in 0..20 {
                let count = scenario.arrivals_s(seed).len() as f64;
                let expected = scenario.arrivals_expected();
                let sigma = expected.sqrt();
                assert!((count - expected).abs() < 4.0 * sigma, "{text} seed {seed}: {count}");
            }
        }
    }

    #[test]
    fn a_ramp_has_a_quarter_of_its_arrivals_in_its_first_half() {
        let arrivals_s = scenario("100x0..400").arrivals_s(3);
        let early = arrivals_s.iter().filter(|at_s| **at_s < 50.0).count() as f64;
        let share = early / arrivals_s.len() as f64;
        assert!((share - 0.25).abs() < 0.015, "share in the first half: {share}");
    }

    #[test]
    fn arrivals_ascend_and_stay_within_the_scenario() {
        let ramp = scenario("10x500..1,10x1..500,2x0");
        let arrivals_s = ramp.arrivals_s(11);
        assert!(arrivals_s.is_sorted());
        assert!(arrivals_s.iter().all(|at_s| (0.0..20.0001).contains(at_s)));
    }
}
