//! Looks for loads that the default policy is worst at: see `planner_lab::adversary`.

use std::collections::BTreeMap;
use std::error::Error;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use std::{fs, io};

use clap::Parser;
use planner_examples_local::program;
use planner_lab::adversary::{Judge, Objective, Plan, Scenario, search};

/// So many times as bad as the worst that is known is news.
const BEYOND: f64 = 1.25;
/// Fewest requests per second in the mean that loads are searched with: a small and a busy service.
const MEANS_MIN_PER_S: [f64; 2] = [100.0, 1_000.0];
/// Climbs of each objective that are measured in full.
const MEASURED: usize = 3;
/// Exit code when something was found that is much worse than what is known.
const EXIT_NEWS: u8 = 1;

/// Look for loads that the default policy is worst at, and print them with their figures: exit 0
/// when none is more than 1.25 times as bad as the worst that is known, 1 when one is
#[derive(Parser)]
#[command(name = "adversary", version)]
struct Program {
    /// Loads to look at for each objective and size of service
    #[arg(long, value_name = "N", default_value = "400")]
    evaluations: NonZero<usize>,

    /// Seed of the search: the same one finds the same loads
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Write the worst into this folder, as scenarios; it must exist
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let parsed = match program::parse::<Program>() {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    match look(&parsed) {
        Ok(true) => ExitCode::from(EXIT_NEWS),
        Ok(false) => ExitCode::SUCCESS,
        Err(error) => program::finish::<_, ()>("adversary", Err(error)),
    }
}

/// Searches, and tells what it found; whether that is news.
fn look(parsed: &Program) -> Result<bool, Box<dyn Error>> {
    let Program { evaluations, seed, ref out } = *parsed;
    if let Some(folder) = out.as_deref().filter(|folder| !folder.is_dir()) {
        return Err(format!("--out {}: is no folder; make it first", folder.display()).into());
    }
    let evaluations = evaluations.get();
    let known = known()?;
    let judge = Judge::new()?;
    let hurried = judge.clone().in_a_hurry();
    let mut is_news = false;
    let plans = MEANS_MIN_PER_S.into_iter().flat_map(|mean_min_per_s| {
        Objective::ALL.map(|objective| Plan { objective, mean_min_per_s, evaluations, seed })
    });
    for plan in plans {
        let Plan { objective, mean_min_per_s, .. } = plan;
        let begun = Instant::now();
        let found = search(&hurried, &plan, |progress| {
            if progress.evaluations.is_multiple_of(100) {
                program::complain(&format!(
                    "{objective}, {mean_min_per_s}/s: {} loads, {} climbs, worst {:.3}, {:.0} s",
                    progress.evaluations,
                    progress.climbs,
                    progress.worst,
                    begun.elapsed().as_secs_f64(),
                ));
            }
        })?;
        for (place, found) in found.into_iter().take(MEASURED).enumerate() {
            let scenario = Scenario {
                name: format!("{objective}-{mean_min_per_s}-{seed}-{place}"),
                objective,
                seed,
                load: String::new(),
                wrong: String::new(),
                measured: judge.measure(&found.genome)?,
                genome: found.genome,
            };
            is_news |= judged(&scenario, known.get(&objective).copied());
            if let Some(folder) = out {
                let path = folder.join(format!("{}.json", scenario.name));
                let text = scenario.to_json()?;
                fs::write(&path, text).map_err(|cause| {
                    format!("--out {}: cannot be written: {cause}; make room", path.display())
                })?;
            }
        }
    }
    Ok(is_news)
}

/// Prints what was found; whether it is much worse than what is known.
fn judged(scenario: &Scenario, known: Option<f64>) -> bool {
    let badness = scenario.badness();
    let is_news = known.is_some_and(|known| badness > BEYOND * known);
    let measured = &scenario.measured;
    program::say(&format!(
        "{}: {badness:.3}, worst known {}{}",
        scenario.name,
        known.map_or_else(|| "none".to_owned(), |known| format!("{known:.3}")),
        if is_news { ": NEWS" } else { "" },
    ));
    for (name, figures) in
        [("planner", &measured.planner), ("hpa", &measured.hpa), ("kpa", &measured.kpa)]
    {
        program::say(&format!(
            "  {name:<8} {:7.1} h {:6.2} % violate, cost {:7.1}, {:4.1} turns an hour",
            figures.replica_hours,
            100.0 * figures.violation_share,
            figures.cost_hours,
            figures.direction_changes_per_hour,
        ));
    }
    let best = &measured.best;
    program::say(&format!(
        "  {:<8} {:7.1} h {:6.2} % violate, cost {:7.1}: regret {:.0} %",
        "best",
        best.replica_hours,
        100.0 * best.violation_share,
        best.cost_hours,
        100.0 * measured.regret,
    ));
    program::say(&format!("  {}", serde_json::to_string(&scenario.genome).unwrap_or_default()));
    is_news
}

/// The worst of the committed scenarios by each objective, whatever it was searched for.
fn known() -> Result<BTreeMap<Objective, f64>, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../planner-lab/scenarios");
    let mut worst = BTreeMap::new();
    let cannot = |cause: io::Error| {
        let folder = folder.display();
        format!("{folder}: cannot be read: {cause}; build this program where its sources are")
    };
    for entry in fs::read_dir(&folder).map_err(cannot)? {
        let text = fs::read_to_string(entry.map_err(cannot)?.path()).map_err(cannot)?;
        let scenario = Scenario::from_json(&text)?;
        for objective in Objective::ALL {
            let badness = objective.of(&scenario.measured);
            worst
                .entry(objective)
                .and_modify(|worst: &mut f64| *worst = worst.max(badness))
                .or_insert(badness);
        }
    }
    Ok(worst)
}
