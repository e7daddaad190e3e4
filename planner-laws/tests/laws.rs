//! Our own policies under every law.

use planner_core::Heuristic;
use planner_laws::{Law, Laws};

/// Steps a law; more on request.
fn steps() -> u64 {
    std::env::var("PLANNER_LAW_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000)
}

/// One test a law, so that each says its name.
macro_rules! laws {
    ($($name:ident: $law:expr;)*) => {$(
        #[test]
        fn $name() {
            let report = Laws::of(|| Heuristic)
                .steps(steps())
                .regressions("tests/regressions.jsonl")
                .check_one($law);
            println!("{report}");
            assert!(report.holds(), "{report}");
        }
    )*};
}

laws! {
    law_01_bounds: Law::Bounds;
    law_02_rate: Law::Rate;
    law_03_doubt_never_scales_in: Law::Doubt;
    law_04_failure_is_not_idleness: Law::Failure;
    law_05_one_sided_advice: Law::OneSidedAdvice;
    law_06_determinism: Law::Determinism;
    law_07_restart_equivalence: Law::RestartEquivalence;
    law_08_deadline: Law::Deadline;
    law_09_no_poisoning: Law::NoPoisoning;
    law_10_no_ratchet: Law::NoRatchet;
    law_11_no_flapping: Law::NoFlapping;
    law_12_idempotence: Law::Idempotence;
    law_13_monotone: Law::Monotone;
    law_14_invariance: Law::Invariance;
    law_15_efficacy: Law::Efficacy;
    law_16_budget: Law::Budget;
    law_17_explained: Law::Explained;
    law_18_total: Law::Total;
}
