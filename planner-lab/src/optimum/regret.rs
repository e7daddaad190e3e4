//! How far a policy was from the optimum.

use super::clairvoyant::Bracket;
use super::instance::{Outcome, ScheduleError};

/// What a policy spent beyond the least that was possible, in replica-seconds.
///
/// The optimum is known between two bounds, so its regret is too. Compare at equal violations: the
/// bracket of the share that the policy had ([`Outcome::violating_share`]).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Regret {
    /// It spent at least this much too much: more than a schedule that exists.
    pub least_replica_s: f64,
    /// And at most this much: more than any schedule needs.
    pub most_replica_s: f64,
    /// Its cost as a multiple of the schedule's, at least 1 when that is the optimum.
    pub least_ratio: f64,
    /// Its cost as a multiple of the lower bound.
    pub most_ratio: f64,
}

/// The regret of a policy's outcome against a bracket.
///
/// A negative `least_replica_s` means that the policy violated more than the bracket allows, or
/// that it found a better schedule than the bracket knows. Ratios to nothing are infinite, or 1
/// when the policy spent nothing either.
pub fn regret(policy: &Outcome, optimum: &Bracket) -> Regret {
    let spent = policy.replica_s;
    let (lower, upper) = (optimum.lower_replica_s, optimum.plan.outcome.replica_s);
    Regret {
        least_replica_s: spent - upper,
        most_replica_s: spent - lower,
        least_ratio: ratio(spent, upper),
        most_ratio: ratio(spent, lower),
    }
}

/// Decision by decision, the replicas that a policy ordered beyond those that the optimum's
/// schedule had: negative where it had fewer.
///
/// # Errors
///
/// [`ScheduleError::Length`] when the two are not for the same decisions.
pub fn regret_per_decision(policy: &[u32], optimum: &[u32]) -> Result<Vec<i64>, ScheduleError> {
    if policy.len() != optimum.len() {
        return Err(ScheduleError::Length { given: policy.len(), expected: optimum.len() });
    }
    let pairs = policy.iter().zip(optimum);
    Ok(pairs.map(|(had, best)| i64::from(*had) - i64::from(*best)).collect())
}

fn ratio(spent: f64, reference: f64) -> f64 {
    if spent == reference { 1.0 } else { spent / reference }
}

#[cfg(test)]
mod tests {
    use super::super::instance::Plan;
    use super::*;

    fn outcome(replica_s: f64) -> Outcome {
        Outcome { replica_s, violating: 1.0, requests: 100.0 }
    }

    #[test]
    fn schedules_of_other_lengths_cannot_be_compared() {
        let refusal = regret_per_decision(&[1, 2], &[1]).expect_err("refused");
        assert_eq!(
            refusal.to_string(),
            "schedule has 2 targets, the load 1 decisions; give one for each"
        );
    }

    #[test]
    fn regret_lies_between_those_against_both_bounds() {
        let plan = Plan { targets: vec![2, 3], outcome: outcome(100.0) };
        let bracket = Bracket { share: 0.01, lower_replica_s: 80.0, plan };
        let regret = regret(&outcome(120.0), &bracket);
        assert_eq!((regret.least_replica_s, regret.most_replica_s), (20.0, 40.0));
        assert_eq!((regret.least_ratio, regret.most_ratio), (1.2, 1.5));
        assert_eq!(regret_per_decision(&[1, 5], &bracket.plan.targets), Ok(vec![-1, 2]));
    }

    #[test]
    fn nothing_spent_where_nothing_was_needed_is_no_regret() {
        let plan = Plan { targets: vec![], outcome: outcome(0.0) };
        let bracket = Bracket { share: 1.0, lower_replica_s: 0.0, plan };
        assert_eq!(regret(&outcome(0.0), &bracket).most_ratio, 1.0);
        assert_eq!(regret(&outcome(1.0), &bracket).least_ratio, f64::INFINITY);
    }
}
