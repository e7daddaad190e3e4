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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fluid::Second;

    /// Orders by the second at whose end they come.
    struct Script(&'static [(u64, u32)]);

    impl Autoscaler for Script {
        fn name(&self) -> &'static str {
            "script"
        }

        fn see(&mut self, second: &Second) -> Option<u32> {
            self.0.iter().find(|(at_s, _)| *at_s == second.at_s).map(|(_, target)| *target)
        }
    }

    fn run(arrivals: &[u64], initial: u32, script: &'static [(u64, u32)]) -> Score {
        let setup = Setup { fluid: FluidSpec::default(), initial };
        evaluate(arrivals, &setup, &mut Script(script), None).expect("a setup")
    }

    #[test]
    fn a_setup_that_cannot_be_is_refused() {
        let setup = Setup { fluid: FluidSpec::default(), initial: 101 };
        let error = evaluate(&[1], &setup, &mut Script(&[]), None).expect_err("refused");
        assert!(error.to_string().starts_with("replicas are 101 at first and bounded by 1 to 100"));
    }

    #[test]
    fn no_load_at_all_scores_nothing() {
        let score = run(&[], 3, &[]);
        assert_eq!((score.violation_share, score.replica_hours, score.actions), (0.0, 0.0, 0));
        assert_eq!(run(&[0; 60], 3, &[]).violation_share, 0.0);
    }

    #[test]
    fn actions_are_orders_that_change_something_and_directions_are_theirs() {
        let score = run(&vec![0; 3_600], 3, &[(5, 3), (10, 6), (20, 8), (30, 4), (40, 0), (50, 9)]);
        // 3 to 6 to 8 to 4 to 1 (the least there may be) to 9.
        assert_eq!((score.actions, score.starts), (5, 3 + 2 + 8));
        assert_eq!((score.actions_per_hour, score.direction_changes_per_hour), (5.0, 2.0));
    }

    #[test]
    fn replicas_are_paid_for_from_the_second_after_their_order() {
        let score = run(&vec![0; 3_600], 1, &[(1_800, 3)]);
        assert_eq!(score.replica_hours, 0.5 + 1.5);
    }

    #[test]
    fn violations_are_shares_of_requests_and_last_until_the_last_of_them() {
        // Nothing waits but in the two seconds of the burst and until its backlog is gone.
        let mut arrivals = [40; 600];
        arrivals[300] = 140;
        let score = run(&arrivals, 1, &[]);
        assert_eq!(score.requests, 40.0 * 599.0 + 140.0);
        assert_eq!(score.violation_share, score.violating / score.requests);
        // 90 wait, 10 fewer each second, and 12.5 may: the 8th second after is the last.
        assert_eq!((score.recover_s_p95, score.dropped), (9.0, 0.0));
    }

    #[test]
    fn a_run_begins_with_the_replicas_that_the_first_rate_uses_to_60_percent() {
        let at = |rate_per_s| Setup::starting_at(FluidSpec::default(), rate_per_s).initial;
        assert_eq!([at(0.0), at(30.0), at(31.0), at(1e9), at(f64::NAN)], [1, 1, 2, 100, 1]);
    }

    #[test]
    fn a_trail_tells_the_run_in_points_of_so_many_seconds() {
        let setup = Setup { fluid: FluidSpec::default(), initial: 1 };
        let mut trail = Trail::every(10);
        let arrivals: Vec<u64> = (0..25).map(|second| if second == 3 { 150 } else { 20 }).collect();
        let mut script = Script(&[(12, 4)]);
        evaluate(&arrivals, &setup, &mut script, Some(&mut trail)).expect("a setup");
        let points = trail.points();
        assert_eq!(points.iter().map(|point| point.at_s).collect::<Vec<_>>(), [10, 20, 25]);
        assert_eq!(points.iter().map(|it| it.load_per_s).collect::<Vec<_>>(), [33.0, 20.0, 20.0]);
        assert_eq!((points[0].wait_s, points[0].p95_ms), (2.0, 2_040.0));
        assert!(points[0].violating > 0.0 && points[1].violating == 0.0);
        assert_eq!((points[1].ready, points[1].ordered), (1, 4));
    }

    #[test]
    fn the_length_of_a_trail_is_at_least_a_second_a_point() {
        assert_eq!(Trail::every(0), Trail::every(1));
    }

    #[test]
    fn a_score_is_written_under_its_names() {
        let text = serde_json::to_string(&run(&vec![40; 3_600], 1, &[])).expect("a score");
        assert_eq!(
            text,
            "{\"violation_share\":0.0,\"replica_hours\":1.0,\"starts\":0,\"actions\":0,\
             \"actions_per_hour\":0.0,\"direction_changes_per_hour\":0.0,\"recover_s_p95\":0.0,\
             \"seconds\":3600,\"requests\":144000.0,\"violating\":0.0,\"dropped\":0.0}"
        );
    }
}
