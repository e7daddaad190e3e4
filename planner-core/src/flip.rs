//! The smallest change of each field of a window that would have flipped its decision.
//!
//! A derivation says why a decision is what it is; this says how far it was from being another.
//! Each field is searched on its own, all else equal, in both directions: outwards in doubling
//! steps, then by bisection between the last value that left the decision as it was and the first
//! that did not. Where a field flips the decision only within a narrow interval, doubling steps may
//! step over it: what is found is a change that flips, and almost always the smallest.

use alloc::vec::Vec;
use core::fmt;

use crate::Timestamp;
use crate::baseline::Baseline;
use crate::gateway::AdviceGate;
use crate::planner::Planner;
use crate::policy::Policy;
use crate::telemetry::{Latencies, Latency, Traffic, Window};

/// Halvings of an interval before its end is taken as found.
const HALVINGS_MAX: u32 = 200;
/// Where the doubling steps begin, as a share of the value.
const FIRST_STEP_SHARE: f64 = 1.0 / 1024.0;
/// An interval of this share of its end is as good as a point.
const PRECISION: f64 = 1e-9;

/// A field of a window that a decision can hang on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// Requests that arrived, per second.
    Arrivals,
    /// Requests that were answered, per second.
    Completions,
    /// Measured outcomes as a share of the planned ones.
    Coverage,
    /// Requests that failed.
    Failures,
    /// Requests under way at the end of the window.
    InFlight,
    /// The p95 in milliseconds, its confidence interval in proportion.
    P95,
    /// Requests that waited because every replica was at its limit.
    Queued,
    /// Replicas that served.
    Ready,
    /// Measured outcomes.
    Samples,
    /// Replicas on their way to serve.
    Starting,
    /// Requests that ran into their deadline.
    Timeouts,
}

impl Field {
    /// All fields.
    pub const ALL: [Self; 11] = [
        Self::P95,
        Self::Arrivals,
        Self::Completions,
        Self::InFlight,
        Self::Queued,
        Self::Timeouts,
        Self::Failures,
        Self::Samples,
        Self::Coverage,
        Self::Ready,
        Self::Starting,
    ];

    /// Its name, with the unit where it has one.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arrivals => "arrivals_per_s",
            Self::Completions => "completions_per_s",
            Self::Coverage => "coverage",
            Self::Failures => "failures",
            Self::InFlight => "in_flight",
            Self::P95 => "p95_ms",
            Self::Queued => "queued",
            Self::Ready => "ready",
            Self::Samples => "samples",
            Self::Starting => "starting",
            Self::Timeouts => "timeouts",
        }
    }

    /// Whether it counts things.
    const fn is_count(self) -> bool {
        !matches!(self, Self::Arrivals | Self::Completions | Self::Coverage | Self::P95)
    }

    /// Its value, where the window has it.
    pub fn of(self, window: &Window) -> Option<f64> {
        match self {
            Self::Arrivals => Some(window.traffic?.arrivals_per_s),
            Self::Completions => window.traffic?.completions_per_s,
            Self::Coverage => window.coverage,
            Self::Failures => Some(window.failures.into()),
            Self::InFlight => Some(window.traffic?.in_flight?.into()),
            Self::P95 => Some(window.latencies?.p95.as_millis()),
            Self::Queued => Some(window.traffic?.queued?.into()),
            Self::Ready => Some(window.ready?.into()),
            Self::Samples => Some(window.samples.into()),
            Self::Starting => Some(window.starting?.into()),
            Self::Timeouts => Some(window.timeouts.into()),
        }
    }

    /// Least and greatest value that leaves the rest of the window as it is.
    fn range(self, window: &Window) -> (f64, f64) {
        let successes_min = u32::from(window.latencies.is_some());
        let free = |others: u32| window.samples.saturating_sub(others + successes_min);
        match self {
            Self::Arrivals | Self::Completions => (0.0, Traffic::MAX_PER_S),
            Self::Coverage => (0.0, 1.0),
            Self::P95 => (0.0, Latency::MAX_MS),
            Self::Failures => (0.0, free(window.timeouts).into()),
            Self::Timeouts => (0.0, free(window.failures).into()),
            Self::Samples => {
                let least = window.timeouts.saturating_add(window.failures);
                (least.saturating_add(successes_min).into(), 1e6)
            }
            Self::InFlight | Self::Queued => (0.0, 1e6),
            Self::Ready | Self::Starting => (0.0, Window::MAX_REPLICAS.into()),
        }
    }

    /// The same window with this value, which is in its range.
    pub fn with(self, window: &Window, value: f64) -> Window {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1e6")]
        let count = value as u32;
        let mut changed = window.clone();
        match (self, &mut changed.traffic) {
            (Self::Coverage, _) => changed.coverage = Some(value),
            (Self::Failures, _) => changed.failures = count,
            (Self::Ready, _) => changed.ready = Some(count),
            (Self::Samples, _) => changed.samples = count,
            (Self::Starting, _) => changed.starting = Some(count),
            (Self::Timeouts, _) => changed.timeouts = count,
            (Self::P95, _) => {
                changed.latencies = window.latencies.map(|latencies| scaled(latencies, value));
            }
            (Self::Arrivals, Some(traffic)) => traffic.arrivals_per_s = value,
            (Self::Completions, Some(traffic)) => traffic.completions_per_s = Some(value),
            (Self::InFlight, Some(traffic)) => traffic.in_flight = Some(count),
            (Self::Queued, Some(traffic)) => traffic.queued = Some(count),
            (Self::Arrivals | Self::Completions | Self::InFlight | Self::Queued, None) => {}
        }
        changed
    }
}

/// The same latencies with another p95 and the interval in proportion.
fn scaled(latencies: Latencies, p95_ms: f64) -> Latencies {
    let before_ms = latencies.p95.as_millis();
    let factor = if before_ms > 0.0 { p95_ms / before_ms } else { 1.0 };
    let end = |end: Option<Latency>| {
        end.and_then(|end| Latency::from_millis((end.as_millis() * factor).min(Latency::MAX_MS)))
    };
    let p95 = Latency::from_millis(p95_ms).unwrap_or(latencies.p95);
    Latencies::from_p95(p95)
        .with_p95_interval(end(latencies.p95_low), end(latencies.p95_high))
        .with_p50_and_avg(latencies.p50, latencies.avg)
}

/// A change of one field that flips the decision.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Flip {
    /// Which field.
    pub field: Field,
    /// Its value in the window.
    pub from: f64,
    /// The nearest value found that flips the decision.
    pub to: f64,
    /// The value next to it that does not.
    pub until: f64,
    /// The replicas that it would arrive at; `None` where they are unknown.
    pub replicas: Option<u32>,
}

impl fmt::Display for Flip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, from, to, .. } = self;
        if field.is_count() {
            write!(f, "{} {from} -> {to}", field.as_str())?;
        } else {
            write!(f, "{} {from:.3} -> {to:.3}", field.as_str())?;
        }
        match self.replicas {
            Some(replicas) => write!(f, " would make it {replicas}"),
            None => f.write_str(" would leave no target"),
        }
    }
}

/// For each field of `window` the smallest change that would flip the decision that `planner`
/// makes on it at `now` without advice. Fields that flip nothing are left out.
///
/// `planner` stands *before* the window and stays there; to ask about a past decision, replay the
/// journal up to it. About a thousand decisions are tried out.
///
/// ```
/// use core::time::Duration;
/// use planner_core::{Planner, ReplicaBounds, Timestamp, Window, flip};
///
/// let mut planner = Planner::heuristic(ReplicaBounds::new(1, 8)?);
/// let at = |seconds| Timestamp::from_origin(Duration::from_secs(seconds));
/// for second in 1..20 {
///     let window = Window::probes(at(second - 1), at(second), &[20.0; 40], 0, 2)?;
///     let _ = planner.decide(at(second), &window);
/// }
/// let window = Window::probes(at(19), at(20), &[20.0; 40], 0, 2)?;
/// let p95 = flip::flips(&planner, at(20), &window)[0];
/// assert_eq!(p95.to_string(), "p95_ms 20.000 -> 60.000 would make it 3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn flips<P, B, G>(planner: &Planner<P, B, G>, now: Timestamp, window: &Window) -> Vec<Flip>
where
    P: Policy,
    B: Baseline,
    G: AdviceGate,
{
    let replicas = |window: &Window| planner.preview(now, window).replicas();
    let made = replicas(window);
    let mut flips = Vec::new();
    for field in Field::ALL {
        let Some(from) = field.of(window) else { continue };
        let (least, greatest) = field.range(window);
        let outcome = |value: f64| replicas(&field.with(window, value));
        let below = search(field, from, least, |value| outcome(value) != made);
        let above = search(field, from, greatest, |value| outcome(value) != made);
        let nearest = match (below, above) {
            (Some(below), Some(above)) if from - below.0 <= above.0 - from => Some(below),
            (below, above) => above.or(below),
        };
        if let Some((to, until)) = nearest {
            flips.push(Flip { field, from, to, until, replicas: outcome(to) });
        }
    }
    flips
}

/// The nearest value towards `limit` that is different, and its neighbour that is not.
fn search(
    field: Field,
    from: f64,
    limit: f64,
    mut differs: impl FnMut(f64) -> bool,
) -> Option<(f64, f64)> {
    let sign = if limit > from { 1.0 } else { -1.0 };
    let within = |value: f64| if limit > from { value.min(limit) } else { value.max(limit) };
    let mut step = if field.is_count() { 1.0 } else { from.max(1e-3) * FIRST_STEP_SHARE };
    let (mut same, mut other) = (from, within(from + sign * step));
    while same != other && !differs(other) {
        step *= 2.0;
        same = other;
        other = within(from + sign * step);
    }
    if same == other {
        return None;
    }
    for _ in 0..HALVINGS_MAX {
        let exact = f64::midpoint(same, other);
        let middle = if field.is_count() { libm::trunc(exact) } else { exact };
        let close = (other - same).abs() <= PRECISION * other.abs();
        if middle == same || middle == other || !field.is_count() && close {
            break;
        }
        if differs(middle) {
            other = middle;
        } else {
            same = middle;
        }
    }
    Some((other, same))
}
