//! The optimum is one: exact against every schedule there is, bounds against exact.

use planner_lab::optimum::fluid::Service;
use planner_lab::optimum::{
    Clairvoyant, Instance, OptimumError, Plan, Rules, exact, regret, regret_per_decision,
};
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
            let calm = if seed % 2 == 0 { 1.0 } else { random.random_range(0.0..0.6) };
            let load = (0..steps).map(|_| {
                let peak = random.random_range(0.0..highest);
                if random.random_range(0..3) == 0 { peak } else { calm * peak }
            });
            let load = load.collect();
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

/// Two hours of a slow wave with noise and two surges.
fn afternoon() -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let load = (0..7_200_u32).map(|second| {
        // A triangle wave of an hour, 200 to 1 400 requests a second.
        let wave = 200.0 + f64::from(second % 3_600).min(f64::from(3_600 - second % 3_600)) / 1.5;
        let surge = if matches!(second, 1_000..1_090 | 5_000..5_300) { 2.0 } else { 1.0 };
        wave * surge * random.random_range(0.9..1.1)
    });
    load.collect()
}

#[test]
fn a_long_load_is_bracketed_closely_at_every_share() {
    let rules = Rules { initial: 5, startup_steps: 45, ..Rules::default() };
    let instance = Instance::new(afternoon(), rules).expect("an instance");
    let shares = [0.0, 0.01, 0.05, 0.2];
    let curve = Clairvoyant::new(&instance).expect("fits").curve(&shares).expect("possible");
    for bracket in &curve {
        // To leave out a whole surge saves a restart that the bound takes in parts.
        assert!(bracket.gap() < 0.02, "{} at {}", bracket.gap(), bracket.share);
        assert!(bracket.plan.outcome.violating_share() <= bracket.share + 1e-8);
    }
    assert!(curve.is_sorted_by(|a, b| a.lower_replica_s > b.plan.outcome.replica_s));
}

#[test]
fn rate_limits_cost_something_and_are_kept() {
    let rules = Rules { initial: 5, ..Rules::default() };
    let limited = Rules { added_max: Some(1), removed_max: Some(1), ..rules };
    let of = |rules| {
        let instance = Instance::new(afternoon(), rules).expect("an instance");
        let bracket = Clairvoyant::new(&instance).expect("fits").bracket(0.01).expect("possible");
        assert_eq!(instance.replay(&bracket.plan.targets), Ok(bracket.plan.outcome));
        bracket
    };
    let (free, limited) = (of(rules), of(limited));
    assert_eq!(free.lower_replica_s, limited.lower_replica_s);
    assert!(free.plan.outcome.replica_s < limited.plan.outcome.replica_s);
    assert!(limited.gap() < 0.1, "{}", limited.gap());
}

#[test]
fn a_policy_that_reacts_has_a_regret_against_one_that_knows() {
    let rules = Rules { initial: 5, ..Rules::default() };
    let instance = Instance::new(afternoon(), rules).expect("an instance");
    // Orders for the last decision's load at 80 % use.
    let loads = instance.arrivals().chunks(10).map(|load| load.iter().sum::<f64>() / 10.0);
    let enough = |load: f64| (1..100).find(|count| 40.0 * f64::from(*count) >= load);
    let targets: Vec<u32> = std::iter::once(200.0).chain(loads).filter_map(enough).collect();
    let targets = &targets[..instance.decisions()];
    let outcome = instance.replay(targets).expect("within bounds");
    let mut clairvoyant = Clairvoyant::new(&instance).expect("fits");
    let optimum = clairvoyant.bracket(outcome.violating_share()).expect("the policy met it");
    let regret = regret(&outcome, &optimum);
    assert!(1.05 < regret.least_ratio && regret.least_ratio <= regret.most_ratio, "{regret:?}");
    assert!(regret.most_ratio < 1.5, "{regret:?}");
    let excess = regret_per_decision(targets, &optimum.plan.targets).expect("the same decisions");
    // Ten seconds of replicas a decision add up to the whole regret.
    assert_eq!(10.0 * excess.iter().sum::<i64>() as f64, regret.least_replica_s);
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
            (Err(_), bracket) => prop_assert!(bracket.is_err(), "{:?}", bracket),
            (Ok(_), Err(OptimumError::NotFound { least, .. })) => prop_assert!(least > share),
            (Ok(_), Err(error)) => prop_assert!(false, "{}", error),
        }
    }
}
