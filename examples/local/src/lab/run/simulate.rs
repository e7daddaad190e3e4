//! One policy on one load, with all that a page shows of it.

use planner_lab::autoscaler::Autoscaler;
use planner_lab::evaluate::{Score, Trail, TrailPoint, evaluate_on};
use planner_lab::fluid::{Fluid, FluidError, QueuePlant, QueuePlantError, Second, SteppedPlant};
use planner_lab::policy_spec::{PolicySpec, PolicySpecError};
use planner_lab::trace::Arrivals;
use thiserror::Error;

use crate::lab::LabError;
use crate::lab::load::Load;
use crate::lab::plant::PlantKind;
use crate::lab::service::ServiceArgs;

/// Points over time, at most; and the longest time in one.
const POINTS_MAX: u64 = 1_200;
const POINT_S_MAX: u64 = 60;

/// How a run went.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::lab) struct Course {
    pub(in crate::lab) score: Score,
    pub(in crate::lab) points: Vec<TrailPoint>,
    /// Length of a point in seconds; the last may be shorter.
    pub(in crate::lab) point_s: u32,
    pub(in crate::lab) orders: Vec<Order>,
}

/// A change of the number of ordered replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Order {
    pub(in crate::lab) at_s: u64,
    pub(in crate::lab) from: u32,
    pub(in crate::lab) to: u32,
}

/// Why a run is impossible.
#[derive(Debug, Error)]
pub(in crate::lab) enum RunError {
    #[error(transparent)]
    Fluid(#[from] FluidError),
    #[error(transparent)]
    Policy(#[from] PolicySpecError),
    #[error(transparent)]
    Queue(#[from] QueuePlantError),
}

impl RunError {
    pub(in crate::lab) fn of(self, label: &str) -> LabError {
        LabError::Run { label: label.to_owned(), cause: self.to_string() }
    }
}

/// Lets a policy decide over a load's arrivals of one seed.
pub(in crate::lab) fn simulate(
    load: &Load,
    service: &ServiceArgs,
    policy: &PolicySpec,
    seed: u64,
) -> Result<Course, RunError> {
    let spec = service.fluid();
    let initial = service.setup(&load.trace).initial;
    let mut plant: Box<dyn SteppedPlant> = match service.plant {
        PlantKind::Fluid(_) => Box::new(Fluid::new(spec, initial)?),
        PlantKind::Queue(queue) => {
            let queue = queue.spec(service.rate, service.startup_s());
            Box::new(QueuePlant::new(queue, initial, (service.min, service.max), seed)?)
        }
    };
    let arrivals: Vec<u64> = Arrivals::poisson(&load.trace, seed).collect();
    let point_s = (load.trace.duration_s() / POINTS_MAX).clamp(1, POINT_S_MAX);
    let point_s = u32::try_from(point_s).unwrap_or(u32::MAX);
    let mut trail = Trail::every(point_s);
    let decider = policy.build(&spec)?;
    let mut watched = Watched { decider, bounds: (service.min, service.max), orders: Vec::new() };
    let score = evaluate_on(&mut *plant, &arrivals, &mut watched, Some(&mut trail));
    Ok(Course { score, points: trail.points().to_vec(), point_s, orders: watched.orders })
}

/// Writes down what is ordered on the way.
struct Watched {
    decider: Box<dyn Autoscaler>,
    bounds: (u32, u32),
    orders: Vec<Order>,
}

impl Autoscaler for Watched {
    fn name(&self) -> &str {
        self.decider.name()
    }

    fn see(&mut self, second: &Second) -> Option<u32> {
        let target = self.decider.see(second)?;
        let (from, to) = (second.billed(), target.clamp(self.bounds.0, self.bounds.1));
        if from != to {
            self.orders.push(Order { at_s: second.at_s, from, to });
        }
        Some(to)
    }
}
