//! The laws, proven of a policy of one's own.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1e6")]

use planner_core::policy::{NoSignal, Policy, Proposal, Reason, View};
use planner_laws::Law::{
    Bounds, Determinism, Doubt, Failure, Idempotence, Monotone, Rate, RestartEquivalence,
};
use planner_laws::Laws;

/// One replica for every thirty requests per second.
#[derive(Clone, Copy)]
struct PerThirty;

impl Policy for PerThirty {
    type Signal = NoSignal;
    type State = ();

    fn name(&self) -> &'static str {
        "per-thirty"
    }
    fn version(&self) -> u32 {
        1
    }
    fn initial_state(&self) {}
    fn propose(&self, view: &View<'_>, (): &()) -> Proposal {
        let needed = match view.window.traffic() {
            Some(traffic) => (traffic.arrivals_per_s() / 30.0).min(1e6) as u32 + 1,
            None => view.current,
        };
        // A second opinion may add one replica.
        Proposal::band(needed, needed, needed.saturating_add(1))
            .because(Reason::Rule(1))
            .consulting()
    }
}

fn main() {
    // Efficacy and ratchet are promises about breaches and trials, which this policy knows none of.
    for law in
        [Bounds, Rate, Doubt, Failure, Determinism, RestartEquivalence, Idempotence, Monotone]
    {
        let report = Laws::of(|| PerThirty).steps(10_000).check_one(law);
        println!("{report}");
        assert!(report.holds());
    }
}
