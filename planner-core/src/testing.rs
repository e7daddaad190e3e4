//! Small makers of valid values for the unit tests of this crate.

use core::time::Duration;

use crate::{
    Breach, Config, Estimate, Latencies, Latency, Quality, ReplicaBounds, Signal, Timestamp,
    Traffic, View, Window,
};

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

/// Everything that a [`View`] borrows, calm at `current` replicas.
pub(crate) struct Scene {
    pub(crate) config: Config,
    pub(crate) window: Window,
    pub(crate) now: Timestamp,
    pub(crate) quality: Quality,
    pub(crate) estimate: Option<Estimate>,
    pub(crate) signal: Signal,
    pub(crate) current: u32,
    pub(crate) near_streak: u32,
    pub(crate) settled_windows: u32,
}

impl Scene {
    /// A calm window of second `second` at the baseline of 40 ms, long settled.
    pub(crate) fn calm(second: u64, current: u32) -> Self {
        Self {
            config: config(),
            window: window(second, 40.0, current),
            now: at(second),
            quality: Quality::Trusted,
            estimate: Some(estimate(40.0, 4.0)),
            signal: Signal { near: true, ratio: Some(1.0), z: Some(0.0), ..Signal::default() },
            current,
            near_streak: 10,
            settled_windows: 10,
        }
    }

    /// The same with a p95 of ten baselines.
    pub(crate) fn breach(second: u64, current: u32) -> Self {
        let breach = Some(Breach::Ratio { ratio: 10.0, limit: 8.0 });
        let signal = Signal { breach, ratio: Some(10.0), z: Some(90.0), ..Signal::default() };
        let window = window(second, 400.0, current);
        Self { signal, window, near_streak: 0, ..Self::calm(second, current) }
    }

    /// The same with traffic: arrivals and completions per second, and requests under way.
    pub(crate) fn with_traffic(mut self, arrivals: f64, completions: f64, in_flight: u32) -> Self {
        let traffic = Traffic::arriving(arrivals)
            .and_then(|traffic| traffic.with_completions(completions))
            .expect("valid rates");
        self.window.traffic = Some(traffic.with_in_flight(in_flight));
        self.window.coverage = Some(1.0);
        self
    }

    /// The same, with a window of so many seconds.
    pub(crate) fn lasting(mut self, seconds: u64) -> Self {
        self.window.start = self.now.saturating_sub(Duration::from_secs(seconds));
        self
    }

    pub(crate) fn view(&self) -> View<'_> {
        View {
            now: self.now,
            config: &self.config,
            thresholds: self.config.thresholds(),
            window: &self.window,
            quality: self.quality,
            estimate: self.estimate,
            signal: self.signal,
            current: self.current,
            ready: self.window.ready.unwrap_or(0),
            near_streak: self.near_streak,
            settled_windows: self.settled_windows,
            operation: crate::Operation::default(),
        }
    }
}
