//! One switch per constraint that can bind, for proving that each is needed.
//!
//! In every ordinary build [`on`] is a constant `true` and costs nothing. A build with
//! `--cfg planner_mutation` reads `PLANNER_MUTANT` and turns the named guard off;
//! `scripts/mutation` does that for each name and demands that a test fails.

use crate::decision::Constraint;
use crate::telemetry::Doubt;

/// Declares the switches with their names, so that list and type cannot differ.
macro_rules! switches {
    ($($name:ident),* $(,)?) => {
        /// The constraints that can bind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Switch { $($name),* }

        impl Switch {
            /// Its name, as `PLANNER_MUTANT` spells it.
            #[cfg(any(test, planner_mutation))]
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// Every switch.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

switches! {
    AboveBand, BelowMin, Breach, CooldownIn, CooldownOut, Doubt, Failing, FlapBudget, HoldIn,
    HoldOut, Ineffective, OverMax, Paused, ReplicasUnknown, Stabilisation, StaleWindow, StepIn,
    StepOut, Vanished, Warmup,
}

/// The switch of a constraint. A new constraint does not compile until it has one, or is shown
/// not to bind.
#[cfg_attr(not(test), expect(dead_code, reason = "its being exhaustive is its use"))]
const fn switch_of(constraint: &Constraint) -> Option<Switch> {
    Some(match constraint {
        Constraint::AboveBand => Switch::AboveBand,
        Constraint::BelowMin { .. } => Switch::BelowMin,
        Constraint::Breach(_) => Switch::Breach,
        Constraint::CooldownIn { .. } => Switch::CooldownIn,
        Constraint::CooldownOut { .. } => Switch::CooldownOut,
        Constraint::Doubt(Doubt::Vanished { .. }) => Switch::Vanished,
        Constraint::Doubt(_) => Switch::Doubt,
        Constraint::Failing { .. } => Switch::Failing,
        Constraint::FlapBudget { .. } => Switch::FlapBudget,
        Constraint::HoldIn => Switch::HoldIn,
        Constraint::HoldOut => Switch::HoldOut,
        Constraint::Ineffective { .. } => Switch::Ineffective,
        Constraint::OverMax { .. } => Switch::OverMax,
        Constraint::Paused => Switch::Paused,
        Constraint::ReplicasUnknown => Switch::ReplicasUnknown,
        Constraint::Stabilisation { .. } => Switch::Stabilisation,
        Constraint::StaleWindow => Switch::StaleWindow,
        Constraint::StepIn { .. } => Switch::StepIn,
        Constraint::StepOut { .. } => Switch::StepOut,
        Constraint::Warmup => Switch::Warmup,
        // Advice is no guard: without it the policy decides.
        Constraint::Advice { .. } | Constraint::Unconstrained => return None,
    })
}

/// Whether the guard is there.
#[cfg(not(planner_mutation))]
#[inline(always)]
#[expect(clippy::inline_always, reason = "a constant that must vanish")]
pub(crate) const fn on(_: Switch) -> bool {
    true
}

/// Whether the guard is there.
#[cfg(planner_mutation)]
pub(crate) fn on(switch: Switch) -> bool {
    extern crate std;
    std::env::var("PLANNER_MUTANT").map_or(true, |removed| removed != switch.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prints the list that `scripts/mutation` works through.
    #[test]
    fn every_constraint_that_binds_has_a_switch_of_its_own() {
        for switch in Switch::ALL {
            std::println!("switch {}", switch.name());
        }
        assert_eq!(switch_of(&Constraint::HoldIn), Some(Switch::HoldIn));
        assert_eq!(switch_of(&Constraint::Unconstrained), None);
    }
}
