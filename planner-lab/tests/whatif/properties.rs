//! What holds for any load and service.

use super::shadows::{fixed, follow};
use super::*;

fn loads() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![3 => 0.0_f64..120.0, 1 => 0.0_f64..900.0], 4..12)
}

fn specs() -> impl Strategy<Value = PlantSpec> {
    (0.0_f64..0.4, any::<u64>(), 1_u64..40, any::<bool>()).prop_map(
        |(noise_share, seed, startup, traffic_known)| PlantSpec {
            noise_share,
            seed,
            startup: Duration::from_secs(startup),
            traffic_known,
            ..PlantSpec::default()
        },
    )
}

/// A load that holds each of these for 75 s.
fn stairs(loads: &[f64]) -> impl Fn(f64) -> f64 {
    |seconds| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few")]
        let stair = (seconds / 75.0) as usize;
        loads[stair % loads.len()]
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 64, ..Default::default()
    })]

    #[test]
    fn without_a_change_there_is_never_a_difference(
        loads in loads(), spec in specs(), max in 1_u32..12,
    ) {
        let config = settings(1, max).warmup_windows(5).build().expect("valid");
        let journal = recorded(&config, spec, 300, stairs(&loads));
        let report = ask(&journal, &[&format!("bounds.max={max}")]).expect("an answer");
        prop_assert_eq!(report.differences, vec![]);
        prop_assert_eq!(report.beyond, Beyond::Unneeded);
    }

    #[test]
    fn whatever_is_changed_both_runs_stay_within_their_bounds_and_shares(
        loads in loads(), spec in specs(), max in 1_u32..30, min in 0_u32..3,
        utilisation in 0.05_f64..1.0, cooldown in 0_u32..400,
    ) {
        let journal = recorded(&config(), spec, 250, stairs(&loads));
        let changes = [
            format!("bounds.max={}", max.max(min)),
            format!("bounds.min={min}"),
            format!("target_utilisation={utilisation}"),
            format!("cooldown_in={cooldown}s"),
        ];
        let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
        let report = ask(&journal, &changes).expect("an answer");
        prop_assert!(report.exact.replicas <= 1);
        prop_assert_eq!(report.exact.replicas == 1, report.divergence.is_some());
        if let Beyond::Simulated(continuation) = &report.beyond {
            for branch in [continuation.recorded, continuation.changed] {
                prop_assert!((0.0..=1.0).contains(&branch.windows_above_share));
                prop_assert!((0.0..=1.0 + 1e-9).contains(&branch.requests_above_share));
                prop_assert!(branch.replica_s.is_finite() && branch.replica_s >= 0.0);
            }
            prop_assert!(continuation.changed.replicas_last <= max.max(min).max(10));
        }
    }

    #[test]
    fn no_journal_however_odd_makes_a_panic(
        told in prop::collection::vec(
            (0_u64..200, 0_u64..20, 0_u32..9, 0.0_f64..1e9, 0.0_f64..1e8, 0_u32..4), 1..60,
        ),
        change in prop_oneof![
            Just("bounds.max=3"), Just("bounds.min=4"), Just("startup_allowance=0s"),
            Just("thresholds.up_ratio=1.2"), Just("warmup_windows=2"),
        ],
    ) {
        let mut planner = Planner::new(config(), Heuristic);
        let header = Header::of(ServiceId::new("shop").expect("a name"), &planner, false);
        let mut shadow = Shadow::new(ShadowSettings::default());
        shadow.add(Candidate::new(config(), Poc));
        let mut records = Vec::new();
        for (seq, (end, length, ready, arrivals, p95_ms, known)) in (0..).zip(told) {
            // Years apart, overlapping, repeated, backwards: a clock can be set to anything.
            let at = |tens: u64| Timestamp::from_origin(Duration::from_secs(10 * tens * tens));
            let mut window = Window::builder(seq, at(end.saturating_sub(length)), at(end));
            window = window.outcomes(50, known, 0);
            if known > 0 {
                let traffic = Traffic::arriving(arrivals).expect("a rate").with_in_flight(ready);
                window = window.ready(ready).starting(known).traffic(
                    traffic.with_completions(arrivals / f64::from(known)).expect("a rate"),
                );
            }
            let p95 = Latency::from_millis(p95_ms).expect("a latency");
            let window = window.latencies(Latencies::from_p95(p95)).build().expect("a window");
            let (at, event) = (at(end), Event::Observe(window));
            let step = planner.step(at, event.clone());
            shadow.follow(at, &event, &step);
            records.push(Record { at, event, step });
        }
        let journal = (header, records);
        prop_assert!(ask(&journal, &[]).expect("an answer").differences.is_empty());
        let _told = ask(&journal, &[change]).expect("an answer").to_string();
    }

    #[test]
    fn the_totals_are_the_sums_of_the_entries(
        loads in loads(), spec in specs(), look_ahead in 1_u32..6,
    ) {
        let (_, records) = recorded(&config(), spec, 250, stairs(&loads));
        let mut shadow = Shadow::new(ShadowSettings { look_ahead, ..ShadowSettings::default() });
        shadow.add(Candidate::new(config(), Poc));
        shadow.add(fixed(4, None));
        follow(&mut shadow, &records);
        let ledger = shadow.ledger();
        prop_assert_eq!(ledger.entries().len() + shadow.open(), records.len());
        let sums = |of: &dyn Fn(&Entry) -> Option<Regret>| {
            let regrets = ledger.entries().filter_map(of);
            regrets.fold((0, 0.0, 0.0), |(judged, excess, short), it| {
                (judged + 1, excess + it.excess_replica_s, short + it.short_requests)
            })
        };
        let of = |totals: &Totals| {
            (totals.judged, totals.excess_replica_s, totals.short_requests)
        };
        prop_assert_eq!(of(ledger.real()), sums(&|entry| entry.regret));
        for (index, totals) in ledger.candidates().iter().enumerate() {
            prop_assert_eq!(of(totals), sums(&|entry| entry.regrets[index]));
        }
    }
}
