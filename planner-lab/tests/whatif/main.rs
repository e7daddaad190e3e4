//! What-if on journals that the closed loop made, and shadows beside it.

mod properties;
mod shadows;

use std::time::Duration;

use planner_core::journal::{Header, Record};
use planner_core::{
    Advice, AdviceConfig, AdvisedAction, Config, ConfigBuilder, Event, GuardSet, Heuristic,
    HeuristicState, Idle, Latencies, Latency, Mode, NoSignal, Operation, Outcome, Planner, Poc,
    Policy, Proposal, ReplicaBounds, ServiceId, Step, Timestamp, Traffic, View, Window,
};
use planner_lab::queue::{Queue, QueueSpec, ServiceTime};
use planner_lab::shadow::{Candidate, Entry, Regret, Shadow, ShadowSettings, Totals};
use planner_lab::whatif::{
    Beyond, Continuation, NoPlant, Report, Source, Verb, WhatIf, WhatIfError,
};
use planner_lab::{Plant, PlantSpec, run};
use proptest::prelude::*;

type Journal = (Header<HeuristicState>, Vec<Record>);

fn settings(min: u32, max: u32) -> ConfigBuilder {
    Config::builder(ReplicaBounds::new(min, max).expect("bounds"))
}

fn config() -> Config {
    settings(1, 10).build().expect("valid")
}

/// The journal of a closed loop.
fn recorded(
    config: &Config,
    spec: PlantSpec,
    windows: u32,
    load_per_s: impl Fn(f64) -> f64,
) -> Journal {
    let mut planner = Planner::new(config.clone(), Heuristic);
    let service = ServiceId::new("shop").expect("a name");
    let header = Header::of(service, &planner, false);
    let mut plant = Plant::new(spec, 2);
    let run = run(&mut planner, &mut plant, windows, load_per_s);
    (header, run.records().collect())
}

/// Calm, then a step that needs more, then calm again.
fn step(seconds: f64) -> f64 {
    if (300.0..900.0).contains(&seconds) { 260.0 } else { 60.0 }
}

fn shop() -> Journal {
    recorded(&config(), PlantSpec::default(), 500, step)
}

fn ask((header, records): &Journal, changes: &[&str]) -> Result<Report, WhatIfError> {
    let mut question = WhatIf::new(Heuristic, header.clone(), records.iter().cloned())
        .expect("a journal of this policy");
    for change in changes {
        question = question.change(change)?;
    }
    question.run()
}

fn simulated(report: &Report) -> &Continuation {
    match &report.beyond {
        Beyond::Simulated(continuation) => continuation,
        other => panic!("not simulated: {other:?}"),
    }
}

/// Replica-seconds of the windows that end after `from_s`.
fn spent(records: &[Record], from_s: f64) -> f64 {
    let windows = records.iter().filter_map(|record| match &record.event {
        Event::Observe(window) if window.end().as_secs_f64() > from_s => Some(window),
        _ => None,
    });
    let billed = windows.map(|it| it.ready().unwrap_or(0) + it.starting().unwrap_or(0));
    billed.map(|replicas| 3.0 * f64::from(replicas)).sum()
}

/// The same windows as a source without this knowledge would have told them, decided again.
fn forgetful(records: &[Record], forget: impl Fn(&Window) -> Window) -> Journal {
    let mut planner = Planner::new(config(), Heuristic);
    let header = Header::of(ServiceId::new("shop").expect("a name"), &planner, false);
    let records = records.iter().map(|record| {
        let Event::Observe(window) = &record.event else { return record.clone() };
        let event = Event::Observe(forget(window));
        Record { at: record.at, event: event.clone(), step: planner.step(record.at, event) }
    });
    (header.clone(), records.collect())
}

fn rebuilt(window: &Window, traffic: Option<Traffic>, latency: bool) -> Window {
    let mut told = Window::builder(window.seq(), window.start(), window.end())
        .outcomes(window.samples(), window.timeouts(), window.failures())
        .ready(window.ready().expect("known"))
        .starting(window.starting().expect("known"));
    if let Some(latencies) = window.latencies().filter(|_| latency) {
        told = told.latencies(latencies);
    }
    if let Some(traffic) = traffic {
        told = told.traffic(traffic);
    }
    told.build().expect("a window")
}

/// Answers every question with one replica more, and puts questions and answers on record.
fn advised(config: &Config) -> Journal {
    let mut planner = Planner::new(config.clone(), Heuristic);
    let header = Header::of(ServiceId::new("shop").expect("a name"), &planner, false);
    let mut plant = Plant::new(PlantSpec { noise_share: 0.3, ..PlantSpec::default() }, 2);
    let mut records = Vec::new();
    for _ in 0..300 {
        let window = plant.window(60.0).expect("a rate");
        let at = window.end();
        let mut event = Event::Observe(window);
        loop {
            let step = planner.step(at, event.clone());
            records.push(Record { at, event, step: step.clone() });
            match step {
                Step::Consult(asked) => {
                    let more = Advice::new(AdvisedAction::ScaleUp, "a sale begins");
                    event = Event::Advise(asked.id, Ok(more));
                }
                Step::Decide(decision) => {
                    if let Some(target) = decision.target() {
                        plant.scale_to(target);
                    }
                    break;
                }
                _ => break,
            }
        }
    }
    (header, records)
}

#[test]
fn a_journal_without_records_has_no_answer() {
    let (header, _) = shop();
    let refusal = ask(&(header, Vec::new()), &[]).expect_err("refused");
    assert_eq!(
        refusal.to_string(),
        "journal: no records; nothing happened that could have been otherwise"
    );
}

#[test]
fn a_journal_of_another_policy_is_refused() {
    let mut planner = Planner::new(config(), Poc);
    let header = Header::of(ServiceId::new("shop").expect("a name"), &planner, false);
    let window = Plant::new(PlantSpec::default(), 2).window(60.0).expect("a rate");
    let (at, event) = (window.end(), Event::Observe(window));
    let step = planner.step(at, event.clone());
    let mut renamed = header;
    renamed.policy = String::from("other");
    let refused = WhatIf::new(Poc, renamed, [Record { at, event, step }]).map(|_| ());
    assert!(refused.expect_err("refused").to_string().starts_with("journal: not of policy poc"));
}

#[test]
fn a_journal_that_does_not_repeat_itself_is_refused() {
    let (header, mut records) = shop();
    let other = records[3].step.clone();
    records[7].step = other;
    let refusal = ask(&(header, records), &["bounds.max=4"]).expect_err("refused");
    assert_eq!(
        refusal.to_string(),
        "journal: record 7 at 24.000s is not repeated with its own settings, so a difference would not be due to a change; replay it with the program that wrote it"
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused_by_name() {
    assert_eq!(
        ask(&shop(), &["bounds.min=20"]).expect_err("refused").to_string(),
        "max_replicas: 10 is below min_replicas 20; raise max_replicas or lower min_replicas"
    );
    assert_eq!(
        ask(&shop(), &["bounds.mx=20"]).expect_err("refused").to_string(),
        "bounds.mx: no such setting; the nearest is bounds.max"
    );
}

#[test]
fn without_arrivals_no_plant_takes_over_and_the_divergence_is_still_told() {
    let (_, records) = shop();
    let journal = forgetful(&records, |window| rebuilt(window, None, true));
    let report = ask(&journal, &["bounds.max=4"]).expect("an answer");
    assert!(report.divergence.is_some());
    assert_eq!(report.beyond, Beyond::Impossible(NoPlant::ArrivalsUnknown));
    let text = report.to_string();
    assert!(text.ends_with(
        "no plant can take over: no window tells how many requests arrived; measure traffic at the balancer, then record again"
    ), "{text}");
}

#[test]
fn without_answers_the_hint_of_the_capacity_stands_in_or_no_plant_takes_over() {
    let (_, records) = shop();
    let journal = forgetful(&records, |window| {
        let arrivals_per_s = window.traffic().expect("known").arrivals_per_s();
        rebuilt(window, Traffic::arriving(arrivals_per_s).ok(), true)
    });
    let report = ask(&journal, &["bounds.max=4"]).expect("an answer");
    assert_eq!(report.beyond, Beyond::Impossible(NoPlant::CapacityUnknown));
    let hinted = settings(1, 10).capacity_hint_per_s(45.0).build().expect("valid");
    let mut planner = Planner::new(hinted, Heuristic);
    let header = Header::of(ServiceId::new("shop").expect("a name"), &planner, false);
    let records = journal.1.into_iter().map(|record| {
        let step = planner.step(record.at, record.event.clone());
        Record { step, ..record }
    });
    let journal = (header.clone(), records.collect());
    let report = ask(&journal, &["bounds.max=3"]).expect("an answer");
    let capacity = simulated(&report).model.capacity_per_s;
    assert_eq!((capacity.value, capacity.source), (45.0, Source::Setting));
}

#[test]
fn without_latencies_no_plant_takes_over() {
    let (_, records) = shop();
    let journal = forgetful(&records, |window| rebuilt(window, window.traffic(), false));
    let report = ask(&journal, &["bounds.max=3"]).expect("an answer");
    assert_eq!(report.beyond, Beyond::Impossible(NoPlant::LatencyUnknown));
}

#[test]
fn a_divergence_at_the_end_leaves_nothing_to_simulate() {
    let (header, mut records) = shop();
    let report = ask(&(header.clone(), records.clone()), &["bounds.max=4"]).expect("an answer");
    records.truncate(report.divergence.expect("diverges").record + 1);
    let report = ask(&(header, records), &["bounds.max=4"]).expect("an answer");
    assert_eq!(report.beyond, Beyond::Impossible(NoPlant::NothingFollows));
}

#[test]
fn without_a_change_nothing_differs() {
    let report = ask(&shop(), &[]).expect("an answer");
    assert_eq!((report.divergence.as_ref(), report.differences.len()), (None, 0));
    assert_eq!((report.beyond, report.decisions), (Beyond::Unneeded, 500));
}

#[test]
fn the_first_divergence_is_told_with_both_arguments() {
    let report = ask(&shop(), &["bounds.max=4"]).expect("an answer");
    let first = report.divergence.as_ref().expect("diverges");
    assert_eq!((first.recorded.verb, first.changed.verb), (Verb::Scale, Verb::Scale));
    assert!(first.exact && first.recorded.replicas > Some(4));
    assert_eq!(first.changed.replicas, Some(4));
    assert!(first.changed.line.ends_with("[at most 4]"), "{}", first.changed.line);
    assert_eq!((report.exact.replicas, report.changes[0].to.as_str()), (1, "4"));
    assert!(report.hindsight.replicas > 0);
    let text = report.to_string();
    for part in ["  bounds.max 10 -> 4\n", &first.changed.line, "capacity   50.0/s", "replica-s"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn the_model_finds_what_the_plant_was_made_of_and_repeats_the_record() {
    let report = ask(&shop(), &["bounds.max=4"]).expect("an answer");
    let Continuation { model, fidelity, .. } = simulated(&report);
    assert_eq!((model.capacity_per_s.value, model.capacity_is_tight), (50.0, true));
    assert_eq!((model.startup_s.value, model.patience_s.value), (6.0, 2.5));
    assert!((model.base_ms.value - 40.0).abs() < 1.0, "{}", model.base_ms.value);
    for errors in [fidelity.before, fidelity.behind] {
        let errors = errors.expect("compared");
        assert_eq!(errors.ready_exact_share, 1.0);
        assert!(errors.p95_error.is_some_and(|error| error < 0.06), "{errors:?}");
    }
}

#[test]
fn what_the_model_says_is_what_happens_when_it_is_tried() {
    for change in ["bounds.max=4", "bounds.min=5", "cooldown_in=300s"] {
        let report = ask(&shop(), &[change]).expect("an answer");
        let from = report.divergence.as_ref().expect("diverges").at_s;
        let tried = match change {
            "bounds.max=4" => settings(1, 4).build(),
            "bounds.min=5" => settings(5, 10).build(),
            _ => settings(1, 10).cooldown_in(Duration::from_secs(300)).build(),
        };
        let truth = recorded(&tried.expect("valid"), PlantSpec::default(), 500, step);
        let Continuation { recorded, changed, .. } = simulated(&report);
        for (branch, truth) in [(recorded, shop().1), (changed, truth.1)] {
            let error = branch.replica_s / spent(&truth, from) - 1.0;
            assert!(error.abs() < 0.08, "{change}: {} is {error:+.3} off", branch.replica_s);
        }
    }
}

#[test]
fn a_model_of_another_kind_of_plant_says_how_far_it_is_off() {
    // Requests of their own instead of a fluid: 25/s a replica, 20 s to start.
    let mut spec = QueueSpec::of(ServiceTime::Exponential { mean_s: 0.040 });
    spec.life.startup_s = 20.0;
    let mut queue = Queue::new(spec, 4, 7).expect("a queue");
    let mut planner = Planner::new(settings(1, 30).build().expect("valid"), Heuristic);
    let header = Header::of(ServiceId::new("shop").expect("a name"), &planner, false);
    let records = (1..400_u32).map(|seq| {
        let load_per_s = if (120..250).contains(&seq) { 300.0 } else { 40.0 };
        let interval = queue.advance(5.0, load_per_s).expect("a rate");
        let window = interval.window(seq.into()).expect("a window");
        let (at, event) = (window.end(), Event::Observe(window));
        let step = planner.step(at, event.clone());
        if let Step::Decide(decision) = &step
            && let Some(target) = decision.target()
        {
            queue.scale_to(target).expect("a count");
        }
        Record { at, event, step }
    });
    let journal = (header.clone(), records.collect());
    let report = ask(&journal, &["bounds.max=12"]).expect("an answer");
    let Continuation { model, fidelity, .. } = simulated(&report);
    assert!((model.capacity_per_s.value - 25.0).abs() < 2.5, "{:?}", model.capacity_per_s);
    assert!((model.startup_s.value - 20.0).abs() <= 5.0, "{:?}", model.startup_s);
    let behind = fidelity.behind.expect("compared");
    assert!(behind.ready_exact_share > 0.9, "{behind:?}");
    assert!(behind.p95_error.is_some_and(|error| error > 0.06), "{behind:?}");
}

#[test]
fn what_is_starting_at_the_divergence_arrives_on_the_model_too() {
    let slow = settings(1, 40).cooldown_out(Duration::from_secs(60)).build().expect("valid");
    let spec = PlantSpec { startup: Duration::from_secs(40), ..PlantSpec::default() };
    let journal = recorded(&slow, spec, 300, |t| if t < 300.0 { 60.0 } else { 700.0 });
    let report = ask(&journal, &["cooldown_out=15s"]).expect("an answer");
    let first = report.divergence.as_ref().expect("diverges");
    let Event::Observe(window) = &journal.1[first.record].event else { panic!("a window") };
    assert!(window.starting() > Some(0) && first.recorded.verb == Verb::Hold);
    let truth = spent(&journal.1, first.at_s);
    let Continuation { recorded, changed, .. } = simulated(&report);
    assert!((recorded.replica_s / truth - 1.0).abs() < 0.01, "{} of {truth}", recorded.replica_s);
    assert!(changed.replica_s > recorded.replica_s);
}

#[test]
fn a_pause_behind_the_divergence_is_one_on_the_model_too() {
    let (header, mut records) = shop();
    let at = records[102].at;
    let event = Event::Operate(Operation::of(Mode::Pause));
    records.insert(103, Record { at, event, step: Step::Idle(Idle::Note) });
    let mut planner = Planner::new(config(), Heuristic);
    for record in &mut records {
        record.step = planner.step(record.at, record.event.clone());
    }
    let report = ask(&(header, records), &["bounds.max=4"]).expect("an answer");
    let Continuation { recorded, changed, .. } = simulated(&report);
    assert_eq!((recorded.actions(), changed.actions()), (1, 1));
    assert_eq!((recorded.replicas_last, changed.replicas_last), (9, 4));
}

#[test]
fn behind_the_divergence_nothing_is_taken_as_ordered_that_was_not() {
    let report = ask(&shop(), &["bounds.min=5"]).expect("an answer");
    assert_eq!(report.divergence.as_ref().map(|first| first.record), Some(0));
    let next = report.differences.iter().find(|difference| difference.record == 1);
    let next = next.expect("differs");
    assert_eq!(
        (next.exact, next.changed.verb, next.changed.replicas),
        (false, Verb::Suggest, Some(5))
    );
    assert_eq!((next.recorded.verb, next.recorded.replicas), (Verb::Hold, Some(2)));
}

#[test]
fn too_few_replicas_cost_less_and_hurt_more() {
    let report = ask(&shop(), &["bounds.max=4"]).expect("an answer");
    let Continuation { recorded, changed, .. } = simulated(&report);
    assert!(changed.replica_s < recorded.replica_s);
    assert!(changed.windows_above_share > 0.4 && recorded.windows_above_share < 0.1);
    assert!(changed.requests_above_share > recorded.requests_above_share);
    assert_eq!(changed.replicas_most, 4);
}

#[test]
fn an_objective_of_the_callers_is_what_both_are_measured_by() {
    let (header, records) = shop();
    let ask = |limit| {
        let question = WhatIf::new(Heuristic, header.clone(), records.clone()).expect("a journal");
        let question = question.objective_ms(limit).change("bounds.max=4").expect("a setting");
        simulated(&question.run().expect("an answer")).clone()
    };
    let (strict, lax, none) = (ask(41.0), ask(1e6), ask(f64::NAN));
    assert_eq!(strict.model.objective_ms.source, Source::Setting);
    assert!(strict.changed.windows_above_share > none.changed.windows_above_share);
    assert_eq!(lax.changed.windows_above_share, 0.0);
}

#[test]
fn a_run_in_the_operators_shadow_never_diverges_because_nothing_was_carried_out() {
    let (_, records) = shop();
    let mut planner = Planner::new(config(), Heuristic);
    let header = Header::of(ServiceId::new("shop").expect("a name"), &planner, false);
    let watched = Event::Operate(Operation::of(Mode::Shadow));
    let first = Record { at: Timestamp::ORIGIN, event: watched, step: Step::Idle(Idle::Note) };
    let records = std::iter::once(first).chain(records).map(|record| {
        let step = planner.step(record.at, record.event.clone());
        Record { step, ..record }
    });
    let journal = (header.clone(), records.collect());
    let report = ask(&journal, &["bounds.max=4"]).expect("an answer");
    assert_eq!((report.divergence.as_ref(), &report.beyond), (None, &Beyond::Unneeded));
    assert!(report.exact.replicas > 1);
    assert!(report.differences.iter().all(|difference| difference.exact));
}

#[test]
fn a_refused_scaling_is_repeated_as_refused() {
    let mut planner = Planner::new(config(), Heuristic);
    let header = Header::of(ServiceId::new("shop").expect("a name"), &planner, false);
    let mut plant = Plant::new(PlantSpec::default(), 2);
    let mut records = Vec::new();
    for _ in 0..200 {
        let window = plant.window(if plant.now().as_secs_f64() < 150.0 { 60.0 } else { 200.0 });
        let window = window.expect("a rate");
        let at = window.end();
        let event = Event::Observe(window);
        let step = planner.step(at, event.clone());
        records.push(Record { at, event, step: step.clone() });
        if let Step::Decide(decision) = step
            && decision.target().is_some()
        {
            let event = Event::Settle(decision.id, Outcome::Refuse);
            let step = planner.step(at, event.clone());
            records.push(Record { at, event, step });
        }
    }
    let journal = (header, records);
    assert_eq!(ask(&journal, &[]).expect("an answer").beyond, Beyond::Unneeded);
    let report = ask(&journal, &["bounds.max=3"]).expect("an answer");
    // Nothing was ever carried out: the model repeats that too.
    let behind = simulated(&report).fidelity.behind.expect("compared");
    assert_eq!(behind.ready_exact_share, 1.0);
}

#[test]
fn an_advisors_recorded_answers_reach_the_same_questions() {
    let advice =
        AdviceConfig { period: Duration::from_secs(20), reserve: 4, ..AdviceConfig::default() };
    let config = settings(1, 10).advice(advice).build().expect("valid");
    let journal = advised(&config);
    let scaled = journal.1.iter().find_map(|record| match (&record.event, &record.step) {
        (Event::Advise(..), Step::Decide(decision)) => decision.target(),
        _ => None,
    });
    assert!(scaled.is_some(), "an answer moved a target");
    let same = ask(&journal, &[]).expect("an answer");
    assert_eq!((same.beyond, same.differences.len(), same.unanswered), (Beyond::Unneeded, 0, 0));
    let alone = ask(&journal, &["advice=none"]).expect("an answer");
    let first = alone.divergence.expect("diverges");
    assert!(first.recorded.replicas > first.changed.replicas, "{first:?}");
    assert_eq!(alone.changes.last().map(|it| it.to.as_str()), Some("none"));
}

#[test]
fn a_question_that_was_not_asked_then_has_no_answer() {
    let advice =
        AdviceConfig { period: Duration::from_secs(3_600), reserve: 4, ..AdviceConfig::default() };
    let rare = settings(1, 10).advice(advice).build().expect("valid");
    let report = ask(&advised(&rare), &["advice.period=10s"]).expect("an answer");
    assert!(report.unanswered > 0);
}

#[test]
fn a_run_that_went_on_from_a_snapshot_can_be_asked() {
    let mut planner = Planner::new(config(), Heuristic);
    let mut plant = Plant::new(PlantSpec::default(), 2);
    let _before = run(&mut planner, &mut plant, 100, step);
    let header = Header::of(ServiceId::new("shop").expect("a name"), &planner, true);
    let after = run(&mut planner, &mut plant, 300, step);
    let journal = (header, after.records().collect());
    assert_eq!(ask(&journal, &[]).expect("an answer").beyond, Beyond::Unneeded);
    assert!(ask(&journal, &["bounds.max=4"]).expect("an answer").divergence.is_some());
}

#[test]
fn another_policy_can_be_tried() {
    let (header, records) = shop();
    let question = WhatIf::new(Heuristic, header, records).expect("a journal");
    let report = question.instead(|config| Candidate::new(config.clone(), Poc)).run();
    let report = report.expect("an answer");
    assert_eq!((report.policy.as_str(), report.tried.as_str()), ("heuristic", "poc"));
    assert!(report.divergence.is_some());
    assert!(report.to_string().starts_with("shop: 500 decisions of heuristic, tried poc\n"));
}

#[test]
fn the_same_question_has_the_same_answer_to_the_byte() {
    let (journal, change) = (shop(), ["target_utilisation=0.5", "bounds.max=6"]);
    let of = || serde_json::to_string(&ask(&journal, &change).expect("an answer"));
    assert_eq!(of().expect("plain"), of().expect("plain"));
}
