//! The policies of other systems under the laws, each alone.

use planner_core::policy::{NoSignal, Policy};
use planner_core::{GuardSet, Heuristic, Poc};
use planner_peers::hpa::Hpa;
use planner_peers::keda::Keda;
use planner_peers::kpa::Kpa;
use planner_peers::nomad::Nomad;
use planner_peers::on_windows::OnWindows;
use planner_peers::poc::Whole;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Laws, Standing, Standings};

/// Requests per second that a replica answers, in the simulated services.
const CAPACITY_PER_S: f64 = 25.0;
/// Of these, what the policies are told to load it with: what it has in calm random cases.
const TARGET_PER_S: f64 = 20.0;
/// How often a law has to be at stake.
const EXERCISED_MIN: u64 = 20;

/// Which laws the policies of other systems keep alone: HPA, KPA, Nomad and KEDA on windows, and
/// the proof of concept as a heuristic and whole. Behind [`GuardSet::Peer`], each law for at least
/// so many steps, and always the same.
pub fn peers(steps: u64) -> Standings {
    let per_replica = "20 of the 25 requests per second that a replica answers, else its defaults";
    Standings::from_iter([
        alone(
            || OnWindows::new(Hpa::average_value(TARGET_PER_S).unwrap_or_else(|_| invalid())),
            (steps, per_replica),
        ),
        alone(
            || {
                let kpa = Kpa::requests_per_second(CAPACITY_PER_S, TARGET_PER_S / CAPACITY_PER_S);
                OnWindows::new(kpa.unwrap_or_else(|_| invalid()))
            },
            (steps, per_replica),
        ),
        alone(
            || {
                OnWindows::new(
                    Nomad::target_per_replica(TARGET_PER_S).unwrap_or_else(|_| invalid()),
                )
            },
            (steps, per_replica),
        ),
        alone(
            || OnWindows::new(Keda::average_value(TARGET_PER_S).unwrap_or_else(|_| invalid())),
            (steps, per_replica),
        ),
        alone(|| Poc, (steps, "thresholds and windows of the planner's configuration")),
        alone(Whole::default, (steps, "its defaults, without a model")),
    ])
}

/// The default heuristic behind all guards, each law for at least so many steps.
pub fn heuristic(steps: u64) -> Standing {
    let laws = Laws::of(|| Heuristic).steps(steps).exercised_min(EXERCISED_MIN);
    laws.standing("defaults, behind all guards")
}

fn alone<P>(make: impl Fn() -> P, (steps, settings): (u64, &str)) -> Standing
where
    P: Policy<Signal = NoSignal>,
    P::State: Serialize + DeserializeOwned,
{
    let laws = Laws::of(make).steps(steps).exercised_min(EXERCISED_MIN);
    laws.guard_set(GuardSet::Peer).capacity_per_s(CAPACITY_PER_S).standing(settings)
}

/// The settings stand above, and the tests make every policy of them.
fn invalid() -> ! {
    unreachable!("targets above 0")
}
