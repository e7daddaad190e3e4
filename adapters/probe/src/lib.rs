//! Telemetry from probes: HTTP GET requests at a fixed rate.
//!
//! The schedule is open loop. A probe is sent when it is due, whether or not earlier ones were
//! answered, and its latency counts from that moment: a server that stalls cannot hide its stall
//! by being asked less often. The timeout covers the whole probe, and a probe that runs into it is
//! counted as a timeout and never as a latency. A window ends on time even when no probe comes
//! back: its outcome belongs to the window in which it becomes known.
//!
//! ```no_run
//! use planner_ports::{TelemetrySource, Timeline};
//! use planner_probe::{ProbeSettings, Prober};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = ProbeSettings::default();
//! let mut prober = Prober::new("http://127.0.0.1:8080/", settings, Timeline::begin(), None)?;
//! println!("{:?}", prober.next_window().await?);
//! # Ok(())
//! # }
//! ```
//!
//! # What does this crate not do?
//!
//! It does not see real traffic, only its own probes, and no TLS: a target is `http://`.

mod prober;
mod schedule;
mod tally;
mod target;

pub use prober::{ProbeError, ProbeSettings, Prober};
