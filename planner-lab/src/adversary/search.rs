//! Hill climbing from random starts.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::{AdversaryError, Genome, Judge, Objective};

/// Loads that are tried at random before a climb begins at the worst of them.
const TRIES: usize = 12;
/// A climb ends after so many changes in a row that made nothing worse.
const PATIENCE: usize = 60;

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who search")]
pub struct Plan {
    /// What loads should be bad by.
    pub objective: Objective,
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
/// let plan = Plan { objective: Objective::Restless, evaluations: 4, seed: 1 };
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
                _ => busy(&mut random),
            };
            tries += 1;
            progress.evaluations += 1;
            in_vain += usize::from(tries > TRIES);
            let than = top.as_ref().map_or(0.0, |it| it.badness);
            if genome.is_busy()
                && let Some(badness) = judge.badness(&genome, plan.objective, than)?
                && badness > than
            {
                top = Some(Found { genome, badness });
                in_vain = 0;
                progress.worst = progress.worst.max(badness);
            }
            seen(progress);
        }
        all.extend(top);
    }
    all.sort_by(|a, b| b.badness.total_cmp(&a.badness));
    Ok(all)
}

/// A load at random that is not mostly nothing. Most are not.
fn busy(random: &mut ChaCha8Rng) -> Genome {
    let mut genome = Genome::random(random);
    for _ in 0..20 {
        if genome.is_busy() {
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
        let plan = Plan { objective: Objective::Restless, evaluations, seed };
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
