//! Parts, levels and steps of a trace. Each change is stated in the provenance of the result.

use super::csv::merged;
use super::{Gap, RATE_PER_S_MAX, STEPS_MAX, Trace, TraceError, check_step};

/// How many replicas a trace is to need at its height.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who scale traces")]
pub struct Need {
    /// Share of the steps that is not to need more, above 0 and at most 1, by nearest rank.
    pub quantile: f64,
    /// Replicas needed there, at least 1.
    pub replicas: u32,
    /// Requests per second that a replica answers, above 0.
    pub rate_per_replica_per_s: f64,
}

impl Trace {
    /// The first `seconds` of it, in whole steps; all of it when it is no longer than that.
    ///
    /// # Errors
    ///
    /// [`TraceError::Argument`] when not even one step fits in.
    pub fn first(mut self, seconds: u64) -> Result<Self, TraceError> {
        let steps = usize::try_from(seconds / u64::from(self.step_s)).unwrap_or(usize::MAX);
        if steps == 0 {
            return Err(TraceError::Argument {
                what: "first",
                value: format!("{seconds} s of steps of {} s", self.step_s),
                rule: "at least one step",
                remedy: "take more of it, or resample it first",
            });
        }
        let whole_s = self.duration_s();
        if steps < self.rates_per_s.len() {
            self.rates_per_s.truncate(steps);
            self.gaps.retain(|gap| gap.first_step < steps);
            if let Some(last) = self.gaps.last_mut() {
                last.steps = last.steps.min(steps - last.first_step);
            }
        }
        let kept_s = self.duration_s();
        self.note(&format!("first {kept_s} s of {whole_s} s"));
        Ok(self)
    }

    /// Every rate times `factor`.
    ///
    /// # Errors
    ///
    /// [`TraceError::Argument`] when the factor is not finite and above 0, or takes a rate above
    /// 1e9 a second.
    pub fn scaled(mut self, factor: f64) -> Result<Self, TraceError> {
        self.multiply(factor)?;
        self.note(&format!("scaled by {factor}"));
        Ok(self)
    }

    /// Scaled so that its quantile is what so many replicas answer at full use. The quantile is the
    /// nearest rank over the steps outside gaps.
    ///
    /// # Errors
    ///
    /// [`TraceError::Argument`] when a number of `need` is out of range, when there is no load at
    /// the quantile, or when a rate would be above 1e9 a second.
    ///
    /// ```
    /// use planner_lab::trace::{Need, Trace};
    ///
    /// let need = Need { quantile: 0.998, replicas: 40, rate_per_replica_per_s: 50.0 };
    /// let trace = Trace::new("t", 60, vec![1.0, 4.0])?.scaled_so_that(need)?;
    /// assert_eq!(trace.rates_per_s(), [500.0, 2_000.0]);
    /// assert_eq!(
    ///     trace.provenance(),
    ///     ["scaled by 500 so that quantile 0.998 of the steps (nearest rank) needs 40 replicas \
    ///       of 50 requests per second"]
    /// );
    /// # Ok::<(), planner_lab::trace::TraceError>(())
    /// ```
    pub fn scaled_so_that(mut self, need: Need) -> Result<Self, TraceError> {
        let Need { quantile, replicas, rate_per_replica_per_s } = need;
        let refused = |what, value: String, rule, remedy| {
            Err(TraceError::Argument { what, value, rule, remedy })
        };
        if !(quantile > 0.0 && quantile <= 1.0) {
            let remedy = "take a share of the steps, such as 0.998";
            return refused("quantile", quantile.to_string(), "above 0 and at most 1", remedy);
        }
        if replicas == 0 {
            return refused("replicas", "0".to_owned(), "at least 1", "ask for one or more");
        }
        if !(rate_per_replica_per_s > 0.0 && rate_per_replica_per_s <= RATE_PER_S_MAX) {
            let value = rate_per_replica_per_s.to_string();
            let remedy = "say how many requests per second a replica answers";
            return refused("rate of a replica", value, "above 0 and at most 1e9", remedy);
        }
        let rate = self.quantile(quantile);
        if rate <= 0.0 {
            let value = format!("0 at quantile {quantile}");
            let remedy = "take a higher quantile, or scale by a factor";
            return refused("rate", value, "above 0, and cannot be scaled", remedy);
        }
        let factor = f64::from(replicas) * rate_per_replica_per_s / rate;
        self.multiply(factor)?;
        self.note(&format!(
            "scaled by {factor} so that quantile {quantile} of the steps (nearest rank) needs \
             {replicas} replicas of {rate_per_replica_per_s} requests per second"
        ));
        Ok(self)
    }

    /// On a grid of another step, each new rate the mean over its step, so that the total is kept.
    /// A last step that reaches beyond the end counts the rest of it as 0. A step that touches a
    /// gap is one.
    ///
    /// # Errors
    ///
    /// [`TraceError::Argument`] when the step is out of range, or gives too many steps.
    pub fn resampled(mut self, step_s: u32) -> Result<Self, TraceError> {
        check_step(step_s)?;
        let (old_s, new_s, end_s) = (u64::from(self.step_s), u64::from(step_s), self.duration_s());
        let steps = usize::try_from(end_s.div_ceil(new_s)).ok().filter(|it| *it <= STEPS_MAX);
        let steps = steps.ok_or_else(|| TraceError::Argument {
            what: "step",
            value: format!("{step_s} s, which gives {} steps,", end_s.div_ceil(new_s)),
            rule: "long enough for at most 4000000 steps",
            remedy: "take a longer step, or a part of the trace",
        })?;
        let mut amounts = vec![0.0; steps];
        let mut at_s = 0;
        let mut old = self.rates_per_s.iter().zip(1_u64..);
        let mut current = old.next();
        // Every piece lies in one old and one new step; lengths are whole, so only rates round.
        while let Some((rate, number)) = current {
            let slot = usize::try_from(at_s / new_s).unwrap_or(usize::MAX);
            let until_s = (number * old_s).min((at_s / new_s + 1) * new_s);
            if let Some(amount) = amounts.get_mut(slot) {
                *amount += rate * (until_s - at_s) as f64;
            }
            at_s = until_s;
            if at_s == number * old_s {
                current = old.next();
            }
        }
        // A mean cannot exceed the largest of its parts, but its rounding can.
        self.rates_per_s =
            amounts.into_iter().map(|it: f64| (it / new_s as f64).min(RATE_PER_S_MAX)).collect();
        let slot = |step: usize| step as u64 * old_s / new_s;
        let touched = self.gaps.iter().filter_map(|gap| {
            let first_step = usize::try_from(slot(gap.first_step)).ok()?;
            let end = (gap.first_step + gap.steps) as u64 * old_s;
            Some(Gap { first_step, steps: usize::try_from(end.div_ceil(new_s)).ok()? - first_step })
        });
        self.gaps = merged(touched.collect());
        self.step_s = step_s;
        let rest_s = end_s % new_s;
        let rest = if rest_s == 0 {
            String::new()
        } else {
            format!("; the last step has load for {rest_s} s of it")
        };
        self.note(&format!("resampled from steps of {old_s} s to means over {step_s} s{rest}"));
        Ok(self)
    }

    fn multiply(&mut self, factor: f64) -> Result<(), TraceError> {
        let highest = self.rates_per_s.iter().copied().fold(0.0, f64::max);
        if factor > 0.0 && factor.is_finite() && highest * factor <= RATE_PER_S_MAX {
            for rate in &mut self.rates_per_s {
                *rate *= factor;
            }
            return Ok(());
        }
        Err(TraceError::Argument {
            what: "factor",
            value: format!("{factor} for a highest rate of {highest}"),
            rule: "finite, above 0, and such that no rate exceeds 1e9 a second",
            remedy: "take a smaller one above 0",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(step_s: u32, rates: &[f64]) -> Trace {
        Trace::new("t", step_s, rates.to_vec()).expect("a trace")
    }

    fn words(result: Result<Trace, TraceError>) -> String {
        result.expect_err("refused").to_string()
    }

    #[test]
    fn what_cannot_be_scaled_is_refused() {
        let need = Need { quantile: 0.5, replicas: 4, rate_per_replica_per_s: 50.0 };
        for (result, expected) in [
            (
                trace(60, &[1.0]).first(59),
                "first: 59 s of steps of 60 s is not at least one step; take more of it, or \
                 resample it first",
            ),
            (
                trace(60, &[2.0]).scaled(1e9),
                "factor: 1000000000 for a highest rate of 2 is not finite, above 0, and such that \
                 no rate exceeds 1e9 a second; take a smaller one above 0",
            ),
            (
                trace(60, &[0.0, 0.0, 1.0]).scaled_so_that(need),
                "rate: 0 at quantile 0.5 is not above 0, and cannot be scaled; take a higher \
                 quantile, or scale by a factor",
            ),
            (
                trace(60, &[1.0]).scaled_so_that(Need { quantile: 99.8, ..need }),
                "quantile: 99.8 is not above 0 and at most 1; take a share of the steps, such as \
                 0.998",
            ),
            (
                trace(60, &[1.0]).scaled_so_that(Need { replicas: 0, ..need }),
                "replicas: 0 is not at least 1; ask for one or more",
            ),
            (
                trace(60, &[1.0]).scaled_so_that(Need { rate_per_replica_per_s: f64::NAN, ..need }),
                "rate of a replica: NaN is not above 0 and at most 1e9; say how many requests per \
                 second a replica answers",
            ),
            (
                trace(604_800, &[1.0; 7]).resampled(1),
                "step: 1 s, which gives 4233600 steps, is not long enough for at most 4000000 \
                 steps; take a longer step, or a part of the trace",
            ),
            (
                trace(60, &[1.0]).resampled(0),
                "step: 0 s is not from 1 s to 604800 s; take a step in that range",
            ),
        ] {
            assert_eq!(words(result), expected);
        }
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(trace(60, &[0.0]).scaled(factor).is_err(), "{factor}");
        }
    }

    #[test]
    fn a_part_keeps_the_gaps_within_it() {
        let mut long = trace(60, &[1.0, 2.0, 3.0, 4.0]);
        long.gaps = vec![Gap { first_step: 1, steps: 2 }, Gap { first_step: 3, steps: 1 }];
        let part = long.clone().first(125).expect("a part");
        assert_eq!((part.rates_per_s(), part.gaps().len()), (&[1.0, 2.0][..], 1));
        assert_eq!((part.is_gap(0), part.is_gap(1), part.is_gap(2)), (false, true, false));
        assert_eq!(part.provenance(), ["first 120 s of 240 s"]);
        assert_eq!(long.clone().first(9_999).expect("all").rates_per_s(), long.rates_per_s());
    }

    #[test]
    fn finer_and_coarser_steps_are_means() {
        let finer = trace(60, &[1.0, 4.0]).resampled(40).expect("finer");
        assert_eq!(finer.rates_per_s(), [1.0, 2.5, 4.0]);
        let coarser = trace(60, &[1.0, 4.0, 4.0]).resampled(120).expect("coarser");
        assert_eq!(coarser.rates_per_s(), [2.5, 2.0]);
        assert_eq!(
            coarser.provenance(),
            ["resampled from steps of 60 s to means over 120 s; the last step has load for 60 s \
                 of it"]
        );
    }

    #[test]
    fn a_step_that_touches_a_gap_is_one() {
        let mut holed = trace(60, &[1.0; 6]);
        holed.gaps = vec![Gap { first_step: 1, steps: 1 }, Gap { first_step: 3, steps: 1 }];
        let coarser = holed.clone().resampled(120).expect("coarser");
        assert_eq!(coarser.gaps(), [Gap { first_step: 0, steps: 2 }]);
        let finer = holed.resampled(30).expect("finer");
        assert_eq!(
            finer.gaps(),
            [Gap { first_step: 2, steps: 2 }, Gap { first_step: 6, steps: 2 }]
        );
    }
}
