//! What the readers share: numbered lines, numbers, and samples on a uniform grid.

use super::{Gap, Missing, RATE_PER_S_MAX, Rule, START_S_MAX, STEPS_MAX, Trace, TraceError};

/// Lines that are not blank, counted from 1, without white space at their end.
pub(super) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines().map(str::trim_end)).filter(|(_, line)| !line.is_empty())
}

/// A number whose quotient by `seconds` is a rate.
pub(super) fn rate(text: &str, seconds: u32) -> Result<f64, Rule> {
    let value: f64 = text.trim().parse().map_err(|_| Rule::Rate)?;
    let rate_per_s = value / f64::from(seconds);
    // The quotient of infinity is none, but a tiny negative value must not pass as zero.
    if value >= 0.0 && rate_per_s <= RATE_PER_S_MAX { Ok(rate_per_s) } else { Err(Rule::Rate) }
}

/// A time in whole seconds, not further from the origin than a trace may start.
pub(super) fn whole_seconds(text: &str) -> Option<i64> {
    text.trim().parse().ok().filter(|it: &i64| (-START_S_MAX..=START_S_MAX).contains(it))
}

/// Which step this time is. Times are at most [`START_S_MAX`] from the origin.
pub(super) fn step_of(at_s: i64, first_s: i64, step_s: u32) -> Result<usize, Rule> {
    let (since_s, step_s) = (at_s - first_s, i64::from(step_s));
    if since_s < 0 {
        return Err(Rule::Order);
    }
    if since_s % step_s != 0 {
        return Err(Rule::OffGrid);
    }
    usize::try_from(since_s / step_s).ok().filter(|step| *step < STEPS_MAX).ok_or(Rule::TooLong)
}

/// A trace without holes, made of what is known of some steps.
pub(super) struct Filled {
    rates_per_s: Vec<f64>,
    gaps: Vec<Gap>,
    missing: usize,
}

/// Fills the steps between those that are known, which ascend from step 0.
///
/// # Errors
///
/// The index in `known` of what follows a hole, where holes are refused.
pub(super) fn fill(known: &[(usize, f64)], missing: Missing) -> Result<Filled, usize> {
    let mut filled = Filled { rates_per_s: Vec::new(), gaps: Vec::new(), missing: 0 };
    for (index, (step, rate_per_s)) in known.iter().enumerate() {
        let first_step = filled.rates_per_s.len();
        let steps = step.saturating_sub(first_step);
        if steps > 0 {
            let rate_before = filled.rates_per_s.last().copied().unwrap_or(0.0);
            let rate = match missing {
                Missing::Hold => rate_before,
                Missing::Refuse => return Err(index),
                Missing::Zero => 0.0,
            };
            if missing == Missing::Hold {
                filled.gaps.push(Gap { first_step, steps });
            }
            filled.rates_per_s.resize(*step, rate);
            filled.missing += steps;
        }
        filled.rates_per_s.push(*rate_per_s);
    }
    Ok(filled)
}

impl Filled {
    /// The trace, with a sentence on what was missing.
    pub(super) fn trace(self, name: &str, start_s: i64, step_s: u32) -> Result<Trace, TraceError> {
        let steps = self.rates_per_s.len();
        let mut trace = Trace::new(name, step_s, self.rates_per_s)?;
        trace.start_s = start_s;
        if self.missing > 0 {
            let rule = if self.gaps.is_empty() {
                "counted as 0"
            } else {
                "held at the rate before, and stated as gaps"
            };
            trace.note(&format!("{} of {steps} steps missing: {rule}", self.missing));
        }
        trace.gaps = self.gaps;
        Ok(trace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_refused_held_or_zero() {
        let known = [(0, 4.0), (3, 5.0)];
        assert_eq!(fill(&known, Missing::Refuse).map(|_| ()), Err(1));
        let held = fill(&known, Missing::Hold).and_then(|it| it.trace("t", 0, 1).map_err(|_| 0));
        let held = held.expect("a trace");
        assert_eq!(held.rates_per_s(), [4.0, 4.0, 4.0, 5.0]);
        assert_eq!(held.gaps(), [Gap { first_step: 1, steps: 2 }]);
        assert_eq!(
            held.provenance(),
            ["2 of 4 steps missing: held at the rate before, and stated as gaps"]
        );
        let zero = fill(&known, Missing::Zero).and_then(|it| it.trace("t", 0, 1).map_err(|_| 0));
        let zero = zero.expect("a trace");
        assert_eq!((zero.rates_per_s(), zero.gaps()), (&[4.0, 0.0, 0.0, 5.0][..], &[][..]));
        assert_eq!(zero.provenance(), ["2 of 4 steps missing: counted as 0"]);
    }

    #[test]
    fn what_is_no_load_is_no_rate() {
        for text in ["", "x", "NaN", "inf", "-1e-300", "-inf", "6.1e10", "1 2"] {
            assert_eq!(rate(text, 60), Err(Rule::Rate), "{text:?}");
        }
        assert_eq!(rate(" 6e10 ", 60), Ok(1e9));
        assert_eq!(rate("-0", 1), Ok(0.0));
    }

    #[test]
    fn a_time_is_a_step_or_breaks_a_rule() {
        assert_eq!(step_of(-60, -120, 60), Ok(1));
        assert_eq!(step_of(0, 60, 60), Err(Rule::Order));
        assert_eq!(step_of(61, 0, 60), Err(Rule::OffGrid));
        assert_eq!(step_of(START_S_MAX, -START_S_MAX, 1), Err(Rule::TooLong));
        assert_eq!(step_of(3_999_999, 0, 1), Ok(3_999_999));
        assert_eq!(step_of(4_000_000, 0, 1), Err(Rule::TooLong));
    }
}
