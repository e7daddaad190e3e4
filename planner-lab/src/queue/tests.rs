//! What a queue promises, whatever happens in it.

use proptest::prelude::*;

use super::*;

const UNIT: ServiceTime = ServiceTime::Deterministic { mean_s: 1.0 };

/// Services of exactly one second.
fn constant() -> QueueSpec {
    QueueSpec::of(UNIT)
}

fn exponential() -> QueueSpec {
    QueueSpec::of(ServiceTime::Exponential { mean_s: 0.05 })
}

fn queue(spec: QueueSpec, replicas: u32) -> Queue {
    Queue::new(spec, replicas, 42).expect("a spec")
}

fn retries(max: u32, budget_share: Option<f64>) -> RetrySpec {
    let (backoff_s, backoff_max_s, jitter_share) = (0.1, 1.0, 0.5);
    RetrySpec { max, backoff_s, backoff_max_s, jitter_share, budget_share }
}

fn timeout(after_s: f64, work: AfterTimeout) -> TimeoutSpec {
    TimeoutSpec { after_s, work }
}

/// Attempts and requests are neither lost nor made up from one end of an interval to the next.
fn assert_conserved(before: Option<&Interval>, now: &Interval) {
    let (held, open) = before.map_or((0, 0), |it| (it.in_flight, it.in_flight + it.backing_off));
    let ended = now.completions + now.timeouts + now.failures;
    assert_eq!(held + now.arrivals, ended + now.in_flight, "attempts of {now:?}");
    let requests = now.arrivals - now.retries;
    let settled = now.completions + now.given_up;
    assert_eq!(open + requests, settled + now.in_flight + now.backing_off, "requests of {now:?}");
    assert_eq!(now.latency.count(), now.completions);
    assert!(now.latency.quantile_s(0.5) <= now.latency.max_s());
}

#[test]
fn specs_out_of_range_are_refused_by_name() {
    let crash = Disturbance::Crash { at_s: -1.0, replicas: 1, restart_after_s: None };
    for (spec, text) in [
        (QueueSpec { concurrency: 0, ..constant() }, "concurrency: 0 is not a count from 1 to"),
        (
            QueueSpec { wait_threshold_s: f64::NAN, ..constant() },
            "wait_threshold_s: NaN is not a time from 0 to 86400 seconds; change it",
        ),
        (
            QueueSpec { timeout: Some(timeout(0.0, AfterTimeout::IsDone)), ..constant() },
            "timeout.after_s: 0 is not a time from 0.001 to 86400 seconds; change it",
        ),
        (
            QueueSpec { retries: Some(retries(11, None)), ..constant() },
            "retries.max: 11 is not a count from 1 to 10; change it",
        ),
        (
            QueueSpec { disturbances: vec![crash], ..constant() },
            "disturbances[0].at_s: -1 is not a time from 0 to 3.2e9 seconds; change it",
        ),
        (
            QueueSpec { disturbances: vec![crash; 1_001], ..constant() },
            "number of disturbances: 1001 is not a count from 0 to 1000; change it",
        ),
    ] {
        let refusal = Queue::new(spec, 1, 1).expect_err("out of range").to_string();
        assert!(refusal.starts_with(text), "{refusal}");
    }
    let refusal = Queue::new(constant(), REPLICAS_MAX + 1, 1).expect_err("too many").to_string();
    assert_eq!(refusal, "replicas: 10001 is not a count from 0 to 10000; change it");
}

#[test]
fn calls_out_of_range_are_refused_and_nothing_happens() {
    let mut queue = queue(constant(), 1);
    let text = queue.advance(1.0, f64::NAN).expect_err("no rate").to_string();
    assert_eq!(text, "rate_per_s: NaN is not a rate from 0 to 1e7 a second; change it");
    let text = queue.advance_steps(1.0, &[1.0, -1.0]).expect_err("no rate").to_string();
    assert_eq!(text, "rates_per_s[1]: -1 is not a rate from 0 to 1e7 a second; change it");
    let text = queue.advance(0.0, 1.0).expect_err("no time").to_string();
    assert_eq!(text, "seconds: 0 is not a time from 0.001 to 86400 seconds; change it");
    assert!(queue.advance_steps(1.0, &[]).is_err());
    assert!(matches!(queue.advance(86_400.0, 1e7), Err(QueueError::TooMany { .. })));
    let unsorted = QueueError::Unsorted { index: 1, at_s: 0.1, before_s: 0.2 };
    assert_eq!(queue.advance_arrivals(1.0, &[0.2, 0.1]), Err(unsorted));
    assert!(queue.advance_arrivals(1.0, &[1.5]).is_err());
    assert!(queue.scale_to(REPLICAS_MAX + 1).is_err());
    assert_eq!((queue.now(), queue.ordered()), (Timestamp::ORIGIN, 1));
}

#[test]
fn a_request_waits_for_the_one_ahead_of_it() {
    let mut queue = queue(constant(), 1);
    let interval = queue.advance_arrivals(4.0, &[0.0, 0.5, 0.6]).expect("offsets");
    assert_eq!((interval.completions, interval.waited_long), (3, 2));
    assert!((interval.waited_s - (0.5 + 1.4)).abs() < 1e-9, "{}", interval.waited_s);
    assert_eq!(interval.latency.max_s(), Some(2.4));
    assert_eq!(interval.busy_share(), Some(0.75));
    assert!((interval.held_request_s - (1.0 + 1.5 + 2.4)).abs() < 1e-9);
}

#[test]
fn what_happens_at_the_end_of_an_interval_is_the_next_ones() {
    let mut queue = queue(constant(), 1);
    let first = queue.advance_arrivals(1.0, &[0.0]).expect("an offset");
    assert_eq!((first.completions, first.in_flight, first.busy), (0, 1, 1));
    assert_eq!(queue.advance(1.0, 0.0).expect("a rate").completions, 1);
}

#[test]
fn without_a_replica_the_balancer_holds_requests_and_replicas_of_their_own_refuse() {
    let held = queue(constant(), 0).advance_arrivals(1.0, &[0.5]).expect("an offset");
    assert_eq!((held.failures, held.queued, held.busy_share()), (0, 1, None));
    for balancing in [Balancing::LeastConnections, Balancing::Random] {
        let spec = QueueSpec { balancing, ..constant() };
        let refused = queue(spec, 0).advance_arrivals(1.0, &[0.5]).expect("an offset");
        assert_eq!((refused.failures, refused.given_up, refused.in_flight), (1, 1, 0));
    }
}

#[test]
fn a_full_queue_refuses() {
    for balancing in [Balancing::CentralFifo, Balancing::LeastConnections, Balancing::Random] {
        let spec = QueueSpec { queue_max: 2, balancing, ..constant() };
        let interval = queue(spec, 1).advance_arrivals(0.9, &[0.1; 5]).expect("offsets");
        assert_eq!((interval.queued, interval.busy, interval.failures), (2, 1, 2));
    }
}

#[test]
fn least_connections_spread_and_chance_does_not() {
    let spread = |balancing| {
        let spec = QueueSpec { balancing, ..constant() };
        queue(spec, 10).advance_arrivals(1.0, &[0.1; 10]).expect("offsets").busy
    };
    assert_eq!(spread(Balancing::LeastConnections), 10);
    assert!((2..10).contains(&spread(Balancing::Random)));
}

#[test]
fn an_ordered_replica_is_paid_from_the_order_and_serves_after_its_start_up() {
    let mut queue = queue(constant(), 1);
    queue.scale_to(3).expect("a count");
    let first = queue.advance(3.0, 0.0).expect("a rate");
    assert_eq!((first.ready, first.starting, first.starts), (1, 2, 2));
    assert!((first.billed_replica_s - 9.0).abs() < 1e-9);
    let seen = [(); 2].map(|()| queue.advance(3.0, 0.0).expect("a rate"));
    assert_eq!(seen.each_ref().map(|it| (it.ready, it.starting)), [(1, 2), (3, 0)]);
    assert!((seen[1].ready_slot_s - 9.0).abs() < 1e-9);
}

#[test]
fn what_waits_is_served_by_a_new_replica_at_once() {
    let mut queue = queue(constant(), 0);
    queue.scale_to(2).expect("a count");
    let interval = queue.advance_arrivals(8.0, &[0.0, 0.0]).expect("offsets");
    assert_eq!((interval.completions, interval.latency.min_s()), (2, Some(7.0)));
}

#[test]
fn a_cold_replica_is_slower_and_warms_up_linearly() {
    let life = LifeSpec { startup_s: 0.0, warmup_s: 4.0, warmup_factor: 3.0, drain_s: 0.0 };
    let mut queue = queue(QueueSpec { life, ..constant() }, 0);
    queue.scale_to(1).expect("a count");
    // At readiness three times as slow; at 3 s, 1 + 2 · 1/4; from 4 s on as usual.
    let interval = queue.advance_arrivals(8.0, &[0.0, 3.0, 5.0]).expect("offsets");
    let latency = &interval.latency;
    assert_eq!((latency.max_s(), latency.min_s()), (Some(3.0), Some(1.0)));
    assert!((latency.mean_s().expect("answers") - (3.0 + 1.5 + 1.0) / 3.0).abs() < 1e-9);
}

#[test]
fn starting_replicas_leave_first_and_ready_ones_drain() {
    let mut queue = queue(constant(), 2);
    queue.scale_to(4).expect("a count");
    queue.advance_arrivals(0.5, &[0.1, 0.1]).expect("offsets");
    queue.scale_to(1).expect("a count");
    assert_eq!((queue.ready(), queue.starting(), queue.draining()), (1, 0, 1));
    let interval = queue.advance(1.5, 0.0).expect("a rate");
    assert_eq!((interval.completions, interval.failures, interval.draining), (2, 0, 0));
    // The drained replica is paid until 1.1 s, which is 0.6 s of this interval.
    assert!((interval.billed_replica_s - (1.5 + 0.6)).abs() < 1e-9);
}

#[test]
fn a_drain_loses_nothing() {
    for balancing in [Balancing::CentralFifo, Balancing::LeastConnections, Balancing::Random] {
        let mut queue = queue(QueueSpec { balancing, ..exponential() }, 8);
        let (mut arrivals, mut completions) = (0, 0);
        for round in 0..200 {
            queue.scale_to(if round % 2 == 0 { 3 } else { 8 }).expect("a count");
            let interval = queue.advance(5.0, 40.0).expect("a rate");
            assert_eq!(interval.failures, 0, "{balancing:?}");
            arrivals += interval.arrivals;
            completions += interval.completions;
        }
        let rest = queue.advance(60.0, 0.0).expect("a rate");
        assert_eq!(arrivals, completions + rest.completions, "{balancing:?}");
    }
}

#[test]
fn a_drain_that_takes_too_long_is_cut() {
    let life = LifeSpec { drain_s: 0.25, ..LifeSpec::default() };
    let spec = QueueSpec { life, balancing: Balancing::LeastConnections, ..constant() };
    let mut queue = queue(spec, 1);
    queue.advance_arrivals(0.5, &[0.1, 0.2]).expect("offsets");
    queue.scale_to(0).expect("a count");
    let interval = queue.advance(1.0, 0.0).expect("a rate");
    assert_eq!((interval.failures, interval.completions, interval.in_flight), (2, 0, 0));
    assert!((interval.billed_replica_s - 0.25).abs() < 1e-9);
}

#[test]
fn work_that_nobody_waits_for_is_cancelled_or_done_for_nothing() {
    let run = |work| {
        let spec = QueueSpec { timeout: Some(timeout(1.2, work)), ..constant() };
        queue(spec, 1).advance_arrivals(5.0, &[0.0, 0.0, 0.0, 2.0]).expect("offsets")
    };
    // The second is cancelled in service at 1.2 s, the third in line: the fourth finds it free.
    let cancelled = run(AfterTimeout::IsCancelled);
    assert_eq!((cancelled.completions, cancelled.timeouts, cancelled.wasted), (2, 2, 0));
    // Done all the same, they keep the fourth waiting until 3 s, and it gives up at 3.2 s.
    let done = run(AfterTimeout::IsDone);
    assert_eq!((done.completions, done.timeouts, done.wasted), (1, 3, 3));
    assert_eq!((done.queued, done.busy, done.in_flight), (0, 0, 0));
}

#[test]
fn an_answer_at_the_last_moment_is_in_time() {
    let spec = QueueSpec { timeout: Some(timeout(1.0, AfterTimeout::IsCancelled)), ..constant() };
    let interval = queue(spec, 1).advance_arrivals(3.0, &[0.0]).expect("an offset");
    assert_eq!((interval.completions, interval.timeouts), (1, 0));
}

#[test]
fn a_request_is_retried_so_often_and_no_more() {
    let outage = Disturbance::Outage { at_s: 0.0, for_s: 60.0 };
    let spec =
        QueueSpec { retries: Some(retries(3, None)), disturbances: vec![outage], ..constant() };
    let interval = queue(spec, 1).advance_arrivals(50.0, &[0.0; 10]).expect("offsets");
    assert_eq!((interval.arrivals, interval.retries), (40, 30));
    assert_eq!((interval.failures, interval.given_up), (40, 10));
}

#[test]
fn a_retry_that_is_answered_counts_from_the_first_attempt() {
    let outage = Disturbance::Outage { at_s: 0.0, for_s: 0.01 };
    let back = RetrySpec {
        max: 1,
        backoff_s: 0.5,
        backoff_max_s: 0.5,
        jitter_share: 0.0,
        budget_share: None,
    };
    let spec = QueueSpec { retries: Some(back), disturbances: vec![outage], ..constant() };
    let interval = queue(spec, 1).advance_arrivals(3.0, &[0.0]).expect("an offset");
    assert_eq!((interval.failures, interval.completions, interval.given_up), (1, 1, 0));
    assert_eq!(interval.latency.max_s(), Some(1.0));
    assert_eq!(interval.retried.max_s(), Some(1.5));
}

#[test]
fn the_retry_budget_bounds_the_storm() {
    let outage = Disturbance::Outage { at_s: 10.0, for_s: 100.0 };
    let storm = |budget_share| {
        let disturbances = vec![outage];
        let retries = Some(retries(5, budget_share));
        let mut queue = queue(QueueSpec { retries, disturbances, ..exponential() }, 5);
        queue.advance(120.0, 50.0).expect("a rate")
    };
    let (bounded, free) = (storm(Some(0.1)), storm(None));
    let firsts = bounded.arrivals - bounded.retries;
    assert!(bounded.retries as f64 <= 0.1 * firsts as f64, "{}", bounded.retries);
    assert!(bounded.retries > 0 && free.retries > 3 * firsts);
}

#[test]
fn a_crash_loses_what_the_replica_had_and_it_comes_back_cold() {
    let crash = Disturbance::Crash { at_s: 0.5, replicas: 1, restart_after_s: Some(2.0) };
    let mut crashing = queue(QueueSpec { disturbances: vec![crash], ..constant() }, 2);
    let interval = crashing.advance_arrivals(3.0, &[0.1, 0.2, 0.3]).expect("offsets");
    // The one that waited goes to the other replica.
    assert_eq!((interval.failures, interval.completions), (1, 2));
    assert_eq!((interval.ready, interval.starting, interval.starts), (1, 1, 1));
    assert!((interval.billed_replica_s - 6.0).abs() < 1e-9, "it is paid while it restarts");
    let back = [(); 2].map(|()| crashing.advance(3.0, 0.0).expect("a rate").ready);
    assert_eq!(back, [1, 2], "2 s and the start-up time of 6 s after 0.5 s");

    let gone = Disturbance::Crash { at_s: 0.5, replicas: 9, restart_after_s: None };
    let mut dying = queue(QueueSpec { disturbances: vec![gone], ..constant() }, 2);
    assert_eq!(dying.advance(3.0, 0.0).expect("a rate").billed_replica_s, 1.0);
    assert_eq!(dying.ordered(), 0);
}

#[test]
fn an_outage_refuses_what_arrives_and_leaves_what_is_under_way() {
    let outage = Disturbance::Outage { at_s: 0.5, for_s: 1.0 };
    let spec = QueueSpec { disturbances: vec![outage], ..constant() };
    let interval = queue(spec, 3).advance_arrivals(4.0, &[0.1, 0.6, 1.4, 1.6]).expect("offsets");
    assert_eq!((interval.failures, interval.completions), (2, 2));
}

#[test]
fn a_noisy_neighbour_slows_the_share_that_it_has() {
    let slowdown = Disturbance::Slowdown { at_s: 0.0, for_s: 10.0, factor: 4.0, share: 0.5 };
    let spec = QueueSpec { disturbances: vec![slowdown; 2], ..constant() };
    let mut noisy = queue(spec, 4);
    let during = noisy.advance_arrivals(20.0, &[1.0; 4]).expect("offsets").latency;
    assert_eq!((during.count(), during.above(15.0), during.above(1.5)), (4, 2, 2));
    let after = noisy.advance_arrivals(20.0, &[1.0; 4]).expect("offsets").latency;
    assert_eq!((after.count(), after.max_s()), (4, Some(1.0)));
}

#[test]
fn a_trace_of_steps_is_the_same_load_as_step_by_step() {
    let rates = [10.0, 0.0, 80.0, 1e-300, 35.0];
    let whole = queue(exponential(), 3).advance_steps(1.0, &rates).expect("rates");
    let mut parts = queue(exponential(), 3);
    let mut arrivals = 0;
    for rate_per_s in rates {
        arrivals += parts.advance(1.0, rate_per_s).expect("a rate").arrivals;
    }
    assert_eq!((whole.arrivals, whole.end), (arrivals, parts.now()));
    assert!((90..160).contains(&whole.arrivals), "{}", whole.arrivals);
}

#[test]
fn poisson_arrivals_have_the_rate_and_the_variance_that_they_should() {
    // Goal: counts of a second have mean and variance 40. Method: 20 000 seconds, each cut into
    // two steps of different rates; four standard errors.
    let mut queue = queue(exponential(), 4);
    let counts: Vec<f64> = (0..20_000)
        .map(|_| queue.advance_steps(0.5, &[20.0, 60.0]).expect("rates").arrivals as f64)
        .collect();
    let mean = counts.iter().sum::<f64>() / counts.len() as f64;
    let variance =
        counts.iter().map(|it| (it - mean) * (it - mean)).sum::<f64>() / counts.len() as f64;
    assert!((mean - 40.0).abs() < 4.0 * (40.0_f64 / 20_000.0).sqrt(), "{mean}");
    assert!((variance - 40.0).abs() < 4.0 * 40.0 * (2.0_f64 / 20_000.0).sqrt(), "{variance}");
}

#[test]
fn the_same_seed_offers_every_policy_the_same_requests() {
    // Whatever is scaled: with nobody waiting in the end, all work is the same work.
    let run = |replicas| {
        let mut queue = queue(exponential(), replicas);
        let first = queue.advance(100.0, 50.0).expect("a rate");
        let rest = queue.advance(100.0, 0.0).expect("a rate");
        (first.arrivals, first.busy_slot_s + rest.busy_slot_s)
    };
    let ((few, little), (many, much)) = (run(3), run(30));
    assert_eq!(few, many);
    assert!((little - much).abs() < 1e-6, "{little} {much}");
}

#[test]
fn the_window_says_what_the_interval_counted() {
    let spec = QueueSpec { timeout: Some(timeout(0.2, AfterTimeout::IsDone)), ..exponential() };
    let mut queue = queue(spec, 3);
    queue.scale_to(5).expect("a count");
    let interval = queue.advance(3.0, 70.0).expect("a rate");
    let window = interval.window(7).expect("a window");
    assert_eq!((window.seq(), window.start(), window.end()), (7, interval.start, interval.end));
    assert_eq!(u64::from(window.successes()), interval.completions);
    assert_eq!(u64::from(window.timeouts()), interval.timeouts);
    assert!(window.is_census() && window.ready() == Some(3) && window.starting() == Some(2));
    let latencies = window.latencies().expect("successes");
    let p95 = latencies.p95();
    assert!(latencies.p95_low() <= Some(p95) && latencies.p95_high() >= Some(p95));
    let traffic = window.traffic().expect("counted");
    assert_eq!(traffic.in_flight().map(u64::from), Some(interval.queued + interval.busy));
    assert!((traffic.arrivals_per_s() * 3.0 - interval.arrivals as f64).abs() < 1e-9);
}

/// One thing done to a queue.
#[derive(Clone, Copy, Debug)]
enum Move {
    Advance { seconds: f64, rate_per_s: f64 },
    Scale { replicas: u32 },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let advance = (0.001_f64..40.0, prop_oneof![Just(0.0), 0.0_f64..200.0])
        .prop_map(|(seconds, rate_per_s)| Move::Advance { seconds, rate_per_s });
    let scale = (0_u32..12).prop_map(|replicas| Move::Scale { replicas });
    prop::collection::vec(prop_oneof![2 => advance, 1 => scale], 1..15)
}

fn services() -> impl Strategy<Value = ServiceTime> {
    let mean_s = prop_oneof![Just(1e-6), 0.001_f64..0.5, Just(3_600.0)];
    (mean_s, 0_u32..5, 0.0_f64..=1.0).prop_map(|(mean_s, kind, at)| match kind {
        0 => ServiceTime::Deterministic { mean_s },
        1 => ServiceTime::Exponential { mean_s },
        2 => ServiceTime::Gamma { mean_s, shape: 0.05 + at * 20.0 },
        3 => ServiceTime::LogNormal { mean_s, cv: 0.01 + at * 9.9 },
        _ => ServiceTime::Pareto { mean_s, shape: 0.5 + at * 9.5, max_over_min: 1.01 + at * 1e5 },
    })
}

fn disturbances() -> impl Strategy<Value = Vec<Disturbance>> {
    let instant = || 0.0_f64..200.0;
    let span = || prop_oneof![Just(0.0), 0.0_f64..60.0];
    let crash = (instant(), 0_u32..20, prop::option::of(span())).prop_map(
        |(at_s, replicas, restart_after_s)| Disturbance::Crash { at_s, replicas, restart_after_s },
    );
    let outage = (instant(), span()).prop_map(|(at_s, for_s)| Disturbance::Outage { at_s, for_s });
    let factor = prop_oneof![Just(1e-3), Just(1e3), 0.5_f64..5.0];
    let slowdown =
        (instant(), span(), factor, 0.0_f64..=1.0).prop_map(|(at_s, for_s, factor, share)| {
            Disturbance::Slowdown { at_s, for_s, factor, share }
        });
    prop::collection::vec(prop_oneof![crash, outage, slowdown], 0..6)
}

prop_compose! {
    fn specs()(
        service in services(),
        concurrency in prop_oneof![Just(1_u32), 1_u32..20, Just(1_000)],
        balancing in prop_oneof![
            Just(Balancing::CentralFifo), Just(Balancing::LeastConnections), Just(Balancing::Random)
        ],
        queue_max in prop_oneof![Just(0_u32), 0_u32..50, Just(10_000_000)],
        (startup_s, warmup_s, drain_s) in (0.0_f64..20.0, 0.0_f64..20.0, 0.0_f64..20.0),
        warmup_factor in prop_oneof![Just(1.0), Just(1_000.0)],
        patience_s in prop::option::of(prop_oneof![Just(0.001), 0.01_f64..5.0, Just(86_400.0)]),
        is_cancelled in any::<bool>(),
        retrying in prop::option::of((1_u32..=10, 0.0_f64..2.0, 0.0_f64..=1.0)),
        budget_share in prop::option::of(0.0_f64..1.0),
        disturbances in disturbances(),
    ) -> QueueSpec {
        let work = if is_cancelled { AfterTimeout::IsCancelled } else { AfterTimeout::IsDone };
        QueueSpec {
            service, concurrency, balancing, queue_max, wait_threshold_s: 0.25,
            life: LifeSpec { startup_s, warmup_s, warmup_factor, drain_s },
            timeout: patience_s.map(|after_s| timeout(after_s, work)),
            retries: retrying.map(|(max, backoff_s, jitter_share)| RetrySpec {
                max, backoff_s, backoff_max_s: 1.0, jitter_share, budget_share,
            }),
            disturbances,
        }
    }
}

fn play(queue: &mut Queue, done: Move) -> Option<Interval> {
    match done {
        Move::Advance { seconds, rate_per_s } => {
            Some(queue.advance(seconds, rate_per_s).expect("a rate"))
        }
        Move::Scale { replicas } => {
            queue.scale_to(replicas).expect("a count");
            assert_eq!(queue.ordered(), replicas);
            None
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_spec_panics_and_nothing_is_lost_or_made_up(spec in specs(), moves in moves()) {
        let retries_max = spec.retries.map_or(0, |retries| retries.max);
        let budget = spec.retries.and_then(|retries| retries.budget_share);
        let mut queue = Queue::new(spec, 3, 5).expect("a spec");
        let (mut before, mut firsts, mut retried): (Option<Interval>, u64, u64) = (None, 0, 0);
        for interval in moves.into_iter().filter_map(|done| play(&mut queue, done)) {
            assert_conserved(before.as_ref(), &interval);
            firsts += interval.arrivals - interval.retries;
            retried += interval.retries;
            prop_assert!(retried <= firsts * u64::from(retries_max));
            if let Some(share) = budget {
                prop_assert!(retried as f64 <= firsts as f64 * share + 1e-6);
            }
            let replicas = f64::from(interval.ready + interval.starting + interval.draining);
            prop_assert!(interval.billed_replica_s >= 0.0 && replicas >= 0.0);
            prop_assert!(interval.busy_slot_s <= interval.held_request_s + 1e-6);
            prop_assert!(interval.window(1).is_ok());
            before = Some(interval);
        }
    }

    #[test]
    fn the_same_calls_are_the_same_bits_in_any_order_of_runs(
        specs in prop::collection::vec(specs(), 3),
        moves in moves(),
    ) {
        let run = |spec: &QueueSpec| -> Vec<Option<Interval>> {
            let mut queue = Queue::new(spec.clone(), 2, 11).expect("a spec");
            moves.iter().map(|done| play(&mut queue, *done)).collect()
        };
        let forth: Vec<_> = specs.iter().map(run).collect();
        let mut back: Vec<_> = specs.iter().rev().map(run).collect();
        back.reverse();
        prop_assert_eq!(format!("{forth:?}"), format!("{back:?}"));
        // Interleaved: no queue knows of another.
        let mut queues: Vec<Queue> = specs
            .iter()
            .map(|spec| Queue::new(spec.clone(), 2, 11).expect("a spec"))
            .collect();
        for (index, done) in moves.iter().enumerate() {
            for (queue, alone) in queues.iter_mut().zip(&forth) {
                prop_assert_eq!(&play(queue, *done), &alone[index]);
            }
        }
    }

    #[test]
    fn a_spec_survives_its_record(spec in specs()) {
        let text = serde_json::to_string(&spec).expect("a record");
        prop_assert_eq!(serde_json::from_str::<QueueSpec>(&text).expect("a spec"), spec);
    }
}
