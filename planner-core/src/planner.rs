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

#[cfg(test)]
mod any_advisor;
mod event;

use core::time::Duration;

pub use event::{Brief, Consultation, ConsultationId, Event, Idle, Outcome, Step};

use crate::Timestamp;
use crate::advice::{self, Advice, AdvisorFault, Verdict};
use crate::baseline::{Baseline, Estimate, QuarantinedBaseline};
use crate::config::{Config, ReplicaBounds, Thresholds};
use crate::decision::{Constraint, Decision, Origin};
use crate::gateway::{AdviceGate, CallOutcome, ClosedGate, Gateway, Permit};
use crate::guard::guard;
use crate::kernel::{Judged, Kernel, Merged, Rules, Streaks};
use crate::operation::Operation;
use crate::policy::{Heuristic, Policy, Proposal, View};
use crate::snapshot::{RestoreError, Snapshot};
use crate::telemetry::Window;
use crate::track::TrackRecord;

/// The conversation with the advisor and the window at hand; the rest is the kernel's.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Tally {
    /// The window under decision.
    pub(crate) window: Option<Window>,
    /// It has taught policy and baseline. That happens once, after its decision, or when the next
    /// window comes.
    pub(crate) taught: bool,
    /// The runs of windows that ended before it.
    pub(crate) before: Streaks,
    pub(crate) next_consultation: u64,
    pub(crate) open: Option<Open>,
    pub(crate) advised: Option<(Thresholds, Timestamp)>,
    pub(crate) last_consulted: Option<(Timestamp, ConsultKey)>,
    pub(crate) last_tick: Option<Timestamp>,
    /// The newest consultation whose cost is known or guessed.
    pub(crate) charged: u64,
    pub(crate) track: TrackRecord,
}

/// A consultation under way.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Open {
    id: ConsultationId,
    deadline: Timestamp,
    snapshot_current: u32,
    /// Whether more replicas were on offer.
    #[cfg_attr(feature = "serde", serde(default))]
    offered_more: bool,
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
    gate: G,
    permit: Option<Permit>,
    kernel: Kernel<P::State, B>,
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
        let mut kernel = Kernel::new(policy.initial_state(), baseline);
        kernel.guards.reserve();
        policy.reserve(&mut kernel.state);
        let tally = Tally { next_consultation: 1, ..Tally::default() };
        Self { config, policy, gate, permit: None, kernel, tally }
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
        snapshot.check(&policy)?;
        let (mut kernel, tally, gate_state) = snapshot.into_parts();
        gate.restore(gate_state);
        kernel.baseline.reconfigure(&config);
        policy.reserve(&mut kernel.state);
        let permit = tally.open.as_ref().map(|_| Permit(()));
        Ok(Self { config, policy, gate, permit, kernel, tally })
    }

    /// Everything that is needed to go on elsewhere: the restored planner's next step is this
    /// one's. An open consultation goes along.
    pub fn snapshot(&self) -> Snapshot<P::State, B> {
        Snapshot::with_tally(
            &self.policy,
            self.kernel.clone(),
            self.tally.clone(),
            self.gate.state(),
        )
    }

    /// The configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The policy.
    pub const fn policy(&self) -> &P {
        &self.policy
    }

    /// What is normal; `None` while warming up without a hint.
    pub fn estimate(&self) -> Option<Estimate> {
        self.kernel.baseline.estimate(&self.config)
    }

    /// What the operator allows; see [`Event::Operate`].
    pub const fn operation(&self) -> Operation {
        self.kernel.operation
    }

    /// How the advisor's answers have held up.
    pub const fn track_record(&self) -> &TrackRecord {
        &self.tally.track
    }

    /// When to send [`Event::Wake`] at the latest; `None` when only a window matters.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let deadline = self.tally.open.as_ref().map(|open| open.deadline);
        let tick = self.policy.period().and_then(|period| {
            self.tally.window.as_ref()?;
            Some(self.tally.last_tick.map_or(self.kernel.now, |last| last.saturating_add(period)))
        });
        match (deadline, tick) {
            (Some(deadline), Some(tick)) => Some(deadline.min(tick)),
            (deadline, tick) => deadline.or(tick),
        }
    }

    /// Takes one event, gives one step. Never panics, never blocks; O(log n) in the length of the
    /// baseline for finding, O(n) moves of eight bytes for keeping it sorted.
    ///
    /// A `now` a little before the last one counts as the last one. Further back than
    /// [`Config::window_age_max`] the clock was set back: what is remembered moves with it, as if
    /// the clock had stood still.
    pub fn step(&mut self, now: Timestamp, event: Event<P::Signal>) -> Step {
        let now = self.advance(now);
        match event {
            Event::Observe(window) => self.observe(now, window),
            Event::Advise(id, answer) => self.advise(now, id, answer),
            Event::Attest(id, receipt) => self.attest(now, id, receipt.tokens),
            Event::Wake => self.wake(now),
            Event::Settle(id, outcome) => {
                let known = self.kernel.settle(&self.policy, id, outcome);
                Step::Idle(if known { Idle::Note } else { Idle::Stale })
            }
            Event::Signal(signal) => {
                self.policy.absorb(now, signal, &mut self.kernel.state);
                Step::Idle(Idle::Note)
            }
            Event::Operate(operation) => {
                self.kernel.operation = operation;
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
            let (kernel, rules) = self.parts(now);
            return kernel.without_target(&rules, window, Constraint::StaleWindow);
        }
        self.close(now, CallOutcome::Cancelled);
        self.conclude(now, None)
    }

    /// What [`Planner::decide`] would decide; nothing is remembered of it.
    pub fn preview(&self, now: Timestamp, window: &Window) -> Decision {
        let mut trial = Planner {
            config: self.config.clone(),
            policy: &self.policy,
            gate: ClosedGate,
            permit: None,
            kernel: self.kernel.clone(),
            tally: self.tally.clone(),
        };
        trial.decide(now, window)
    }

    fn advance(&mut self, now: Timestamp) -> Timestamp {
        let (kernel, rules) = self.parts(now);
        if let Some(behind) = kernel.advance(&rules, now) {
            self.gate.rebase(behind);
            self.tally.rebase(behind);
        }
        self.kernel.now
    }

    /// The kernel, and the rules that it follows at `now`.
    fn parts(&mut self, now: Timestamp) -> (&mut Kernel<P::State, B>, Rules<'_, P>) {
        let thresholds = thresholds(&self.config, &self.tally, now);
        (&mut self.kernel, Rules { config: &self.config, policy: &self.policy, thresholds })
    }

    /// The rules at `now`.
    fn rules(&self, now: Timestamp) -> Rules<'_, P> {
        let thresholds = thresholds(&self.config, &self.tally, now);
        Rules { config: &self.config, policy: &self.policy, thresholds }
    }

    /// Makes `window` the one under decision, unless it is a repeated or older one.
    fn accept(&mut self, now: Timestamp, window: Window) -> bool {
        if !self.kernel.is_fresh(&self.config, &window) {
            return false;
        }
        // A window that was not decided on its own teaches before the next one is judged.
        if let (Some(last), false) = (self.tally.window.take(), self.tally.taught) {
            let before = self.tally.before;
            let (kernel, rules) = self.parts(now);
            if let Some(judged) = kernel.judge(&rules, &last, before) {
                let view = kernel.view(&rules, &last, &judged);
                let _ = kernel.teach(&rules, &view, judged.streaks, judged.current);
            } else {
                kernel.streaks = Streaks::default();
                kernel.forget_count();
            }
        }
        self.kernel.note_window(&self.config, &window);
        self.tally.window = Some(window);
        self.tally.taught = false;
        self.tally.before = self.kernel.streaks;
        true
    }

    fn observe(&mut self, now: Timestamp, window: Window) -> Step {
        if !self.accept(now, window) {
            return Step::Idle(Idle::Stale);
        }
        if self.policy.period().is_some() {
            return Step::Idle(Idle::Note);
        }
        let rules = self.rules(now);
        let window = self.tally.window.as_ref();
        let judged = window.and_then(|it| self.kernel.judge(&rules, it, self.tally.before));
        let Some(judged) = judged else {
            return Step::Decide(self.conclude(now, None));
        };
        // A shell that sends no `Wake` still gets its decision by the first window after it.
        let overdue = self.tally.open.as_ref().is_some_and(|open| now >= open.deadline);
        if overdue {
            self.close(now, CallOutcome::Failed(AdvisorFault::Timeout));
            return Step::Decide(self.conclude_missed(now, AdvisorFault::Timeout));
        }
        if let Some(id) = self.tally.open.as_ref().map(|open| open.id) {
            if judged.signal.breach.is_none() {
                return Step::Idle(Idle::Await(id));
            }
            self.close(now, CallOutcome::Cancelled);
            return Step::Decide(self.conclude(now, Some(Verdict::Overtaken)));
        }
        match self.consult(now, &judged) {
            Ok(Some(consultation)) => Step::Consult(consultation),
            Ok(None) => Step::Decide(self.conclude(now, None)),
            Err(verdict) => Step::Decide(self.conclude(now, Some(verdict))),
        }
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
            && !is_shadow(&self.config)
            && let Some(tightened) = advice::tighten(self.config.thresholds(), advised)
        {
            self.tally.advised = Some((tightened, now.saturating_add(ttl)));
        }
        // The replicas are no longer those that the question was about: the answer is not either.
        let window = self.tally.window.as_ref();
        let current = window.and_then(|it| self.kernel.committed(&self.config, it));
        if current != Some(open.snapshot_current) {
            return Step::Decide(self.conclude(now, Some(Verdict::Outdated)));
        }
        self.tally.track.note_answer(advice.action, open.offered_more);
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

    /// Takes note of what a call cost, once.
    fn attest(&mut self, now: Timestamp, id: ConsultationId, tokens: Option<u64>) -> Step {
        if id.0 <= self.tally.charged || id.0 >= self.tally.next_consultation {
            return Step::Idle(Idle::Stale);
        }
        self.tally.charged = id.0;
        self.gate.spend(now, tokens);
        Step::Idle(Idle::Note)
    }

    /// Closes the open consultation, if there is one.
    fn close(&mut self, now: Timestamp, outcome: CallOutcome) {
        // A call that was answered without a receipt, or not waited for, is paid for all the same.
        let is_paid = matches!(
            outcome,
            CallOutcome::Answered
                | CallOutcome::Cancelled
                | CallOutcome::Failed(AdvisorFault::Garble | AdvisorFault::Timeout)
        );
        if let Some(open) = self.tally.open.take().filter(|_| is_paid) {
            let _it_may_be_known = self.attest(now, open.id, None);
        }
        if let Some(permit) = self.permit.take() {
            self.gate.settle(now, permit, outcome);
        }
    }

    /// Opens a consultation when one may matter and may be made. An advisor that would be asked but
    /// for its record is told of.
    fn consult(
        &mut self,
        now: Timestamp,
        judged: &Judged,
    ) -> Result<Option<Consultation>, Verdict> {
        let Some(advice) = self.config.advice() else { return Ok(None) };
        let (timeout, heartbeat) = (advice.timeout, advice.heartbeat);
        if judged.signal.breach.is_some() {
            return Ok(None);
        }
        let Some(window) = self.tally.window.clone() else { return Ok(None) };
        let rules = self.rules(now);
        let view = self.kernel.view(&rules, &window, judged);
        let proposal = self.policy.propose(&view, &self.kernel.state);
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
        let guards = &self.kernel.guards;
        let choice = guard(&view, guards, proposal.floor).replicas
            != guard(&view, guards, proposal.ceiling).replicas;
        if !proposal.consult || known || !choice {
            return Ok(None);
        }
        if let Some(until) = self.tally.track.suspension(now) {
            return Err(Verdict::Suspended { until });
        }
        let brief = self.brief(&view, &proposal);
        let alone = (proposal.preferred, Origin::Policy, None);
        let fallback = self.kernel.draft(&view, proposal, alone);
        let Ok(permit) = self.gate.admit(now) else { return Ok(None) };
        self.permit = Some(permit);
        let id = ConsultationId(self.tally.next_consultation);
        self.tally.next_consultation = self.tally.next_consultation.saturating_add(1);
        self.tally.last_consulted = Some((now, key));
        let deadline = now.saturating_add(timeout);
        let snapshot_current = judged.current;
        let offered_more = brief.ceiling > brief.current;
        self.tally.open = Some(Open { id, deadline, snapshot_current, offered_more });
        Ok(Some(Consultation { id, brief, deadline, fallback }))
    }

    fn brief(&self, view: &View<'_>, proposal: &Proposal) -> Brief {
        let more = guard(view, &self.kernel.guards, view.current.saturating_add(1));
        let fewer = guard(view, &self.kernel.guards, view.current.saturating_sub(1));
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
        let shadow = is_shadow(&self.config);
        self.conclude_with(now, |proposal, current, in_breach| {
            let (target, verdict) = advice::apply(advice, proposal, current, in_breach);
            if shadow {
                let reason = advice.reason.clone();
                let verdict = Verdict::Shadowed { would: target, reason };
                return (proposal.preferred, Origin::Policy, Some(verdict));
            }
            let origin =
                if target == proposal.preferred { Origin::Policy } else { Origin::Advisor };
            (target, origin, Some(verdict))
        })
    }

    /// Decides on the window at hand.
    fn conclude_with(
        &mut self,
        now: Timestamp,
        merge: impl FnOnce(&Proposal, u32, bool) -> Merged,
    ) -> Decision {
        let Some(window) = self.tally.window.take() else {
            let empty = Window::builder(0, now, now).build();
            let window = empty.unwrap_or_else(|_| unreachable!("an empty window is valid"));
            let (kernel, rules) = self.parts(now);
            return kernel.without_target(&rules, &window, Constraint::ReplicasUnknown);
        };
        let (before, taught) = (self.tally.before, self.tally.taught);
        let (kernel, rules) = self.parts(now);
        let decision = kernel.conclude(&rules, &window, before, taught, merge);
        let signal = &decision.derivation.signal;
        self.tally.track.note_window(now, signal.breach.is_some(), signal.near);
        self.tally.taught = true;
        self.tally.window = Some(window);
        decision
    }
}

/// Whether advice is only put on record.
fn is_shadow(config: &Config) -> bool {
    config.advice().is_some_and(|advice| advice.shadow)
}

/// The thresholds in force.
fn thresholds(config: &Config, tally: &Tally, now: Timestamp) -> Thresholds {
    let operator = config.thresholds();
    let advised = tally.advised.filter(|(_, until)| now < *until && !is_shadow(config));
    // Tightened again: the operator may have tightened his own since.
    advised.and_then(|(advised, _)| advice::tighten(operator, advised)).unwrap_or(operator)
}

impl Tally {
    /// Goes on after the clock was set back by `behind`: every remembered time moves with it.
    fn rebase(&mut self, behind: Duration) {
        if let Some(open) = &mut self.open {
            open.deadline = open.deadline.saturating_sub(behind);
        }
        if let Some((_, until)) = &mut self.advised {
            *until = until.saturating_sub(behind);
        }
        if let Some((at, _)) = &mut self.last_consulted {
            *at = at.saturating_sub(behind);
        }
        self.last_tick = self.last_tick.map(|last| last.saturating_sub(behind));
        self.track.rebase(behind);
    }
}
