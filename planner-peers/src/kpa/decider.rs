//! One step: two averages and the ready count in, a count out.

use core::time::Duration;

use planner_core::Timestamp;

use super::peaks::Peaks;

/// What is averaged and compared with the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Metric {
    /// Requests under way.
    #[default]
    Concurrency,
    /// Requests per second.
    RequestsPerSecond,
}

/// What is wanted of one service. [`Kpa::new`](super::Kpa::new) checks it; [`Spec::scale`] takes
/// it as it is.
///
/// The default is Knative's for concurrency: 70 % of 100, panic at 200 %, at most 1000 times as
/// many and half as many in one step, a stable window of 60 s, no delay.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who tune it")]
pub struct Spec {
    /// What is averaged.
    pub metric: Metric,
    /// What a replica should carry, in the metric's unit; above 0.
    pub target_per_replica: f64,
    /// What a replica can carry, in the metric's unit.
    pub total_per_replica: f64,
    /// How much of a sudden burst the service should carry without a buffer in front, in the
    /// metric's unit: below 0 is any burst, 0 is none.
    pub target_burst_capacity: f64,
    /// Panic begins when the panic average asks for this many times the ready replicas.
    pub panic_threshold: f64,
    /// Most times as many replicas as are ready.
    pub max_scale_up_rate: f64,
    /// Least part of the ready replicas, as a divisor.
    pub max_scale_down_rate: f64,
    /// How long panic lasts after the threshold was last reached.
    pub stable_window: Duration,
    /// How long a lower count has to be wanted before it is taken.
    pub scale_down_delay: Duration,
    /// Whether requests can reach the service; one that is out of reach is scaled in at any rate
    /// and without delay.
    pub reachable: bool,
    /// Least count while there is any load; below 2 it has no effect.
    pub activation_scale: u32,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            metric: Metric::Concurrency,
            target_per_replica: 70.0,
            total_per_replica: 100.0,
            target_burst_capacity: 211.0,
            panic_threshold: 2.0,
            max_scale_up_rate: 1_000.0,
            max_scale_down_rate: 2.0,
            stable_window: Duration::from_secs(60),
            scale_down_delay: Duration::ZERO,
            reachable: true,
            activation_scale: 1,
        }
    }
}

/// Both averages over the whole service, in the metric's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "two windows are what the algorithm is about")]
pub struct Observed {
    /// Over the stable window.
    pub stable: f64,
    /// Over the panic window.
    pub panic: f64,
}

/// What is remembered from step to step: panic, and the counts that delay a scale-in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DeciderState {
    panic: Panic,
    peaks: Peaks,
}

/// Panic, if any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Panic {
    /// When the threshold was last reached.
    since: Option<Timestamp>,
    /// The most that was wanted since it began.
    most: u32,
}

impl DeciderState {
    /// In panic since `since`, where at most `most` replicas were wanted.
    pub fn panicking(since: Timestamp, most: u32) -> Self {
        Self { panic: Panic { since: Some(since), most }, peaks: Peaks::default() }
    }

    /// Without panic.
    pub fn calm() -> Self {
        Self::default()
    }

    /// At a start of the autoscaler with `ready` replicas. More than one begin in panic: history
    /// is lost, and without it they would be scaled in at once.
    pub fn starting(now: Timestamp, ready: u32) -> Self {
        let since = (ready > 1).then_some(now);
        Self { panic: Panic { since, most: ready }, peaks: Peaks::default() }
    }

    /// When the panic threshold was last reached; `None` without panic.
    pub const fn panicking_since(&self) -> Option<Timestamp> {
        self.panic.since
    }

    /// The most replicas that were wanted since panic began; nothing goes below it. A service that
    /// started with one replica or none keeps that as its least for the first panic.
    pub const fn most_panic_replicas(&self) -> u32 {
        self.panic.most
    }

    /// Goes on after the clock was set back by `behind`.
    pub fn rebase(&mut self, behind: Duration) {
        self.panic.since = self.panic.since.map(|since| since.saturating_sub(behind));
        self.peaks.rebase(behind);
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scale {
    /// Replicas that are wanted.
    pub desired: u32,
    /// What the ready replicas can carry beyond the panic average and the target burst; negative
    /// asks for a buffer in front. -1 when any burst is to be carried, 0 when none is.
    pub excess_burst_capacity: i32,
    /// Whether it was panic that decided.
    pub panicking: bool,
    /// Whether a higher count of the last while decided.
    pub delayed: bool,
    /// Whether the averages ask for more, or less, than one step may change.
    pub limited: bool,
}

/// A count, and whether a rate cut it.
#[derive(Clone, Copy)]
struct Count {
    replicas: u32,
    limited: bool,
}

impl Spec {
    /// Takes one step at `now` with `ready` replicas.
    ///
    /// `None` when nothing was observed: nothing is wanted then, and nothing is remembered.
    ///
    /// ```
    /// use planner_core::Timestamp;
    /// use planner_peers::kpa::{DeciderState, Observed, Spec};
    ///
    /// let spec = Spec { target_per_replica: 10.0, ..Spec::default() };
    /// let mut state = DeciderState::calm();
    /// let observed = Observed { stable: 28.0, panic: 95.0 };
    /// let scale = spec.scale(Timestamp::ORIGIN, 3, Some(observed), &mut state);
    /// // 95 would take ten, more than twice the three that are ready: panic.
    /// assert_eq!(scale.map(|it| (it.desired, it.panicking)), Some((10, true)));
    /// assert_eq!(spec.scale(Timestamp::ORIGIN, 3, None, &mut state), None);
    /// ```
    pub fn scale(
        &self,
        now: Timestamp,
        ready: u32,
        observed: Option<Observed>,
        state: &mut DeciderState,
    ) -> Option<Scale> {
        let observed = observed?;
        let (count, panic) = self.count(now, ready, observed, state.panic);
        let scale = self.finish(now, ready, observed, (count, panic), &state.peaks);
        state.panic = panic;
        if let Some(delay) = self.delay() {
            state.peaks.record(now, delay, count.replicas);
        }
        Some(scale)
    }

    /// What [`Spec::scale`] would come to; nothing is remembered of it.
    pub fn preview(
        &self,
        now: Timestamp,
        ready: u32,
        observed: Option<Observed>,
        state: &DeciderState,
    ) -> Option<Scale> {
        let observed = observed?;
        let counted = self.count(now, ready, observed, state.panic);
        Some(self.finish(now, ready, observed, counted, &state.peaks))
    }

    /// The count before a delay, and the panic after it.
    fn count(
        &self,
        now: Timestamp,
        ready: u32,
        observed: Observed,
        before: Panic,
    ) -> (Count, Panic) {
        let serving = f64::from(ready.max(1));
        let stable = self.within_rates(serving, observed.stable);
        let urgent = self.within_rates(serving, observed.panic);
        let mut panic = before;
        if self.replicas_for(observed.panic) / serving >= self.panic_threshold {
            panic.since = Some(now);
        } else if before.since.is_some_and(|it| it.saturating_add(self.stable_window) < now) {
            panic = Panic::default();
        }
        if panic.since.is_none() {
            return (stable, panic);
        }
        // The stable average can be the larger of the two, and is provided for as well.
        let wanted = if urgent.replicas > stable.replicas { urgent } else { stable };
        if wanted.replicas >= panic.most {
            panic.most = wanted.replicas;
            return (wanted, panic);
        }
        (Count { replicas: panic.most, limited: false }, panic)
    }

    /// The delay, and what is left for a burst.
    fn finish(
        &self,
        now: Timestamp,
        ready: u32,
        observed: Observed,
        (count, panic): (Count, Panic),
        peaks: &Peaks,
    ) -> Scale {
        let wanted = count.replicas;
        let desired = self.delay().map_or(wanted, |delay| peaks.highest_with(now, delay, wanted));
        Scale {
            desired,
            excess_burst_capacity: self.excess_burst_capacity(ready, observed.panic),
            panicking: panic.since.is_some(),
            delayed: desired > wanted,
            limited: count.limited,
        }
    }

    /// The delay of a scale-in, if there is one: nobody waits for a service out of reach.
    fn delay(&self) -> Option<Duration> {
        (self.reachable && !self.scale_down_delay.is_zero()).then_some(self.scale_down_delay)
    }

    /// Replicas that `value` would take, as a whole number.
    fn replicas_for(&self, value: f64) -> f64 {
        (value / self.target_per_replica).ceil()
    }

    /// Replicas for `value` within one step's rates, and at least the activation scale.
    ///
    /// A step may always add one: the upper limit is rounded up, the lower one down.
    fn within_rates(&self, serving: f64, value: f64) -> Count {
        let wanted = self.replicas_for(value);
        let most = (self.max_scale_up_rate * serving).ceil();
        let least = if self.reachable { (serving / self.max_scale_down_rate).floor() } else { 0.0 };
        let allowed = wanted.max(least).min(most);
        let replicas = whole(allowed);
        if wanted > 0.0 && self.activation_scale > 1 && self.activation_scale > replicas {
            return Count { replicas: self.activation_scale, limited: false };
        }
        Count { replicas, limited: allowed != wanted.max(0.0) }
    }

    /// Follows the ready replicas as they are: none can carry nothing.
    fn excess_burst_capacity(&self, ready: u32, panic_value: f64) -> i32 {
        if self.target_burst_capacity == 0.0 {
            return 0;
        }
        if self.target_burst_capacity < 0.0 {
            return -1;
        }
        let total = f64::from(ready) * self.total_per_replica;
        let excess = (total - self.target_burst_capacity - panic_value).floor();
        #[expect(clippy::cast_possible_truncation, reason = "whole, and saturates")]
        let excess = excess as i32;
        excess
    }
}

/// A whole count; what is negative or no number is 0, what is too large the largest.
fn whole(count: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let count = count as u32;
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    fn spec() -> Spec {
        Spec { target_per_replica: 10.0, total_per_replica: 10.0, ..Spec::default() }
    }

    fn step(spec: &Spec, second: u64, ready: u32, both: f64, state: &mut DeciderState) -> u32 {
        let observed = Some(Observed { stable: both, panic: both });
        spec.scale(at(second), ready, observed, state).expect("observed").desired
    }

    #[test]
    fn without_an_observation_nothing_is_wanted_and_nothing_forgotten() {
        let mut state = DeciderState::panicking(at(0), 9);
        let before = state.clone();
        assert_eq!(spec().scale(at(1_000), 3, None, &mut state), None);
        assert_eq!(state, before);
    }

    #[test]
    fn numbers_that_are_none_ask_for_no_more_than_the_rates_allow() {
        let mut state = DeciderState::calm();
        assert_eq!(step(&spec(), 0, 4, f64::NAN, &mut state), 2);
        assert_eq!(step(&spec(), 0, 4, f64::INFINITY, &mut state), 4_000);
        let broken = Spec { target_per_replica: 0.0, ..spec() };
        assert_eq!(step(&broken, 0, 4, 1.0, &mut DeciderState::calm()), 4_000);
    }

    #[test]
    fn a_negative_average_wants_none() {
        let free = Spec { reachable: false, ..spec() };
        assert_eq!(step(&free, 0, 4, -3.0, &mut DeciderState::calm()), 0);
    }

    #[test]
    fn panic_scales_nothing_in_until_a_whole_stable_window_is_over() {
        let mut state = DeciderState::calm();
        assert_eq!(step(&spec(), 0, 1, 50.0, &mut state), 5);
        assert_eq!(step(&spec(), 2, 5, 10.0, &mut state), 5);
        assert_eq!(step(&spec(), 60, 5, 10.0, &mut state), 5);
        assert_eq!(step(&spec(), 61, 5, 10.0, &mut state), 2);
        assert_eq!(state.panicking_since(), None);
    }

    #[test]
    fn panic_lasts_longer_when_the_threshold_is_reached_again() {
        let mut state = DeciderState::calm();
        let _ = step(&spec(), 0, 1, 50.0, &mut state);
        let _ = step(&spec(), 50, 2, 40.0, &mut state);
        assert_eq!(step(&spec(), 61, 5, 10.0, &mut state), 5);
    }

    #[test]
    fn in_panic_the_larger_average_rules() {
        let mut state = DeciderState::panicking(at(0), 2);
        let observed = Observed { stable: 70.0, panic: 30.0 };
        let scale = spec().scale(at(1), 5, Some(observed), &mut state).expect("observed");
        assert_eq!((scale.desired, state.most_panic_replicas()), (7, 7));
    }

    #[test]
    fn a_start_with_replicas_keeps_them_and_one_with_one_does_not() {
        let mut state = DeciderState::starting(at(0), 6);
        assert_eq!(step(&spec(), 2, 6, 0.0, &mut state), 6);
        let mut state = DeciderState::starting(at(0), 1);
        assert_eq!(step(&spec(), 2, 1, 0.0, &mut state), 0);
    }

    #[test]
    fn a_step_is_cut_to_its_rates_and_says_so() {
        let tight = Spec { max_scale_up_rate: 1.1, ..spec() };
        let at_once = |spec: &Spec, ready, both| {
            let observed = Some(Observed { stable: both, panic: 0.0 });
            let scale = spec.preview(at(0), ready, observed, &DeciderState::calm());
            scale.map(|it| (it.desired, it.limited))
        };
        assert_eq!(at_once(&tight, 2, 90.0), Some((3, true)));
        assert_eq!(at_once(&tight, 9, 10.0), Some((4, true)));
        assert_eq!(at_once(&tight, 9, 90.0), Some((9, false)));
        let free = Spec { reachable: false, ..tight };
        assert_eq!(at_once(&free, 9, -50.0), Some((0, false)));
    }

    #[test]
    fn with_none_ready_a_step_changes_as_much_as_with_one() {
        let tight = Spec { max_scale_up_rate: 3.0, ..spec() };
        for ready in [0, 1] {
            assert_eq!(step(&tight, 0, ready, 90.0, &mut DeciderState::calm()), 3);
        }
    }

    #[test]
    fn the_activation_scale_counts_only_under_load() {
        let active = Spec { activation_scale: 4, ..spec() };
        assert_eq!(step(&active, 0, 1, 1.0, &mut DeciderState::calm()), 4);
        assert_eq!(step(&active, 0, 1, 0.0, &mut DeciderState::calm()), 0);
    }

    #[test]
    fn a_delay_keeps_the_higher_count_and_says_so() {
        let slow = Spec { scale_down_delay: Duration::from_secs(10), ..spec() };
        let mut state = DeciderState::calm();
        assert_eq!(step(&slow, 0, 9, 90.0, &mut state), 9);
        let observed = Some(Observed { stable: 50.0, panic: 50.0 });
        let shown = slow.preview(at(2), 9, observed, &state).expect("observed");
        assert_eq!((shown.desired, shown.delayed), (9, true));
        assert_eq!(slow.scale(at(2), 9, observed, &mut state), Some(shown));
        assert_eq!(step(&slow, 10, 9, 50.0, &mut state), 5);
    }

    #[test]
    fn nothing_waits_for_a_service_out_of_reach() {
        let slow = Spec { scale_down_delay: Duration::from_secs(60), ..spec() };
        let unreachable = Spec { reachable: false, ..slow };
        let mut state = DeciderState::calm();
        assert_eq!(step(&slow, 0, 9, 90.0, &mut state), 9);
        assert_eq!(step(&unreachable, 2, 9, 120.0, &mut state), 12);
        assert_eq!(step(&unreachable, 4, 9, 10.0, &mut state), 1);
        // What was wanted meanwhile delays nothing afterwards, what was wanted before does.
        assert_eq!(step(&slow, 6, 9, 10.0, &mut state), 9);
    }

    #[test]
    fn what_is_left_for_a_burst_follows_the_panic_average_and_who_is_ready() {
        let excess = |spec: Spec, ready| {
            let observed = Some(Observed { stable: 0.0, panic: 12.5 });
            let scale = spec.preview(at(0), ready, observed, &DeciderState::calm());
            scale.map(|it| it.excess_burst_capacity)
        };
        let with = |target_burst_capacity| Spec { target_burst_capacity, ..spec() };
        assert_eq!(excess(with(20.0), 5), Some(17));
        assert_eq!(excess(with(20.0), 0), Some(-33));
        assert_eq!(excess(with(0.0), 5), Some(0));
        assert_eq!(excess(with(-1.0), 5), Some(-1));
    }

    #[test]
    fn a_clock_set_back_makes_panic_no_longer() {
        let mut state = DeciderState::panicking(at(1_000), 5);
        state.rebase(Duration::from_secs(900));
        assert_eq!(step(&spec(), 160, 5, 10.0, &mut state), 5);
        assert_eq!(step(&spec(), 161, 5, 10.0, &mut state), 2);
    }

    #[test]
    fn a_clock_set_back_makes_a_delay_no_longer() {
        let slow = Spec { scale_down_delay: Duration::from_secs(10), ..spec() };
        let mut state = DeciderState::calm();
        assert_eq!(step(&slow, 1_000, 9, 90.0, &mut state), 9);
        state.rebase(Duration::from_secs(900));
        assert_eq!(step(&slow, 108, 9, 50.0, &mut state), 9);
        assert_eq!(step(&slow, 110, 9, 50.0, &mut state), 5);
    }
}
