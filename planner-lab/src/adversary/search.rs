//! Hill climbing from random starts.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::{AdversaryError, Genome, Judge, Objective};

/// Loads that are tried at random before a climb begins at the worst of them.
const TRIES: usize = 12;
/// A climb ends after so many changes in a row that made nothing worse.
const PATIENCE: usize = 60;
/// Share of the badness that has to be left without a piece for it to go.
const KEPT: f64 = 0.95;

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who search")]
pub struct Plan {
    /// What loads should be bad by.
    pub objective: Objective,
    /// Fewest requests per second in the mean. Below two replicas' worth, one replica more or less
    /// is half of the cost; a search for busy services asks for more.
    pub mean_min_per_s: f64,
    /// Loads that are looked at, all climbs together.
    pub evaluations: usize,
    /// The seed of all that is random.
    pub seed: u64,
}

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Loads looked at.
    pub evaluations: usize,
    /// Climbs that were begun.
    pub climbs: usize,
    /// The worst so far, in a hurry.
    pub worst: f64,
}

/// Where a climb ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Found {
    /// The load.
    pub genome: Genome,
    /// What it is bad by, measured in a hurry.
    pub badness: f64,
}

/// Where each climb ended, the worst first. `seen` is told after each load how far it is.
///
/// # Errors
///
/// [`AdversaryError`] when a load could not be judged.
///
/// ```
/// use planner_lab::adversary::{Judge, Objective, Plan, search};
///
/// let judge = Judge::new()?.in_a_hurry();
/// let objective = Objective::Restless;
/// let plan = Plan { objective, mean_min_per_s: 100.0, evaluations: 4, seed: 1 };
/// let found = search(&judge, &plan, |_| ())?;
/// assert_eq!(found, search(&judge, &plan, |_| ())?);
/// # Ok::<(), planner_lab::adversary::AdversaryError>(())
/// ```
pub fn search(
    judge: &Judge,
    plan: &Plan,
    mut seen: impl FnMut(Progress),
) -> Result<Vec<Found>, AdversaryError> {
    let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
    random.set_stream(plan.objective as u64);
    let mut progress = Progress { evaluations: 0, climbs: 0, worst: 0.0 };
    let mut all = Vec::new();
    while progress.evaluations < plan.evaluations {
        progress.climbs += 1;
        let mut top: Option<Found> = None;
        let (mut tries, mut in_vain) = (0, 0);
        while progress.evaluations < plan.evaluations && in_vain < PATIENCE {
            let genome = match &top {
                Some(top) if tries >= TRIES => top.genome.mutated(&mut random),
                _ => busy(&mut random, plan.mean_min_per_s),
            };
            tries += 1;
            progress.evaluations += 1;
            in_vain += usize::from(tries > TRIES);
            let than = top.as_ref().map_or(0.0, |it| it.badness);
            if let Some(worse) = worse(judge, plan, genome, than)? {
                progress.worst = progress.worst.max(worse.badness);
                top = Some(worse);
                in_vain = 0;
            }
            seen(progress);
        }
        if let Some(top) = top {
            all.push(simplified(judge, plan, top)?);
        }
    }
    all.sort_by(|a, b| b.badness.total_cmp(&a.badness));
    Ok(all)
}

/// The load with its badness, when that is more than `than`.
fn worse(
    judge: &Judge,
    plan: &Plan,
    genome: Genome,
    than: f64,
) -> Result<Option<Found>, AdversaryError> {
    if !genome.is_busy(plan.mean_min_per_s) {
        return Ok(None);
    }
    let badness = judge.badness(&genome, plan.objective, than)?;
    Ok(badness.filter(|badness| *badness > than).map(|badness| Found { genome, badness }))
}

/// The load without the pieces that matter little: what is left is easier to understand.
fn simplified(judge: &Judge, plan: &Plan, mut found: Found) -> Result<Found, AdversaryError> {
    let least = KEPT * found.badness;
    let mut at = 0;
    while at < found.genome.pieces.len() && found.genome.pieces.len() > 1 {
        let mut genome = found.genome.clone();
        genome.pieces.remove(at);
        match worse(judge, plan, genome, least)? {
            Some(simpler) => found = simpler,
            None => at += 1,
        }
    }
    Ok(found)
}

/// A load at random that is busy enough, if that is soon found.
fn busy(random: &mut ChaCha8Rng, mean_min_per_s: f64) -> Genome {
    let mut genome = Genome::random(random);
    for _ in 0..20 {
        if genome.is_busy(mean_min_per_s) {
            break;
        }
        genome = Genome::random(random);
    }
    genome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(seed: u64, evaluations: usize) -> Vec<Found> {
        let judge = Judge::new().expect("policies").in_a_hurry();
        let objective = Objective::Restless;
        let plan = Plan { objective, mean_min_per_s: 100.0, evaluations, seed };
        search(&judge, &plan, |_| ()).expect("a search")
    }

    #[test]
    fn nothing_is_found_without_looking() {
        assert_eq!(found(1, 0), []);
    }

    #[test]
    fn another_seed_finds_something_else_and_more_looking_something_no_better() {
        let short = found(1, 10);
        assert_ne!(short, found(2, 10));
        let long = found(1, 60);
        assert!(long[0].badness >= short[0].badness);
        assert!(long.is_sorted_by(|a, b| a.badness >= b.badness));
    }
}
