//! The closed loop: the plant is the optimum's, runs are repeatable, comparisons add up.

use planner_lab::autoscaler::Fixed;
use planner_lab::compare::{Comparison, Job, JobResult, Plan};
use planner_lab::evaluate::{Score, Setup, evaluate, evaluate_on};
use planner_lab::fluid::{Fluid, FluidSpec, QueuePlant, SteppedPlant as _};
use planner_lab::optimum::{Instance, Outcome};
use planner_lab::policy_spec::PolicySpec;
use planner_lab::queue::{LifeSpec, QueueSpec, ServiceTime};
use planner_lab::trace::{Arrivals, Synthetic, Trace};
use proptest::prelude::*;

fn trace(name: &str, text: &str, seconds: u32) -> Trace {
    let synthetic = Synthetic::parse(text).expect("a load");
    synthetic.trace(seconds, 30, 1).expect("a trace").with_name(name)
}

fn policy(text: &str) -> PolicySpec {
    text.parse().expect("a policy")
}

/// What the fluid plant makes of a schedule: violating requests and replica-seconds.
fn driven(instance: &Instance, spec: FluidSpec, targets: &[u32]) -> (f64, u64) {
    let rules = instance.rules();
    let mut plant = Fluid::new(spec, rules.initial).expect("a plant");
    let (mut violating, mut replica_s) = (0.0, 0);
    for (at, arrivals) in instance.arrivals().iter().enumerate() {
        if at.is_multiple_of(rules.decide_every_steps as usize) {
            plant.scale_to(targets[at / rules.decide_every_steps as usize]);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
        let second = plant.pass(*arrivals as u64);
        violating += second.violating;
        replica_s += u64::from(second.billed());
    }
    (violating, replica_s)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_plant_makes_of_any_orders_what_the_optimum_assumes(
        load in prop::collection::vec(0_u32..1_500, 1..200),
        orders in prop::collection::vec(0_u32..20, 200),
        startup_s in 0_u32..40, every_s in 1_u32..8,
    ) {
        let spec = FluidSpec { startup_s, replicas_min: 0, ..FluidSpec::default() };
        let load = load.into_iter().map(f64::from).collect();
        let instance = Instance::new(load, spec.rules(3, every_s)).expect("an instance");
        let targets = &orders[..instance.decisions()];
        let Outcome { replica_s, violating, .. } = instance.replay(targets).expect("a schedule");
        let driven = driven(&instance, spec, targets);
        prop_assert_eq!((violating, replica_s), (driven.0, driven.1 as f64));
    }
}

#[test]
fn every_policy_keeps_up_with_a_day_that_rises_slowly() {
    let trace = trace("day", "sine:low=400,high=1600,period=1d", 86_400);
    let arrivals: Vec<u64> = Arrivals::poisson(&trace, 1).collect();
    let setup = Setup::starting_at(FluidSpec::default(), trace.rate_at(0));
    for text in ["planner", "hpa", "kpa", "nomad", "keda"] {
        let mut autoscaler = policy(text).build(&setup.fluid).expect("it accepts");
        let score = evaluate(&arrivals, &setup, &mut autoscaler, None).expect("a run");
        assert!(score.violation_share < 0.05, "{text}: {score:?}");
        assert!(score.replica_hours < 48.0 * 24.0, "{text}: {score:?}");
        assert!(score.actions > 20, "{text}: {score:?}");
    }
}

#[test]
fn the_queue_of_single_requests_stands_in_the_same_loop() {
    let life = LifeSpec { startup_s: 5.0, ..LifeSpec::default() };
    let spec = QueueSpec { life, ..QueueSpec::of(ServiceTime::Exponential { mean_s: 0.02 }) };
    let mut arrivals = vec![60; 600];
    arrivals[200..400].fill(240);
    let run = |mut autoscaler: Box<dyn planner_lab::autoscaler::Autoscaler>| -> Score {
        let mut plant = QueuePlant::new(spec.clone(), 2, (1, 20), 1).expect("a plant");
        evaluate_on(&mut plant, &arrivals, &mut autoscaler, None)
    };
    let (few, scaled) = (
        run(Box::new(Fixed::new(2))),
        run(policy("hpa:target=0.6").build(&FluidSpec::default()).expect("it accepts")),
    );
    assert!(few.violation_share > 0.5, "{few:?}");
    assert!(scaled.violation_share < 0.5 * few.violation_share, "{scaled:?}");
    assert_eq!(few.replica_hours, 2.0 * 600.0 / 3_600.0);
}

/// Two loads, four policies, two seeds, and the optimum.
fn plan() -> Plan {
    let loads = [
        trace("steps", "step:from=200,to=900,at=15m", 1_800),
        trace("wave", "sine:low=250,high=750,period=20m", 1_800),
    ];
    let policies = ["planner", "hpa", "fixed:replicas=30", "poc"].map(policy);
    let mut plan = Plan::new(loads.to_vec(), policies.to_vec());
    plan.seeds = vec![1, 7];
    plan
}

fn results(jobs: &[Job]) -> Vec<JobResult> {
    jobs.iter().map(|job| job.run().expect("it runs")).collect()
}

fn written(comparison: &Comparison) -> String {
    serde_json::to_string(comparison).expect("a comparison")
}

#[test]
fn results_that_are_not_those_of_the_plan_are_refused() {
    let plan = plan();
    let mut some = results(&plan.jobs().expect("jobs")[..3]);
    assert_eq!(
        plan.assemble(some.clone()).expect_err("refused").to_string(),
        "there are 3 results of 20 jobs, or some are of another plan; give one of each job of this \
         plan"
    );
    let mut all = results(&plan.jobs().expect("jobs"));
    some.truncate(1);
    all.extend(some);
    assert!(plan.assemble(all).is_err(), "one comes twice");
    let mut other = plan.clone();
    other.policies[2] = policy("kpa");
    assert!(plan.assemble(results(&other.jobs().expect("jobs"))).is_err(), "another sweep");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let refused = |change: fn(&mut Plan)| {
        let mut plan = plan();
        change(&mut plan);
        plan.jobs().expect_err("refused").to_string()
    };
    let missing = |what| format!("there is no {what} to compare; give at least one");
    assert_eq!(refused(|plan| plan.traces.clear()), missing("trace"));
    assert_eq!(refused(|plan| plan.policies.clear()), missing("policy"));
    assert_eq!(refused(|plan| plan.seeds.clear()), missing("seed"));
    assert_eq!(
        refused(|plan| plan.traces.push(plan.traces[0].clone())),
        "trace \"steps\" is given twice; leave one of them out, or rename it"
    );
    assert_eq!(
        refused(|plan| plan.policies.push(policy("hpa"))),
        "policy \"hpa\" is given twice; leave one of them out, or rename it"
    );
    assert_eq!(
        refused(|plan| plan.seeds.push(7)),
        "seed \"7\" is given twice; leave one of them out, or rename it"
    );
    assert!(refused(|plan| plan.fluid.replicas_max = 0).contains("bounded by 1 to 0"));
}

#[test]
fn the_same_seeds_give_the_same_bytes_in_any_order_and_on_any_number_of_threads() {
    let plan = plan();
    let jobs = plan.jobs().expect("jobs");
    let once = results(&jobs);
    let expected = written(&plan.assemble(once.clone()).expect("complete"));

    let mut reversed: Vec<Job> = jobs.iter().rev().cloned().collect();
    assert_eq!(written(&plan.assemble(results(&reversed)).expect("complete")), expected);
    reversed.rotate_left(7);
    let halves = reversed.split_at(9);
    let threaded = std::thread::scope(|scope| {
        let other = scope.spawn(|| results(halves.1));
        let mut all = results(halves.0);
        all.extend(other.join().expect("no panic"));
        all
    });
    assert_eq!(written(&plan.assemble(threaded).expect("complete")), expected);

    let mut other = plan;
    other.seeds = vec![1, 8];
    let differs = other.assemble(results(&other.jobs().expect("jobs"))).expect("complete");
    assert_ne!(written(&differs), expected);
}

#[test]
fn a_comparison_holds_curves_the_best_of_them_and_what_was_possible() {
    let plan = plan();
    let found = plan.assemble(results(&plan.jobs().expect("jobs"))).expect("complete");
    assert_eq!(found.grids["hpa"].len(), 20);
    let table = &found.traces[0];
    assert_eq!((table.trace.as_str(), table.seconds, table.policies.len()), ("steps", 1_800, 4));
    let hpa = &table.policies[1];
    let of_grid = |value| hpa.curve.iter().find(|it| it.knob_value == Some(value));
    assert_eq!(of_grid(0.6), Some(&hpa.given), "the given setting is one of the grid");
    for best in &hpa.best {
        assert!(best.measured.violation_share <= best.share);
        let cheaper = hpa.curve.iter().filter(|it| {
            it.violation_share <= best.share && it.replica_hours < best.measured.replica_hours
        });
        assert_eq!(cheaper.count(), 0);
        let optimum = best.optimum_replica_hours.expect("there is one");
        assert_eq!(best.cost_ratio, Some(best.measured.replica_hours / optimum));
        assert!(optimum <= best.measured.replica_hours);
    }
    assert!(table.optimum.iter().all(|it| it.lower_replica_hours <= it.replica_hours));
    let poc = &table.policies[3];
    assert!(poc.curve.is_empty() && poc.best.iter().all(|best| best.measured == poc.given));
    let (low, high) = hpa.given.replica_hours_interval;
    assert!(low <= hpa.given.replica_hours && hpa.given.replica_hours <= high);
}

#[test]
fn ratios_are_those_at_the_smallest_share_that_both_reach() {
    let plan = plan();
    let found = plan.assemble(results(&plan.jobs().expect("jobs"))).expect("complete");
    assert_eq!(found.against.len(), 3);
    let against = &found.against[0];
    assert_eq!((against.policy.as_str(), against.other.as_str()), ("planner", "hpa"));
    let mut product = 1.0;
    let mut count = 0_i32;
    for (row, table) in against.traces.iter().zip(&found.traces) {
        let (own, other) = (&table.policies[0], &table.policies[1]);
        let share = planner_lab::compare::SHARES
            .into_iter()
            .find(|share| own.best_at(*share).is_some() && other.best_at(*share).is_some());
        assert_eq!(row.share, share);
        if let Some(ratio) = row.hours_ratio {
            product *= ratio;
            count += 1;
        }
        assert_eq!(row.given_hours_ratio, own.given.replica_hours / other.given.replica_hours);
        let floored = |share: f64| share.max(0.0005);
        let violations = floored(own.given.violation_share) / floored(other.given.violation_share);
        assert_eq!(row.given_violation_ratio, violations);
    }
    assert!(count > 0);
    let mean = product.powf(1.0 / f64::from(count));
    assert!(against.hours_ratio.is_some_and(|it| (it - mean).abs() < 1e-12));
}

#[test]
fn the_leaderboard_puts_first_who_reaches_the_smallest_share_most_often() {
    let plan = plan();
    let found = plan.assemble(results(&plan.jobs().expect("jobs"))).expect("complete");
    let reached: Vec<usize> = found.leaderboard.iter().map(|it| it.shares[0].traces).collect();
    assert!(reached.is_sorted_by(|a, b| a >= b), "{reached:?}");
    assert_eq!(found.leaderboard.len(), 4);
}

#[test]
fn the_scores_of_a_trace_and_policy_are_written_under_the_agreed_names() {
    let mut plan = plan();
    plan.policies.truncate(2);
    let found = plan.assemble(results(&plan.jobs().expect("jobs"))).expect("complete");
    let json: serde_json::Value = serde_json::from_str(&written(&found)).expect("JSON");
    let best = &json["traces"][0]["policies"][1]["best"][0];
    for field in [
        "violation_share",
        "replica_hours",
        "optimum_replica_hours",
        "cost_ratio",
        "actions",
        "direction_changes_per_hour",
        "recover_s_p95",
    ] {
        assert!(best[field].is_number(), "{field} in {best}");
    }
    assert!(best["settings"]["target"].is_number());
}
