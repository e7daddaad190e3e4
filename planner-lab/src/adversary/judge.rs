//! What a policy pays for a load, what others pay, and what was possible.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Genome, GenomeError, Objective};
use crate::evaluate::{Score, Setup, evaluate};
use crate::fluid::{FluidError, FluidSpec};
use crate::optimum::{Bracket, Clairvoyant, Instance, InstanceError, OptimumError};
use crate::policy_spec::{PolicySpec, PolicySpecError};
use crate::trace::Arrivals;

/// Shares of violations at which the best schedule is looked for, beside that of the policy.
pub const SHARES: [f64; 9] = [0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4];
/// Shares that are enough while many loads are looked at.
const SEARCH_SHARES: [f64; 3] = [0.0, 0.01, 0.1];
/// The seed that requests are drawn from.
const ARRIVALS_SEED: u64 = 1;
const HOUR_S: f64 = 3_600.0;

/// Why a load cannot be judged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AdversaryError {
    /// The service cannot be simulated.
    #[error(transparent)]
    Fluid(#[from] FluidError),
    /// The genome is no load.
    #[error(transparent)]
    Genome(#[from] GenomeError),
    /// The optimum cannot be asked for.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The optimum was not found.
    #[error(transparent)]
    Optimum(#[from] OptimumError),
    /// A policy refuses its settings.
    #[error(transparent)]
    Policy(#[from] PolicySpecError),
    /// A scenario cannot be read.
    #[error("scenario: {0}; correct it, or write it anew with the search")]
    Scenario(#[from] serde_json::Error),
}

/// What one policy paid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Figures {
    /// Replicas that were ready or starting, times hours.
    pub replica_hours: f64,
    /// Violating requests as a share of all.
    pub violation_share: f64,
    /// Replica-hours and violations together, in replica-hours.
    pub cost_hours: f64,
    /// Changes of direction per hour.
    pub direction_changes_per_hour: f64,
}

/// A schedule that knows the load in advance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Best {
    /// Replicas that were ready or starting, times hours.
    pub replica_hours: f64,
    /// Violating requests as a share of all.
    pub violation_share: f64,
    /// Replica-hours and violations together, in replica-hours.
    pub cost_hours: f64,
}

/// What was measured on a load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measured {
    /// Our default policy behind all guards, told what a replica answers.
    pub planner: Figures,
    /// HPA at 0.6.
    pub hpa: Figures,
    /// KPA at 0.7.
    pub kpa: Figures,
    /// The cheapest schedule that was found.
    pub best: Best,
    /// The planner's cost beyond the best, as a share of the best.
    pub regret: f64,
    /// The planner's violating share beyond the least of a schedule with no more replica-hours.
    pub excess_violation_share: f64,
    /// The planner's replica-hours beyond those of a schedule with no more violations, as a share
    /// of these.
    pub needless_share: f64,
    /// The planner's cost beyond that of the cheaper of HPA and KPA, as a share of it.
    pub beyond_peers: f64,
}

/// Judges loads.
#[derive(Clone, Debug)]
pub struct Judge {
    fluid: FluidSpec,
    policies: [PolicySpec; 3],
    /// What a violating request costs, in replica-seconds.
    price_s: f64,
    /// How often the optimum decides, in seconds.
    every_s: u32,
    shares: &'static [f64],
}

/// A load on its way to a verdict.
struct Case {
    arrivals: Vec<u64>,
    setup: Setup,
    requests: f64,
}

impl Judge {
    /// As scenarios are measured: an optimum that decides every 5 s, at all of [`SHARES`].
    ///
    /// # Errors
    ///
    /// [`AdversaryError::Policy`] when a policy does not have the settings that it is run with.
    pub fn new() -> Result<Self, AdversaryError> {
        let fluid = FluidSpec::default();
        let policies = ["planner".parse()?, "hpa:target=0.6".parse()?, "kpa:target=0.7".parse()?];
        let [planner, ..] = &policies;
        let price = PolicySpec::knob_value(planner).unwrap_or(0.0);
        let price_s = price / fluid.service.rate_per_replica_per_s;
        Ok(Self { fluid, policies, price_s, every_s: 5, shares: &SHARES })
    }

    /// The same in a hurry: an optimum that decides every 30 s, at few shares. It is dearer, so
    /// regret against it is less than it really is.
    #[must_use]
    pub fn in_a_hurry(mut self) -> Self {
        self.every_s = 30;
        self.shares = &SEARCH_SHARES;
        self
    }

    /// What a violating request costs, in replica-seconds.
    pub const fn price_s(&self) -> f64 {
        self.price_s
    }

    /// Everything about a load.
    ///
    /// # Errors
    ///
    /// [`AdversaryError`] when the genome is no load, or the optimum of it was not found.
    pub fn measure(&self, genome: &Genome) -> Result<Measured, AdversaryError> {
        let case = self.case(genome)?;
        let [planner, hpa, kpa] = self.run_all(&case)?;
        let schedules = self.schedules(&case, self.shares, planner.violation_share)?;
        let best = best(&schedules, &planner);
        let hours = hours_within(&schedules, planner.violation_share);
        let peer = hpa.cost_hours.min(kpa.cost_hours);
        Ok(Measured {
            regret: beyond(planner.cost_hours, best.cost_hours),
            excess_violation_share: excess(&schedules, &planner),
            needless_share: beyond(planner.replica_hours, hours),
            beyond_peers: beyond(planner.cost_hours, peer),
            planner,
            hpa,
            kpa,
            best,
        })
    }

    /// What a load is bad by, or that it is not worse than `than`: then the optimum need not be
    /// known.
    pub(super) fn badness(
        &self,
        genome: &Genome,
        objective: Objective,
        than: f64,
    ) -> Result<Option<f64>, AdversaryError> {
        let case = self.case(genome)?;
        let planner = self.run(&self.policies[0], &case)?;
        let most = match objective {
            Objective::Restless => planner.direction_changes_per_hour,
            Objective::Peers => {
                let hpa = self.run(&self.policies[1], &case)?.cost_hours;
                let kpa = self.run(&self.policies[2], &case)?.cost_hours;
                beyond(planner.cost_hours, hpa.min(kpa))
            }
            // To serve a request takes its time on a replica, and the price of none is less.
            Objective::Cost => beyond(planner.cost_hours, self.least_hours(&case, 0.0)),
            Objective::Hours => {
                let least = self.least_hours(&case, planner.violation_share);
                beyond(planner.replica_hours, least)
            }
            Objective::Violations => planner.violation_share,
        };
        if most <= than {
            return Ok(None);
        }
        let share = planner.violation_share;
        Ok(Some(match objective {
            Objective::Restless | Objective::Peers => most,
            Objective::Cost => {
                let schedules = self.schedules(&case, self.shares, share)?;
                beyond(planner.cost_hours, best(&schedules, &planner).cost_hours)
            }
            Objective::Hours => {
                let hours = hours_within(&self.schedules(&case, &[], share)?, share);
                beyond(planner.replica_hours, hours)
            }
            Objective::Violations => excess(&self.schedules(&case, self.shares, share)?, &planner),
        }))
    }

    fn case(&self, genome: &Genome) -> Result<Case, AdversaryError> {
        let trace = genome.trace()?;
        let arrivals: Vec<u64> = Arrivals::poisson(&trace, ARRIVALS_SEED).collect();
        let setup = Setup::starting_at(self.fluid, trace.rate_at(0));
        let requests = arrivals.iter().map(|count| *count as f64).sum();
        Ok(Case { arrivals, setup, requests })
    }

    fn run(&self, policy: &PolicySpec, case: &Case) -> Result<Figures, AdversaryError> {
        let mut autoscaler = policy.build(&self.fluid)?;
        let score = evaluate(&case.arrivals, &case.setup, &mut autoscaler, None)?;
        let Score { replica_hours, violation_share, direction_changes_per_hour, .. } = score;
        let cost_hours = self.cost_hours(replica_hours, score.violating);
        Ok(Figures { replica_hours, violation_share, cost_hours, direction_changes_per_hour })
    }

    fn run_all(&self, case: &Case) -> Result<[Figures; 3], AdversaryError> {
        let [planner, hpa, kpa] = &self.policies;
        Ok([self.run(planner, case)?, self.run(hpa, case)?, self.run(kpa, case)?])
    }

    fn cost_hours(&self, replica_hours: f64, violating: f64) -> f64 {
        replica_hours + self.price_s * violating / HOUR_S
    }

    /// No schedule within a share needs less, but for requests that are under way at the end.
    fn least_hours(&self, case: &Case, share: f64) -> f64 {
        let served = case.requests * (1.0 - share) / self.fluid.service.rate_per_replica_per_s;
        let fewest = f64::from(self.fluid.replicas_min) * case.arrivals.len() as f64;
        served.max(fewest) / HOUR_S
    }

    /// The cheapest schedules that were found within these shares, and within one more.
    fn schedules(
        &self,
        case: &Case,
        shares: &[f64],
        more: f64,
    ) -> Result<Vec<Best>, AdversaryError> {
        let load = case.arrivals.iter().map(|count| *count as f64).collect();
        let instance = Instance::new(load, self.fluid.rules(case.setup.initial, self.every_s))?;
        let mut clairvoyant = Clairvoyant::new(&instance)?;
        let mut schedules = Vec::new();
        for share in shares.iter().copied().chain([more]) {
            match clairvoyant.bracket(share) {
                Ok(Bracket { plan, .. }) => {
                    let replica_hours = plan.outcome.replica_s / HOUR_S;
                    let violation_share = plan.outcome.violating_share();
                    let cost_hours = self.cost_hours(replica_hours, plan.outcome.violating);
                    schedules.push(Best { replica_hours, violation_share, cost_hours });
                }
                // A load that begins with a burst cannot be met without violations.
                Err(OptimumError::Impossible { .. } | OptimumError::NotFound { .. }) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Ok(schedules)
    }
}

/// The cheapest; nothing is cheaper than the policy itself where no schedule is.
fn best(schedules: &[Best], planner: &Figures) -> Best {
    let Figures { replica_hours, violation_share, cost_hours, .. } = *planner;
    let own = Best { replica_hours, violation_share, cost_hours };
    schedules.iter().copied().fold(
        own,
        |best, it| {
            if it.cost_hours < best.cost_hours { it } else { best }
        },
    )
}

/// The fewest replica-hours with no more violations; without such a schedule no number of them.
fn hours_within(schedules: &[Best], share: f64) -> f64 {
    let within = schedules.iter().filter(|it| it.violation_share <= share + 1e-9);
    within.map(|it| it.replica_hours).fold(f64::INFINITY, f64::min)
}

/// Violations beyond the least of a schedule with no more replica-hours; 0 without such a schedule.
fn excess(schedules: &[Best], planner: &Figures) -> f64 {
    let affordable = schedules.iter().filter(|it| it.replica_hours <= planner.replica_hours);
    let least = affordable.map(|it| it.violation_share).fold(planner.violation_share, f64::min);
    planner.violation_share - least
}

/// How far a cost is beyond another, as a share of it, from 0; 0 where the other is none.
fn beyond(cost: f64, other: f64) -> f64 {
    if other > 0.0 { (cost / other - 1.0).max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::{Piece, Shape};
    use super::*;

    fn burst() -> Genome {
        let piece = |shape, from_s, length_s, height_per_s| Piece {
            shape,
            from_s,
            length_s,
            height_per_s,
            every_s: 0,
            width_s: 0,
        };
        let pieces = vec![piece(Shape::Level, 0, 0, 300), piece(Shape::Burst, 3_600, 300, 2_000)];
        Genome { horizon_s: 7_200, pieces }
    }

    #[test]
    fn a_request_that_waits_is_paid_for_in_the_policys_own_currency() {
        // Nine times a fiftieth of a second.
        let judge = Judge::new().expect("policies");
        assert_eq!(judge.price_s(), 9.0 / 50.0);
        assert_eq!(judge.cost_hours(1.0, 20_000.0), 2.0);
    }

    #[test]
    fn a_burst_that_nothing_announces_is_regretted_by_everybody() {
        let measured = Judge::new().expect("policies").measure(&burst()).expect("a load");
        for figures in [measured.planner, measured.hpa, measured.kpa] {
            assert!(figures.cost_hours > 1.1 * measured.best.cost_hours, "{measured:?}");
        }
        assert!(measured.best.violation_share <= measured.planner.violation_share);
        assert!(measured.regret > 0.1 && measured.excess_violation_share > 0.0, "{measured:?}");
    }

    #[test]
    fn in_a_hurry_regret_is_no_more_than_it_is() {
        let judge = Judge::new().expect("policies");
        let measured = judge.measure(&burst()).expect("a load");
        let judge = judge.in_a_hurry();
        for objective in Objective::ALL {
            let hurried = judge.badness(&burst(), objective, -1.0).expect("a load");
            let hurried = hurried.expect("worse than nothing");
            let slack = 0.01 * (1.0 + objective.of(&measured));
            assert!(hurried <= objective.of(&measured) + slack, "{objective}: {hurried}");
            assert_eq!(judge.badness(&burst(), objective, 1e9).expect("a load"), None);
        }
    }

    #[test]
    fn what_no_schedule_beats_is_no_regret() {
        assert_eq!((beyond(3.0, 2.0), beyond(1.0, 2.0), beyond(1.0, 0.0)), (0.5, 0.0, 0.0));
        assert_eq!(beyond(1.0, f64::INFINITY), 0.0);
        let own = Figures {
            replica_hours: 1.0,
            violation_share: 0.1,
            cost_hours: 2.0,
            direction_changes_per_hour: 0.0,
        };
        assert_eq!((best(&[], &own).cost_hours, excess(&[], &own)), (2.0, 0.0));
    }
}
