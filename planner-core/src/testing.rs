//! Small makers of valid values for the unit tests of this crate.

use core::time::Duration;

use crate::{Config, Estimate, Latencies, Latency, ReplicaBounds, Timestamp, Window};

pub(crate) fn config() -> Config {
    let bounds = ReplicaBounds::new(1, 8).expect("valid bounds");
    Config::builder(bounds).build().expect("valid defaults")
}

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_origin(Duration::from_secs(seconds))
}

/// The window of second `seq` with 40 successes at this p95.
pub(crate) fn window(seq: u64, p95_ms: f64, ready: u32) -> Window {
    Window::builder(seq, at(seq - 1), at(seq))
        .outcomes(40, 0, 0)
        .latencies(Latencies::from_p95(Latency::from_millis(p95_ms).expect("a latency")))
        .ready(ready)
        .starting(0)
        .build()
        .expect("a valid window")
}

pub(crate) fn estimate(median_ms: f64, sigma_ms: f64) -> Estimate {
    Estimate::new(median_ms, sigma_ms, &config()).expect("a valid estimate")
}
