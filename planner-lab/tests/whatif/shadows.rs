//! Policies that follow beside the real one, and what they are charged for.

use super::*;

/// Always the same count, asked every 15 s on a signal of its own: the windows it was told of.
#[derive(Clone, Copy, Debug)]
struct Fixed {
    replicas: u32,
    period: Option<Duration>,
}

impl Policy for Fixed {
    type Signal = u64;
    /// The windows it was told of, and how many they were when it last learned.
    type State = (Vec<u64>, usize);

    fn name(&self) -> &'static str {
        "fixed"
    }
    fn version(&self) -> u32 {
        1
    }
    fn initial_state(&self) -> Self::State {
        (Vec::new(), 0)
    }
    fn period(&self) -> Option<Duration> {
        self.period
    }
    fn absorb(&self, _now: Timestamp, signal: u64, state: &mut Self::State) {
        state.0.push(signal);
    }
    fn propose(&self, _view: &View<'_>, (told, _): &Self::State) -> Proposal {
        assert!(told.is_sorted_by(|a, b| a < b) && !told.is_empty(), "told of every window");
        Proposal::exactly(self.replicas)
    }
    fn learn(&self, _view: &View<'_>, _target: u32, (told, learned): &mut Self::State) {
        let between = told.len() - *learned;
        assert!(self.period.is_none() || *learned == 0 || between > 1, "learns once a period");
        *learned = told.len();
    }
}

pub(super) fn fixed(replicas: u32, period: Option<Duration>) -> Candidate {
    let config = settings(1, 10).guard_set(GuardSet::Peer).build().expect("valid");
    let policy = Fixed { replicas, period };
    Candidate::with_signals(config, policy, |window| vec![window.seq()])
        .named(format!("fixed {replicas}"))
}

/// 60/s without noise on replicas of 50/s each.
fn calm(windows: u32) -> Vec<Record> {
    let spec = PlantSpec { noise_share: 0.0, ..PlantSpec::default() };
    recorded(&settings(2, 10).build().expect("valid"), spec, windows, |_| 60.0).1
}

pub(super) fn follow(shadow: &mut Shadow, records: &[Record]) {
    for record in records {
        shadow.follow(record.at, &record.event, &record.step);
    }
}

#[test]
fn a_policy_with_a_period_can_be_tried_on_a_journal() {
    let (header, records) = shop();
    let question = WhatIf::new(Heuristic, header, records).expect("a journal");
    let every = Some(Duration::from_secs(15));
    let report = question.instead(move |_| fixed(3, every)).run().expect("an answer");
    let first = report.divergence.as_ref().expect("diverges");
    assert_eq!((first.changed.verb, first.changed.replicas), (Verb::Scale, Some(3)));
    let changed = simulated(&report).changed;
    assert_eq!((changed.actions(), changed.replicas_last), (1, 3));
}

#[test]
fn without_arrivals_or_capacity_nothing_is_judged() {
    let (_, records) = shop();
    let (_, blind) = forgetful(&records, |window| rebuilt(window, None, true));
    let mut shadow = Shadow::new(ShadowSettings::default());
    shadow.add(fixed(5, None));
    follow(&mut shadow, &blind);
    let totals = shadow.ledger().candidates();
    assert_eq!((totals[0].judged, totals[0].unjudged), (0, 497));
    assert!(shadow.ledger().entries().all(|entry| entry.regret.is_none()));
}

#[test]
fn settings_out_of_range_are_moved_into_it() {
    let mut shadow = Shadow::new(ShadowSettings {
        capacity_per_s: Some(f64::NAN),
        target_utilisation: f64::NAN,
        look_ahead: 0,
        keep: 0,
        replicas_min: 0,
    });
    follow(&mut shadow, &calm(100));
    assert_eq!((shadow.ledger().entries().len(), shadow.ledger().real().judged), (1, 99));
}

#[test]
fn a_repeated_window_is_booked_once() {
    let records = calm(50);
    let mut shadow = Shadow::new(ShadowSettings::default());
    shadow.add(fixed(5, None));
    for record in &records {
        shadow.follow(record.at, &record.event, &record.step);
        shadow.follow(record.at, &record.event, &Step::Idle(Idle::Stale));
    }
    assert_eq!(shadow.ledger().candidates()[0].judged, 47);
}

#[test]
fn each_count_is_charged_for_what_the_next_windows_asked() {
    let capacity_per_s = Some(50.0);
    let mut shadow = Shadow::new(ShadowSettings { capacity_per_s, ..ShadowSettings::default() });
    for replicas in [1, 2, 5] {
        shadow.add(fixed(replicas, None));
    }
    follow(&mut shadow, &calm(103));
    let of = |index: usize| &shadow.ledger().candidates()[index];
    // 60/s need two replicas at 80 % of 50/s; one answers 10/s too few in windows of 3 s.
    assert_eq!((of(0).excess_replica_s, of(0).short_requests.round()), (0.0, 3_000.0));
    assert_eq!((of(1).excess_replica_s, of(1).short_requests), (0.0, 0.0));
    assert_eq!((of(2).excess_replica_s, of(2).short_requests), (900.0, 0.0));
    assert_eq!((of(0).fewer, of(2).more, of(2).fewer), (100, 100, 0));
    assert_eq!(shadow.ledger().entries().next().and_then(|entry| entry.difference(2)), Some(3));
}

#[test]
fn what_is_needed_soon_is_not_too_much_now() {
    let spec = PlantSpec { noise_share: 0.0, ..PlantSpec::default() };
    let (_, records) = recorded(&config(), spec, 60, |t| if t < 90.0 { 60.0 } else { 180.0 });
    let excess = |look_ahead| {
        let capacity_per_s = Some(50.0);
        let mut shadow =
            Shadow::new(ShadowSettings { capacity_per_s, look_ahead, ..ShadowSettings::default() });
        shadow.add(fixed(5, None));
        follow(&mut shadow, &records);
        let entries = shadow.ledger().entries();
        entries.filter(|entry| entry.regrets[0].is_some_and(|it| it.excess_replica_s > 0.0)).count()
    };
    assert_eq!((excess(1), excess(4)), (29, 26));
}

#[test]
fn a_learned_capacity_is_what_a_replica_answered_at_most() {
    let (_, records) = shop();
    let mut shadow = Shadow::new(ShadowSettings::default());
    follow(&mut shadow, &records);
    let last = shadow.ledger().entries().last().and_then(|entry| entry.verdict);
    assert_eq!(last.map(|verdict| verdict.capacity_per_s), Some(50.0));
}

#[test]
fn a_wish_between_two_ticks_tells_its_age() {
    let mut shadow = Shadow::new(ShadowSettings::default());
    shadow.add(fixed(5, Some(Duration::from_secs(15))));
    follow(&mut shadow, &calm(53));
    let ages: Vec<f64> = shadow.ledger().entries().map(|entry| entry.wishes[0].age_s).collect();
    assert_eq!(ages[..7], [0.0, 3.0, 6.0, 9.0, 12.0, 0.0, 3.0]);
}

#[test]
fn a_pause_of_the_real_planner_does_not_silence_the_shadows_and_a_hold_does() {
    let wants = |operation, is_an_event: bool| {
        let mut shadow = Shadow::new(ShadowSettings::default());
        shadow.add(fixed(5, None));
        if is_an_event {
            let note = Step::Idle(Idle::Note);
            shadow.follow(Timestamp::ORIGIN, &Event::<NoSignal>::Operate(operation), &note);
        }
        let mut records = calm(40);
        for record in &mut records {
            if let Step::Decide(decision) = &mut record.step {
                decision.derivation.operation = operation;
            }
        }
        follow(&mut shadow, &records);
        shadow.ledger().entries().last().and_then(|entry| entry.wishes[0].replicas)
    };
    assert_eq!(wants(Operation::of(Mode::Pause), true), Some(5));
    assert_eq!(wants(Operation::of(Mode::Act).holding_out(), true), Some(2));
    // One of before the first record is told by decisions alone.
    assert_eq!(wants(Operation::of(Mode::Act).holding_out(), false), Some(2));
}

#[test]
fn who_joins_later_is_charged_from_then_on() {
    let records = calm(60);
    let mut shadow = Shadow::new(ShadowSettings::default());
    follow(&mut shadow, &records[..30]);
    shadow.add(fixed(5, None));
    follow(&mut shadow, &records[30..]);
    let ledger = shadow.ledger();
    assert_eq!((ledger.real().judged, ledger.candidates()[0].judged), (57, 27));
}

#[test]
fn memory_is_bounded_and_totals_go_on() {
    let records = calm(400);
    let mut shadow = Shadow::new(ShadowSettings { keep: 5, ..ShadowSettings::default() });
    shadow.add(fixed(5, None));
    follow(&mut shadow, &records);
    let ledger = shadow.ledger();
    assert_eq!((ledger.entries().len(), ledger.dropped(), ledger.real().judged), (5, 392, 397));
    assert!(ledger.entries().is_sorted_by(|a, b| a.at_s < b.at_s));
    // Decisions without windows do not pile up either.
    let last = &records[399];
    for _ in 0..10_000 {
        shadow.follow(last.at, &Event::<NoSignal>::Wake, &last.step);
    }
    assert!(shadow.open() < 32 && shadow.ledger().entries().len() == 5);
}

#[test]
fn a_ledger_is_read_as_json() {
    let mut shadow = Shadow::new(ShadowSettings { keep: 1, ..ShadowSettings::default() });
    shadow.add(fixed(5, None));
    follow(&mut shadow, &calm(20));
    let json = serde_json::to_value(shadow.ledger()).expect("plain");
    assert_eq!(json["candidates"][0]["name"], "fixed 5");
    assert_eq!(json["entries"][0]["wishes"][0]["replicas"], 5);
    assert_eq!(json["entries"][0]["done"]["replicas"], 2);
    assert!(json["real"]["excess_replica_s"].is_f64() && json["dropped"].is_u64());
}
