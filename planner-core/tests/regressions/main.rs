//! Bugs that were found once, each with the input that showed it.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::collapsible_if,
    clippy::let_and_return,
    clippy::semicolon_if_nothing_returned,
    unused_qualifications,
    reason = "inputs are written as compactly as they were found"
)]

mod advisor;
mod baseline;
mod clock;
mod scaling;
mod telemetry;

use planner_core::gateway::*;
use planner_core::policy::{NoSignal, Policy, Proposal, View};
use planner_core::*;
use std::time::Duration;

fn at(s: f64) -> Timestamp {
    Timestamp::from_nanos((s * 1e9) as u64)
}

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn b(min: u32, max: u32) -> ConfigBuilder {
    Config::builder(ReplicaBounds::new(min, max).expect("valid"))
}

fn wl(seq: u64, len: u64, p95: f64, ready: u32) -> Window {
    Window::builder(seq, at(((seq - 1) * len) as f64), at((seq * len) as f64))
        .outcomes(100, 0, 0)
        .latencies(Latencies::from_p95(Latency::from_millis(p95).expect("valid")))
        .ready(ready)
        .starting(0)
        .build()
        .expect("valid")
}

fn w(seq: u64, p95: f64, ready: u32) -> Window {
    wl(seq, 1, p95, ready)
}

fn wt(seq: u64, p95: f64, ready: u32, fail: u32, arr: f64, done: f64) -> Window {
    let t = Traffic::arriving(arr).expect("valid").with_completions(done).expect("valid");
    Window::builder(seq, at((seq - 1) as f64), at(seq as f64))
        .outcomes(1000, 0, fail)
        .latencies(Latencies::from_p95(Latency::from_millis(p95).expect("valid")))
        .ready(ready)
        .starting(0)
        .traffic(t)
        .build()
        .expect("valid")
}

fn dec(p: &mut Planner, win: &Window) -> Decision {
    let d = p.decide(win.end(), win);
    d
}
