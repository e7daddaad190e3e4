//! What a replica carries: learned from windows, and turned into counts.
//!
//! Rates are counts of arrivals, so their noise is Poisson: a short look needs a stronger signal.

#[cfg(feature = "serde")]
mod stored;

use super::outlook::{Outlook, Plan, Sight};
use super::{HeuristicState, LearnedFloor, View};
use crate::signal::Breach;
use crate::telemetry::Traffic;

/// Windows over which the arrival rate is averaged to find busy replicas, and to prove a load.
pub(super) const RATE_WINDOWS: usize = 5;
/// Windows over which it is averaged before a projection onto fewer replicas.
const PROJECTION_WINDOWS: usize = 8;
/// What is left of the learned capacity after a window that was used up at less: a service that
/// became slower is believed step by step.
const CAPACITY_DECAY: f64 = 0.98;
/// Window counts whose mean may show that the capacity is used up, each with the Poisson standard
/// deviations that it must do so by: a shorter look needs a stronger signal.
const BUSY_LOOKS: [(usize, f64); 3] = [(1, 2.5), (3, 1.5), (RATE_WINDOWS, 1.0)];
/// Share of the learned capacity from which the replicas are busy.
const BUSY_SHARE: f64 = 0.9;
/// Most of the learned capacity that a load carried before is trusted again at; below
/// [`BUSY_SHARE`], so that what is scaled in is not busy at once.
const PROOF_SHARE: f64 = 0.88;
/// Poisson standard deviations that a projection onto fewer replicas adds to the mean.
const PROJECTION_SIGMAS: f64 = 2.0;
/// Load from which a learned floor applies, as a share of the load it was learned at.
const FLOOR_LOAD_SHARE: f64 = 0.9;
/// Poisson standard deviations by which the load must have moved for its outlook to matter.
const MOVED_SIGMAS: f64 = 4.0;
/// Poisson standard deviations that the mean of all looks may be off by.
const LEVEL_SIGMAS: f64 = 0.5;
/// Shares of the count by which it may differ from what the outlook asks for: changes of direction
/// are rationed, and are not spent on a replica more or less. What stays after a scale-in carries
/// the slack as well.
const SLACK_OUT: f64 = 0.05;
const SLACK_IN: f64 = 0.1;
/// Busy replicas up to which each needs the same spare capacity; of more, the spare grows with the
/// square root, because what is spare in one takes what is too much for another (Halfin and
/// Whitt 1981).
const POOLED: f64 = 4.0;
/// Most replicas that arithmetic may ask for; the bounds are the guards' business.
pub(super) const REPLICAS_MAX: f64 = 1e6;

/// One window's load. Its noise is Poisson: single precision says all that there is to say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Load {
    seconds: f32,
    arrivals_per_s: f32,
}

/// The windows before the present one, without a gap.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "stored::Recent", into = "stored::Recent"))]
pub(super) struct Recent {
    /// Oldest first; the first `len` count.
    loads: [Load; PROJECTION_WINDOWS - 1],
    len: u8,
    /// Of these, the latest that were steady and near, in a row; at most 255.
    steady: u8,
    /// The replicas that served the last one.
    ready: u32,
}

impl Recent {
    fn as_slice(&self) -> &[Load] {
        self.loads.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn push(&mut self, load: Load, ready: u32, steady_and_near: bool) {
        if usize::from(self.len) == self.loads.len() {
            self.loads.copy_within(1.., 0);
            self.len -= 1;
        }
        if let Some(slot) = self.loads.get_mut(usize::from(self.len)) {
            *slot = load;
            self.len += 1;
        }
        self.steady = if steady_and_near { self.steady.saturating_add(1) } else { 0 };
        self.ready = ready;
    }
}

/// Learns what a replica carries.
pub(super) fn learn_load(view: &View<'_>, state: &mut HeuristicState) {
    let Some(load) = view.load() else {
        state.recent = Recent::default();
        return;
    };
    learn_outlook(view, load, state);
    let (first, ready) = (state.recent.len == 0, view.ready);
    let steady = (first || state.recent.ready == ready)
        && view.pending() == 0
        && (view.settled_windows > 1 || first)
        && view.quality.is_trusted()
        && !view.signal.failing;
    let completions_per_s = view.window.traffic.and_then(|traffic| traffic.completions_per_s);
    if let (true, Some(completions_per_s)) = (steady, completions_per_s) {
        let per_replica_per_s = completions_per_s / f64::from(ready.max(1));
        let hurts_by_load = match view.signal.breach {
            Some(Breach::Saturation { .. } | Breach::Queued { .. } | Breach::Timeouts { .. }) => {
                true
            }
            // Beyond a hint it may just be normal.
            Some(Breach::Ratio { .. } | Breach::Deviation { .. }) => view.is_warm(),
            Some(Breach::Errors { .. }) | None => false,
        };
        // Whatever was carried is no more than the capacity; a breach shows that it is no less.
        let kept = if hurts_by_load { CAPACITY_DECAY } else { 1.0 };
        state.throughput_per_s = (state.throughput_per_s * kept).max(per_replica_per_s);
        state.used_up |= hurts_by_load;
    }
    state.recent.push(load, ready, steady && view.signal.near && view.is_warm());
    let proven = usize::from(state.recent.steady) >= RATE_WINDOWS;
    let latest = state.recent.as_slice().iter().rev().take(RATE_WINDOWS);
    if proven && let Some((mean, _)) = mean_per_s(latest) {
        let per_replica_per_s = mean / f64::from(ready.max(1));
        state.proven_per_s = state.proven_per_s.max(per_replica_per_s);
    }
}

/// Learns how the load moves. A load that stands still is told so by its mean alone.
fn learn_outlook(view: &View<'_>, load: Load, state: &mut HeuristicState) {
    if state.outlook.get().is_none() {
        if let Some(outlook) = state.first_outlook(view, load) {
            state.outlook.put(outlook);
        }
    } else if let Some(sight) = state.sight(view)
        && let Some(outlook) = state.outlook.get_mut()
    {
        outlook.learn(view, &sight);
    }
}

/// What the last windows and the present one say of the load.
#[derive(Clone, Copy, Debug)]
struct Looks {
    /// Arrivals per second that are no noise of counting, over any of [`BUSY_LOOKS`].
    surely_per_s: f64,
    /// Mean arrivals per second over at most [`PROJECTION_WINDOWS`] windows.
    mean_per_s: f64,
    /// How long these were together.
    seconds: f64,
}

/// What the outlook asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// Before it is rounded up.
    exact: f64,
    pub(super) replicas: u32,
    pub(super) plan: Plan,
}

impl Need {
    /// Whether it is worth adding replicas to `current`.
    pub(super) fn is_more_than(&self, current: u32) -> bool {
        f64::from(self.replicas) > (1.0 + SLACK_OUT) * f64::from(current)
    }

    /// The replicas for this and as much more as the slack, where so few are needed that it is
    /// worth removing some from `current`. Else noise about a whole number of replicas would spend
    /// the changes of direction.
    pub(super) fn fewer_than(&self, current: u32) -> Option<u32> {
        let is_worth_it = f64::from(self.replicas) < (1.0 - SLACK_IN) * f64::from(current);
        is_worth_it.then(|| replicas_for((1.0 + SLACK_OUT) * self.exact, 1.0))
    }
}

impl HeuristicState {
    /// Requests per second that one replica can answer; `None` until one was used up, unless the
    /// operator knows. What was carried corrects an operator who knows of less.
    pub(super) fn capacity_per_s(&self, view: &View<'_>) -> Option<f64> {
        if self.used_up && self.throughput_per_s > 0.0 {
            return Some(self.throughput_per_s);
        }
        let carried_per_s = self.throughput_per_s.max(self.proven_per_s);
        view.config.capacity_hint_per_s().map(|hint_per_s| hint_per_s.max(carried_per_s))
    }

    /// The load as the outlook sees it.
    fn sight(&self, view: &View<'_>) -> Option<Sight> {
        let capacity_per_s = self.capacity_per_s(view)?;
        let present = view.load()?;
        let Looks { surely_per_s, mean_per_s, seconds } = self.looks(view)?;
        let full = usize::from(self.recent.len) == PROJECTION_WINDOWS - 1;
        let mean_per_s = mean_per_s - LEVEL_SIGMAS * poisson_sigma(mean_per_s, seconds);
        Some(Sight {
            level_per_s: if full { surely_per_s.max(mean_per_s) } else { surely_per_s },
            rate_per_s: f64::from(present.arrivals_per_s),
            seconds: f64::from(present.seconds),
            capacity_per_s,
        })
    }

    /// An outlook, once the load has moved by more than the noise of counting: a load that stands
    /// still needs none, and pays for none.
    fn first_outlook(&self, view: &View<'_>, present: Load) -> Option<Outlook> {
        self.capacity_per_s(view)?;
        let (mean_per_s, seconds) = mean_per_s(self.recent.as_slice().iter())?;
        let present_s = f64::from(present.seconds);
        let moved = (f64::from(present.arrivals_per_s) - mean_per_s) * present_s;
        let noise = libm::sqrt((mean_per_s * present_s).max(1.0));
        let has_moved = libm::fabs(moved) > MOVED_SIGMAS * noise;
        has_moved.then(|| Outlook::new(view, mean_per_s, seconds))
    }

    /// What the outlook asks for, where there is one.
    pub(super) fn needed(&self, view: &View<'_>) -> Option<Need> {
        let outlook = self.outlook.get()?;
        let sight = self.sight(view)?;
        let plan = outlook.plan(&sight);
        let busy = sight.level_per_s / sight.capacity_per_s;
        let spare = 1.0 / view.config.target_utilisation() - 1.0;
        let least = busy + spare * busy.min(libm::sqrt(POOLED * busy));
        let exact = least.max(plan.per_s() / sight.capacity_per_s);
        Some(Need { exact, replicas: replicas_for(exact, 1.0), plan })
    }

    /// Mean arrivals per second over the last `windows`, the present one included, and the
    /// seconds that it is a mean over.
    pub(super) fn mean_per_s(&self, windows: usize, present: Option<Load>) -> Option<(f64, f64)> {
        let present = present?;
        let past = self.recent.as_slice().iter().rev().take(windows.saturating_sub(1));
        mean_per_s(past.chain(core::iter::once(&present)))
    }

    /// Replicas that the learned capacity asks for, when the current ones are surely busy.
    pub(super) fn busy_replicas(&self, view: &View<'_>) -> Option<u32> {
        let capacity = self.capacity_per_s(view)?;
        let limit_per_s = BUSY_SHARE * capacity * f64::from(view.current);
        let surely_per_s = self.looks(view)?.surely_per_s;
        let per_replica_per_s = view.config.target_utilisation() * capacity;
        let needed = replicas_for(surely_per_s, per_replica_per_s);
        (surely_per_s > limit_per_s).then(|| needed.max(view.current.saturating_add(1)))
    }

    /// Looks back from the present window, in one pass.
    fn looks(&self, view: &View<'_>) -> Option<Looks> {
        let present = view.load()?;
        let (mut requests, mut seconds, mut surely_per_s) = (0.0, 0.0, 0.0_f64);
        let past = self.recent.as_slice().iter().rev();
        let mut looks = BUSY_LOOKS.iter();
        let mut look = looks.next();
        for (index, load) in core::iter::once(&present).chain(past).enumerate() {
            requests += f64::from(load.arrivals_per_s) * f64::from(load.seconds);
            seconds += f64::from(load.seconds);
            if let Some((windows, sigmas)) = look
                && index + 1 == *windows
            {
                // The same as with `poisson_sigma`, with one division less.
                let surely = requests - sigmas * libm::sqrt(requests);
                surely_per_s = surely_per_s.max(surely / seconds);
                look = looks.next();
            }
        }
        Some(Looks { surely_per_s, mean_per_s: requests / seconds, seconds })
    }

    /// Replicas that are enough for the present load by what a replica has carried, and what it is
    /// trusted with.
    pub(super) fn projected_replicas(&self, view: &View<'_>) -> Option<(u32, f64)> {
        let Looks { surely_per_s, mean_per_s, seconds } = self.looks(view)?;
        // The mean of a rising load lags behind it.
        let mean = mean_per_s.max(surely_per_s);
        let trusted =
            self.capacity_per_s(view).map_or(f64::INFINITY, |capacity| PROOF_SHARE * capacity);
        let proven_per_s = self.proven_per_s.min(trusted);
        let by_proof =
            (proven_per_s > 0.0).then(|| (replicas_for(mean, proven_per_s), proven_per_s));
        let by_capacity = self.capacity_per_s(view).map(|capacity| {
            let limit_per_s = view.config.target_utilisation() * capacity;
            let surely = mean + PROJECTION_SIGMAS * poisson_sigma(mean, seconds);
            (replicas_for(surely, limit_per_s), limit_per_s)
        });
        match (by_proof, by_capacity) {
            (Some(proof), Some(capacity)) => {
                Some(if proof.0 < capacity.0 { proof } else { capacity })
            }
            (proof, capacity) => proof.or(capacity),
        }
    }

    /// The least count that was enough at a load like this, while that is remembered.
    pub(super) fn floor(&self, view: &View<'_>) -> Option<LearnedFloor> {
        let floor = self.floor.filter(|floor| view.now < floor.until)?;
        let lighter = match (floor.arrivals_per_s, self.mean_per_s(RATE_WINDOWS, view.load())) {
            (Some(learned_at), Some((mean, _))) => mean < FLOOR_LOAD_SHARE * f64::from(learned_at),
            _ => false,
        };
        (!lighter).then_some(floor)
    }
}

impl View<'_> {
    /// The load of the window, where it is known.
    pub(super) fn load(&self) -> Option<Load> {
        let Traffic { arrivals_per_s, .. } = self.window.traffic?;
        let seconds = self.window.length().as_secs_f32();
        #[expect(clippy::cast_possible_truncation, reason = "rounded to single precision")]
        let load = Load { seconds, arrivals_per_s: arrivals_per_s as f32 };
        (seconds > 0.0).then_some(load)
    }

    /// Whether the p95 is outside the near-baseline band.
    pub(super) fn strays(&self) -> bool {
        self.window.latencies.is_some() && !self.signal.near
    }

    /// Whether the p95 is outside the band even at the lower end of its confidence interval.
    pub(super) fn strays_certainly(&self) -> bool {
        let (Some(estimate), Some(latencies)) = (self.estimate, self.window.latencies) else {
            return false;
        };
        let band_ms = estimate.band_high_ms(self.config, self.thresholds);
        latencies.p95_at_least().as_millis() > band_ms
    }
}

/// Mean arrivals per second, weighted by length, and the total length in seconds.
pub(super) fn mean_per_s<'a>(loads: impl Iterator<Item = &'a Load>) -> Option<(f64, f64)> {
    let (mut requests, mut seconds) = (0.0, 0.0);
    for load in loads {
        requests += f64::from(load.arrivals_per_s) * f64::from(load.seconds);
        seconds += f64::from(load.seconds);
    }
    (seconds > 0.0).then(|| (requests / seconds, seconds))
}

/// Standard deviation of a rate that was counted over `seconds`.
pub(super) fn poisson_sigma(mean_per_s: f64, seconds: f64) -> f64 {
    libm::sqrt(mean_per_s / seconds)
}

/// The least count at which each carries at most `limit`.
pub(super) fn replicas_for(load: f64, limit: f64) -> u32 {
    // A limit of zero gives infinity, which the minimum bounds; what is no number asks for none.
    let exact = if load > 0.0 { (load / limit).min(REPLICAS_MAX) } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1e6")]
    let below = exact as u32;
    below + u32::from(f64::from(below) < exact)
}
