//! The whole planner as a policy, for comparisons in the lab.

use core::time::Duration;

use planner_core::policy::{NoSignal, Policy, Proposal, Reason, View};

use super::message::{Action, Message};
use super::planner::{Arrival, Planner, State};
use super::settings::Settings;

/// Rule 1 of this policy: it published a scale-out.
const RULE_UP: u32 = 1;
/// Rule 2 of this policy: it published a scale-in.
const RULE_DOWN: u32 = 2;
/// Seconds between the Unix epoch, its "never", and the origin of a planner's timeline.
const ORIGIN_S: f64 = 1e9;

/// The planner without a model as a [`Policy`]: its own baseline, cooldown and steps of one, from
/// its own settings. Only the guards are the core's.
///
/// A window whose latencies are absent is a p95 of 0 to it, as a missing one was. What the guards
/// refuse starts its cooldown all the same: it never read a result.
///
/// ```
/// use planner_core::policy::Policy;
/// use planner_peers::poc::{Settings, Whole};
///
/// let policy = Whole::new(Settings::default());
/// assert_eq!(policy.name(), "poc-whole");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Whole {
    settings: Settings,
}

impl Whole {
    /// With these settings; a model is never asked.
    pub const fn new(settings: Settings) -> Self {
        Self { settings: Settings { llm_enabled: false, ..settings } }
    }

    /// What it publishes of this window, and what it remembers then.
    fn step(&self, view: &View<'_>, state: &State) -> (Action, State) {
        let mut planner = Planner::resume(self.settings, state.clone());
        let now_s = ORIGIN_S + view.now.as_secs_f64();
        let p95_ms = view.window.latencies().map_or(0.0, |latencies| latencies.p95().as_millis());
        let step = planner.take_window(Arrival::at(now_s), p95_ms, i64::from(view.current));
        let action = match step.published {
            Some(Message::Plan(plan)) => plan.decision.action,
            _ => Action::Noop,
        };
        (action, planner.into_state())
    }
}

impl Policy for Whole {
    type Signal = NoSignal;
    type State = State;

    fn name(&self) -> &'static str {
        "poc-whole"
    }

    fn version(&self) -> u32 {
        1
    }

    fn initial_state(&self) -> State {
        State::new(&self.settings, ORIGIN_S)
    }

    fn propose(&self, view: &View<'_>, state: &State) -> Proposal {
        let current = view.current;
        match self.step(view, state).0 {
            Action::ScaleUp => {
                Proposal::exactly(current.saturating_add(1)).because(Reason::Rule(RULE_UP))
            }
            Action::ScaleDown => {
                Proposal::exactly(current.saturating_sub(1)).because(Reason::Rule(RULE_DOWN))
            }
            Action::Noop | Action::Restart => Proposal::exactly(current).because(Reason::Calm),
        }
    }

    fn learn(&self, view: &View<'_>, _target: u32, state: &mut State) {
        *state = self.step(view, state).1;
    }

    fn rebase(&self, behind: Duration, state: &mut State) {
        if state.last_action_s > 0.0 {
            state.last_action_s -= behind.as_secs_f64();
        }
    }
}

#[cfg(test)]
mod tests {
    use planner_core::policy::Poc;
    use planner_core::{Config, Planner as Core, ReplicaBounds, Timestamp, Window};

    use super::*;

    /// What a policy prefers in these windows, 3 s each, at four replicas of at most `max`.
    fn preferences<P: Policy>(policy: P, max: u32, p95s_ms: &[f64]) -> Vec<u32> {
        let bounds = ReplicaBounds::new(1, max).expect("valid");
        let config = Config::builder(bounds).build().expect("valid");
        let mut planner = Core::new(config, policy);
        let at = |window: usize| Timestamp::from_origin(Duration::from_secs(3 * window as u64));
        let decide = |(window, p95_ms): (usize, &f64)| {
            let probed = Window::probes(at(window), at(window + 1), &[*p95_ms; 40], 0, 4);
            let decision = planner.decide(at(window + 1), &probed.expect("valid"));
            decision.derivation.proposal.preferred
        };
        p95s_ms.iter().enumerate().map(decide).collect()
    }

    #[test]
    fn its_baseline_follows_an_overload_where_the_cores_does_not() {
        let mut p95s_ms = vec![40.0; 20];
        p95s_ms.extend([900.0; 40]);
        let whole = preferences(Whole::default(), 10, &p95s_ms);
        assert_eq!(whole[20], 5, "a breach: {whole:?}");
        assert!(whole[40..].contains(&3), "the overload is normal: {whole:?}");
        let kept = preferences(Poc, 10, &p95s_ms);
        assert!(!kept[20..].contains(&3), "the core's baseline stays: {kept:?}");
    }

    #[test]
    fn its_cooldown_starts_although_nothing_was_scaled() {
        let mut p95s_ms = vec![40.0; 12];
        p95s_ms.extend([900.0; 9]);
        let whole = preferences(Whole::default(), 4, &p95s_ms);
        assert_eq!(whole[12..], [5, 4, 4, 4, 4, 4, 4, 5, 4]);
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_the_cooldown_what_is_left_of_it() {
        let policy = Whole::default();
        let mut state = State { last_action_s: ORIGIN_S + 100.0, ..policy.initial_state() };
        policy.rebase(Duration::from_secs(60), &mut state);
        assert_eq!(state.last_action_s, ORIGIN_S + 40.0);
        let mut never = policy.initial_state();
        policy.rebase(Duration::from_secs(60), &mut never);
        assert_eq!(never, policy.initial_state());
    }
}
