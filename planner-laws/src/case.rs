//! Random cases: a configuration, and phases of weather for a service.
//!
//! Sequences of independent windows never warm a baseline and seldom reach an advisor. Phases do:
//! calm long enough to learn from, then elevated, breach, outage, doubt and worse.

use std::time::Duration;

use planner_core::{AdviceConfig, Config, GuardSet, ReplicaBounds, StepLimit};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// Everything that a run depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "read back from regression files by its fields")]
pub struct Case {
    /// The settings.
    pub config: Config,
    /// Length of a window in seconds.
    pub window_s: u16,
    /// The service's usual p95 in milliseconds.
    pub usual_ms: f64,
    /// The weather.
    pub phases: Vec<Phase>,
    /// Seed of everything that the phases leave open: noise, answers, repetitions, refusals.
    pub seed: u64,
}

/// Some windows of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "read back from regression files by its fields")]
pub struct Phase {
    /// What kind.
    pub kind: Kind,
    /// How many.
    pub windows: u8,
}

/// A kind of weather.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The clock jumps, by up to ten years, either way.
    Adrift,
    /// About the usual p95.
    Calm,
    /// More replicas are ready than there may be.
    Crowded,
    /// Far above the usual p95.
    Breach,
    /// Above the usual p95, but no breach.
    Elevated,
    /// Errors beside a low p95.
    Errors,
    /// Numbers at the edges of what a window may hold.
    Extreme,
    /// No request was answered.
    Outage,
    /// Calm, and no traffic to speak of.
    Quiet,
    /// More arrives than is answered.
    Saturated,
    /// Fewer replicas are ready than there should be.
    Short,
    /// Windows that arrive too late.
    Stale,
    /// Too few samples.
    Starved,
    /// Windows of a source that was cut short.
    Truncated,
    /// Nobody knows how many replicas there are.
    Unknown,
}

/// Any valid configuration that a case can exercise within a few hundred windows.
pub fn config() -> impl Strategy<Value = Config> {
    config_under(GuardSet::All)
}

/// Such a configuration with these guards.
fn config_under(guard_set: GuardSet) -> impl Strategy<Value = Config> {
    let span = |most: u64| (0..most).prop_map(Duration::from_secs);
    let limit = || {
        (1..6_u32, 0..150_u32, 0..90_u64).prop_map(|(replicas, percent, period)| StepLimit {
            replicas,
            percent,
            period: Duration::from_secs(period),
        })
    };
    let counts = (0..4_u32, 1..9_u32, 2..8_u32, 1..4_u32, 1..8_u32, 1..4_u32);
    let spans = (span(40), span(90), span(90), span(30));
    let hint_ms = prop_oneof![3 => Just(0.0), 1 => 1.0..1_000.0_f64];
    let advised = (prop::bool::weighted(0.7), 1..20_u64);
    (counts, spans, limit(), limit(), advised, hint_ms).prop_map(
        move |(counts, spans, step_out, step_in, (advised, call_s), hint_ms)| {
            let (min, more, warmup, low, flaps, attempts) = counts;
            let bounds = ReplicaBounds::new(min, min + more);
            let step_in = StepLimit { percent: step_in.percent.min(100), ..step_in };
            let builder = Config::builder(bounds.unwrap_or_else(|_| unreachable!("min <= max")))
                .warmup_windows(warmup)
                .baseline_hint_ms(hint_ms)
                .low_windows(low)
                .flap_budget_per_hour(flaps)
                .efficacy_attempts(attempts)
                .cooldown_out(spans.0)
                .cooldown_in(spans.1)
                .stabilisation_in(spans.2)
                .startup_allowance(spans.3)
                .step_out(step_out)
                .step_in(step_in)
                .guard_set(guard_set);
            let period = Duration::from_secs(call_s);
            let advice = AdviceConfig { period, heartbeat: period, ..AdviceConfig::default() };
            let builder = if advised { builder.advice(advice) } else { builder };
            builder.build().unwrap_or_else(|_| unreachable!("every range is respected"))
        },
    )
}

/// Any case. It begins with calm, so that a baseline is learned.
pub fn case() -> impl Strategy<Value = Case> {
    case_under(GuardSet::All)
}

/// Such a case with these guards.
pub(crate) fn case_under(guard_set: GuardSet) -> impl Strategy<Value = Case> {
    let kind = prop_oneof![
        6 => Just(Kind::Calm),
        4 => Just(Kind::Breach),
        4 => Just(Kind::Elevated),
        2 => Just(Kind::Errors),
        2 => Just(Kind::Saturated),
        2 => Just(Kind::Quiet),
        1 => Just(Kind::Adrift),
        1 => Just(Kind::Crowded),
        1 => Just(Kind::Extreme),
        1 => Just(Kind::Outage),
        1 => Just(Kind::Short),
        1 => Just(Kind::Stale),
        1 => Just(Kind::Starved),
        1 => Just(Kind::Truncated),
        1 => Just(Kind::Unknown),
    ];
    let phase = (kind, 1..16_u8).prop_map(|(kind, windows)| Phase { kind, windows });
    let window_s = prop_oneof![3 => 1..4_u16, 1 => 10..61_u16];
    let config = config_under(guard_set);
    (config, window_s, 5.0..500.0_f64, prop::collection::vec(phase, 4..24), any::<u64>()).prop_map(
        |(config, window_s, usual_ms, mut phases, seed)| {
            phases.insert(0, Phase { kind: Kind::Calm, windows: 12 });
            Case { config, window_s, usual_ms, phases, seed }
        },
    )
}
