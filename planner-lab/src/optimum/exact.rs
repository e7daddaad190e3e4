//! The exact optimum of small instances.

use std::collections::BTreeMap;

use super::fleet::Fleet;
use super::instance::{Instance, Pass, Plan};
use super::{OptimumError, check_share};

/// Most labels that are kept: some hundred megabytes.
pub const LABELS_MAX: usize = 1_000_000;

/// How a label came about.
#[derive(Clone, Copy, Debug)]
struct Step {
    parent: usize,
    target: u32,
}

/// One way to a configuration.
#[derive(Clone, Debug)]
struct Label {
    pass: Pass,
    step: usize,
}

impl Label {
    /// Whether this way is at least as good whatever follows. With equal configurations the same
    /// orders remain possible; the same orders then cost the same, and less backlog never means
    /// more violations or more backlog later.
    fn dominates(&self, other: &Self) -> bool {
        self.pass.replica_steps <= other.pass.replica_steps
            && self.pass.violating <= other.pass.violating
            && self.pass.backlog <= other.pass.backlog
    }
}

/// The cheapest schedule with at most this share of violating requests, exactly.
///
/// A label-setting dynamic programme: decision by decision, for every configuration of ready and
/// starting replicas, the ways there that no other way beats in cost, violations and backlog at
/// once. Exponential in the worst case: for a dozen decisions and a handful of replicas.
///
/// # Errors
///
/// [`OptimumError::Share`] when the share is none, [`OptimumError::Impossible`] when no schedule
/// meets it, [`OptimumError::TooLarge`] when more than [`LABELS_MAX`] labels would be needed.
pub fn exact(instance: &Instance, share: f64) -> Result<Plan, OptimumError> {
    check_share(share)?;
    solve(instance, share, LABELS_MAX)
}

fn solve(instance: &Instance, share: f64, labels_max: usize) -> Result<Plan, OptimumError> {
    let most_violating = Instance::tolerated(instance.budget(share));
    let mut steps = Vec::new();
    let start = Label { pass: Pass::new(instance), step: usize::MAX };
    let mut layer = BTreeMap::from([(start.pass.fleet.clone(), vec![start])]);
    for _ in 0..instance.decisions() {
        let mut next: BTreeMap<Fleet, Vec<Label>> = BTreeMap::new();
        for label in layer.values().flatten() {
            for target in instance.allowed(label.pass.fleet.total()) {
                let mut pass = label.pass.clone();
                pass.decide(instance, target);
                if pass.violating > most_violating {
                    continue;
                }
                let candidate = Label { pass, step: steps.len() };
                let labels = next.entry(candidate.pass.fleet.clone()).or_default();
                if labels.iter().any(|other| other.dominates(&candidate)) {
                    continue;
                }
                labels.retain(|other| !candidate.dominates(other));
                labels.push(candidate);
                steps.push(Step { parent: label.step, target });
                if steps.len() > labels_max {
                    return Err(OptimumError::TooLarge { cells: steps.len(), most: labels_max });
                }
            }
        }
        layer = next;
    }
    let best = layer.into_values().flatten().min_by(|a, b| {
        let by_cost = a.pass.replica_steps.cmp(&b.pass.replica_steps);
        by_cost.then(a.pass.violating.total_cmp(&b.pass.violating))
    });
    let Some(best) = best else {
        return Err(OptimumError::Impossible { share });
    };
    let targets = trail(&steps, best.step);
    let outcome = instance.follow(&targets);
    Ok(Plan { targets, outcome })
}

/// The targets that led to a label.
fn trail(steps: &[Step], last: usize) -> Vec<u32> {
    let mut targets = Vec::new();
    let mut at = last;
    while let Some(step) = steps.get(at) {
        targets.push(step.target);
        at = step.parent;
    }
    targets.reverse();
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimum::Rules;

    #[test]
    fn a_share_that_is_none_is_refused() {
        let instance = Instance::new(vec![1.0], Rules::default()).expect("an instance");
        assert_eq!(
            exact(&instance, 1.5).expect_err("refused").to_string(),
            "share of violations is 1.5; give a number from 0 to 1"
        );
        assert!(exact(&instance, f64::NAN).is_err());
    }

    #[test]
    fn a_share_that_no_schedule_meets_is_refused() {
        let rules = Rules { replicas_max: 2, ..Rules::default() };
        let instance = Instance::new(vec![200.0; 20], rules).expect("an instance");
        assert_eq!(
            exact(&instance, 0.1).expect_err("impossible").to_string(),
            "no schedule keeps violations within 0.1; allow a larger share or more replicas"
        );
    }

    #[test]
    fn an_instance_with_too_many_ways_is_refused() {
        let rules = Rules { decide_every_steps: 1, ..Rules::default() };
        let load = (0..10).map(|step| f64::from(step * 37 % 101) * 50.0).collect();
        let instance = Instance::new(load, rules).expect("an instance");
        assert_eq!(
            solve(&instance, 0.5, 1_000).expect_err("too large").to_string(),
            "instance needs 1001 states of at most 1000; cut it or decide less often"
        );
    }

    #[test]
    fn replicas_are_ordered_a_start_up_ahead_and_no_longer_than_needed() {
        let rules =
            Rules { replicas_max: 4, startup_steps: 2, decide_every_steps: 1, ..Rules::default() };
        let load = [40.0, 40.0, 40.0, 40.0, 190.0, 40.0, 40.0];
        let instance = Instance::new(load.to_vec(), rules).expect("an instance");
        let plan = exact(&instance, 0.0).expect("possible");
        assert_eq!(plan.targets, [1, 1, 4, 4, 4, 1, 1]);
        assert_eq!(exact(&instance, 0.9).expect("possible").targets, [1; 7]);
    }
}
