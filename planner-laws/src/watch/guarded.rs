//! Laws of single guards: what a decision may never be, whatever a policy wants.

use std::time::Duration;

use planner_core::Doubt as Doubtful;
use planner_core::journal::Record;
use planner_core::{
    Config, Constraint, Decision, DecisionId, Event, Origin, Outcome, Planner, Policy, Quality,
    Stage, Step, StepLimit, Timestamp,
};

use super::{bound, decision, told_of};
use crate::kit::{Stake, Watch};

/// The span of the flap budget.
const HOUR: Duration = Duration::from_secs(3_600);

/// Declares a watch that looks at each decision alone.
macro_rules! watches {
    ($($(#[$doc:meta])* $name:ident: $check:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name {
            config: Config,
            stake: Stake,
        }

        impl $name {
            pub(crate) fn new(config: &Config) -> Self {
                Self { config: config.clone(), stake: Stake::default() }
            }
        }

        impl<P: Policy> Watch<P> for $name {
            fn after(&mut self, _: &Planner<P>, record: &Record) -> Result<(), String> {
                match decision(&record.step) {
                    Some(decision) => $check(&self.config, decision, &mut self.stake),
                    None => Ok(()),
                }
            }

            fn exercised(&self) -> u64 {
                self.stake.exercised
            }

            fn guarded(&self) -> u64 {
                self.stake.guarded
            }
        }
    )*};
}

watches! {
    /// Law 1.
    Bounds: bounds;
    /// Law 3.
    Doubt: doubt;
    /// Law 4.
    Failure: failure;
    /// Law 9.
    NoPoisoning: no_poisoning;
}

fn bounds(config: &Config, decision: &Decision, stake: &mut Stake) -> Result<(), String> {
    let bounds = config.bounds();
    let Some((current, replicas)) = decision.derivation.current.zip(decision.replicas()) else {
        return match decision.target() {
            None => Ok(()),
            Some(_) => Err(format!("a target without a count: {}", told_of(decision))),
        };
    };
    let preferred = decision.derivation.proposal.preferred;
    let at_an_end = preferred <= bounds.min() || preferred >= bounds.max();
    let bound_it = bound(decision, Stage::Bounds) != Constraint::Unconstrained;
    stake.note(config, bound_it, at_an_end || !bounds.contain(current));
    stake.note_kept(config, bound_it);
    // The operator's word is above the bounds: a hold keeps a count that is outside.
    let held = bound(decision, Stage::Operator) != Constraint::Unconstrained
        || decision.derivation.operation != planner_core::Operation::default()
            && replicas == current;
    let on_the_way = current > bounds.max() && (bounds.max()..=current).contains(&replicas);
    if bounds.contain(replicas) || on_the_way || held {
        return Ok(());
    }
    Err(format!("{replicas} is not within {bounds}: {}", told_of(decision)))
}

/// A decision that goes below the current count although nothing had to be corrected.
fn scales_in(config: &Config, decision: &Decision) -> bool {
    let counts = decision.derivation.current.zip(decision.replicas());
    counts.is_some_and(|(current, replicas)| replicas < current && current <= config.bounds().max())
}

/// Whether there is something to scale in, and nothing to correct.
fn could_scale_in(config: &Config, decision: &Decision) -> bool {
    let bounds = config.bounds();
    decision.derivation.current.is_some_and(|it| it > bounds.min() && it <= bounds.max())
}

fn doubt(config: &Config, decision: &Decision, stake: &mut Stake) -> Result<(), String> {
    let doubtful = matches!(decision.derivation.quality, Quality::Doubtful(_));
    let bound = matches!(bound(decision, Stage::Doubt), Constraint::Doubt(_));
    stake.note(config, bound, doubtful && could_scale_in(config, decision));
    // The guard also raises scale-outs to what may be there: that is another matter.
    let wanted = decision.derivation.guards[0].before;
    stake.note_kept(config, bound && Some(wanted) < decision.derivation.current);
    if doubtful && scales_in(config, decision) {
        return Err(format!("scaled in on doubt: {}", told_of(decision)));
    }
    Ok(())
}

fn failure(config: &Config, decision: &Decision, stake: &mut Stake) -> Result<(), String> {
    let failing = decision.derivation.window.error_share() > Some(config.error_share_max());
    let bound = matches!(bound(decision, Stage::Health), Constraint::Failing { .. });
    stake.note(config, bound, failing && could_scale_in(config, decision));
    if failing && scales_in(config, decision) {
        return Err(format!("scaled in while requests failed: {}", told_of(decision)));
    }
    Ok(())
}

/// Whether the p95 is above the band of what is normal; not when either is unknown.
pub(crate) fn is_above_band(config: &Config, decision: &Decision) -> bool {
    let argument = &decision.derivation;
    let high_ms = argument.estimate.map(|it| it.band_high_ms(config, argument.thresholds));
    let p95_ms = argument.window.latencies().map(|latencies| latencies.p95().as_millis());
    p95_ms.zip(high_ms).is_some_and(|(p95_ms, high_ms)| p95_ms > high_ms)
}

fn no_poisoning(config: &Config, decision: &Decision, stake: &mut Stake) -> Result<(), String> {
    let above = is_above_band(config, decision);
    let bound = matches!(
        bound(decision, Stage::Health),
        Constraint::AboveBand | Constraint::Breach(_) | Constraint::Failing { .. }
    );
    stake.note(config, above && bound, above && could_scale_in(config, decision));
    if above && scales_in(config, decision) {
        return Err(format!("scaled in above the band: {}", told_of(decision)));
    }
    Ok(())
}

/// A scaling that was decided and not refused.
#[derive(Clone, Copy)]
struct Scaling {
    id: DecisionId,
    /// In nanoseconds; below 0 when the clock was set back to before it.
    at: i128,
    from: u32,
    to: u32,
    flips: bool,
    /// An advisor's, where the policy alone would have added nothing.
    advised: bool,
    in_breach: bool,
}

impl Scaling {
    const fn is_out(&self) -> bool {
        self.to > self.from
    }
}

/// Scalings as an observer would write them down.
#[derive(Default)]
struct Book {
    scalings: Vec<Scaling>,
    now: Timestamp,
}

impl Book {
    /// Follows clock and refusals; returns the scaling that a record decided, before it is booked.
    fn follow(&mut self, config: &Config, record: &Record) -> Option<Scaling> {
        // When the clock is set back, what is written moves with it.
        let behind = self.now.saturating_since(record.at);
        if behind > config.window_age_max() {
            for scaling in &mut self.scalings {
                scaling.at -= nanos(behind);
            }
            self.now = record.at;
        }
        self.now = self.now.max(record.at);
        if let (Event::Settle(id, Outcome::Refuse), Step::Idle(_)) = (&record.event, &record.step) {
            self.scalings.retain(|scaling| scaling.id != *id);
        }
        let Step::Decide(decision) = &record.step else { return None };
        let (from, to) = decision.derivation.current.zip(decision.target())?;
        let at = i128::from(self.now.as_nanos());
        let argument = &decision.derivation;
        let advised = decision.origin == Origin::Advisor && argument.proposal.preferred <= from;
        let in_breach = argument.signal.breach.is_some();
        let flips = false;
        let mut scaling = Scaling { id: decision.id, at, from, to, flips, advised, in_breach };
        let last = self.scalings.last();
        scaling.flips = last.is_some_and(|last| last.is_out() != scaling.is_out());
        Some(scaling)
    }

    /// Whether a scaling is younger than `span`.
    fn within(&self, scaling: &Scaling, span: Duration) -> bool {
        i128::from(self.now.as_nanos()) - scaling.at < nanos(span)
    }

    /// The count that a limit's period began with. `None` for one period after the clock was set
    /// back to before what is written: how old that is can no longer be told.
    fn start(&self, current: u32, limit: StepLimit) -> Option<u32> {
        let lost = self.scalings.iter().any(|scaling| scaling.at < 0);
        if lost && i128::from(self.now.as_nanos()) < nanos(limit.period) {
            return None;
        }
        let recent = |scaling: &&Scaling| self.within(scaling, limit.period);
        let moved = |out: bool| -> u32 {
            let moves = self.scalings.iter().filter(recent).filter(|it| it.is_out() == out);
            moves.map(|it| it.from.abs_diff(it.to)).fold(0, u32::saturating_add)
        };
        Some(current.saturating_add(moved(false)).saturating_sub(moved(true)))
    }
}

const fn nanos(span: Duration) -> i128 {
    span.as_nanos().cast_signed()
}

/// The most that a limit changes from `start` in one period.
fn allowance(start: u32, limit: StepLimit) -> u32 {
    let share = u64::from(start) * u64::from(limit.percent) / 100;
    limit.replicas.max(u32::try_from(share).unwrap_or(u32::MAX))
}

/// Law 2.
pub(crate) struct Rate {
    config: Config,
    book: Book,
    stake: Stake,
}

impl Rate {
    pub(crate) fn new(config: &Config) -> Self {
        Self { config: config.clone(), book: Book::default(), stake: Stake::default() }
    }

    /// `restored`: replicas that were there a moment ago and may still be; to order what vanished
    /// is no growth.
    fn check(&self, scaling: &Scaling, restored: u32) -> Result<(), String> {
        let (config, book) = (&self.config, &self.book);
        let bounds = config.bounds();
        if scaling.is_out() {
            // Without the advisor a breach would be answered at once, and so it is with him.
            let counts = |past: &&Scaling| past.is_out() && !(scaling.in_breach && past.advised);
            let last = self.book.scalings.iter().rev().find(counts);
            let soon = last.is_some_and(|last| book.within(last, config.cooldown_out()));
            if soon && scaling.from >= bounds.min() {
                return Err(String::from("scaled out too soon after scaling out"));
            }
            let limit = config.step_out();
            let Some(start) = book.start(scaling.from, limit) else { return Ok(()) };
            let most = start.saturating_add(allowance(start, limit));
            if scaling.to > most.max(bounds.min()).max(restored.min(bounds.max())) {
                return Err(format!("{} -> {}, at most {most}", scaling.from, scaling.to));
            }
            return Ok(());
        }
        let last = self.book.scalings.last();
        let soon = last.is_some_and(|last| book.within(last, config.cooldown_in()));
        if soon && scaling.from <= bounds.max() {
            return Err(String::from("scaled in too soon after a scaling"));
        }
        let limit = config.step_in();
        let Some(start) = book.start(scaling.from, limit) else { return Ok(()) };
        let least = start.saturating_sub(allowance(start, limit));
        if scaling.to < least {
            return Err(format!("{} -> {}, at least {least}", scaling.from, scaling.to));
        }
        Ok(())
    }
}

impl<P: Policy> Watch<P> for Rate {
    fn after(&mut self, _: &Planner<P>, record: &Record) -> Result<(), String> {
        if let Some(decision) = decision(&record.step) {
            let bound = bound(decision, Stage::Rate);
            self.stake.note(&self.config, bound != Constraint::Unconstrained, false);
            if let (Constraint::CooldownOut { until }, Step::Decide(_)) = (bound, &record.step) {
                let due = |at: i128| at + nanos(self.config.cooldown_out());
                let mut outs = self.book.scalings.iter().filter(|past| past.is_out());
                // What lies before the origin of a clock that was set back counts from the origin.
                let until = i128::from(until.as_nanos());
                if !outs.any(|past| due(past.at.max(0)) >= until) {
                    return Err(format!("only a scale-out delays one: {}", told_of(decision)));
                }
            }
        }
        if let Some(scaling) = self.book.follow(&self.config, record) {
            self.stake.note(&self.config, false, true);
            let quality = decision(&record.step).map(|decision| decision.derivation.quality);
            let restored = match quality {
                Some(Quality::Doubtful(Doubtful::Vanished { before, .. })) => before,
                _ => 0,
            };
            self.check(&scaling, restored).map_err(|why| match decision(&record.step) {
                Some(decision) => format!("{why}: {}", told_of(decision)),
                None => why,
            })?;
            self.book.scalings.push(scaling);
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.stake.exercised
    }
}

/// Law 11, on every step.
pub(crate) struct NoFlapping {
    config: Config,
    book: Book,
    stake: Stake,
}

impl NoFlapping {
    pub(crate) fn new(config: &Config) -> Self {
        Self { config: config.clone(), book: Book::default(), stake: Stake::default() }
    }
}

impl<P: Policy> Watch<P> for NoFlapping {
    fn after(&mut self, _: &Planner<P>, record: &Record) -> Result<(), String> {
        if let Some(decision) = decision(&record.step) {
            let spent = matches!(bound(decision, Stage::Flap), Constraint::FlapBudget { .. });
            self.stake.note(&self.config, spent, false);
        }
        let Some(scaling) = self.book.follow(&self.config, record) else { return Ok(()) };
        let Some(decision) = decision(&record.step) else { return Ok(()) };
        self.stake.note(&self.config, false, scaling.flips);
        let emergency = scaling.is_out() && decision.derivation.signal.breach.is_some();
        let correcting = !self.config.bounds().contain(scaling.from);
        let flips = self.book.scalings.iter().filter(|past| past.flips);
        let recent = flips.filter(|past| self.book.within(past, HOUR)).count();
        let budget = self.config.flap_budget_per_hour() as usize;
        if scaling.flips && recent >= budget && !emergency && !correcting {
            let told = told_of(decision);
            return Err(format!("changed direction {recent} times within the hour: {told}"));
        }
        self.book.scalings.push(scaling);
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.stake.exercised
    }
}
