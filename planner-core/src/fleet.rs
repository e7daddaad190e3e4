//! Many services in one process: a batch of windows in, a decision for each out.
//!
//! Every member decides exactly as a planner of its own would with
//! [`Planner::decide`](crate::Planner::decide); configurations and the policy are shared, so that
//! a member costs little more than what must be remembered of it. There is no advisor here: a
//! service that wants one has a planner.
//!
//! The published limits of autoscalers are limits of I/O and API traffic, none is decision
//! arithmetic: a fleet is for embedding and for simulation, it moves no cluster's limit.

use alloc::vec::Vec;

use crate::Timestamp;
use crate::baseline::{Baseline, QuarantinedBaseline};
use crate::config::Config;
use crate::decision::{Constraint, Decision, DecisionId, Origin};
use crate::kernel::{Kernel, Rules};
use crate::operation::Operation;
use crate::planner::Outcome;
use crate::policy::{Heuristic, Policy};
use crate::snapshot::{RestoreError, Snapshot};
use crate::telemetry::Window;

/// A configuration that members of a fleet share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class(u32);

/// A service of a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member(u32);

/// Decides for many services.
///
/// ```
/// use core::time::Duration;
/// use planner_core::{Config, Fleet, Heuristic, ReplicaBounds, Timestamp, Window};
///
/// let mut fleet = Fleet::new(Heuristic);
/// let class = fleet.class(Config::builder(ReplicaBounds::new(1, 8)?).build()?)?;
/// let shop = fleet.add(class)?;
/// let search = fleet.add(class)?;
///
/// let at = |seconds| Timestamp::from_origin(Duration::from_secs(seconds));
/// let window = Window::probes(at(0), at(3), &[21.0; 40], 0, 2)?;
/// let batch = [(shop, &window), (search, &window)];
/// let mut targets = Vec::new();
/// fleet.decide_all(at(3), batch, |member, decision| targets.push((member, decision.target())))?;
/// assert_eq!(targets, [(shop, None), (search, None)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fleet<P: Policy = Heuristic, B = QuarantinedBaseline> {
    policy: P,
    classes: Vec<Config>,
    members: Vec<(Kernel<P::State, B>, Class)>,
}

impl<P: Policy> Fleet<P> {
    /// A fleet without members.
    pub const fn new(policy: P) -> Self {
        Self { policy, classes: Vec::new(), members: Vec::new() }
    }

    /// Adds a service that nothing is known of. Amortised O(1); allocates what it will remember.
    ///
    /// # Errors
    ///
    /// [`FleetError`] when `class` is of another fleet, or there are 2³² members.
    pub fn add(&mut self, class: Class) -> Result<Member, FleetError> {
        let config = self.configuration(class)?;
        let kernel = Kernel::new(self.policy.initial_state(), QuarantinedBaseline::new(config));
        self.join(kernel, class)
    }
}

impl<P: Policy, B: Baseline> Fleet<P, B> {
    /// Adds a configuration. Advice settings have no effect in a fleet.
    ///
    /// # Errors
    ///
    /// [`FleetError::Full`] when there are 2³² of them.
    pub fn class(&mut self, config: Config) -> Result<Class, FleetError> {
        let class = Class(u32::try_from(self.classes.len()).map_err(|_| FleetError::Full)?);
        self.classes.push(config);
        Ok(class)
    }

    /// Adds a service that goes on from `snapshot`.
    ///
    /// # Errors
    ///
    /// [`FleetError`] when the snapshot is of another format or policy, when `class` is of another
    /// fleet, or when there are 2³² members.
    pub fn restore(
        &mut self,
        class: Class,
        snapshot: Snapshot<P::State, B>,
    ) -> Result<Member, FleetError> {
        let config = self.configuration(class)?;
        snapshot.check(&self.policy)?;
        let (mut kernel, _, _) = snapshot.into_parts();
        kernel.baseline.reconfigure(config);
        self.join(kernel, class)
    }

    /// Everything that is needed to go on elsewhere, in a fleet or as a planner of its own.
    ///
    /// # Errors
    ///
    /// [`FleetError::Stranger`] when `member` is of another fleet.
    pub fn snapshot(&self, member: Member) -> Result<Snapshot<P::State, B>, FleetError> {
        let (kernel, _) = self.members.get(member.0 as usize).ok_or(FleetError::Stranger)?;
        Ok(Snapshot::of(&self.policy, kernel.clone()))
    }

    /// Makes room for `additional` members, no more. Without it the room grows by doubling, as a
    /// vector's does.
    ///
    /// # Panics
    ///
    /// When that many do not fit into the address space.
    pub fn reserve(&mut self, additional: usize) {
        self.members.reserve_exact(additional);
    }

    /// How many members there are.
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member yet.
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// One window of one service in, its decision out: what
    /// [`Planner::decide`](crate::Planner::decide) would give. No allocation.
    ///
    /// # Errors
    ///
    /// [`FleetError::Stranger`] when `member` is of another fleet.
    #[inline]
    pub fn decide(
        &mut self,
        now: Timestamp,
        member: Member,
        window: &Window,
    ) -> Result<Decision, FleetError> {
        let (kernel, rules) = self.part(member)?;
        let _ = kernel.advance(&rules, now);
        if !kernel.is_fresh(rules.config, window) {
            return Ok(kernel.without_target(&rules, window, Constraint::StaleWindow));
        }
        kernel.note_window(rules.config, window);
        let before = kernel.streaks;
        Ok(kernel.conclude(&rules, window, before, false, |proposal, _, _| {
            (proposal.preferred, Origin::Policy, None)
        }))
    }

    /// A batch of windows in, a decision for each out, in the order of the batch.
    ///
    /// # Errors
    ///
    /// [`FleetError::Stranger`] at the first member of another fleet; those before it are decided.
    pub fn decide_all<'w>(
        &mut self,
        now: Timestamp,
        batch: impl IntoIterator<Item = (Member, &'w Window)>,
        mut each: impl FnMut(Member, Decision),
    ) -> Result<(), FleetError> {
        for (member, window) in batch {
            each(member, self.decide(now, member, window)?);
        }
        Ok(())
    }

    /// Reports what became of a decision; see [`Event::Settle`](crate::Event::Settle). Returns
    /// whether the decision is known.
    ///
    /// # Errors
    ///
    /// [`FleetError::Stranger`] when `member` is of another fleet.
    pub fn settle(
        &mut self,
        member: Member,
        decision: DecisionId,
        outcome: Outcome,
    ) -> Result<bool, FleetError> {
        let (kernel, rules) = self.part(member)?;
        Ok(kernel.settle(rules.policy, decision, outcome))
    }

    /// Sets what the operator allows for a service.
    ///
    /// # Errors
    ///
    /// [`FleetError::Stranger`] when `member` is of another fleet.
    pub fn operate(&mut self, member: Member, operation: Operation) -> Result<(), FleetError> {
        self.part(member)?.0.operation = operation;
        Ok(())
    }

    fn join(&mut self, kernel: Kernel<P::State, B>, class: Class) -> Result<Member, FleetError> {
        let member = Member(u32::try_from(self.members.len()).map_err(|_| FleetError::Full)?);
        self.members.push((kernel, class));
        Ok(member)
    }

    fn configuration(&self, class: Class) -> Result<&Config, FleetError> {
        self.classes.get(class.0 as usize).ok_or(FleetError::Stranger)
    }

    /// What is remembered of a member, and the rules that it follows.
    fn part(&mut self, member: Member) -> Result<Part<'_, P, B>, FleetError> {
        let found = self.members.get_mut(member.0 as usize).ok_or(FleetError::Stranger)?;
        let (kernel, class) = found;
        let config = self.classes.get(class.0 as usize).ok_or(FleetError::Stranger)?;
        let rules = Rules { config, policy: &self.policy, thresholds: config.thresholds() };
        Ok((kernel, rules))
    }
}

/// A member's memory with its rules.
type Part<'a, P, B> = (&'a mut Kernel<<P as Policy>::State, B>, Rules<'a, P>);

/// Why a fleet cannot do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// Its numbers are used up.
    #[error("fleet: it holds 2^32 entries, the most there are numbers for; begin another fleet")]
    Full,
    /// The snapshot is no use here.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The class or member was given out by another fleet.
    #[error("fleet: no such class or member; use those that this fleet gave out")]
    Stranger,
}
