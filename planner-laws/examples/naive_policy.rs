//! A policy with a bug that review misses and the laws find: it remembers outside its state.
//!
//! It smooths the load over calls in a `Cell`. Every unit test passes. But a preview, a replay and
//! a restart leave the cell as it was or empty, so the same record gives another decision.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1e6")]

use std::cell::Cell;

use planner_core::policy::{NoSignal, Policy, Proposal, View};
use planner_laws::{Law, Laws, Verdict};

/// One replica for every twenty requests per second, smoothed.
#[derive(Default)]
struct Smoothed {
    load_per_s: Cell<f64>,
}

impl Policy for Smoothed {
    type Signal = NoSignal;
    type State = ();

    fn name(&self) -> &'static str {
        "smoothed"
    }
    fn version(&self) -> u32 {
        1
    }
    fn initial_state(&self) {}
    fn propose(&self, view: &View<'_>, (): &()) -> Proposal {
        let Some(traffic) = view.window.traffic() else { return Proposal::exactly(view.current) };
        let smoothed = 0.8 * self.load_per_s.get() + 0.2 * traffic.arrivals_per_s();
        self.load_per_s.set(smoothed);
        Proposal::exactly((smoothed / 20.0).min(1e6) as u32 + 1)
    }
}

fn main() {
    let laws = Laws::of(Smoothed::default).steps(20_000);
    let found = laws.check_one(Law::RestartEquivalence);
    let Verdict::Broken { why, case } = &found.findings[0].verdict else {
        panic!("the kit missed the bug: {found}");
    };
    println!("found: law 7 restart equivalence is broken");
    println!("{}", why.lines().next().unwrap_or_default().chars().take(160).collect::<String>());
    println!("smallest case: {} bytes of JSON, to be replayed", case.len());
    assert!(laws.check_one(Law::Idempotence).holds(), "what it does right still holds");
}
