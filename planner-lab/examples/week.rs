//! A week of a daily pattern on the fluid plant, decided by the default policy every 5 s: what it
//! scored, and what it took. Build it in release mode.

use std::time::Instant;

use planner_lab::evaluate::{Setup, evaluate};
use planner_lab::fluid::FluidSpec;
use planner_lab::policy_spec::PolicySpec;
use planner_lab::trace::{Arrivals, Trace};

const DAY_S: f64 = 86_400.0;
const MINUTES: u32 = 7 * 24 * 60;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // From 200 to 1800 requests a second, less at weekends, and a burst each noon.
    let rate_per_s = |minute: u32| {
        let at_s = f64::from(minute) * 60.0;
        let day = (at_s / DAY_S).floor();
        let weekend = if day >= 5.0 { 0.6 } else { 1.0 };
        let burst = if minute % 1_440 >= 720 && minute % 1_440 < 730 { 400.0 } else { 0.0 };
        let wave = (std::f64::consts::TAU * (at_s / DAY_S - 0.25)).sin();
        weekend * (1_000.0 + 800.0 * wave) + burst
    };
    let trace = Trace::new("week", 60, (0..MINUTES).map(rate_per_s).collect())?;
    let arrivals: Vec<u64> = Arrivals::poisson(&trace, 1).collect();
    let policy: PolicySpec = std::env::args().nth(1).as_deref().unwrap_or("planner").parse()?;
    let setup = Setup::starting_at(FluidSpec::default(), trace.rate_at(0));
    let mut autoscaler = policy.build(&setup.fluid)?;

    let begun = Instant::now();
    let score = evaluate(&arrivals, &setup, &mut autoscaler, None)?;
    let taken_s = begun.elapsed().as_secs_f64();

    println!("{policy}: {} s of virtual time in {taken_s:.2} s", score.seconds);
    println!(
        "{:.0} replica-hours, {:.3} % of {:.0} million requests violate, {:.1} actions an hour",
        score.replica_hours,
        100.0 * score.violation_share,
        score.requests / 1e6,
        score.actions_per_hour,
    );
    Ok(())
}
