//! The state machine: one event in, exactly one step out.
//!
//! ```text
//!                  Observe: calm, a second opinion may help
//!       +--------+ ---------------------------------------> +-----------+
//!       |  idle  |                                          | consulting|
//!       +--------+ <--------------------------------------- +-----------+
//!         |    ^     Advise | Wake at the deadline |          |    ^
//! Observe |    |     Observe: breach        => Decide         |    | Observe: calm
//!         +----+                                              +----+ => Await
//!        => Decide
//! ```
//!
//! Nothing but this happens here, and all of it does: transitions in several files would be none to
//! read. What is normal, what is wanted and what is allowed are decided in
//! `baseline`, `policy` and `guard`.

mod event;

use core::time::Duration;

pub use event::{Brief, Consultation, ConsultationId, Event, Idle, Outcome, Step};

use crate::Timestamp;
use crate::advice::{self, Advice, AdvisorFault, Verdict};
use crate::baseline::{Baseline, Estimate, Evidence, Quarantine, QuarantinedBaseline};
use crate::config::{Config, ReplicaBounds, Thresholds};
use crate::decision::{Action, Constraint, Decision, DecisionId, Derivation, Origin};
use crate::gateway::{AdviceGate, CallOutcome, Gateway, Permit};
use crate::guard::{GuardState, Guarded, guard};
use crate::policy::{Heuristic, Policy, Proposal, View};
use crate::signal::{Signal, Yardstick};
use crate::snapshot::{RestoreError, Snapshot};
use crate::telemetry::{Quality, Window};

/// What a planner remembers between events, apart from its parts' own state.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Tally {
    pub(crate) now: Timestamp,
    /// The window under decision.
    pub(crate) window: Option<Window>,
    /// It has taught policy and baseline. That happens once, after its decision, or when the next
    /// window comes.
    pub(crate) taught: bool,
    /// The runs of windows that ended before it.
    pub(crate) before: Streaks,
    /// The runs of windows with it.
    pub(crate) streaks: Streaks,
    pub(crate) next_decision: u64,
    pub(crate) next_consultation: u64,
    pub(crate) open: Option<Open>,
    pub(crate) advised: Option<(Thresholds, Timestamp)>,
    pub(crate) last_consulted: Option<(Timestamp, ConsultKey)>,
    pub(crate) last_tick: Option<Timestamp>,
}

/// Runs of windows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Streaks {
    near: u32,
    settled: u32,
    suspects: u32,
    queued: u32,
}

/// A consultation under way.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Open {
    id: ConsultationId,
    deadline: Timestamp,
    snapshot_current: u32,
}

/// What has to change before the advisor is asked the same again.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct ConsultKey {
    floor: u32,
    preferred: u32,
    ceiling: u32,
    current: u32,
}

/// Decides how many replicas a service should run.
///
/// The parts that make an opinion are type parameters with generic defaults: the policy `P`, the
/// baseline `B`, the advice gate `G`. The guards are not among them.
///
/// The run loop of an embedder:
///
/// 1. build a [`Config`], a policy and a planner, or restore one from a snapshot;
/// 2. when a window is complete, or at [`Planner::next_wake`], call [`Planner::step`];
/// 3. on [`Step::Decide`] carry the target out, write the journal, report with [`Event::Settle`];
/// 4. on [`Step::Consult`] ask the advisor, report with [`Event::Advise`]; whatever happens to it,
///    the fallback in hand has passed the guards;
/// 5. take a snapshot whenever it suits: a restored planner goes on with the same next step.
///
/// Without an advisor [`Planner::decide`] is all there is.
///
/// ```
/// use core::time::Duration;
/// use planner_core::{Planner, ReplicaBounds, Timestamp, Window};
///
/// let mut planner = Planner::heuristic(ReplicaBounds::new(1, 8)?);
/// let at = |seconds| Timestamp::from_origin(Duration::from_secs(seconds));
/// let window = Window::probes(at(0), at(3), &[21.0; 40], 0, 2)?;
/// let decision = planner.decide(at(3), &window);
/// assert_eq!(decision.target(), None);
/// assert_eq!(decision.to_string(), "#1 hold 2: warming up");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Planner<P: Policy = Heuristic, B = QuarantinedBaseline, G = Gateway> {
    config: Config,
    policy: P,
    state: P::State,
    baseline: B,
    gate: G,
    permit: Option<Permit>,
    guards: GuardState,
    tally: Tally,
}

impl Planner {
    /// A planner with the default policy and default settings within `bounds`.
    pub fn heuristic(bounds: ReplicaBounds) -> Self {
        let config = Config::builder(bounds).build();
        Self::new(config.unwrap_or_else(|_| unreachable!("the defaults are valid")), Heuristic)
    }
}

impl<P: Policy> Planner<P> {
    /// A planner with `policy`, the quarantined baseline and the real gateway.
    pub fn new(config: Config, policy: P) -> Self {
        let baseline = QuarantinedBaseline::new(&config);
        let gate = Gateway::new(&config.advice().cloned().unwrap_or_default(), config.seed());
        Self::with_parts(config, policy, baseline, gate)
    }

    /// A planner that goes on from `snapshot`.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] when the snapshot is of another format or another policy.
    pub fn restore(
        config: Config,
        policy: P,
        snapshot: Snapshot<P::State>,
    ) -> Result<Self, RestoreError> {
        let gate = Gateway::new(&config.advice().cloned().unwrap_or_default(), config.seed());
        Self::restore_with_gate(config, policy, gate, snapshot)
    }
}

impl<P: Policy, B: Baseline, G: AdviceGate> Planner<P, B, G> {
    /// A planner of these parts, which has seen nothing yet.
    pub fn with_parts(config: Config, policy: P, baseline: B, gate: G) -> Self {
        let state = policy.initial_state();
        let tally = Tally {
            now: Timestamp::ORIGIN,
            window: None,
            taught: false,
            before: Streaks::default(),
            streaks: Streaks::default(),
            next_decision: 1,
            next_consultation: 1,
            open: None,
            advised: None,
            last_consulted: None,
            last_tick: None,
        };
        let guards = GuardState::default();
        Self { config, policy, state, baseline, gate, permit: None, guards, tally }
    }

    /// A planner that goes on from `snapshot`, with a gate of the caller's choice.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] when the snapshot is of another format or another policy.
    pub fn restore_with_gate(
        config: Config,
        policy: P,
        mut gate: G,
        snapshot: Snapshot<P::State, B>,
    ) -> Result<Self, RestoreError> {
        snapshot.check(policy.name(), policy.version())?;
        gate.restore(snapshot.gate);
        let mut baseline = snapshot.baseline;
        baseline.reconfigure(&config);
        let permit = snapshot.tally.open.as_ref().map(|_| Permit(()));
        Ok(Self {
            config,
            policy,
            state: snapshot.state,
            baseline,
            gate,
            permit,
            guards: snapshot.guards,
            tally: snapshot.tally,
        })
    }

    /// Everything that is needed to go on elsewhere: the restored planner's next step is this
    /// one's. An open consultation goes along.
    pub fn snapshot(&self) -> Snapshot<P::State, B> {
        Snapshot {
            version: Snapshot::<(), ()>::VERSION,
            policy: self.policy.name().into(),
            policy_version: self.policy.version(),
            state: self.state.clone(),
            baseline: self.baseline.clone(),
            gate: self.gate.state(),
            guards: self.guards.clone(),
            tally: self.tally.clone(),
        }
    }

    /// The configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The policy.
    pub const fn policy(&self) -> &P {
        &self.policy
    }

    /// What is normal; `None` while warming up.
    pub fn estimate(&self) -> Option<Estimate> {
        self.baseline.estimate(&self.config)
    }

    /// When to send [`Event::Wake`] at the latest; `None` when only a window matters.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let deadline = self.tally.open.as_ref().map(|open| open.deadline);
        let tick = self.policy.period().and_then(|period| {
            self.tally.window.as_ref()?;
            Some(self.tally.last_tick.map_or(self.tally.now, |last| last.saturating_add(period)))
        });
        match (deadline, tick) {
            (Some(deadline), Some(tick)) => Some(deadline.min(tick)),
            (deadline, tick) => deadline.or(tick),
        }
    }

    /// Takes one event, gives one step. Never panics, never blocks; O(log n) in the length of the
    /// baseline for finding, O(n) moves of eight bytes for keeping it sorted.
    ///
    /// A `now` before the last one counts as the last one.
    pub fn step(&mut self, now: Timestamp, event: Event<P::Signal>) -> Step {
        let now = self.advance(now);
        match event {
            Event::Observe(window) => self.observe(now, window),
            Event::Advise(id, answer) => self.advise(now, id, answer),
            Event::Wake => self.wake(now),
            Event::Settle(id, outcome) => self.settle(id, outcome),
            Event::Signal(signal) => {
                self.policy.absorb(now, signal, &mut self.state);
                Step::Idle(Idle::Note)
            }
        }
    }

    /// The simple path: one window in, one decision out, no advisor asked.
    ///
    /// A window that was seen already holds, and says so. An open consultation is closed.
    pub fn decide(&mut self, now: Timestamp, window: &Window) -> Decision {
        let now = self.advance(now);
        if !self.accept(now, window.clone()) {
            return self.without_target(now, window, Constraint::StaleWindow);
        }
        self.close(now, CallOutcome::Cancelled);
        self.conclude(now, None)
    }

    fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.tally.now = self.tally.now.max(now);
        self.tally.now
    }

    /// Makes `window` the one under decision, unless it is a repeated or older one.
    fn accept(&mut self, now: Timestamp, window: Window) -> bool {
        // A window of the future would make every later one look repeated.
        if window.end > now.saturating_add(self.config.window_age_max()) {
            return false;
        }
        if let Some(last) = &self.tally.window {
            if window.seq <= last.seq || window.end <= last.end {
                return false;
            }
            match self.judge(now) {
                Some(judged) => _ = self.teach(now, &judged, judged.current),
                None => self.tally.streaks = Streaks::default(),
            }
        }
        self.tally.window = Some(window);
        self.tally.taught = false;
        self.tally.before = self.tally.streaks;
        true
    }

    fn observe(&mut self, now: Timestamp, window: Window) -> Step {
        if !self.accept(now, window) {
            return Step::Idle(Idle::Stale);
        }
        if self.policy.period().is_some() {
            return Step::Idle(Idle::Note);
        }
        let Some(parts) = self.judge(now) else {
            return Step::Decide(self.conclude(now, None));
        };
        // A shell that sends no `Wake` still gets its decision by the first window after it.
        let overdue = self.tally.open.as_ref().is_some_and(|open| now >= open.deadline);
        if overdue {
            self.close(now, CallOutcome::Failed(AdvisorFault::Timeout));
            return Step::Decide(self.conclude_missed(now, AdvisorFault::Timeout));
        }
        if let Some(id) = self.tally.open.as_ref().map(|open| open.id) {
            if parts.signal.breach.is_none() {
                return Step::Idle(Idle::Await(id));
            }
            self.close(now, CallOutcome::Cancelled);
            return Step::Decide(self.conclude(now, Some(Verdict::Overtaken)));
        }
        if let Some(consultation) = self.consult(now, &parts) {
            return Step::Consult(consultation);
        }
        Step::Decide(self.conclude(now, None))
    }

    fn advise(
        &mut self,
        now: Timestamp,
        id: ConsultationId,
        answer: Result<Advice, AdvisorFault>,
    ) -> Step {
        let Some(open) = self.tally.open.clone().filter(|open| open.id == id) else {
            return Step::Idle(Idle::Stale);
        };
        let answer = if now > open.deadline { Err(AdvisorFault::Timeout) } else { answer };
        let advice = match answer {
            Ok(advice) => advice,
            Err(fault) => {
                self.close(now, CallOutcome::Failed(fault));
                return Step::Decide(self.conclude_missed(now, fault));
            }
        };
        self.close(now, CallOutcome::Answered);
        let ttl = self.config.advice().map_or(Duration::ZERO, |advice| advice.thresholds_ttl);
        if let Some(advised) = advice.thresholds
            && let Some(tightened) = advice::tighten(self.config.thresholds(), advised)
        {
            self.tally.advised = Some((tightened, now.saturating_add(ttl)));
        }
        // The replicas are no longer those that the question was about: the answer is not either.
        if self.committed(now) != Some(open.snapshot_current) {
            return Step::Decide(self.conclude(now, Some(Verdict::Outdated)));
        }
        Step::Decide(self.conclude_advised(now, &advice))
    }

    fn wake(&mut self, now: Timestamp) -> Step {
        if self.tally.open.as_ref().is_some_and(|open| now >= open.deadline) {
            self.close(now, CallOutcome::Failed(AdvisorFault::Timeout));
            return Step::Decide(self.conclude_missed(now, AdvisorFault::Timeout));
        }
        let due = match (self.policy.period(), self.tally.last_tick) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(period), Some(last)) => now >= last.saturating_add(period),
        };
        if due && self.tally.window.is_some() {
            self.tally.last_tick = Some(now);
            return Step::Decide(self.conclude(now, None));
        }
        Step::Idle(Idle::Early)
    }

    fn settle(&mut self, id: DecisionId, outcome: Outcome) -> Step {
        let known = id.0 < self.tally.next_decision;
        if known && outcome == Outcome::Refuse && self.guards.forget_scaling(id) {
            self.policy.refused(&mut self.state);
        }
        Step::Idle(if known { Idle::Note } else { Idle::Stale })
    }

    /// Closes the open consultation, if there is one.
    fn close(&mut self, now: Timestamp, outcome: CallOutcome) {
        self.tally.open = None;
        if let Some(permit) = self.permit.take() {
            self.gate.settle(now, permit, outcome);
        }
    }

    /// Replicas that are ready or ordered; `None` when unknown.
    ///
    /// While the start-up allowance lasts, a scale-out that was ordered counts as carried out,
    /// because a window may end before it begins; so does a scale-in where the source does not
    /// count starting replicas.
    fn committed(&self, now: Timestamp) -> Option<u32> {
        let window = self.tally.window.as_ref()?;
        let ready = window.ready?;
        let counted = ready.saturating_add(window.starting.unwrap_or(0));
        let allowance = self.config.startup_allowance();
        let ordered = match self.guards.last_order() {
            Some((at, from, to)) if now.saturating_since(at) < allowance => (from, to),
            _ => return Some(counted),
        };
        Some(match ordered {
            (from, to) if to > from => counted.max(to),
            (_, to) if window.starting.is_none() => to,
            _ => counted,
        })
    }

    /// The thresholds in force.
    fn thresholds(&self, now: Timestamp) -> Thresholds {
        let operator = self.config.thresholds();
        let advised = self.tally.advised.filter(|(_, until)| now < *until);
        // Tightened again: the operator may have tightened his own since.
        advised.and_then(|(advised, _)| advice::tighten(operator, advised)).unwrap_or(operator)
    }

    /// Judges the window under decision; `None` when there is no count to start from.
    fn judge(&self, now: Timestamp) -> Option<Judged> {
        let window = self.tally.window.as_ref()?;
        let current = self.committed(now)?;
        let estimate = self.baseline.estimate(&self.config);
        let active = self.thresholds(now);
        let before = self.tally.before;
        let (suspects_before, queued_before) = (before.suspects, before.queued);
        let yardstick =
            Yardstick { config: &self.config, active, estimate, suspects_before, queued_before };
        let signal = Signal::assess(window, &yardstick);
        let all_ready = window.ready.is_some_and(|ready| ready >= current);
        let quality = window.quality(now, &self.config);
        let calm = signal.near && !signal.failing && quality.is_trusted();
        Some(Judged {
            quality,
            estimate,
            thresholds: active,
            signal,
            current,
            ready: window.ready.unwrap_or(0),
            streaks: Streaks {
                near: if calm { before.near.saturating_add(1) } else { 0 },
                settled: if all_ready { before.settled.saturating_add(1) } else { 0 },
                suspects: if signal.suspect { before.suspects.saturating_add(1) } else { 0 },
                queued: if signal.queued { before.queued.saturating_add(1) } else { 0 },
            },
        })
    }

    /// Opens a consultation when one may matter and may be made.
    fn consult(&mut self, now: Timestamp, judged: &Judged) -> Option<Consultation> {
        let advice = self.config.advice()?;
        let (timeout, heartbeat) = (advice.timeout, advice.heartbeat);
        if judged.signal.breach.is_some() {
            return None;
        }
        let window = self.tally.window.clone()?;
        let view = judged.view(now, &self.config, &window);
        let proposal = self.policy.propose(&view, &self.state);
        let key = ConsultKey {
            floor: proposal.floor,
            preferred: proposal.preferred,
            ceiling: proposal.ceiling,
            current: judged.current,
        };
        let known = self
            .tally
            .last_consulted
            .is_some_and(|(at, asked)| asked == key && now.saturating_since(at) < heartbeat);
        // Two targets that differ only before the guards are one target.
        let choice = guard(&view, &self.guards, proposal.floor).replicas
            != guard(&view, &self.guards, proposal.ceiling).replicas;
        if !proposal.consult || known || !choice {
            return None;
        }
        self.permit = Some(self.gate.admit(now).ok()?);
        let id = ConsultationId(self.tally.next_consultation);
        self.tally.next_consultation = self.tally.next_consultation.saturating_add(1);
        self.tally.last_consulted = Some((now, key));
        let deadline = now.saturating_add(timeout);
        let brief = self.brief(&view, &proposal);
        let fallback = self.draft(now, &view, proposal, None);
        let snapshot_current = judged.current;
        self.tally.open = Some(Open { id, deadline, snapshot_current });
        Some(Consultation { id, brief, deadline, fallback })
    }

    fn brief(&self, view: &View<'_>, proposal: &Proposal) -> Brief {
        let more = guard(view, &self.guards, view.current.saturating_add(1));
        let fewer = guard(view, &self.guards, view.current.saturating_sub(1));
        Brief {
            p95_ms: view.window.latencies.map(|latencies| latencies.p95.as_millis()),
            estimate: view.estimate,
            ratio: view.signal.ratio,
            z: view.signal.z,
            ready: view.ready,
            current: view.current,
            cooling_out: matches!(more.binding, Constraint::CooldownOut { .. }),
            cooling_in: matches!(fewer.binding, Constraint::CooldownIn { .. }),
            near_streak: view.near_streak,
            bounds: self.config.bounds(),
            thresholds: view.thresholds,
            floor: proposal.floor,
            ceiling: proposal.ceiling,
        }
    }

    /// Decides on the window at hand without advice; `verdict` says why there is none.
    fn conclude(&mut self, now: Timestamp, verdict: Option<Verdict>) -> Decision {
        self.conclude_with(now, |proposal, _, _| (proposal.preferred, Origin::Policy, verdict))
    }

    fn conclude_missed(&mut self, now: Timestamp, fault: AdvisorFault) -> Decision {
        self.conclude(now, Some(Verdict::Missed(fault)))
    }

    fn conclude_advised(&mut self, now: Timestamp, advice: &Advice) -> Decision {
        self.conclude_with(now, |proposal, current, in_breach| {
            let (target, verdict) = advice::apply(advice, proposal, current, in_breach);
            let origin =
                if target == proposal.preferred { Origin::Policy } else { Origin::Advisor };
            (target, origin, Some(verdict))
        })
    }

    /// Proposes, merges, guards, then learns.
    fn conclude_with(
        &mut self,
        now: Timestamp,
        merge: impl FnOnce(&Proposal, u32, bool) -> (u32, Origin, Option<Verdict>),
    ) -> Decision {
        let Some(window) = self.tally.window.clone() else {
            let empty = Window::builder(0, now, now).build();
            let window = empty.unwrap_or_else(|_| unreachable!("an empty window is valid"));
            return self.without_target(now, &window, Constraint::ReplicasUnknown);
        };
        let Some(judged) = self.judge(now) else {
            return self.without_target(now, &window, Constraint::ReplicasUnknown);
        };
        let view = judged.view(now, &self.config, &window);
        let proposal = self.policy.propose(&view, &self.state);
        let in_breach = judged.signal.breach.is_some();
        let (wanted, origin, verdict) = merge(&proposal, judged.current, in_breach);
        let mut decision = self.draft(now, &view, proposal, Some((wanted, origin, verdict)));
        self.tally.next_decision = self.tally.next_decision.saturating_add(1);

        let target = decision.target().unwrap_or(judged.current);
        self.guards.note_proposal(&self.config, now, wanted);
        decision.derivation.quarantine = self.teach(now, &judged, target);
        if target != judged.current {
            let view = judged.view(now, &self.config, &window);
            self.guards.note_scaling(&view, decision.id, target);
            self.tally.streaks.settled = 0;
        }
        decision
    }

    /// A decision as it would be made now; nothing is remembered yet.
    fn draft(
        &self,
        now: Timestamp,
        view: &View<'_>,
        proposal: Proposal,
        merged: Option<(u32, Origin, Option<Verdict>)>,
    ) -> Decision {
        let alone = (proposal.preferred, Origin::Policy, None);
        let (wanted, origin, advice) = merged.unwrap_or(alone);
        let Guarded { replicas, guards, binding } = guard(view, &self.guards, wanted);
        let action =
            if replicas == view.current { Action::Hold } else { Action::Scale { to: replicas } };
        Decision {
            id: DecisionId(self.tally.next_decision),
            at: now,
            action,
            origin,
            derivation: Derivation {
                window: view.window.clone(),
                quality: view.quality,
                estimate: view.estimate,
                quarantine: None,
                thresholds: view.thresholds,
                signal: view.signal,
                current: Some(view.current),
                proposal,
                advice,
                guards,
                binding,
            },
        }
    }

    /// A hold without a target: there is nothing to compare one with.
    fn without_target(&mut self, now: Timestamp, window: &Window, why: Constraint) -> Decision {
        let id = DecisionId(self.tally.next_decision);
        self.tally.next_decision = self.tally.next_decision.saturating_add(1);
        let Guarded { guards, binding, .. } = Guarded::idle(why);
        Decision {
            id,
            at: now,
            action: Action::Hold,
            origin: Origin::Policy,
            derivation: Derivation {
                window: window.clone(),
                quality: window.quality(now, &self.config),
                estimate: self.estimate(),
                quarantine: None,
                thresholds: self.thresholds(now),
                signal: Signal::default(),
                current: None,
                proposal: Proposal::exactly(0),
                advice: None,
                guards,
                binding,
            },
        }
    }

    /// Lets the window teach guards, policy and baseline, once. Returns why the baseline
    /// quarantined it, if it did.
    fn teach(&mut self, now: Timestamp, judged: &Judged, target: u32) -> Option<Quarantine> {
        if core::mem::replace(&mut self.tally.taught, true) {
            return None;
        }
        let window = self.tally.window.as_ref()?;
        let view = judged.view(now, &self.config, window);
        self.tally.streaks = judged.streaks;
        self.guards.note_effect(&view);
        self.policy.learn(&view, target, &mut self.state);
        let evidence = Evidence::new(window, judged.quality, judged.signal);
        self.baseline.observe(&self.config, &evidence)
    }
}

/// A judged window, without borrowing from the planner.
#[derive(Clone, Copy, Debug)]
struct Judged {
    quality: Quality,
    estimate: Option<Estimate>,
    thresholds: Thresholds,
    signal: Signal,
    current: u32,
    ready: u32,
    streaks: Streaks,
}

impl Judged {
    const fn view<'a>(&self, now: Timestamp, config: &'a Config, window: &'a Window) -> View<'a> {
        View {
            now,
            config,
            thresholds: self.thresholds,
            window,
            quality: self.quality,
            estimate: self.estimate,
            signal: self.signal,
            current: self.current,
            ready: self.ready,
            near_streak: self.streaks.near,
            settled_windows: self.streaks.settled,
        }
    }
}
