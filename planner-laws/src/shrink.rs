//! Makes a case that breaks a law smaller, as long as it still breaks it.
//!
//! Smaller is what a person reads faster: default settings, few replicas, few phases, few windows.

use planner_core::{Config, ReplicaBounds};

use crate::case::{Case, Kind};

/// Most tries to make a case smaller.
const TRIES_MAX: u32 = 1_000;
/// The window's length and the usual p95 that are easiest to read.
const WINDOW_S: u16 = 3;
const USUAL_MS: f64 = 100.0;
/// Bounds from the narrowest on.
const BOUNDS: [(u32, u32); 6] = [(1, 2), (1, 3), (1, 4), (1, 6), (1, 10), (1, 20)];

/// The smallest case found from `case` on, with what it breaks. `broken` says what is broken by a
/// case, if anything is.
pub(crate) fn smallest(
    case: Case,
    why: String,
    broken: impl Fn(&Case) -> Option<String>,
) -> (Case, String) {
    let mut search = Search { case, why, broken, tries: TRIES_MAX };
    // What breaks without a window breaks in a simulated service, where nothing else matters.
    if search.change(|case| case.phases.clear()) {
        return (search.case, search.why);
    }
    loop {
        let before = search.case.clone();
        search.drop_phases();
        search.simplify_settings();
        search.calm_phases();
        search.shorten_phases();
        if search.case == before || search.tries == 0 {
            return (search.case, search.why);
        }
    }
}

struct Search<F> {
    case: Case,
    why: String,
    broken: F,
    tries: u32,
}

impl<F: Fn(&Case) -> Option<String>> Search<F> {
    /// Changes the case if it is broken then, too.
    fn change(&mut self, change: impl FnOnce(&mut Case)) -> bool {
        let mut changed = self.case.clone();
        change(&mut changed);
        if changed == self.case || self.tries == 0 {
            return false;
        }
        self.tries -= 1;
        let Some(why) = (self.broken)(&changed) else { return false };
        (self.case, self.why) = (changed, why);
        true
    }

    /// Phases go in halves, quarters, and so on down to single ones; the last go first, because
    /// they lie behind what broke.
    fn drop_phases(&mut self) {
        let mut some = self.case.phases.len();
        while some > 1 {
            some = some.div_ceil(2);
            let mut end = self.case.phases.len();
            while end > 0 {
                let start = end.saturating_sub(some);
                let _ = self.change(|case| drop(case.phases.drain(start..end)));
                end = start;
            }
            if some == 1 {
                return;
            }
        }
    }

    fn simplify_settings(&mut self) {
        let guard_set = self.case.config.guard_set();
        let plain = |bounds| Config::builder(bounds).guard_set(guard_set).build().ok();
        let configured = self.case.config.bounds();
        let narrow = BOUNDS.iter().filter_map(|(min, max)| ReplicaBounds::new(*min, *max).ok());
        // Narrower than it is already, or the same with default settings.
        let narrow = narrow.filter(|bounds| bounds.max() < configured.max());
        for config in narrow.chain([configured]).filter_map(plain) {
            if self.change(|case| case.config = config) {
                break;
            }
        }
        let _ = self.change(|case| case.window_s = WINDOW_S);
        let _ = self.change(|case| case.usual_ms = USUAL_MS);
    }

    fn calm_phases(&mut self) {
        for index in 0..self.case.phases.len() {
            let _ = self.change(|case| case.phases[index].kind = Kind::Calm);
        }
    }

    /// Each phase becomes as short as it can be; neighbours of a kind become one.
    fn shorten_phases(&mut self) {
        for index in (0..self.case.phases.len()).rev() {
            let mut less = self.case.phases[index].windows / 2;
            while less > 0 {
                if !self.change(|case| case.phases[index].windows -= less) {
                    less /= 2;
                }
                less = less.min(self.case.phases[index].windows.saturating_sub(1));
            }
        }
        let _ = self.change(|case| {
            case.phases.dedup_by(|next, phase| {
                let windows = phase.windows.checked_add(next.windows);
                let joined = windows.filter(|_| next.kind == phase.kind);
                phase.windows = joined.unwrap_or(phase.windows);
                joined.is_some()
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use planner_core::GuardSet;
    use proptest::strategy::{Strategy as _, ValueTree as _};
    use proptest::test_runner::TestRunner;

    use super::*;
    use crate::case::{Phase, case_under};

    fn any(seed: u64) -> Case {
        let mut runner = TestRunner::deterministic();
        let tree = case_under(GuardSet::Peer).new_tree(&mut runner).expect("a case");
        Case { seed, ..tree.current() }
    }

    fn windows(case: &Case, kind: Kind) -> u32 {
        let of_kind = case.phases.iter().filter(|phase| phase.kind == kind);
        of_kind.map(|phase| u32::from(phase.windows)).sum()
    }

    fn mixture() -> Case {
        let kinds = [Kind::Calm, Kind::Errors, Kind::Breach, Kind::Quiet, Kind::Errors];
        let phases = kinds.into_iter().map(|kind| Phase { kind, windows: 9 }).collect();
        Case { phases, ..any(7) }
    }

    #[test]
    fn what_breaks_in_every_case_needs_none() {
        let (case, why) = smallest(mixture(), String::new(), |_| Some(String::from("always")));
        assert_eq!((case.phases, why.as_str()), (Vec::new(), "always"));
    }

    #[test]
    fn only_the_windows_that_break_it_are_left() {
        let broken = |case: &Case| {
            let (errors, quiet) = (windows(case, Kind::Errors), windows(case, Kind::Quiet));
            (errors >= 11 && quiet >= 2).then(|| format!("{errors} and {quiet}"))
        };
        let (case, why) = smallest(mixture(), String::new(), broken);
        assert_eq!(why, "11 and 2");
        assert_eq!(case.phases.len(), 3);
        assert_eq!(windows(&case, Kind::Calm) + windows(&case, Kind::Breach), 0);
        assert_eq!(case.config.bounds().max(), 2);
        assert_eq!(case.config.guard_set(), GuardSet::Peer);
        assert_eq!((case.window_s, case.usual_ms), (WINDOW_S, USUAL_MS));
    }

    #[test]
    fn settings_that_break_it_stay() {
        let max = mixture().config.bounds().max();
        let broken = |case: &Case| {
            (case.config.bounds().max() == max && windows(case, Kind::Calm) > 0)
                .then(|| String::from("at this maximum"))
        };
        let (case, _) = smallest(mixture(), String::new(), broken);
        assert_eq!(case.config.bounds().max(), max);
        assert_eq!(case.phases, [Phase { kind: Kind::Calm, windows: 1 }]);
    }

    #[test]
    fn neighbours_of_a_kind_become_one_phase() {
        let broken =
            |case: &Case| (windows(case, Kind::Calm) >= 10).then(|| String::from("ten windows"));
        let phases = vec![Phase { kind: Kind::Calm, windows: 6 }; 2];
        let (case, _) = smallest(Case { phases, ..any(7) }, String::new(), broken);
        assert_eq!(case.phases, [Phase { kind: Kind::Calm, windows: 10 }]);
    }
}
