//! Promises on real servers, each with the number of rounds that shows it: Redis, nginx, and a
//! Docker engine of our own, whose socket is in `PLANNER_TEST_DOCKER`:
//! `cargo test -p planner-examples-stack --test promises -- --ignored --test-threads 1`.
//! With `PLANNER_SOAK` set each runs at its full size.

mod drain;
mod endurance;
mod leadership;
mod outage;
mod pause;
mod restart;
mod shutdown;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support_stack/mod.rs"]
mod support_stack;

/// A size: few rounds for every day, many where somebody has the time.
fn rounds(every_day: u32, full: u32) -> u32 {
    if std::env::var_os("PLANNER_SOAK").is_some() { full } else { every_day }
}
