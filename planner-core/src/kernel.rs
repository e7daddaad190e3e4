//! What is remembered of one service, and the pure path from a window to its decision.
//!
//! A [`Planner`](crate::Planner) holds one kernel beside its conversation with the advisor, a
//! [`Fleet`](crate::Fleet) holds many; both decide here, so they cannot differ.

mod count;

use core::time::Duration;

use crate::Timestamp;
use crate::advice::Verdict;
use crate::baseline::{Baseline, Estimate, Evidence, Lesson};
use crate::config::{Config, Thresholds};
use crate::decision::{Action, Constraint, Decision, DecisionId, Derivation, Origin};
use crate::guard::{GuardState, Guarded, Switch, guard, on};
use crate::operation::{Mode, Operation};
use crate::planner::Outcome;
use crate::policy::{Policy, Proposal, View};
use crate::signal::{Signal, Yardstick};
use crate::telemetry::{Quality, Window};

/// Everything that later decisions on one service depend on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kernel<S, B> {
    pub(crate) state: S,
    pub(crate) baseline: B,
    pub(crate) guards: GuardState,
    pub(crate) now: Timestamp,
    /// End of the last window, once one was seen.
    last_end: Timestamp,
    seen: bool,
    /// Replicas at the last count that was believed; 0 before there was one.
    pub(crate) believed: u32,
    /// Milliseconds since too few of them were left to believe it; 0 while they are there.
    pub(crate) vanished_ms: u32,
    /// Settled windows before the last scaling, should it be refused.
    pub(crate) settled_before: u16,
    /// The runs of windows up to the last one.
    pub(crate) streaks: Streaks,
    pub(crate) operation: Operation,
    pub(crate) next_decision: u64,
}

/// Runs of windows; each stops counting at 65 535.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Streaks {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "run"))]
    near: u16,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "run"))]
    settled: u16,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "run"))]
    suspects: u16,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "run"))]
    queued: u16,
}

/// Reads the length of a run. Format 1 of the snapshot counted further.
#[cfg(feature = "serde")]
fn run<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let length = <u32 as serde::Deserialize>::deserialize(deserializer)?;
    Ok(u16::try_from(length).unwrap_or(u16::MAX))
}

/// What the decisions on a service follow.
#[derive(Debug)]
pub(crate) struct Rules<'a, P> {
    pub(crate) config: &'a Config,
    pub(crate) policy: &'a P,
    /// The thresholds in force: the operator's, tightened by advice.
    pub(crate) thresholds: Thresholds,
}

/// A count that was chosen from a proposal: whose it is, and what became of the advice.
pub(crate) type Merged = (u32, Origin, Option<Verdict>);

impl<S, B> Kernel<S, B> {
    /// Nothing seen yet.
    pub(crate) fn new(state: S, baseline: B) -> Self {
        Self {
            state,
            baseline,
            guards: GuardState::default(),
            now: Timestamp::ORIGIN,
            last_end: Timestamp::ORIGIN,
            seen: false,
            believed: 0,
            vanished_ms: 0,
            settled_before: 0,
            streaks: Streaks::default(),
            operation: Operation::default(),
            next_decision: 1,
        }
    }

    /// End of the last window.
    #[cfg(feature = "serde")]
    pub(crate) fn last(&self) -> Option<Timestamp> {
        self.seen.then_some(self.last_end)
    }

    /// Takes note of a fresh window.
    pub(crate) fn note_window(&mut self, config: &Config, window: &Window) {
        self.age_count(config, window);
        self.set_last(Some(window.end));
    }

    /// Takes note of the end of the last window.
    pub(crate) fn set_last(&mut self, last: Option<Timestamp>) {
        self.seen = last.is_some();
        self.last_end = last.unwrap_or_default();
    }
}

impl<S, B: Baseline> Kernel<S, B> {
    /// Follows the caller's clock. A `now` a little before the last one counts as the last one;
    /// further back than the age of a stale window the clock was set back, and everything
    /// remembered moves with it, as if it had stood still. Returns by how much.
    #[inline]
    pub(crate) fn advance<P>(&mut self, rules: &Rules<'_, P>, now: Timestamp) -> Option<Duration>
    where
        P: Policy<State = S>,
    {
        let behind = self.now.saturating_since(now);
        if behind <= rules.config.window_age_max() {
            self.now = self.now.max(now);
            return None;
        }
        self.now = now;
        // What ended before the clock was set back does not make later windows old.
        self.set_last(None);
        self.guards.rebase(behind);
        self.baseline.rebase(behind);
        rules.policy.rebase(behind, &mut self.state);
        Some(behind)
    }

    /// Whether `window` is neither repeated, nor older than the last one, nor of the future.
    ///
    /// Its end alone says so: a source that was started again numbers its windows anew.
    pub(crate) fn is_fresh(&self, config: &Config, window: &Window) -> bool {
        // A window of the future would make every later one look repeated.
        let ahead = window.end > self.now.saturating_add(config.window_age_max());
        let older = self.seen && window.end <= self.last_end;
        !ahead && (!older || !on(Switch::StaleWindow))
    }

    /// Judges a window that follows the runs `before`; `None` when there is no count to start from.
    #[inline]
    pub(crate) fn judge<P>(
        &self,
        rules: &Rules<'_, P>,
        window: &Window,
        before: Streaks,
    ) -> Option<Judged> {
        let config = rules.config;
        let vanished = self.vanished(config, window);
        let current = self.committed(config, window)?;
        let estimate = self.baseline.estimate(config);
        let yardstick = Yardstick {
            config,
            active: rules.thresholds,
            estimate,
            suspects_before: before.suspects.into(),
            queued_before: before.queued.into(),
        };
        let signal = Signal::assess(window, &yardstick);
        let all_ready = window.ready.is_some_and(|ready| ready >= current);
        let quality = match (window.quality(self.now, config), vanished) {
            (Quality::Trusted, Some(doubt)) => Quality::Doubtful(doubt),
            (quality, _) => quality,
        };
        let calm = signal.near && !signal.failing && quality.is_trusted();
        let run = |goes_on: bool, length: u16| if goes_on { length.saturating_add(1) } else { 0 };
        Some(Judged {
            quality,
            estimate,
            signal,
            current,
            streaks: Streaks {
                near: run(calm, before.near),
                settled: run(all_ready, before.settled),
                suspects: run(signal.suspect, before.suspects),
                queued: run(signal.queued, before.queued),
            },
        })
    }

    /// What policies and guards see of a judged window.
    pub(crate) fn view<'a, P>(
        &self,
        rules: &Rules<'a, P>,
        window: &'a Window,
        judged: &Judged,
    ) -> View<'a> {
        View {
            now: self.now,
            config: rules.config,
            thresholds: rules.thresholds,
            window,
            quality: judged.quality,
            estimate: judged.estimate,
            signal: judged.signal,
            current: judged.current,
            ready: window.ready.unwrap_or(0),
            near_streak: judged.streaks.near.into(),
            settled_windows: judged.streaks.settled.into(),
            operation: self.operation,
        }
    }

    /// Proposes, merges, guards, then learns, unless the window has taught already.
    #[inline]
    pub(crate) fn conclude<P>(
        &mut self,
        rules: &Rules<'_, P>,
        window: &Window,
        before: Streaks,
        taught: bool,
        merge: impl FnOnce(&Proposal, u32, bool) -> Merged,
    ) -> Decision
    where
        P: Policy<State = S>,
    {
        let Some(judged) = self.judge(rules, window, before) else {
            self.streaks = Streaks::default();
            self.forget_count();
            return self.without_target(rules, window, Constraint::ReplicasUnknown);
        };
        let view = self.view(rules, window, &judged);
        let proposal = rules.policy.propose(&view, &self.state);
        let merged = merge(&proposal, judged.current, judged.signal.breach.is_some());
        let wanted = merged.0;
        let mut decision = self.draft(&view, proposal, merged);
        self.next_decision = self.next_decision.saturating_add(1);

        let target = decision.target().unwrap_or(judged.current);
        self.guards.note_proposal(rules.config, self.now, wanted);
        if !taught {
            decision.derivation.lesson = Some(self.teach(rules, &view, judged.streaks, target));
        }
        if target != judged.current {
            let alone = decision.derivation.proposal.preferred;
            let advised = decision.origin == Origin::Advisor
                && alone <= judged.current
                && judged.current < target;
            self.guards.note_scaling(&view, decision.id, target, advised);
            self.note_order(target);
            self.settled_before = self.streaks.settled;
            // What only an advisor added has no effect to show before a breach is answered.
            if !advised {
                self.streaks.settled = 0;
            }
        }
        decision
    }

    /// A decision as it would be made now; nothing is remembered yet.
    #[inline]
    pub(crate) fn draft(
        &self,
        view: &View<'_>,
        proposal: Proposal,
        (wanted, origin, advice): Merged,
    ) -> Decision {
        let Guarded { replicas, guards, binding } = guard(view, &self.guards, wanted);
        let binding = match binding {
            Constraint::Unconstrained if origin == Origin::Advisor => {
                Constraint::Advice { preferred: proposal.preferred }
            }
            guarded => guarded,
        };
        let action = match self.operation.mode {
            _ if replicas == view.current => Action::Hold,
            Mode::Shadow => Action::Suggest { to: replicas },
            Mode::Act | Mode::Pause => Action::Scale { to: replicas },
        };
        Decision {
            id: DecisionId(self.next_decision),
            at: self.now,
            action,
            origin,
            derivation: Derivation {
                window: view.window.clone(),
                quality: view.quality,
                estimate: view.estimate,
                lesson: None,
                thresholds: view.thresholds,
                signal: view.signal,
                current: Some(view.current),
                proposal,
                advice,
                operation: self.operation,
                effect: self.guards.effect(),
                guards,
                binding,
            },
        }
    }

    /// A hold without a target: there is nothing to compare one with.
    #[cold]
    #[inline(never)]
    pub(crate) fn without_target<P>(
        &mut self,
        rules: &Rules<'_, P>,
        window: &Window,
        why: Constraint,
    ) -> Decision {
        let id = DecisionId(self.next_decision);
        self.next_decision = self.next_decision.saturating_add(1);
        let Guarded { guards, binding, .. } = Guarded::idle(why);
        Decision {
            id,
            at: self.now,
            action: Action::Hold,
            origin: Origin::Policy,
            derivation: Derivation {
                window: window.clone(),
                quality: window.quality(self.now, rules.config),
                estimate: self.baseline.estimate(rules.config),
                lesson: None,
                thresholds: rules.thresholds,
                signal: Signal::default(),
                current: None,
                proposal: Proposal::exactly(0),
                advice: None,
                operation: self.operation,
                effect: self.guards.effect(),
                guards,
                binding,
            },
        }
    }

    /// Takes note of what became of a decision; whether there was such a decision.
    pub(crate) fn settle<P>(&mut self, policy: &P, id: DecisionId, outcome: Outcome) -> bool
    where
        P: Policy<State = S>,
    {
        let known = id.0 < self.next_decision;
        let last = self.guards.is_last(id);
        if known && outcome == Outcome::Refuse && self.guards.forget_scaling(id) {
            policy.refused(&mut self.state);
            if last {
                self.streaks.settled = self.settled_before;
            }
        }
        known
    }

    /// Lets a judged window teach guards, policy and baseline. Once a window, after its decision.
    #[inline]
    pub(crate) fn teach<P>(
        &mut self,
        rules: &Rules<'_, P>,
        view: &View<'_>,
        streaks: Streaks,
        target: u32,
    ) -> Lesson
    where
        P: Policy<State = S>,
    {
        self.streaks = streaks;
        self.note_count(rules.config, view.window);
        self.guards.note_effect(view);
        rules.policy.learn(view, target, &mut self.state);
        let evidence = Evidence::new(view.window, view.quality, view.signal, view.estimate);
        self.baseline.observe(rules.config, &evidence)
    }
}

/// A judged window, without borrowing it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    pub(crate) quality: Quality,
    pub(crate) estimate: Option<Estimate>,
    pub(crate) signal: Signal,
    pub(crate) current: u32,
    pub(crate) streaks: Streaks,
}
