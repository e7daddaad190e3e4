//! Policies of other systems on windows alone.
//!
//! [`Hpa`](crate::hpa::Hpa) and its like observe signals of their own, at periods of their own.
//! [`OnWindows`] makes both of the windows that every telemetry source of planner delivers, so such
//! a policy runs where the default one does: live, in shadow, in the lab and under the law kit.
//!
//! ```
//! use std::time::Duration;
//! use planner_core::{Config, GuardSet, Planner, ReplicaBounds, Timestamp, Traffic, Window};
//! use planner_peers::hpa::Hpa;
//! use planner_peers::on_windows::OnWindows;
//!
//! // 30 requests per second and replica, behind no guards but doubt, bounds and operator.
//! let bounds = ReplicaBounds::new(1, 20)?;
//! let config = Config::builder(bounds).guard_set(GuardSet::Peer).build()?;
//! let mut planner = Planner::new(config, OnWindows::new(Hpa::average_value(30.0)?));
//!
//! let at = |seconds| Timestamp::from_origin(Duration::from_secs(seconds));
//! let window = Window::builder(1, at(0), at(3))
//!     .outcomes(400, 0, 0)
//!     .ready(4)
//!     .traffic(Traffic::arriving(200.0)?)
//!     .build()?;
//! let decision = planner.decide(at(3), &window);
//! assert_eq!(decision.target(), Some(7)); // 200 / 30
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is made of a window
//!
//! - [`Hpa`](crate::hpa::Hpa): arrivals per second, their total for external metrics and objects, a
//!   replica's share for pods; a CPU share for CPU utilisation. Other metrics fail.
//! - [`Kpa`](crate::kpa::Kpa): for every second that ended in the window, arrivals per second or
//!   requests under way, as its metric is.
//! - [`Keda`](crate::keda::Keda): arrivals per second, for every trigger.
//! - [`Nomad`](crate::nomad::Nomad): arrivals per second, for every check: their total where it is
//!   divided by the replicas, else a replica's share.
//!
//! A check of Nomad gets one value at a time, so a threshold needs a `within_bounds_trigger` of 1.
//!
//! A window that does not know is no signal: the policy holds, or goes on with what it last heard
//! for as long as its own rules let it. [`Whole`](crate::poc::Whole) and
//! [`Poc`](planner_core::policy::Poc) decide on windows by themselves.
//!
//! # With all guards
//!
//! Between two periods the present count is proposed. To [`GuardSet::All`] that is a proposal like
//! any other, and its stabilisation never lets a scale-in below it: set
//! [`stabilisation_in`](planner_core::Config::stabilisation_in) to zero there. [`GuardSet::Peer`]
//! leaves stabilisation to the policy.
//!
//! [`GuardSet::All`]: planner_core::GuardSet::All
//! [`GuardSet::Peer`]: planner_core::GuardSet::Peer

mod signals;

use core::time::Duration;

use planner_core::policy::{NoSignal, Policy, Proposal, Reason, View};
use planner_core::{Timestamp, Window};

/// Makes a policy's own signals of a window.
pub trait FromWindow: Policy {
    /// The policy's name when it runs on windows: another than its own, because what it remembers
    /// is another.
    const NAME: &'static str;

    /// What it observes in the window of `view`, each with the time when it was true, oldest first;
    /// nothing when the window does not know. Pure: the same view gives the same signals.
    fn signals(&self, view: &View<'_>) -> Vec<(Timestamp, Self::Signal)>;
}

/// A policy of another system that decides on windows; see the [module](self).
///
/// It takes note of every window, and decides on the first one at or after each of its periods. As
/// in its own system the newest observation counts when it decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnWindows<P> {
    policy: P,
}

impl<P: FromWindow> OnWindows<P> {
    /// Reason of the windows between two periods: it does not decide yet. All other rules are the
    /// policy's.
    pub const RULE_NOT_DUE: u32 = 0;

    /// `policy` on windows.
    pub const fn new(policy: P) -> Self {
        Self { policy }
    }

    /// The policy.
    pub const fn policy(&self) -> &P {
        &self.policy
    }

    fn is_due(&self, now: Timestamp, state: &OnWindowsState<P::State>) -> bool {
        let due = state.decided.zip(self.policy.period());
        due.is_none_or(|(decided, period)| now >= decided.saturating_add(period))
    }

    /// Lets the policy observe the window of `view`.
    fn absorb_window(&self, view: &View<'_>, state: &mut P::State) {
        for (at, signal) in self.policy.signals(view) {
            self.policy.absorb(at, signal, state);
        }
    }
}

/// What a policy on windows remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct OnWindowsState<S> {
    /// What the policy itself remembers.
    pub policy: S,
    /// When it last decided.
    pub decided: Option<Timestamp>,
}

impl<P: FromWindow> Policy for OnWindows<P> {
    type Signal = NoSignal;
    type State = OnWindowsState<P::State>;

    fn name(&self) -> &'static str {
        P::NAME
    }

    fn version(&self) -> u32 {
        self.policy.version()
    }

    fn initial_state(&self) -> Self::State {
        OnWindowsState { policy: self.policy.initial_state(), decided: None }
    }

    fn propose(&self, view: &View<'_>, state: &Self::State) -> Proposal {
        if !self.is_due(view.now, state) {
            let reason = Reason::Rule(Self::RULE_NOT_DUE);
            return Proposal::exactly(view.current).because(reason);
        }
        // On a copy: what was proposed may be a preview, and is not remembered.
        let mut observed = state.policy.clone();
        self.absorb_window(view, &mut observed);
        self.policy.propose(view, &observed)
    }

    fn learn(&self, view: &View<'_>, target: u32, state: &mut Self::State) {
        self.absorb_window(view, &mut state.policy);
        if self.is_due(view.now, state) {
            self.policy.learn(view, target, &mut state.policy);
            state.decided = Some(view.now);
        }
    }

    fn rebase(&self, behind: Duration, state: &mut Self::State) {
        self.policy.rebase(behind, &mut state.policy);
        state.decided = state.decided.map(|decided| decided.saturating_sub(behind));
    }

    fn refused(&self, state: &mut Self::State) {
        self.policy.refused(&mut state.policy);
    }
}

/// Arrivals per second, where they are known.
fn arrivals_per_s(window: &Window) -> Option<f64> {
    window.traffic().map(|traffic| traffic.arrivals_per_s())
}

#[cfg(test)]
mod tests {
    use planner_core::{
        Config, Decision, Event, GuardSet, Outcome, Planner, ReplicaBounds, Step, Traffic,
    };

    use super::*;
    use crate::hpa::{Hpa, Metric, Spec, ValueTarget};
    use crate::keda::{Keda, Target, Trigger};
    use crate::kpa::Kpa;
    use crate::nomad::{Check, Nomad, NomadSettings, Strategy};

    const NOT_DUE: Reason = Reason::Rule(OnWindows::<Hpa>::RULE_NOT_DUE);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_millis(millis))
    }

    fn config(guards: GuardSet) -> planner_core::ConfigBuilder {
        Config::builder(ReplicaBounds::new(1, 20).expect("valid")).guard_set(guards)
    }

    fn planner<P: FromWindow>(policy: P) -> Planner<OnWindows<P>> {
        let config = config(GuardSet::Peer).build().expect("valid");
        Planner::new(config, OnWindows::new(policy))
    }

    /// A window between two times in milliseconds, with as many arrivals per second or none known.
    fn window(from_to: (u64, u64), ready: u32, arrivals_per_s: Option<f64>) -> Window {
        let (from, to) = from_to;
        let mut window = Window::builder(to, at(from), at(to)).outcomes(400, 0, 0).ready(ready);
        if let Some(rate) = arrivals_per_s {
            window = window.traffic(Traffic::arriving(rate).expect("a rate").with_in_flight(60));
        }
        window.build().expect("a window")
    }

    fn decide<P: FromWindow>(
        planner: &mut Planner<OnWindows<P>>,
        from_to: (u64, u64),
        ready: u32,
        arrivals_per_s: Option<f64>,
    ) -> Decision {
        planner.decide(at(from_to.1), &window(from_to, ready, arrivals_per_s))
    }

    fn hpa() -> Hpa {
        Hpa::average_value(30.0).expect("valid")
    }

    /// What a policy prefers on its first window.
    fn first<P: FromWindow>(policy: P, window: &Window) -> u32 {
        planner(policy).decide(window.end(), window).derivation.proposal.preferred
    }

    #[test]
    fn a_window_without_traffic_is_no_signal() {
        let mut planner = planner(hpa());
        let decision = decide(&mut planner, (0, 3_000), 4, None);
        let proposal = Proposal::exactly(4).because(Reason::Warmup);
        assert_eq!((decision.target(), decision.derivation.proposal), (None, proposal));
        let window = window((0, 3_000), 4, None);
        assert_eq!(first(Kpa::requests_per_second(50.0, 0.7).expect("valid"), &window), 4);
        assert_eq!(first(Kpa::concurrency(50.0, 0.7).expect("valid"), &window), 4);
        assert_eq!(first(Keda::average_value(30.0).expect("valid"), &window), 4);
        assert_eq!(first(Nomad::target_per_replica(30.0).expect("valid"), &window), 4);
    }

    #[test]
    fn traffic_that_is_no_longer_known_leaves_the_policy_with_what_it_last_heard() {
        let mut planner = planner(hpa());
        let _ = decide(&mut planner, (0, 3_000), 4, Some(200.0));
        let known = decide(&mut planner, (15_000, 18_000), 4, None);
        assert_eq!(known.derivation.proposal.preferred, 7);
        let silent = decide(&mut planner, (60_000, 63_000), 4, None);
        assert_eq!(silent.derivation.proposal.preferred, silent.derivation.current.expect("one"));
    }

    #[test]
    fn the_window_under_decision_is_the_newest_signal() {
        let decision = decide(&mut planner(hpa()), (0, 3_000), 4, Some(200.0));
        assert_eq!(decision.target(), Some(7));
    }

    #[test]
    fn it_decides_on_the_first_window_at_or_after_each_period() {
        let mut planner = planner(hpa());
        let mut due = Vec::new();
        for end_s in (4..=40).step_by(4) {
            let load = Some(10.0 * end_s as f64);
            let window = (1_000 * end_s - 4_000, 1_000 * end_s);
            let decision = decide(&mut planner, window, 7, load);
            let reasons: Vec<_> = decision.derivation.proposal.reasons.iter().copied().collect();
            if reasons == [NOT_DUE] {
                assert_eq!(decision.target(), None, "{end_s} s");
            } else {
                due.push(end_s);
            }
        }
        assert_eq!(due, [4, 20, 36]);
    }

    #[test]
    fn a_preview_is_not_remembered() {
        let mut planner = planner(Kpa::requests_per_second(50.0, 0.7).expect("valid"));
        let _ = decide(&mut planner, (0, 3_000), 1, Some(30.0));
        let before = planner.snapshot();
        let surge = window((3_000, 6_000), 1, Some(600.0));
        let preview = planner.preview(at(6_000), &surge);
        assert!(preview.derivation.proposal.preferred > 1, "{preview}");
        assert_eq!(planner.snapshot(), before);
    }

    #[test]
    fn a_restart_between_two_periods_changes_nothing() {
        let mut planner = planner(hpa());
        let _ = decide(&mut planner, (0, 3_000), 4, Some(200.0));
        let config = planner.config().clone();
        let restored = Planner::restore(config, OnWindows::new(hpa()), planner.snapshot());
        let mut restored = restored.expect("its own snapshot");
        for end in (6_000..40_000).step_by(3_000) {
            let load = Some(end as f64 / 100.0);
            let expected = decide(&mut planner, (end - 3_000, end), 7, load);
            assert_eq!(decide(&mut restored, (end - 3_000, end), 7, load), expected);
        }
    }

    #[test]
    fn what_it_remembers_is_not_taken_for_what_the_policy_alone_does() {
        assert_ne!(OnWindows::new(hpa()).name(), hpa().name());
    }

    #[test]
    fn a_clock_set_back_leaves_what_is_left_of_the_period() {
        let policy = OnWindows::new(hpa());
        let mut state = policy.initial_state();
        state.decided = Some(at(900_000));
        policy.rebase(Duration::from_secs(600), &mut state);
        assert!(!policy.is_due(at(314_999), &state));
        assert!(policy.is_due(at(315_000), &state));
    }

    #[test]
    fn a_refusal_reaches_the_policy() {
        let mut planner = planner(Nomad::target_per_replica(30.0).expect("valid"));
        let window_of = |load| window((10_000, 20_000), 4, Some(load));
        let window = window((0, 10_000), 4, Some(200.0));
        let Step::Decide(decision) = planner.step(at(10_000), Event::Observe(window)) else {
            panic!("a window is decided on")
        };
        assert_eq!(decision.target(), Some(7));
        // Nomad rests for five minutes after a scaling, but not after one that was refused.
        let again = window_of(270.0);
        let taken = planner.preview(at(20_000), &again);
        assert_eq!(taken.derivation.proposal.preferred, 7);
        let _ = planner.step(at(10_000), Event::Settle(decision.id, Outcome::Refuse));
        let refused = planner.preview(at(20_000), &again);
        assert_eq!(refused.derivation.proposal.preferred, 9);
    }

    #[test]
    fn the_kpa_has_a_sample_of_every_second_whatever_the_length_of_windows() {
        let after_a_minute = |length: u64, offset: u64| {
            let kpa = Kpa::requests_per_second(50.0, 0.8).expect("valid");
            let mut planner = planner(kpa.starting_calm());
            let ends = (1..).map(|number| offset + number * length);
            let mut preferred = 0;
            for end in ends.take_while(|end| *end <= 66_000) {
                let window = window((end - length, end), 9, Some(200.0));
                let decision = planner.decide(at(end), &window);
                preferred = match decision.derivation.proposal.reasons.iter().next() {
                    Some(reason) if *reason == NOT_DUE => preferred,
                    _ => decision.derivation.proposal.preferred,
                };
            }
            preferred
        };
        // 200 a second at 40 each, wherever windows begin and end.
        for length in [250, 1_000, 3_000, 7_300, 60_000] {
            for offset in [0, 400] {
                assert_eq!(after_a_minute(length, offset), 5, "{length} ms from {offset} ms");
            }
        }
    }

    #[test]
    fn the_kpa_looks_at_requests_under_way_where_it_scales_by_them() {
        let kpa = Kpa::concurrency(10.0, 0.5).expect("valid");
        assert_eq!(first(kpa, &window((0, 3_000), 4, Some(1.0))), 12);
    }

    #[test]
    fn an_hpa_by_pods_sees_the_share_of_each_replica() {
        let hpa = Hpa::new(Spec::new(vec![Metric::Pods(30_000)])).expect("valid");
        assert_eq!(first(hpa, &window((0, 3_000), 4, Some(200.0))), 7);
        let total = Metric::External(ValueTarget::Value(100_000));
        let hpa = Hpa::new(Spec::new(vec![total])).expect("valid");
        assert_eq!(first(hpa, &window((0, 3_000), 4, Some(200.0))), 8);
    }

    #[test]
    fn an_hpa_by_cpu_sees_the_share_of_it() {
        let hpa = Hpa::new(Spec::new(vec![Metric::cpu_utilization(50)])).expect("valid");
        let known = Window::builder(1, at(0), at(3_000)).outcomes(400, 0, 0).ready(4);
        let known = known.cpu_share(0.8).build().expect("a window");
        assert_eq!(first(hpa.clone(), &known), 7);
        assert_eq!(first(hpa, &window((0, 3_000), 4, Some(900.0))), 4);
    }

    #[test]
    fn every_trigger_of_keda_reads_the_arrivals() {
        let target = |value| Target::average_value(value).expect("valid");
        let keda = Keda::builder()
            .trigger(Trigger::new("half", target(60.0)))
            .trigger(Trigger::new("whole", target(30.0)))
            .build();
        assert_eq!(first(keda.expect("valid"), &window((0, 3_000), 4, Some(200.0))), 7);
    }

    #[test]
    fn a_check_of_nomad_on_values_as_they_are_sees_the_share_of_a_replica() {
        let fields = [("lower_bound", "40"), ("delta", "2"), ("within_bounds_trigger", "1")];
        let check = Check::new("busy", Strategy::parse("threshold", &fields).expect("valid"));
        let nomad = Nomad::new([check], NomadSettings::default()).expect("valid");
        assert_eq!(first(nomad.clone(), &window((0, 3_000), 4, Some(200.0))), 6);
        assert_eq!(first(nomad, &window((0, 3_000), 8, Some(200.0))), 8);
    }

    #[test]
    fn behind_all_guards_the_windows_between_count_as_proposals() {
        let least = |stabilisation_s| {
            let config = config(GuardSet::All)
                .stabilisation_in(Duration::from_secs(stabilisation_s))
                .warmup_windows(2)
                .build()
                .expect("valid");
            let kpa = Kpa::requests_per_second(50.0, 0.8).expect("valid");
            let mut planner = Planner::new(config, OnWindows::new(kpa.starting_calm()));
            let ends = (1_000..400_000).step_by(1_000);
            let targets = ends.filter_map(|end| {
                let latency = planner_core::Latency::from_millis(20.0).expect("a latency");
                let window = Window::builder(end, at(end - 1_000), at(end))
                    .outcomes(400, 0, 0)
                    .latencies(planner_core::Latencies::from_p95(latency))
                    .ready(8)
                    .traffic(Traffic::arriving(40.0).expect("a rate"));
                planner.decide(at(end), &window.build().expect("a window")).target()
            });
            targets.min()
        };
        assert_eq!(least(30), None, "held back for ever");
        assert!(least(0) < Some(8) && least(0).is_some());
    }
}
