//! What was done, what others wanted, and what each was worth.

use std::collections::VecDeque;

use planner_core::Timestamp;
use serde::Serialize;

/// What the real planner did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Deed {
    /// Number of the decision.
    pub decision: u64,
    /// The replicas that it arrived at; absent where they were unknown.
    pub replicas: Option<u32>,
}

/// What a candidate would have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Wish {
    /// The replicas that it wanted; absent before its first decision.
    pub replicas: Option<u32>,
    /// How old the wish is, seconds: above 0 between the ticks of a policy with a period.
    pub age_s: f64,
    #[serde(skip)]
    made: Timestamp,
}

impl Wish {
    pub(super) const fn new(made: Timestamp, replicas: Option<u32>) -> Self {
        Self { replicas, age_s: 0.0, made }
    }

    /// The wish as it stands at `at`.
    pub(super) fn at(&self, at: Timestamp) -> Self {
        Self { age_s: at.saturating_since(self.made).as_secs_f64(), ..*self }
    }
}

/// What a count of replicas was worth, judged by the windows that followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Regret {
    /// Replica-seconds beyond what the arrivals needed at the target utilisation.
    pub excess_replica_s: f64,
    /// Requests beyond what the replicas could have answered.
    pub short_requests: f64,
}

/// What the windows behind a decision asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Replicas that the busiest of them needed at the target utilisation.
    pub needed: u32,
    /// Requests per second that a replica is taken to answer.
    pub capacity_per_s: f64,
    /// Arrivals per second in the first of them.
    pub arrivals_per_s: f64,
    /// Length of the first of them, seconds: what the decision is charged for.
    pub seconds: f64,
}

impl Verdict {
    /// The verdict of windows given as seconds and arrivals per second; `None` where the first of
    /// them does not know its arrivals.
    pub(super) fn of(
        windows: &[(f64, Option<f64>)],
        capacity_per_s: f64,
        target_utilisation: f64,
        replicas_min: u32,
    ) -> Option<Self> {
        let &(seconds, arrivals_per_s) = windows.first()?;
        let arrivals_per_s = arrivals_per_s?;
        let busiest = windows.iter().filter_map(|(_, arrivals)| *arrivals).fold(0.0, f64::max);
        let needed = (busiest / (capacity_per_s * target_utilisation)).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within u32")]
        let needed = needed.clamp(0.0, f64::from(u32::MAX)) as u32;
        Some(Self { needed: needed.max(replicas_min), capacity_per_s, arrivals_per_s, seconds })
    }

    /// What `replicas` were worth.
    pub fn regret(&self, replicas: u32) -> Regret {
        let beyond = f64::from(replicas.saturating_sub(self.needed));
        let carried_per_s = f64::from(replicas) * self.capacity_per_s;
        Regret {
            excess_replica_s: beyond * self.seconds,
            short_requests: (self.arrivals_per_s - carried_per_s).max(0.0) * self.seconds,
        }
    }
}

/// One decision of the real planner.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// When it was made, seconds from the origin.
    pub at_s: f64,
    /// What was done.
    pub done: Deed,
    /// What each candidate wanted, in the order in which they were added.
    pub wishes: Vec<Wish>,
    /// What the windows behind it asked for; absent where arrivals or capacity are unknown.
    pub verdict: Option<Verdict>,
    /// What was done was worth this; absent without a verdict or a count.
    pub regret: Option<Regret>,
    /// What each wish was worth.
    pub regrets: Vec<Option<Regret>>,
}

impl Entry {
    pub(super) fn new(at: Timestamp, done: Deed, wishes: Vec<Wish>) -> Self {
        let at_s = at.as_secs_f64();
        Self { at_s, done, wishes, verdict: None, regret: None, regrets: Vec::new() }
    }

    pub(super) fn judge(&mut self, verdict: Option<Verdict>) {
        let worth = |replicas: Option<u32>| Some(verdict?.regret(replicas?));
        self.verdict = verdict;
        self.regret = worth(self.done.replicas);
        self.regrets = self.wishes.iter().map(|wish| worth(wish.replicas)).collect();
    }

    /// Replicas that a candidate wanted beyond what was done; negative for fewer.
    pub fn difference(&self, candidate: usize) -> Option<i64> {
        let wanted = self.wishes.get(candidate)?.replicas?;
        Some(i64::from(wanted) - i64::from(self.done.replicas?))
    }
}

/// Running totals of the real planner or of a candidate, over every decision there was.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Who.
    pub name: String,
    /// Decisions that could be judged.
    pub judged: u64,
    /// Decisions that could not: arrivals, capacity or count unknown.
    pub unjudged: u64,
    /// Decisions with more replicas than were ordered for real.
    pub more: u64,
    /// Decisions with fewer.
    pub fewer: u64,
    /// Replica-seconds too many.
    pub excess_replica_s: f64,
    /// Requests short.
    pub short_requests: f64,
}

impl Totals {
    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    fn book(&mut self, regret: Option<Regret>, difference: Option<i64>) {
        match regret {
            None => self.unjudged += 1,
            Some(Regret { excess_replica_s, short_requests }) => {
                self.judged += 1;
                self.excess_replica_s += excess_replica_s;
                self.short_requests += short_requests;
            }
        }
        self.more += u64::from(difference.is_some_and(|more| more > 0));
        self.fewer += u64::from(difference.is_some_and(|more| more < 0));
    }
}

/// The last judged decisions, and totals over all of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Ledger {
    real: Totals,
    candidates: Vec<Totals>,
    /// Judged decisions that are no longer kept.
    dropped: u64,
    entries: VecDeque<Entry>,
    #[serde(skip)]
    keep: usize,
}

impl Ledger {
    pub(super) fn new(keep: usize) -> Self {
        Self {
            real: Totals::named("real"),
            candidates: Vec::new(),
            dropped: 0,
            entries: VecDeque::new(),
            keep,
        }
    }

    pub(super) fn add(&mut self, name: &str) {
        self.candidates.push(Totals::named(name));
    }

    pub(super) fn book(&mut self, entry: Entry) {
        self.real.book(entry.regret, None);
        for (index, totals) in self.candidates.iter_mut().enumerate() {
            let regret = entry.regrets.get(index).copied().flatten();
            // Who was added later says nothing about earlier decisions.
            if index < entry.wishes.len() {
                totals.book(regret, entry.difference(index));
            }
        }
        if self.entries.len() >= self.keep {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(entry);
    }

    /// Totals of the real planner.
    pub const fn real(&self) -> &Totals {
        &self.real
    }

    /// Totals of the candidates, in the order in which they were added.
    pub fn candidates(&self) -> &[Totals] {
        &self.candidates
    }

    /// The last judged decisions, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// Judged decisions that are no longer kept.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}
