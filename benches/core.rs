//! Statistics, whole steps and fleets beside their peers, in one process, as ratios.
//!
//! Run by `scripts/bench`; with `--json` one object comes out, without a table.

use std::alloc::System;
use std::process::ExitCode;

use serde_json::{Map, Value};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[path = "core/statistics.rs"]
mod statistics;
#[path = "core/steps.rs"]
mod steps;

/// Counts allocations, and the bytes of a fleet.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The figures with their limits.
struct Report {
    json: bool,
    figures: Map<String, Value>,
    missed: u32,
}

impl Report {
    /// A line of text, unless JSON was asked for.
    fn say(&self, line: &str) {
        if !self.json {
            println!("{line}");
        }
    }

    /// A figure that must be at most, or at least, so much.
    fn figure(&mut self, name: &str, value: f64, at_most: bool, limit: f64) {
        let rounded = (value * 1000.0).round() / 1000.0;
        self.figures.insert(name.into(), rounded.into());
        let holds = if at_most { value <= limit } else { value >= limit };
        self.missed += u32::from(!holds);
        let relation = if at_most { "at most" } else { "at least" };
        let verdict = if holds { "" } else { "  MISSED" };
        self.say(&format!("{name:<32} {rounded:>10}  {relation} {limit}{verdict}"));
    }
}

fn main() -> ExitCode {
    let json = std::env::args().any(|argument| argument == "--json");
    // `cargo test --benches` only proves that it builds and starts.
    if std::env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    let mut report = Report { json, figures: Map::new(), missed: 0 };
    statistics::measure(&mut report);
    steps::measure(&mut report);
    if json {
        println!("{}", Value::Object(report.figures));
    }
    ExitCode::from(u8::from(report.missed > 0))
}
