//! The optimum is one: exact against every schedule there is, bounds against exact.

use planner_lab::optimum::fluid::Service;
use planner_lab::optimum::{Clairvoyant, Instance, OptimumError, Plan, Rules, exact};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Cost and violations of a schedule by the definition: a replica is ready when the orders held
/// it for its whole start-up.
fn by_definition(instance: &Instance, targets: &[u32]) -> (f64, f64) {
    let rules = instance.rules();
    let ordered = |step: usize| targets[step / rules.decide_every_steps as usize];
    let (mut cost, mut violating, mut backlog) = (0.0, 0.0, 0.0);
    for (step, arrivals) in instance.arrivals().iter().enumerate() {
        let ready = (0..=rules.startup_steps as usize)
            .map(|ago| step.checked_sub(ago).map_or(rules.initial, ordered))
            .min()
            .unwrap_or(0);
        let passed = rules.service.capacity(ready).pass(backlog, *arrivals);
        violating += passed.violating;
        backlog = passed.backlog;
        cost += f64::from(ordered(step)) * rules.service.step_s;
    }
    (cost, violating)
}

/// The least cost of every schedule there is.
fn by_brute_force(instance: &Instance, share: f64) -> Option<f64> {
    fn search(instance: &Instance, budget: f64, targets: &mut Vec<u32>, best: &mut Option<f64>) {
        if targets.len() == instance.decisions() {
            let (cost, violating) = by_definition(instance, targets);
            if violating <= budget && best.is_none_or(|best| cost < best) {
                *best = Some(cost);
            }
            return;
        }
        let rules = instance.rules();
        let from = targets.last().copied().unwrap_or(rules.initial);
        for target in rules.replicas_min..=rules.replicas_max {
            let is_too_fast = target > from + rules.added_max.unwrap_or(u32::MAX - from)
                || from > target + rules.removed_max.unwrap_or(u32::MAX - target);
            if !is_too_fast {
                targets.push(target);
                search(instance, budget, targets, best);
                targets.pop();
            }
        }
    }
    let budget = share * instance.requests();
    let mut best = None;
    search(instance, budget + 1e-9 * (1.0 + budget), &mut Vec::new(), &mut best);
    best
}

fn limits() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![2 => Just(None), 1 => (1_u32..3).prop_map(Some)]
}

/// Instances of a few decisions, with loads around what the replicas can do.
fn small() -> impl Strategy<Value = Instance> {
    let counts = (0_u32..2, 1_u32..4, 0_u32..4);
    let times = (0_u32..5, 1_u32..4, 3_usize..7);
    (counts, times, limits(), limits(), 0.3_f64..3.0, any::<u64>()).prop_map(
        |((min, max, initial), (startup, every, decisions), added, removed, patience, seed)| {
            let rules = Rules {
                service: Service { patience_s: patience, ..Service::default() },
                replicas_min: min,
                replicas_max: max,
                initial: initial.clamp(min, max),
                startup_steps: startup,
                decide_every_steps: every,
                added_max: added,
                removed_max: removed,
            };
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let steps = decisions * every as usize - random.random_range(0..every as usize);
            let highest = 65.0 * f64::from(max);
            let load = (0..steps).map(|_| random.random_range(0.0..highest)).collect();
            Instance::new(load, rules).expect("an instance")
        },
    )
}

fn follows(instance: &Instance, plan: &Plan, share: f64) -> Result<(), TestCaseError> {
    let outcome = instance.replay(&plan.targets).expect("a schedule within the rules");
    prop_assert_eq!(outcome, plan.outcome);
    prop_assert!(outcome.violating_share() <= share + 1e-8);
    let (cost, violating) = by_definition(instance, &plan.targets);
    prop_assert!((cost - outcome.replica_s).abs() < 1e-6);
    prop_assert!((violating - outcome.violating).abs() < 1e-6);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 600, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn the_exact_optimum_is_the_best_of_all_schedules(instance in small(), share in 0.0_f64..0.7) {
        match exact(&instance, share) {
            Ok(plan) => {
                follows(&instance, &plan, share)?;
                prop_assert_eq!(Some(plan.outcome.replica_s), by_brute_force(&instance, share));
            }
            Err(error) => {
                prop_assert_eq!(error, OptimumError::Impossible { share });
                prop_assert_eq!(by_brute_force(&instance, share), None);
            }
        }
    }

    #[test]
    fn the_optimum_lies_within_its_bracket(instance in small(), share in 0.0_f64..0.7) {
        let bracket = Clairvoyant::new(&instance).expect("small").bracket(share);
        match (exact(&instance, share), bracket) {
            (Ok(plan), Ok(bracket)) => {
                follows(&instance, &bracket.plan, share)?;
                let least = plan.outcome.replica_s;
                prop_assert!(bracket.lower_replica_s <= least + 1e-6, "{:?}", bracket);
                prop_assert!(least <= bracket.plan.outcome.replica_s, "{:?}", bracket);
            }
            (Err(_), bracket) => {
                let is_not_found = matches!(bracket, Err(OptimumError::NotFound { .. }));
                prop_assert!(is_not_found, "{:?}", bracket);
            }
            (Ok(_), Err(OptimumError::NotFound { least, .. })) => prop_assert!(least > share),
            (Ok(_), Err(error)) => prop_assert!(false, "{}", error),
        }
    }
}
