//! Looks for loads that the default policy is worst at, and prints them with their figures.
//!
//! `adversary [evaluations] [seed] [folder]`: loads to look at for each objective
//! and size of service (400), the seed (1), and where to write the worst as scenarios (nowhere).
//! Ends with 1 when something is more than [`BEYOND`] times as bad as the worst of the committed
//! scenarios. Build it in release mode.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs};

use planner_lab::adversary::{Judge, Objective, Plan, Scenario, search};

/// So many times as bad as the worst that is known is news.
const BEYOND: f64 = 1.25;
/// Fewest requests per second in the mean that loads are searched with: a small and a busy service.
const MEANS_MIN_PER_S: [f64; 2] = [100.0, 1_000.0];
/// Climbs of each objective that are measured in full.
const MEASURED: usize = 3;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let evaluations = arguments.next().map_or(Ok(400), |text| text.parse())?;
    let seed = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let folder = arguments.next().map(PathBuf::from);
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
                eprintln!(
                    "{objective}, {mean_min_per_s}/s: {} loads, {} climbs, worst {:.3}, {:.0} s",
                    progress.evaluations,
                    progress.climbs,
                    progress.worst,
                    begun.elapsed().as_secs_f64(),
                );
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
            if let Some(folder) = &folder {
                let path = folder.join(format!("{}.json", scenario.name));
                fs::write(path, scenario.to_json()?)?;
            }
        }
    }
    Ok(ExitCode::from(u8::from(is_news)))
}

/// Prints what was found; whether it is much worse than what is known.
fn judged(scenario: &Scenario, known: Option<f64>) -> bool {
    let badness = scenario.badness();
    let is_news = known.is_some_and(|known| badness > BEYOND * known);
    let measured = &scenario.measured;
    println!(
        "{}: {badness:.3}, worst known {}{}",
        scenario.name,
        known.map_or_else(|| "none".to_owned(), |known| format!("{known:.3}")),
        if is_news { ": NEWS" } else { "" },
    );
    for (name, figures) in
        [("planner", &measured.planner), ("hpa", &measured.hpa), ("kpa", &measured.kpa)]
    {
        println!(
            "  {name:<8} {:7.1} h {:6.2} % violate, cost {:7.1}, {:4.1} turns an hour",
            figures.replica_hours,
            100.0 * figures.violation_share,
            figures.cost_hours,
            figures.direction_changes_per_hour,
        );
    }
    let best = &measured.best;
    println!(
        "  {:<8} {:7.1} h {:6.2} % violate, cost {:7.1}: regret {:.0} %",
        "best",
        best.replica_hours,
        100.0 * best.violation_share,
        best.cost_hours,
        100.0 * measured.regret,
    );
    println!("  {}", serde_json::to_string(&scenario.genome).unwrap_or_default());
    is_news
}

/// The worst of the committed scenarios by each objective, whatever it was searched for.
fn known() -> Result<BTreeMap<Objective, f64>, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../planner-lab/scenarios");
    let mut worst = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let scenario = Scenario::from_json(&fs::read_to_string(entry?.path())?)?;
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
