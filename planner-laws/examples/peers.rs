//! Which laws the policies of other systems keep alone, and the default one behind all guards.
//!
//! An argument is the number of steps for each law; 5000 without one.

use planner_laws::{Standings, heuristic, peers};

fn main() {
    let steps = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(5_000);
    let mut all = peers(steps).standings;
    all.push(heuristic(steps));
    print!("{}", Standings::from_iter(all));
}
