//! Load over time: measured by others, exported by tools, or made up.
//!
//! A [`Trace`] is a request rate on a uniform grid of steps, with where it came from and what was
//! done to it. [`Trace::read`] takes the text of four kinds of files, [`Synthetic`] makes loads up
//! from one line of text, [`Arrivals`] draws requests from either, and [`doctor()`] says what a
//! trace cannot show. Not for latency series, not for single requests, and not for reading files:
//! text comes in, values go out.
//!
//! ```
//! use planner_lab::trace::{Arrivals, Need, Trace};
//!
//! let text = "# name: shop\n# unit: requests per step\n# step_s: 60\nt_s,value\n0,600\n60,1200\n";
//! let trace = Trace::read("shop.csv", text)?;
//! assert_eq!(trace.rates_per_s(), [10.0, 20.0]);
//!
//! let need = Need { quantile: 0.998, replicas: 40, rate_per_replica_per_s: 50.0 };
//! let busy = trace.scaled_so_that(need)?;
//! assert_eq!(busy.rate_at(60), 2_000.0);
//! assert_eq!(Arrivals::poisson(&busy, 7).count(), 120);
//! # Ok::<(), planner_lab::trace::TraceError>(())
//! ```

mod arrivals;
mod clock;
mod cloudwatch;
mod csv;
mod doctor;
mod error;
mod grid;
mod math;
mod nginx;
mod prometheus;
mod read;
mod scale;
mod synthetic;

pub use arrivals::{Arrivals, DISPERSION_MAX};
pub use doctor::{DoctorRules, Finding, doctor};
pub use error::{Format, Place, Rule, TraceError};
pub use nginx::{AccessLog, Malformed};
pub use read::{Missing, ReadOptions, Select, Values};
pub use scale::Need;
pub use synthetic::{PARTS_MAX, SECONDS_MAX, Synthetic, SyntheticError};

/// The highest rate, in requests per second.
pub const RATE_PER_S_MAX: f64 = 1e9;
/// The longest step, in seconds: a week.
pub const STEP_S_MAX: u32 = 604_800;
/// Steps of a trace, at most: a year of steps of 10 s has 3.2 million.
pub const STEPS_MAX: usize = 4_000_000;
/// Longest name, unit, and entry of metadata and provenance, in characters.
pub const TEXT_CHARS_MAX: usize = 1_000;

/// Furthest start from the origin, in seconds: some 31 700 years.
const START_S_MAX: i64 = 1_000_000_000_000;
/// What is counted where a source does not say.
const UNIT: &str = "requests per second";
/// Keys of metadata that mean something to the documented CSV.
const RESERVED: [&str; 6] = ["gaps", "name", "provenance", "start_s", "step_s", "unit"];

/// Steps in a row of which the source says nothing; their rates were filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a range, written out by who states gaps")]
pub struct Gap {
    /// The first of them, counted from 0.
    pub first_step: usize,
    /// How many, at least 1.
    pub steps: usize,
}

/// A request rate over time: constant within a step, steps of equal length.
///
/// Rates are finite and 0 to 1e9 a second, steps are 1 s to a week, and there is at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    name: String,
    unit: String,
    metadata: Vec<(String, String)>,
    start_s: i64,
    step_s: u32,
    rates_per_s: Vec<f64>,
    gaps: Vec<Gap>,
    provenance: Vec<String>,
}

impl Trace {
    /// A trace of these rates a second, from 0 s on.
    ///
    /// # Errors
    ///
    /// [`TraceError::Argument`] when the step, the number of steps or a rate is outside its range.
    ///
    /// ```
    /// use planner_lab::trace::Trace;
    ///
    /// let trace = Trace::new("two levels", 60, vec![100.0, 250.0])?;
    /// assert_eq!((trace.duration_s(), trace.rate_at(59), trace.rate_at(60)), (120, 100.0, 250.0));
    /// # Ok::<(), planner_lab::trace::TraceError>(())
    /// ```
    pub fn new(name: &str, step_s: u32, mut rates_per_s: Vec<f64>) -> Result<Self, TraceError> {
        check_step(step_s)?;
        if !(1..=STEPS_MAX).contains(&rates_per_s.len()) {
            return Err(TraceError::Argument {
                what: "steps",
                value: rates_per_s.len().to_string(),
                rule: "from 1 to 4000000",
                remedy: "take a longer step, or a part of it",
            });
        }
        for rate in &mut rates_per_s {
            if !is_rate(*rate) {
                return Err(TraceError::Argument {
                    what: "rate",
                    value: rate.to_string(),
                    rule: "a rate from 0 to 1e9 a second",
                    remedy: "correct it, or scale the trace down",
                });
            }
            // A negative zero would be written with its sign.
            *rate += 0.0;
        }
        let name = one_line(name);
        Ok(Self {
            name: if name.is_empty() { "unnamed".to_owned() } else { name },
            unit: UNIT.to_owned(),
            metadata: Vec::new(),
            start_s: 0,
            step_s,
            rates_per_s,
            gaps: Vec::new(),
            provenance: Vec::new(),
        })
    }

    /// The same under another name. Line breaks become spaces.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        let name = one_line(name);
        if !name.is_empty() {
            self.name = name;
        }
        self
    }

    /// The same with one more entry of metadata, such as `source`, `publisher`, `licence`, `note`.
    ///
    /// # Errors
    ///
    /// [`TraceError::Argument`] when the key is not of lower-case letters, digits and `_`, or means
    /// something of its own in the documented CSV.
    pub fn with_metadata(mut self, key: &str, value: &str) -> Result<Self, TraceError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !(1..=64).contains(&key.len()) || !key.bytes().all(plain) || RESERVED.contains(&key) {
            return Err(TraceError::Argument {
                what: "key of metadata",
                value: format!("{:?}", error::shortened(key)),
                rule: "1 to 64 of a-z, 0-9 and _, other than gaps, name, provenance, start_s, \
                       step_s and unit",
                remedy: "choose another, such as note",
            });
        }
        self.metadata.push((key.to_owned(), one_line(value)));
        Ok(self)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the rates count, such as `requests per second`; always per second.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// The first entry of metadata under this key: `source`, `publisher`, `licence`, `note`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.entries().find(|(own, _)| *own == key).map(|(_, value)| value)
    }

    /// All entries of metadata in the order of the source.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// When it starts, in seconds of the source's clock: Unix time for logs and exports, mostly 0
    /// for the documented CSV. A fraction is dropped.
    pub const fn start_s(&self) -> i64 {
        self.start_s
    }

    /// Length of a step in seconds.
    pub const fn step_s(&self) -> u32 {
        self.step_s
    }

    /// Requests per second, step by step; never empty. In a gap, what it was filled with.
    pub fn rates_per_s(&self) -> &[f64] {
        &self.rates_per_s
    }

    /// Steps of which the source says nothing, in order.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// What was done between the source and these rates, in order, a sentence each.
    pub fn provenance(&self) -> &[String] {
        &self.provenance
    }

    /// How long it lasts, in seconds.
    pub fn duration_s(&self) -> u64 {
        self.rates_per_s.len() as u64 * u64::from(self.step_s)
    }

    /// The rate in this second from the start; 0 after the end.
    pub fn rate_at(&self, second: u64) -> f64 {
        usize::try_from(second / u64::from(self.step_s))
            .ok()
            .and_then(|step| self.rates_per_s.get(step))
            .copied()
            .unwrap_or(0.0)
    }

    /// The rate of each second in turn.
    ///
    /// ```
    /// use planner_lab::trace::Trace;
    ///
    /// let trace = Trace::new("two levels", 2, vec![1.0, 5.0])?;
    /// assert_eq!(trace.each_second().collect::<Vec<_>>(), [1.0, 1.0, 5.0, 5.0]);
    /// # Ok::<(), planner_lab::trace::TraceError>(())
    /// ```
    pub fn each_second(&self) -> impl Iterator<Item = f64> + '_ {
        let seconds = self.step_s as usize;
        self.rates_per_s.iter().flat_map(move |rate| std::iter::repeat_n(*rate, seconds))
    }

    /// Requests expected in the whole trace.
    pub fn expected(&self) -> f64 {
        self.rates_per_s.iter().sum::<f64>() * f64::from(self.step_s)
    }

    /// Whether the source says nothing of this step.
    pub fn is_gap(&self, step: usize) -> bool {
        let after = self.gaps.partition_point(|gap| gap.first_step <= step);
        self.gaps[..after].last().is_some_and(|gap| step < gap.first_step + gap.steps)
    }

    /// The rate that this share of the steps does not exceed, by nearest rank: the smallest rate
    /// such that at least `quantile` of all steps are no higher. Steps in gaps do not count, unless
    /// all are. `quantile` is taken into 0 to 1.
    pub fn quantile(&self, quantile: f64) -> f64 {
        let known = self.rates_per_s.iter().enumerate().filter(|(step, _)| !self.is_gap(*step));
        let mut sorted: Vec<f64> = known.map(|(_, rate)| *rate).collect();
        if sorted.is_empty() {
            sorted.clone_from(&self.rates_per_s);
        }
        sorted.sort_by(f64::total_cmp);
        // Without the allowance, 0.07 of 100 steps would be a hair above 7.
        let rank = (quantile.clamp(0.0, 1.0) * sorted.len() as f64 - 1e-9).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of steps, and what is below zero or no number becomes zero"
        )]
        let index = (rank as usize).saturating_sub(1).min(sorted.len() - 1);
        sorted[index]
    }

    /// Adds what was done to it.
    fn note(&mut self, what: &str) {
        self.provenance.push(one_line(what));
    }
}

/// Whether it is a rate that a trace may hold.
fn is_rate(rate: f64) -> bool {
    (0.0..=RATE_PER_S_MAX).contains(&rate)
}

fn check_step(step_s: u32) -> Result<(), TraceError> {
    if (1..=STEP_S_MAX).contains(&step_s) {
        return Ok(());
    }
    Err(TraceError::Argument {
        what: "step",
        value: format!("{step_s} s"),
        rule: "from 1 s to 604800 s",
        remedy: "take a step in that range",
    })
}

/// A text that fits in one line of a file: control characters and runs of white space become one
/// space each.
fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let line: String = words.join(" ").chars().take(TEXT_CHARS_MAX).collect();
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_is_none_is_refused_by_name() {
        for (rate, shown) in [(f64::NAN, "NaN"), (-1.0, "-1"), (2e9, "2000000000")] {
            let error = Trace::new("t", 60, vec![1.0, rate]).expect_err("no rate").to_string();
            assert_eq!(
                error,
                format!(
                    "rate: {shown} is not a rate from 0 to 1e9 a second; correct it, or scale the \
                     trace down"
                )
            );
        }
    }

    #[test]
    fn no_step_and_no_length_are_refused() {
        let error = Trace::new("t", 0, vec![1.0]).expect_err("no step").to_string();
        assert_eq!(error, "step: 0 s is not from 1 s to 604800 s; take a step in that range");
        let error = Trace::new("t", 1, Vec::new()).expect_err("no steps").to_string();
        assert_eq!(error, "steps: 0 is not from 1 to 4000000; take a longer step, or a part of it");
    }

    #[test]
    fn a_key_with_a_meaning_of_its_own_is_refused() {
        let trace = Trace::new("t", 1, vec![1.0]).expect("a trace");
        let error = trace.clone().with_metadata("step_s", "9").expect_err("reserved").to_string();
        assert_eq!(
            error,
            "key of metadata: \"step_s\" is not 1 to 64 of a-z, 0-9 and _, other than gaps, name, \
             provenance, start_s, step_s and unit; choose another, such as note"
        );
        assert!(trace.with_metadata("A b", "9").is_err());
    }

    #[test]
    fn a_negative_zero_is_zero() {
        let trace = Trace::new("t", 1, vec![-0.0]).expect("a trace");
        assert!(trace.to_csv().ends_with("\n0,0\n"), "{}", trace.to_csv());
    }

    #[test]
    fn after_the_end_there_is_no_load() {
        let trace = Trace::new("t", 60, vec![5.0]).expect("a trace");
        assert_eq!(
            (trace.rate_at(59), trace.rate_at(60), trace.rate_at(u64::MAX)),
            (5.0, 0.0, 0.0)
        );
    }

    #[test]
    fn a_quantile_is_the_nearest_rank_without_gaps() {
        let mut trace = Trace::new("t", 1, (1..=500).map(f64::from).collect()).expect("a trace");
        assert_eq!(trace.quantile(0.998), 499.0);
        // 0.07 of 100 steps is a hair above 7 in binary.
        let hundred = Trace::new("t", 1, (1..=100).map(f64::from).collect()).expect("a trace");
        assert_eq!(hundred.quantile(0.07), 7.0);
        assert_eq!((trace.quantile(0.0), trace.quantile(1.0)), (1.0, 500.0));
        assert_eq!((trace.quantile(f64::NAN), trace.quantile(7.0)), (1.0, 500.0));
        trace.gaps = vec![Gap { first_step: 400, steps: 100 }];
        assert_eq!(trace.quantile(1.0), 400.0);
        trace.gaps = vec![Gap { first_step: 0, steps: 500 }];
        assert_eq!(trace.quantile(1.0), 500.0);
    }

    #[test]
    fn a_name_fits_in_a_line() {
        let trace = Trace::new(" a\nb\u{1b}[31m\t c ", 1, vec![0.0]).expect("a trace");
        assert_eq!(trace.name(), "a b [31m c");
        assert_eq!(trace.with_name("\n").name(), "a b [31m c");
        assert_eq!(Trace::new("", 1, vec![0.0]).expect("a trace").name(), "unnamed");
    }

    #[test]
    fn every_second_of_a_trace_is_given_once() {
        let trace = Trace::new("t", 3, vec![1.0, 2.0]).expect("a trace");
        let seconds: Vec<f64> = trace.each_second().collect();
        let asked: Vec<f64> = (0..6).map(|second| trace.rate_at(second)).collect();
        assert_eq!(seconds, asked);
        assert_eq!(trace.expected(), 9.0);
    }
}
