//! Both planners on the model, from the first divergence on.

use planner_core::{Action, Config, Timestamp};
use serde::Serialize;

use super::fidelity::{self, Fidelity};
use super::fit::{History, Moment};
use super::model::{Model, NoPlant};
use super::service::{Passage, Simulated};
use crate::shadow::Candidate;

/// The runs on the model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Continuation {
    /// What the model assumes.
    pub model: Model,
    /// How well it repeats the recorded run.
    pub fidelity: Fidelity,
    /// Windows that were simulated.
    pub windows: u64,
    /// Their time, seconds.
    pub seconds: f64,
    /// With the recorded settings.
    pub recorded: Branch,
    /// With the changed ones.
    pub changed: Branch,
}

/// One run on the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Branch {
    /// Replica-seconds, starting ones included.
    pub replica_s: f64,
    /// Share of windows whose p95 is above the objective, or in which nobody served; 0 to 1.
    pub windows_above_share: f64,
    /// Share of requests that waited beyond the objective; 0 to 1.
    pub requests_above_share: f64,
    /// Windows that this planner's own settings call a breach. Not comparable where thresholds
    /// were changed.
    pub breach_windows: u64,
    /// Scale-outs, the diverging decision included.
    pub scale_outs: u64,
    /// Scale-ins, the diverging decision included.
    pub scale_ins: u64,
    /// Most replicas at once, starting ones included.
    pub replicas_most: u32,
    /// Replicas at the end, starting ones included.
    pub replicas_last: u32,
}

impl Branch {
    /// Scalings in either direction.
    pub const fn actions(&self) -> u64 {
        self.scale_outs + self.scale_ins
    }
}

/// Lets both candidates, which took every event up to the divergence, go on on the model.
pub(super) fn go_on(
    history: &History<'_>,
    config: &Config,
    objective_ms: Option<f64>,
    [recorded, changed]: [(Candidate, Option<u32>); 2],
) -> Result<Continuation, NoPlant> {
    let model = history.model(config, objective_ms)?;
    let start = Start::of(history, model)?;
    let loads = loads(history);
    let recorded = start.run(history, &loads, recorded);
    let (changed, totals) = (start.run(history, &loads, changed), recorded.1);
    Ok(Continuation {
        model,
        fidelity: fidelity::of(history, model),
        windows: totals.windows,
        seconds: totals.seconds,
        recorded: recorded.0,
        changed: changed.0,
    })
}

/// Arrivals per second of every moment; where unknown, the last known ones.
pub(super) fn loads(history: &History<'_>) -> Vec<f64> {
    let mut last = 0.0;
    let known = history.moments.iter().map(|moment| {
        last = moment.window.traffic().map_or(last, |traffic| traffic.arrivals_per_s());
        last
    });
    known.collect()
}

/// How things stood at the divergence.
struct Start {
    service: Simulated,
    at: Timestamp,
    ordered: u32,
}

struct Totals {
    windows: u64,
    seconds: f64,
}

impl Start {
    fn of(history: &History<'_>, model: Model) -> Result<Self, NoPlant> {
        let moment = history.divergence().ok_or(NoPlant::NothingFollows)?;
        let ready = moment.window.ready().ok_or(NoPlant::ReplicasUnknown)?;
        let mut service = Simulated::after(model, moment.window, ready);
        // Those on their way are of the last scale-out before.
        let ordered = moment.decision.and_then(|decision| decision.derivation.current);
        let ordered = ordered.unwrap_or(ready).max(ready);
        let earlier = &history.moments[..history.before - 1];
        let last = earlier.iter().rev().find_map(|moment| {
            let (at, to) = moment.scaled?;
            (to > moment.window.ready().unwrap_or(to)).then_some(at)
        });
        service.started(last.unwrap_or(moment.at), ordered - ready);
        Ok(Self { service, at: moment.at, ordered })
    }

    /// One candidate on the model; `first` is what it decided at the divergence.
    fn run(
        &self,
        history: &History<'_>,
        loads: &[f64],
        (mut candidate, first): (Candidate, Option<u32>),
    ) -> (Branch, Totals) {
        let mut service = self.service.clone();
        let mut tally = Tally::new(self.ordered);
        if let Some(target) = first {
            tally.scale(target);
            service.scale_to(self.at, target);
        }
        let behind = history.moments.iter().zip(loads).skip(history.before);
        for (moment, load_per_s) in behind {
            let passage = service.pass(moment.window, *load_per_s);
            tally.note(&passage, service.objective_ms());
            let Some(target) = decide(&mut candidate, moment, &passage, &mut tally) else {
                continue;
            };
            tally.scale(target);
            service.scale_to(moment.at, target);
        }
        tally.finish()
    }
}

/// What the candidate has carried out on a passage.
fn decide(
    candidate: &mut Candidate,
    moment: &Moment<'_>,
    passage: &Passage,
    tally: &mut Tally,
) -> Option<u32> {
    for (at, operation) in &moment.operations {
        candidate.operate(*at, *operation);
    }
    let window = Simulated::window(moment.window, passage).ok()?;
    let decision = candidate.decide(moment.at, &window)?;
    tally.branch.breach_windows += u64::from(decision.derivation.signal.breach.is_some());
    match decision.action {
        Action::Scale { to } => Some(to),
        _ => None,
    }
}

/// A branch in the making.
struct Tally {
    branch: Branch,
    ordered: u32,
    above: u64,
    arrivals: f64,
    violating: f64,
    totals: Totals,
}

impl Tally {
    fn new(ordered: u32) -> Self {
        let branch = Branch { replicas_most: ordered, replicas_last: ordered, ..Branch::default() };
        let totals = Totals { windows: 0, seconds: 0.0 };
        Self { branch, ordered, above: 0, arrivals: 0.0, violating: 0.0, totals }
    }

    fn scale(&mut self, target: u32) {
        self.branch.scale_outs += u64::from(target > self.ordered);
        self.branch.scale_ins += u64::from(target < self.ordered);
        self.branch.replicas_most = self.branch.replicas_most.max(target);
        self.ordered = target;
    }

    fn note(&mut self, passage: &Passage, objective_ms: f64) {
        self.totals.windows += 1;
        self.totals.seconds += passage.seconds;
        self.branch.replica_s += passage.replica_s;
        self.arrivals += passage.arrivals;
        self.violating += passage.violating;
        self.above += u64::from(passage.p95_ms.is_none_or(|p95| p95 > objective_ms));
    }

    fn finish(self) -> (Branch, Totals) {
        let share = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
        let branch = Branch {
            windows_above_share: share(self.above as f64, self.totals.windows as f64),
            requests_above_share: share(self.violating, self.arrivals),
            replicas_last: self.ordered,
            ..self.branch
        };
        (branch, self.totals)
    }
}
