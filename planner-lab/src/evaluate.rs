//! One run of an autoscaler on a load, and what it scored.
//!
//! What is counted:
//!
//! | field | |
//! |---|---|
//! | `violation_share` | requests whose wait violates the objective, of all requests |
//! | `replica_hours` | replicas that were ready or starting, times hours |
//! | `actions` | seconds at whose end the number of ordered replicas changed |
//! | `direction_changes_per_hour` | actions in the other direction than the one before |
//! | `recover_s_p95` | 95th percentile of the lengths of episodes |
//!
//! An episode begins with the first second in which a request violates and lasts to the end of the
//! last such second before ten in a row without; it is as long as from one to the other.

mod episodes;
mod score;
mod trail;

pub use score::Score;
use score::Tally;
pub use trail::{Trail, TrailPoint};

use crate::autoscaler::Autoscaler;
use crate::fluid::{Fluid, FluidError, FluidSpec, SteppedPlant};

/// Use of the replicas at first, as a share of what they answer.
const INITIAL_USE: f64 = 0.6;

/// A service and the replicas that it has at first.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who set up a run")]
pub struct Setup {
    /// What the service is like.
    pub fluid: FluidSpec,
    /// Replicas that are ready at first, within its bounds.
    pub initial: u32,
}

impl Setup {
    /// The service with as many replicas as `rate_per_s` uses to 60 %, within its bounds.
    pub fn starting_at(fluid: FluidSpec, rate_per_s: f64) -> Self {
        let needed = rate_per_s / fluid.service.rate_per_replica_per_s / INITIAL_USE;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within u32")]
        let needed = needed.ceil().clamp(0.0, 1e9) as u32;
        Self { fluid, initial: needed.max(fluid.replicas_min).min(fluid.replicas_max) }
    }
}

/// Runs an autoscaler on the fluid plant: `arrivals` are the requests of each second.
///
/// # Errors
///
/// [`FluidError`] when a number of the setup is out of its range.
///
/// ```
/// use planner_lab::autoscaler::Fixed;
/// use planner_lab::evaluate::{Setup, evaluate};
/// use planner_lab::fluid::FluidSpec;
///
/// let setup = Setup { fluid: FluidSpec::default(), initial: 2 };
/// let score = evaluate(&[80; 3_600], &setup, &mut Fixed::new(2), None)?;
/// assert_eq!((score.replica_hours, score.violation_share, score.actions), (2.0, 0.0, 0));
/// # Ok::<(), planner_lab::fluid::FluidError>(())
/// ```
pub fn evaluate(
    arrivals: &[u64],
    setup: &Setup,
    autoscaler: &mut dyn Autoscaler,
    trail: Option<&mut Trail>,
) -> Result<Score, FluidError> {
    let mut plant = Fluid::new(setup.fluid, setup.initial)?;
    Ok(evaluate_on(&mut plant, arrivals, autoscaler, trail))
}

/// Runs an autoscaler on a plant of the caller's choice.
pub fn evaluate_on<P: SteppedPlant + ?Sized>(
    plant: &mut P,
    arrivals: &[u64],
    autoscaler: &mut dyn Autoscaler,
    mut trail: Option<&mut Trail>,
) -> Score {
    let mut tally = Tally::default();
    for count in arrivals {
        let second = plant.pass(*count);
        tally.add(&second);
        if let Some(trail) = trail.as_deref_mut() {
            trail.add(&second);
        }
        if let Some(target) = autoscaler.see(&second) {
            let before = plant.ordered();
            plant.scale_to(target);
            tally.add_order(before, plant.ordered());
        }
    }
    if let Some(trail) = trail {
        trail.finish();
    }
    tally.score()
}
