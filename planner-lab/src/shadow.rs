//! Other policies beside the real one, with a ledger of what each would have been worth.
//!
//! A [`Shadow`] follows a live stream or a journal of `(time, event, step)`. Every
//! [`Candidate`] sees the windows that the real planner sees, in a planner of its own whose
//! decisions nobody carries out. The [`Ledger`] holds, decision by decision, what each wanted
//! beside what was done, and judges both once the windows that follow are known: replica-seconds
//! beyond what the arrivals needed at the target utilisation, and requests beyond what the
//! replicas could have answered.
//!
//! # What a shadow cannot know
//!
//! The windows were shaped by what the real planner did. Where a candidate would have kept three
//! more replicas, the latency it is shown is the latency without them; had it been in charge, there
//! might have been no breach to react to. So a candidate starts from the *real* count at every
//! window: its view of its own past is out of date after one window, and the ledger answers only
//! "what would it have done here, next", not "where would it be by now". A wish that was right is
//! booked again at every window until the real planner follows it. It starts no cooldowns and
//! spends no budgets either, because nothing of it is carried out. Replicas are taken to serve at
//! once: what was wanted too late to start in time is not told from what was wanted in time.
//!
//! For whole runs see [`whatif`](crate::whatif) and the closed loop.

mod candidate;
mod ledger;

use std::collections::VecDeque;
use std::time::Duration;

pub use candidate::Candidate;
pub use ledger::{Deed, Entry, Ledger, Regret, Totals, Verdict, Wish};
use planner_core::{Event, Mode, Operation, Step, Timestamp, Window};

/// A window this much older than the last one is no repetition: the clock was set back.
const STALE_MAX: Duration = Duration::from_secs(60);
/// Decisions without a window between them that are kept open beside those that look ahead.
const OPEN_SPARE: usize = 16;

/// How a ledger judges, and how much it keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who set up a shadow")]
pub struct ShadowSettings {
    /// Requests per second that one replica answers. `None` learns it from the windows: the highest
    /// throughput per ready replica so far, which is a lower bound until replicas were used up.
    pub capacity_per_s: Option<f64>,
    /// Share of it that a replica should be used at, 0.05 to 1.
    pub target_utilisation: f64,
    /// Windows whose arrivals a decision has to carry, 1 to 1000. A count is too many only beyond
    /// what the busiest of them needed.
    pub look_ahead: u32,
    /// Fewest replicas: having these is never too many.
    pub replicas_min: u32,
    /// Judged decisions that are kept, 1 to 100000. Totals go on when older ones are dropped.
    pub keep: usize,
}

impl Default for ShadowSettings {
    /// A capacity that is learned, used at 80 %; three windows ahead, at least one replica, the
    /// last 1000 decisions.
    fn default() -> Self {
        Self {
            capacity_per_s: None,
            target_utilisation: 0.8,
            look_ahead: 3,
            replicas_min: 1,
            keep: 1_000,
        }
    }
}

impl ShadowSettings {
    /// Every number in its range.
    fn within_ranges(self) -> Self {
        let utilisation = self.target_utilisation;
        Self {
            capacity_per_s: self.capacity_per_s.filter(|per_s| *per_s > 0.0 && per_s.is_finite()),
            target_utilisation: if utilisation.is_nan() {
                1.0
            } else {
                utilisation.clamp(0.05, 1.0)
            },
            look_ahead: self.look_ahead.clamp(1, 1_000),
            keep: self.keep.clamp(1, 100_000),
            ..self
        }
    }
}

/// Follows a planner with other policies beside it.
///
/// ```
/// use planner_core::{Config, Heuristic, Planner, Poc, ReplicaBounds};
/// use planner_lab::shadow::{Candidate, Shadow, ShadowSettings};
/// use planner_lab::{Plant, PlantSpec, run};
///
/// let config = Config::builder(ReplicaBounds::new(1, 8)?).build()?;
/// let mut shadow = Shadow::new(ShadowSettings::default());
/// shadow.add(Candidate::new(config.clone(), Poc));
///
/// let mut planner = Planner::new(config, Heuristic);
/// let mut plant = Plant::new(PlantSpec::default(), 2);
/// for record in run(&mut planner, &mut plant, 100, |_| 60.0).records() {
///     shadow.follow(record.at, &record.event, &record.step);
/// }
/// assert_eq!(shadow.ledger().real().judged, 97);
/// # Ok::<(), planner_core::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Shadow {
    settings: ShadowSettings,
    candidates: Vec<Candidate>,
    wishes: Vec<Wish>,
    ledger: Ledger,
    /// Entries whose windows are still to come, oldest first.
    open: VecDeque<Open>,
    operation: Operation,
    /// What the last window told, to learn the capacity from.
    last_end: Option<Timestamp>,
    last_ready: Option<u32>,
    learned_per_s: Option<f64>,
}

/// An entry and the windows that have come since.
#[derive(Debug)]
struct Open {
    entry: Entry,
    /// Length in seconds and arrivals per second; absent where a window does not know them.
    windows: Vec<(f64, Option<f64>)>,
}

impl Shadow {
    /// A shadow without candidates. Settings out of their ranges are moved into them.
    pub fn new(settings: ShadowSettings) -> Self {
        let settings = settings.within_ranges();
        Self {
            settings,
            candidates: Vec::new(),
            wishes: Vec::new(),
            ledger: Ledger::new(settings.keep),
            open: VecDeque::new(),
            operation: Operation::of(Mode::Shadow),
            last_end: None,
            last_ready: None,
            learned_per_s: settings.capacity_per_s,
        }
    }

    /// Lets `candidate` follow from now on. Its number in the ledger is the count of those before.
    pub fn add(&mut self, mut candidate: Candidate) {
        candidate.watch_only(Timestamp::ORIGIN, self.operation);
        self.ledger.add(candidate.name());
        self.wishes.push(Wish::default());
        self.candidates.push(candidate);
    }

    /// The ledger.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Decisions whose windows are still to come; at most a few more than
    /// [`ShadowSettings::look_ahead`].
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Takes an event of the real planner and the step that it made of it. Never panics; bounded
    /// memory; O(candidates).
    pub fn follow<S>(&mut self, at: Timestamp, event: &Event<S>, step: &Step) {
        match event {
            Event::Observe(window) => self.observe(at, window),
            Event::Operate(operation) => self.operate(at, *operation),
            _ => {}
        }
        if let Step::Decide(decision) = step {
            // What an operator allowed before the first record is told by decisions alone.
            self.operate(at, decision.derivation.operation);
            let wishes = self.wishes.iter().map(|wish| wish.at(at)).collect();
            let deed = Deed { decision: decision.id.get(), replicas: decision.replicas() };
            let entry = Entry::new(at, deed, wishes);
            self.open.push_back(Open { entry, windows: Vec::new() });
            self.close_overfull();
        }
    }

    fn operate(&mut self, at: Timestamp, operation: Operation) {
        if operation != self.operation {
            self.operation = operation;
            for candidate in &mut self.candidates {
                candidate.watch_only(at, operation);
            }
        }
    }

    fn observe(&mut self, at: Timestamp, window: &Window) {
        // The clock may have been set back: then windows are new again.
        let age = self.last_end.map(|last| last.saturating_since(window.end()));
        let repeated = self.last_end.is_some_and(|last| window.end() <= last)
            && age.is_some_and(|age| age <= STALE_MAX);
        if repeated {
            return;
        }
        self.last_end = Some(window.end());
        self.learn(window);
        self.judge(window);
        for (candidate, wish) in self.candidates.iter_mut().zip(&mut self.wishes) {
            if let Some(decision) = candidate.decide(at, window) {
                *wish = Wish::new(at, decision.replicas());
            }
        }
    }

    /// Shows a window to the open entries and judges those that have seen enough.
    fn judge(&mut self, window: &Window) {
        let arrivals_per_s = window.traffic().map(|traffic| traffic.arrivals_per_s());
        let seen = (window.length().as_secs_f64(), arrivals_per_s);
        for open in &mut self.open {
            open.windows.push(seen);
        }
        let enough = self.settings.look_ahead as usize;
        while self.open.front().is_some_and(|open| open.windows.len() >= enough) {
            self.close_first();
        }
    }

    /// Many decisions without a window between them do not pile up.
    fn close_overfull(&mut self) {
        while self.open.len() > self.settings.look_ahead as usize + OPEN_SPARE {
            self.close_first();
        }
    }

    fn close_first(&mut self) {
        let Some(Open { mut entry, windows }) = self.open.pop_front() else { return };
        let verdict = self.learned_per_s.and_then(|capacity_per_s| {
            let settings = &self.settings;
            let utilisation = settings.target_utilisation;
            Verdict::of(&windows, capacity_per_s, utilisation, settings.replicas_min)
        });
        entry.judge(verdict);
        self.ledger.book(entry);
    }

    /// Learns what a replica answers, where it was not told.
    fn learn(&mut self, window: &Window) {
        let steady = self.last_ready == window.ready();
        self.last_ready = window.ready();
        let answered = window.traffic().and_then(|traffic| traffic.completions_per_s());
        let ready = window.ready().filter(|ready| *ready > 0 && steady);
        if let (None, Some(ready), Some(answered)) = (self.settings.capacity_per_s, ready, answered)
        {
            let each = answered / f64::from(ready);
            if each > self.learned_per_s.unwrap_or(0.0) {
                self.learned_per_s = Some(each);
            }
        }
    }
}
