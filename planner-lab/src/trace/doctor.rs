//! What a trace cannot show, or shows only by accident: findings, each with its value, the rule and
//! what it means. Not a judgement of whether a load is realistic.

use std::fmt::{Display, Formatter};

use super::Trace;

/// Steps in a row that a repeated stretch has at least.
const STRETCH_STEPS_MIN: usize = 30;
/// Different rates in it at least: few rates repeat by chance.
const STRETCH_RATES_MIN: usize = 10;

/// Limits of the findings.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who know their service")]
pub struct DoctorRules {
    /// How long a replica takes to become ready, in seconds; a step should not be longer.
    pub startup_s: u32,
    /// How long a trace should last at least, in seconds.
    pub length_s_min: u64,
    /// How often the median the highest rate may be.
    pub max_to_median_max: f64,
    /// How long a trace may be without any load at a stretch, in seconds.
    pub zero_s_max: u64,
}

impl Default for DoctorRules {
    /// 60 s to start, an hour, 20 times the median, 10 minutes without load.
    fn default() -> Self {
        Self { startup_s: 60, length_s_min: 3_600, max_to_median_max: 20.0, zero_s_max: 600 }
    }
}

/// Something to know about a trace before its results are believed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// Steps are longer than a replica takes to start.
    Coarse {
        /// Length of a step in seconds.
        step_s: u32,
        /// Start-up time in seconds.
        startup_s: u32,
    },
    /// A stretch with many different rates comes twice, to the last bit.
    Duplicated {
        /// First step of its first appearance.
        first_step: usize,
        /// First step of its second.
        second_step: usize,
        /// Its length in steps.
        steps: usize,
    },
    /// The source says nothing of some steps.
    Gaps {
        /// How many gaps.
        gaps: usize,
        /// Steps in all of them.
        steps: usize,
        /// Steps of the trace.
        of: usize,
        /// Steps of the longest.
        longest: usize,
    },
    /// Half of the steps or more are without load.
    MostlyZero {
        /// Steps without load.
        steps: usize,
        /// Steps of the trace.
        of: usize,
    },
    /// The highest rate is far above the median.
    Peak {
        /// Highest rate over median.
        ratio: f64,
        /// The limit.
        ratio_max: f64,
    },
    /// The trace is short.
    Short {
        /// How long it lasts, in seconds.
        length_s: u64,
        /// The limit in seconds.
        length_s_min: u64,
    },
    /// Long stretches without load.
    ZeroStretch {
        /// How many stretches are longer than the limit.
        stretches: usize,
        /// The longest in seconds.
        longest_s: u64,
        /// First step of the longest.
        first_step: usize,
        /// The limit in seconds.
        zero_s_max: u64,
    },
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Coarse { step_s, startup_s } => write!(
                f,
                "step: {step_s} s, longer than the {startup_s} s that a replica takes to start; \
                 load jumps between steps and is flat within them, so early scaling shows too little"
            ),
            Self::Duplicated { first_step, second_step, steps } => write!(
                f,
                "duplicated: {steps} steps from step {first_step} on come again from step \
                 {second_step} on, and real load never repeats exactly; what learns a pattern \
                 looks better than it is"
            ),
            Self::Gaps { gaps, steps, of, longest } => write!(
                f,
                "gaps: {steps} of {of} steps in {gaps} gaps, the longest of {longest}, where the \
                 source should say something; their rates were filled in and prove nothing"
            ),
            Self::MostlyZero { steps, of } => write!(
                f,
                "mostly zero: {steps} of {of} steps are without load, half or more; the minimum of \
                 replicas decides most of the cost"
            ),
            Self::Peak { ratio, ratio_max } => write!(
                f,
                "peak: {ratio:.1} times the median, above {ratio_max}; a few steps decide all that \
                 is scaled or counted by the highest rate"
            ),
            Self::Short { length_s, length_s_min } => write!(
                f,
                "length: {length_s} s, below {length_s_min} s; too few scalings to tell policies \
                 apart, and no daily pattern"
            ),
            Self::ZeroStretch { stretches, longest_s, first_step, zero_s_max } => write!(
                f,
                "zero load: {longest_s} s from step {first_step} on, above {zero_s_max} s (such \
                 stretches: {stretches}); either an outage of the source, or a case for scaling to \
                 zero"
            ),
        }
    }
}

/// What to know about a trace, by the usual rules.
///
/// ```
/// use planner_lab::trace::{Trace, doctor};
///
/// let trace = Trace::new("t", 300, vec![1.0; 12])?;
/// assert_eq!(
///     doctor(&trace)[0].to_string(),
///     "step: 300 s, longer than the 60 s that a replica takes to start; load jumps between steps \
///      and is flat within them, so early scaling shows too little"
/// );
/// # Ok::<(), planner_lab::trace::TraceError>(())
/// ```
pub fn doctor(trace: &Trace) -> Vec<Finding> {
    DoctorRules::default().examine(trace)
}

impl DoctorRules {
    /// What to know about a trace by these rules, in the order of the variants of [`Finding`].
    /// Sorts the steps: a week of seconds takes some tens of milliseconds.
    pub fn examine(&self, trace: &Trace) -> Vec<Finding> {
        let of = trace.rates_per_s().len();
        let mut findings = Vec::new();
        if trace.step_s() > self.startup_s {
            let (step_s, startup_s) = (trace.step_s(), self.startup_s);
            findings.push(Finding::Coarse { step_s, startup_s });
        }
        findings.extend(duplicated(trace.rates_per_s()));
        if let Some(longest) = trace.gaps().iter().map(|gap| gap.steps).max() {
            let steps = trace.gaps().iter().map(|gap| gap.steps).sum();
            findings.push(Finding::Gaps { gaps: trace.gaps().len(), steps, of, longest });
        }
        let (median, highest) = (trace.quantile(0.5), trace.quantile(1.0));
        if median <= 0.0 {
            let steps = trace.rates_per_s().iter().filter(|rate| **rate <= 0.0).count();
            findings.push(Finding::MostlyZero { steps, of });
        } else if highest / median > self.max_to_median_max {
            let (ratio, ratio_max) = (highest / median, self.max_to_median_max);
            findings.push(Finding::Peak { ratio, ratio_max });
        }
        let (length_s, length_s_min) = (trace.duration_s(), self.length_s_min);
        if length_s < length_s_min {
            findings.push(Finding::Short { length_s, length_s_min });
        }
        findings.extend(self.zero_stretch(trace));
        findings
    }

    fn zero_stretch(&self, trace: &Trace) -> Option<Finding> {
        let step_s = u64::from(trace.step_s());
        let mut first_step = 0;
        let (mut stretches, mut longest_s, mut longest_from) = (0, 0, 0);
        for stretch in trace.rates_per_s().chunk_by(|one, next| (*one > 0.0) == (*next > 0.0)) {
            let seconds = stretch.len() as u64 * step_s;
            if stretch[0] <= 0.0 && seconds > self.zero_s_max {
                stretches += 1;
                if seconds > longest_s {
                    (longest_s, longest_from) = (seconds, first_step);
                }
            }
            first_step += stretch.len();
        }
        (stretches > 0).then_some(Finding::ZeroStretch {
            stretches,
            longest_s,
            first_step: longest_from,
            zero_s_max: self.zero_s_max,
        })
    }
}

/// The longest stretch that comes twice without overlap.
fn duplicated(rates: &[f64]) -> Option<Finding> {
    let mut windows = hashes(rates);
    windows.sort_unstable();
    let mut longest: Option<(usize, usize, usize)> = None;
    for same in windows.chunk_by(|one, next| one.0 == next.0) {
        // The first two appearances that do not overlap; later ones tell nothing more.
        let first = same[0].1;
        let Some((_, second)) = same.iter().find(|it| it.1 >= first + STRETCH_STEPS_MIN) else {
            continue;
        };
        let second = *second;
        // A stretch that was grown already starts one step earlier in both places.
        let grown = first > 0 && rates[first - 1].to_bits() == rates[second - 1].to_bits();
        if grown && varied(&rates[first - 1..first - 1 + STRETCH_STEPS_MIN]) {
            continue;
        }
        let stretch = &rates[first..first + STRETCH_STEPS_MIN];
        if !varied(stretch) {
            continue;
        }
        let pairs = rates[first..second].iter().zip(&rates[second..]);
        let steps = pairs.take_while(|(one, other)| one.to_bits() == other.to_bits()).count();
        // Of stretches of equal length, the earliest: the order of hashes means nothing.
        let better = |(from, _, before)| steps > before || steps == before && first < from;
        if steps >= STRETCH_STEPS_MIN && longest.is_none_or(better) {
            longest = Some((first, second, steps));
        }
    }
    longest.map(|(first_step, second_step, steps)| Finding::Duplicated {
        first_step,
        second_step,
        steps,
    })
}

/// A hash of every window of [`STRETCH_STEPS_MIN`] steps, with where it starts.
fn hashes(rates: &[f64]) -> Vec<(u64, usize)> {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = |rate: &f64| {
        let bits = rate.to_bits().wrapping_mul(FACTOR);
        bits ^ (bits >> 32)
    };
    let last = (0..STRETCH_STEPS_MIN).fold(1_u64, |power, _| power.wrapping_mul(FACTOR));
    let mut hash = 0_u64;
    let mut hashes = Vec::with_capacity(rates.len());
    for (step, rate) in rates.iter().enumerate() {
        hash = hash.wrapping_mul(FACTOR).wrapping_add(mixed(rate));
        if let Some(before) = step.checked_sub(STRETCH_STEPS_MIN) {
            hash = hash.wrapping_sub(mixed(&rates[before]).wrapping_mul(last));
        }
        if step + 1 >= STRETCH_STEPS_MIN {
            hashes.push((hash, step + 1 - STRETCH_STEPS_MIN));
        }
    }
    hashes
}

/// Whether a stretch has enough different rates not to repeat by chance.
fn varied(stretch: &[f64]) -> bool {
    let mut bits: Vec<u64> = stretch.iter().map(|rate| rate.to_bits()).collect();
    bits.sort_unstable();
    bits.dedup();
    bits.len() >= STRETCH_RATES_MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Gap;

    fn trace(step_s: u32, rates: Vec<f64>) -> Trace {
        Trace::new("t", step_s, rates).expect("a trace")
    }

    fn texts(trace: &Trace) -> Vec<String> {
        doctor(trace).iter().map(ToString::to_string).collect()
    }

    /// Rates that do not repeat.
    fn fresh(steps: u32, seed: u32) -> Vec<f64> {
        (0..steps)
            .map(|step| f64::from((step + seed * 1_000).wrapping_mul(2_654_435_761) >> 12) + 1.0)
            .collect()
    }

    #[test]
    fn a_calm_long_fine_trace_has_no_findings() {
        assert_eq!(doctor(&trace(60, fresh(600, 1))), []);
        assert_eq!(doctor(&trace(60, vec![5.0; 600])), []);
    }

    #[test]
    fn a_short_trace_and_a_coarse_step_are_found() {
        assert_eq!(
            texts(&trace(300, vec![1.0])),
            [
                "step: 300 s, longer than the 60 s that a replica takes to start; load jumps between \
                 steps and is flat within them, so early scaling shows too little",
                "length: 300 s, below 3600 s; too few scalings to tell policies apart, and no daily \
                 pattern",
            ]
        );
    }

    #[test]
    fn a_peak_is_found_and_steps_in_gaps_are_none() {
        let mut rates = vec![2.0; 100];
        rates[50] = 50.0;
        let mut peak = trace(60, rates);
        assert_eq!(
            texts(&peak),
            ["peak: 25.0 times the median, above 20; a few steps decide all that is scaled or \
                 counted by the highest rate"]
        );
        peak.gaps = vec![Gap { first_step: 3, steps: 2 }, Gap { first_step: 50, steps: 1 }];
        assert_eq!(
            texts(&peak),
            ["gaps: 3 of 100 steps in 2 gaps, the longest of 2, where the source should say \
                 something; their rates were filled in and prove nothing"]
        );
    }

    #[test]
    fn time_without_load_is_found() {
        let mut rates = vec![1.0; 100];
        rates[7..18].fill(0.0);
        rates[30..50].fill(0.0);
        assert_eq!(
            texts(&trace(60, rates.clone())),
            ["zero load: 1200 s from step 30 on, above 600 s (such stretches: 2); either an \
                 outage of the source, or a case for scaling to zero"]
        );
        rates[0..70].fill(0.0);
        assert_eq!(
            texts(&trace(60, rates))[0],
            "mostly zero: 70 of 100 steps are without load, half or more; the minimum of replicas \
             decides most of the cost"
        );
    }

    #[test]
    fn a_stretch_that_comes_twice_is_found_whole() {
        let mut rates = fresh(500, 1);
        let copy = rates[100..180].to_vec();
        rates[400..480].copy_from_slice(&copy);
        assert_eq!(
            texts(&trace(60, rates)),
            ["duplicated: 80 steps from step 100 on come again from step 400 on, and real load \
                 never repeats exactly; what learns a pattern looks better than it is"]
        );
    }

    #[test]
    fn of_equal_stretches_the_earliest_is_told() {
        let rates = fresh(100, 1).repeat(9);
        let found = duplicated(&rates);
        assert_eq!(
            found,
            Some(Finding::Duplicated { first_step: 0, second_step: 100, steps: 100 })
        );
    }

    #[test]
    fn few_rates_that_repeat_by_chance_are_no_duplicate() {
        let rates = (0..2_000).map(|step| f64::from(step % 7)).collect();
        assert!(
            !doctor(&trace(60, rates)).iter().any(|it| matches!(it, Finding::Duplicated { .. }))
        );
    }

    #[test]
    fn the_rules_are_ones_own() {
        let rules = DoctorRules { startup_s: 300, length_s_min: 60, ..DoctorRules::default() };
        assert_eq!(rules.examine(&trace(300, vec![1.0])), []);
    }
}
