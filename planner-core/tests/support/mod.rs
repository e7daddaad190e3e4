//! Random configurations and happenings, shared by the tests of this folder.
#![allow(dead_code, reason = "each test uses its part")]

use std::time::Duration;

use planner_core::{
    AdviceConfig, AdvisedAction, Config, Latencies, Latency, ReplicaBounds, StepLimit, Timestamp,
    Traffic, Window,
};
use proptest::prelude::*;

/// One thing that happens, before times and numbers are known.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Window {
        p95_ms: Option<f64>,
        samples: u32,
        bad: u32,
        rate: Option<(f64, f64, u32)>,
        ready: Option<u32>,
        starting: Option<u32>,
    },
    Again,
    Answer(AdvisedAction, Option<u32>, f64),
    Fault(bool),
    Wake,
    Refuse,
}

pub(crate) fn happening() -> impl Strategy<Value = Happening> {
    let p95 =
        prop_oneof![6 => 20.0..80.0_f64, 2 => 0.0..2_000.0_f64, 1 => Just(0.0), 1 => Just(1e8)];
    let rate = (0.0..500.0_f64, 0.0..500.0_f64, 0..400_u32);
    let window = (
        prop::option::weighted(0.9, p95),
        prop_oneof![8 => 10..200_u32, 1 => 0..10_u32],
        prop_oneof![8 => Just(0_u32), 2 => 0..200_u32],
        prop::option::of(rate),
        prop::option::weighted(0.95, prop_oneof![8 => 1..12_u32, 1 => 0..40_u32]),
        prop::option::of(0..4_u32),
    );
    let action = prop_oneof![
        Just(AdvisedAction::Noop),
        Just(AdvisedAction::ScaleUp),
        Just(AdvisedAction::ScaleDown)
    ];
    prop_oneof![
        12 => window.prop_map(|(p95_ms, samples, bad, rate, ready, starting)| {
            Happening::Window { p95_ms, samples, bad: bad.min(samples), rate, ready, starting }
        }),
        1 => Just(Happening::Again),
        3 => (action, prop::option::of(any::<u32>()), any::<f64>())
            .prop_map(|(action, to, ratio)| Happening::Answer(action, to, ratio)),
        1 => any::<bool>().prop_map(Happening::Fault),
        1 => Just(Happening::Wake),
        1 => Just(Happening::Refuse),
    ]
}

pub(crate) fn config() -> impl Strategy<Value = Config> {
    let span = || (0..30_u64).prop_map(Duration::from_secs);
    let limit = || {
        (1..6_u32, 0..200_u32, 0..20_u64).prop_map(|(replicas, percent, period)| StepLimit {
            replicas,
            percent,
            period: Duration::from_secs(period),
        })
    };
    let numbers = (0..4_u32, 0..8_u32, 2..8_u32, 1..4_u32, 1..20_u32);
    (numbers, span(), span(), span(), limit(), limit(), any::<bool>()).prop_map(
        |((min, more, warmup, low, flaps), out, inwards, stabilise, step_out, step_in, advised)| {
            let bounds = ReplicaBounds::new(min, min + more + 1).expect("valid bounds");
            let step_in = StepLimit { percent: step_in.percent.min(100), ..step_in };
            let builder = Config::builder(bounds)
                .warmup_windows(warmup)
                .low_windows(low)
                .flap_budget_per_hour(flaps)
                .cooldown_out(out)
                .cooldown_in(inwards)
                .stabilisation_in(stabilise)
                .step_out(step_out)
                .step_in(step_in)
                .startup_allowance(Duration::from_secs(5));
            let period = Duration::from_secs(1);
            let advice = AdviceConfig { period, heartbeat: period, ..AdviceConfig::default() };
            let builder = if advised { builder.advice(advice) } else { builder };
            builder.build().expect("valid settings")
        },
    )
}

pub(crate) fn at(second: u64) -> Timestamp {
    Timestamp::from_origin(Duration::from_secs(second))
}

/// The window of this second, if the happening is one.
pub(crate) fn window_of(second: u64, happening: &Happening) -> Option<Window> {
    let Happening::Window { p95_ms, samples, bad, rate, ready, starting } = happening else {
        return None;
    };
    Some(window(second, *p95_ms, *samples, *bad, *rate, *ready, *starting))
}

fn window(
    second: u64,
    p95_ms: Option<f64>,
    samples: u32,
    bad: u32,
    rate: Option<(f64, f64, u32)>,
    ready: Option<u32>,
    starting: Option<u32>,
) -> Window {
    let mut builder = Window::builder(second, at(second - 1), at(second)).outcomes(
        samples,
        bad / 2,
        bad - bad / 2,
    );
    if let Some(p95) = p95_ms.and_then(Latency::from_millis).filter(|_| samples > bad) {
        builder = builder.latencies(Latencies::from_p95(p95));
    }
    if let Some((arrivals, completions, in_flight)) = rate {
        let traffic = Traffic::arriving(arrivals)
            .and_then(|traffic| traffic.with_completions(completions))
            .expect("valid rates");
        builder = builder.traffic(traffic.with_in_flight(in_flight)).coverage(1.0);
    }
    if let Some(ready) = ready {
        builder = builder.ready(ready);
    }
    if let Some(starting) = starting {
        builder = builder.starting(starting);
    }
    builder.build().expect("a valid window")
}
