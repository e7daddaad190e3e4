//! A policy in a planner of its own that follows windows which somebody else's decisions made.

use std::fmt;

use planner_core::{
    Config, Decision, Event, Idle, Mode, NoSignal, Operation, Planner, Policy, RestoreError,
    Snapshot, Step, Timestamp, Window,
};

/// What a window tells a policy with observations of its own, in its own words.
type Signals<S> = Box<dyn FnMut(&Window) -> Vec<S> + Send>;

/// A policy in a planner of its own, whatever its type.
///
/// A policy that decides on every window does so here. One with a period of its own is shown
/// signals at every window and decides at the first window of each period: between windows nothing
/// is known that could change its mind.
///
/// ```
/// use planner_core::{Config, Poc, ReplicaBounds};
/// use planner_lab::shadow::Candidate;
///
/// let config = Config::builder(ReplicaBounds::new(1, 8)?).low_windows(2).build()?;
/// let candidate = Candidate::new(config, Poc).named("eager poc");
/// assert_eq!(candidate.name(), "eager poc");
/// # Ok::<(), planner_core::ConfigError>(())
/// ```
pub struct Candidate {
    name: String,
    seat: Box<dyn Seat>,
}

impl Candidate {
    /// `policy` with `config`; it has seen nothing yet.
    pub fn new<P>(config: Config, policy: P) -> Self
    where
        P: Policy<Signal = NoSignal> + Send + 'static,
        P::State: Send,
    {
        Self::with_signals(config, policy, |_| Vec::new())
    }

    /// `policy` with `config`, which goes on from `snapshot`.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] when the snapshot is of another format or another policy.
    pub fn resumed<P>(
        config: Config,
        policy: P,
        snapshot: Snapshot<P::State>,
    ) -> Result<Self, RestoreError>
    where
        P: Policy<Signal = NoSignal> + Send + 'static,
        P::State: Send,
    {
        let planner = Planner::restore(config, policy, snapshot)?;
        Ok(Self::seated(planner, Box::new(|_| Vec::new())))
    }

    /// `policy` with `config`, and `signals` that tell it of each window what it would have
    /// observed itself, in the order in which it would have.
    ///
    /// [`GuardSet::Peer`](planner_core::GuardSet::Peer) in `config` keeps a policy of another
    /// system from being held back twice.
    pub fn with_signals<P, F>(config: Config, policy: P, signals: F) -> Self
    where
        P: Policy + Send + 'static,
        P::State: Send,
        P::Signal: 'static,
        F: FnMut(&Window) -> Vec<P::Signal> + Send + 'static,
    {
        Self::seated(Planner::new(config, policy), Box::new(signals))
    }

    fn seated<P>(planner: Planner<P>, signals: Signals<P::Signal>) -> Self
    where
        P: Policy + Send + 'static,
        P::State: Send,
        P::Signal: 'static,
    {
        let name = planner.policy().name().to_owned();
        Self { name, seat: Box::new(Seated { planner, signals }) }
    }

    /// The same under another name, where several of one policy are compared.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Its name: the policy's, unless it was given another.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes a recorded event as its planner would.
    pub(crate) fn step(&mut self, at: Timestamp, event: Event) -> Step {
        self.seat.step(at, event)
    }

    /// What it decides on a window, no advisor asked; `None` where its period is not over.
    pub(crate) fn decide(&mut self, at: Timestamp, window: &Window) -> Option<Decision> {
        self.seat.decide(at, window)
    }

    /// The operator allows something else.
    pub(crate) fn operate(&mut self, at: Timestamp, operation: Operation) {
        let _nothing_to_do = self.seat.step(at, Event::Operate(operation));
    }

    /// From now on its targets are only shown, within the holds of `operation`.
    pub(crate) fn watch_only(&mut self, at: Timestamp, mut operation: Operation) {
        operation.mode = Mode::Shadow;
        let _nothing_to_do = self.seat.step(at, Event::Operate(operation));
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A planner without the type of its policy.
trait Seat: Send {
    fn step(&mut self, at: Timestamp, event: Event) -> Step;
    fn decide(&mut self, at: Timestamp, window: &Window) -> Option<Decision>;
}

struct Seated<P: Policy> {
    planner: Planner<P>,
    signals: Signals<P::Signal>,
}

impl<P: Policy> Seated<P> {
    fn tell(&mut self, at: Timestamp, window: &Window) {
        for signal in (self.signals)(window) {
            let _nothing_to_do = self.planner.step(at, Event::Signal(signal));
        }
    }

    /// The step of a policy with a period: it learns once a window, so it is shown the window on
    /// which it decides and no other.
    fn tick(&mut self, at: Timestamp, window: &Window) -> Step {
        if self.planner.next_wake().is_some_and(|due| at < due) {
            return Step::Idle(Idle::Early);
        }
        let seen = self.planner.step(at, Event::Observe(window.clone()));
        if seen == Step::Idle(Idle::Stale) {
            return seen;
        }
        self.planner.step(at, Event::Wake)
    }
}

impl<P> Seat for Seated<P>
where
    P: Policy + Send,
    P::State: Send,
{
    fn step(&mut self, at: Timestamp, event: Event) -> Step {
        let ticks = self.planner.policy().period().is_some();
        match event {
            Event::Observe(window) => {
                self.tell(at, &window);
                if ticks {
                    return self.tick(at, &window);
                }
                self.planner.step(at, Event::Observe(window))
            }
            Event::Wake if ticks => Step::Idle(Idle::Early),
            Event::Wake => self.planner.step(at, Event::Wake),
            Event::Advise(id, answer) => self.planner.step(at, Event::Advise(id, answer)),
            Event::Attest(id, receipt) => self.planner.step(at, Event::Attest(id, receipt)),
            Event::Operate(operation) => self.planner.step(at, Event::Operate(operation)),
            Event::Settle(id, outcome) => self.planner.step(at, Event::Settle(id, outcome)),
            // Kinds of events that this version does not know change nothing.
            _ => Step::Idle(Idle::Note),
        }
    }

    fn decide(&mut self, at: Timestamp, window: &Window) -> Option<Decision> {
        self.tell(at, window);
        if self.planner.policy().period().is_none() {
            return Some(self.planner.decide(at, window));
        }
        match self.tick(at, window) {
            Step::Decide(decision) => Some(decision),
            _ => None,
        }
    }
}
