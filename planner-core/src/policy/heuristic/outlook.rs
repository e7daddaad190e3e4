//! The load to plan for: how far it rose within a start-up time before, and what that is worth.
//!
//! A replica that is ordered now serves a start-up time later, so what counts is the load then.
//! Three plain forecasts are made of it: the present level, the mean of about an hour, and the
//! peak of the last minutes. Each keeps a histogram of what came a start-up time later as a share
//! of it, forgotten with a half-life. From that follows the margin at which one replica more
//! costs what it saves: the critical fractile of the newsvendor (Arrow, Harris and Marschak 1951),
//! with [`Config::slow_price`](crate::Config::slow_price) for the request that waits. Each forecast
//! is charged with what would have come of it, and the one with the least charge lately is
//! followed.
//!
//! Margins are learned from the windows before, never from the present one, and multiply it: more
//! load never plans for less.

mod room;

use core::time::Duration;

pub(super) use room::Room;

use super::View;
use crate::Timestamp;

/// Shares that are told apart: the first holds all up to its edge, the last all above the one
/// before.
const BINS: usize = 56;
/// The upper edge of the first, and the factor from one edge to the next.
const FIRST_EDGE: f64 = 0.35;
const EDGE_FACTOR: f64 = 1.06;
/// The upper edges.
const EDGES: [f64; BINS] = edges();
/// Half-life of what was seen, in seconds.
const HALF_LIFE_S: f64 = 7_200.0;
/// Steps that a start-up time is looked at in.
const STEPS: usize = 8;
/// Before anything was seen, shares from one to this are likely, the higher the less...
const PRIOR_MOST: f64 = 1.5;
/// ...and count as much as so many seconds for good: one burst of a short past is no habit, and a
/// calm of hours no promise.
const PRIOR_S: f64 = 1200.0;
/// Time constant of the mean, in seconds.
const MEAN_S: f64 = 3_600.0;
/// The peak is of so many minutes: five, and the present one.
const PEAK_MINUTES: usize = 6;
const MINUTE: Duration = Duration::from_secs(60);
/// What came is held against at least this share of what one replica carries: a share of next to
/// nothing says nothing of other loads.
const LEAST_SHARE: f64 = 0.5;
/// Time constant of what following a forecast costs, in seconds.
const RECORD_S: f64 = 10_800.0;
/// The least record that is compared, in seconds.
const RECORD_LEAST_S: f64 = 600.0;
/// Shares are taken for no more than this, and so is what is no number.
const SHARE_MAX: f64 = 1e9;
/// An observation counts at most so many times, for its size and for how far off it is.
const TIMES_MAX: f64 = 1e3;
/// Weights are scaled back when they reach this.
const WEIGHT_MAX: f64 = 1e6;

const fn edges() -> [f64; BINS] {
    let mut edges = [FIRST_EDGE; BINS];
    let mut index = 1;
    while index < BINS {
        edges[index] = edges[index - 1] * EDGE_FACTOR;
        index += 1;
    }
    edges
}

/// What a forecast is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Basis {
    /// The present level.
    Level,
    /// The mean of about an hour.
    Mean,
    /// The peak of the last five minutes.
    Peak,
}

impl Basis {
    const ALL: [Self; 3] = [Self::Level, Self::Mean, Self::Peak];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Level => "the present level",
            Self::Mean => "the hourly mean",
            Self::Peak => "the peak of five minutes",
        }
    }
}

/// What is planned for, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) basis: Basis,
    /// The forecast without a margin.
    pub(super) forecast_per_s: f64,
    /// What it is multiplied with.
    pub(super) margin: f64,
}

impl Plan {
    pub(super) fn per_s(&self) -> f64 {
        self.forecast_per_s * self.margin
    }
}

/// How the load moved, and what follows from it.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Outlook {
    forecasts: [Forecast; Basis::ALL.len()],
    /// Forecasts that are still to be held against what came, oldest first.
    open: [[f32; Basis::ALL.len()]; STEPS],
    open_len: u8,
    /// When the newest of them was made.
    opened: Timestamp,
    /// What an observation counts now; it grows, so that older ones count less.
    weight: f64,
    /// The seconds that the forecasts' records are of; version 2 kept none.
    #[cfg_attr(feature = "serde", serde(default))]
    record_s: f64,
    /// The mean of about an hour, and the seconds that it is of.
    mean_per_s: f64,
    mean_s: f64,
    /// The highest level of each of the last minutes, newest first, and when the newest began.
    peaks_per_s: [f32; PEAK_MINUTES],
    minute: Timestamp,
}

/// What is remembered of one basis.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "stored::Forecast", into = "stored::Forecast"))]
struct Forecast {
    /// How often what came was up to each edge, as weights.
    counts: [f32; BINS],
    margin: f64,
    /// Its record: what following it cost lately, in requests a second.
    cost_per_s: f64,
}

/// A load as a window shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// The level that is no noise of counting.
    pub(super) level_per_s: f64,
    /// The window alone.
    pub(super) rate_per_s: f64,
    pub(super) seconds: f64,
    /// What one replica carries.
    pub(super) capacity_per_s: f64,
}

impl Default for Forecast {
    fn default() -> Self {
        Self { counts: [0.0; BINS], margin: 0.0, cost_per_s: 0.0 }
    }
}

impl Outlook {
    /// Nothing was seen yet but that the load was about `mean_per_s` for `mean_s` seconds.
    pub(super) fn new(view: &View<'_>, mean_per_s: f64, mean_s: f64) -> Self {
        let margin = fractile(&[0.0; BINS], 1.0, 1.0, view.config.slow_price());
        let forecasts = Basis::ALL.map(|_| Forecast { margin, ..Forecast::default() });
        let (opened, minute) = (view.now, view.now);
        Self { forecasts, opened, minute, weight: 1.0, mean_per_s, mean_s, ..Self::default() }
    }

    /// Whether it is one, and not the room for one.
    const fn is_taken(&self) -> bool {
        self.weight > 0.0
    }

    /// The load to plan for when a window shows `sight`.
    pub(super) fn plan(&self, sight: &Sight) -> Plan {
        // The present level needs no record; the others have to show that they were cheaper.
        let cheapest = |before: usize, next: usize| {
            let [before_per_s, next_per_s] =
                [before, next].map(|index| self.forecasts[index].cost_per_s);
            if next_per_s < before_per_s { next } else { before }
        };
        let known = if self.record_s < RECORD_LEAST_S { 1 } else { Basis::ALL.len() };
        let index = (0..known).fold(0, cheapest);
        Plan {
            basis: Basis::ALL[index],
            forecast_per_s: self.forecasts_per_s(sight)[index],
            margin: self.forecasts[index].margin,
        }
    }

    /// The forecasts, in the order of [`Basis::ALL`].
    fn forecasts_per_s(&self, sight: &Sight) -> [f64; Basis::ALL.len()] {
        let peak_per_s = self.peaks_per_s.iter().copied().map(f64::from);
        let peak_per_s = peak_per_s.fold(sight.level_per_s, f64::max);
        [sight.level_per_s, self.mean_with(sight), peak_per_s]
    }

    /// The mean with this window in it.
    fn mean_with(&self, sight: &Sight) -> f64 {
        let share = sight.seconds / (self.mean_s + sight.seconds).min(MEAN_S).max(sight.seconds);
        self.mean_per_s + share * (sight.rate_per_s - self.mean_per_s)
    }

    /// Learns from a window, after its decision.
    pub(super) fn learn(&mut self, view: &View<'_>, sight: &Sight) {
        let forecasts_per_s = self.forecasts_per_s(sight);
        self.mean_per_s = self.mean_with(sight);
        self.mean_s = (self.mean_s + sight.seconds).min(MEAN_S);
        self.note_peak(view.now, sight.level_per_s);
        let horizon_s = view.config.startup_allowance().as_secs_f64().max(1.0);
        let apart_s = view.now.saturating_since(self.opened).as_secs_f64();
        if apart_s < horizon_s / STEPS as f64 {
            return;
        }
        self.opened = view.now;
        let passed_s = apart_s.min(horizon_s);
        self.weight *= libm::exp2(passed_s / HALF_LIFE_S);
        // Forecasts of before a gap are of another day; of long windows few make a start-up time.
        let steps = libm::round(horizon_s / apart_s).clamp(1.0, STEPS as f64);
        let is_gap = apart_s > 2.0 * horizon_s.max(sight.seconds);
        while self.open_len > 0 && (is_gap || f64::from(self.open_len) > steps) {
            self.drop_oldest();
        }
        let price = view.config.slow_price();
        if f64::from(self.open_len) >= steps {
            self.judge(sight);
            self.settle(sight, passed_s, price);
            self.drop_oldest();
        }
        #[expect(clippy::cast_possible_truncation, reason = "rounded to single precision")]
        if let Some(slot) = self.open.get_mut(usize::from(self.open_len)) {
            *slot = forecasts_per_s.map(|per_s| per_s as f32);
            self.open_len += 1;
        }
        for forecast in &mut self.forecasts {
            forecast.margin = fractile(&forecast.counts, self.weight, PRIOR_S / passed_s, price);
        }
    }

    /// Forgets the oldest open forecasts.
    fn drop_oldest(&mut self) {
        self.open.copy_within(1.., 0);
        self.open_len = self.open_len.saturating_sub(1);
    }

    /// Whether it could have been learned.
    #[cfg(feature = "serde")]
    fn is_sound(&self) -> bool {
        let is_amount = |value: f64| (0.0..=1e30).contains(&value);
        let are_rates = |rates: &[f32]| rates.iter().all(|rate| is_amount(f64::from(*rate)));
        let is_learned = |forecast: &Forecast| {
            let margins = EDGES[0]..=EDGES[BINS - 1];
            are_rates(&forecast.counts)
                && margins.contains(&forecast.margin)
                && is_amount(forecast.cost_per_s)
        };
        self.forecasts.iter().all(is_learned)
            && self.open.iter().all(|rates| are_rates(rates))
            && usize::from(self.open_len) <= STEPS
            && (1.0..=2.0 * WEIGHT_MAX).contains(&self.weight)
            && (0.0..=RECORD_S).contains(&self.record_s)
            && is_amount(self.mean_per_s)
            && (0.0..=MEAN_S).contains(&self.mean_s)
            && are_rates(&self.peaks_per_s)
    }

    /// Holds the oldest open forecasts against what came.
    fn judge(&mut self, sight: &Sight) {
        let least_per_s = LEAST_SHARE * sight.capacity_per_s;
        let scale_back = self.weight > WEIGHT_MAX;
        for (forecast, per_s) in self.forecasts.iter_mut().zip(self.open[0]) {
            let per_s = f64::from(per_s).max(least_per_s);
            let share = (sight.level_per_s / per_s).min(SHARE_MAX);
            let bin = EDGES.partition_point(|edge| *edge < share).min(BINS - 1);
            // The margin multiplies large forecasts too, so each counts by its size; what is beyond
            // the last edge counts by how far.
            let size = (per_s / self.mean_per_s.max(least_per_s)).min(TIMES_MAX);
            let far = (share / EDGES[BINS - 1]).clamp(1.0, TIMES_MAX);
            #[expect(clippy::cast_possible_truncation, reason = "rounded to single precision")]
            let (weight, factor) = ((self.weight * size * far) as f32, (1.0 / self.weight) as f32);
            forecast.counts[bin] += weight;
            if scale_back {
                forecast.counts.iter_mut().for_each(|count| *count *= factor);
            }
        }
        if scale_back {
            self.weight = 1.0;
        }
    }

    /// Charges each forecast for what the oldest open one of it would have cost, with the margin
    /// that it has by now: the capacity that it asks for, and the price of the requests that waited
    /// because it was too little. The present load with its spare, below which nothing is planned,
    /// is left out: a forecast is charged for itself.
    fn settle(&mut self, sight: &Sight, passed_s: f64, price: f64) {
        self.record_s = (self.record_s + passed_s).min(RECORD_S);
        let share = (passed_s / self.record_s).min(1.0);
        let least_per_s = LEAST_SHARE * sight.capacity_per_s;
        for (forecast, per_s) in self.forecasts.iter_mut().zip(self.open[0]) {
            let planned_per_s = f64::from(per_s).max(least_per_s) * forecast.margin;
            let waited = sight.level_per_s > planned_per_s;
            let slow_per_s = if waited { sight.level_per_s } else { 0.0 };
            let cost_per_s = planned_per_s + price * slow_per_s;
            forecast.cost_per_s += share * (cost_per_s - forecast.cost_per_s);
        }
    }

    fn note_peak(&mut self, now: Timestamp, level_per_s: f64) {
        let minutes = now.saturating_since(self.minute).as_secs() / MINUTE.as_secs();
        for _ in 0..minutes.min(PEAK_MINUTES as u64) {
            self.peaks_per_s.rotate_right(1);
            self.peaks_per_s[0] = 0.0;
        }
        if minutes >= PEAK_MINUTES as u64 {
            self.minute = now;
        } else if minutes > 0 {
            let passed = Duration::from_secs(minutes * MINUTE.as_secs());
            self.minute = self.minute.saturating_add(passed);
        }
        #[expect(clippy::cast_possible_truncation, reason = "rounded to single precision")]
        let level_per_s = level_per_s as f32;
        self.peaks_per_s[0] = self.peaks_per_s[0].max(level_per_s);
    }

    /// Goes on after the clock was set back by `behind`.
    pub(super) fn rebase(&mut self, behind: Duration) {
        self.opened = self.opened.saturating_sub(behind);
        self.minute = self.minute.saturating_sub(behind);
    }
}

/// The margin whose cost is least: the margin itself, and `price` for each request of a load that
/// exceeds it. O(bins).
fn fractile(counts: &[f32; BINS], weight: f64, prior: f64, price: f64) -> f64 {
    let seen: f64 = counts.iter().copied().map(f64::from).sum();
    let total = seen / weight + prior;
    let (mut beyond, mut best) = (0.0, (f64::INFINITY, 1.0));
    for (edge, count) in EDGES.iter().zip(counts).rev() {
        let below = ((PRIOR_MOST - *edge) / (PRIOR_MOST - 1.0)).clamp(0.0, 1.0);
        let unseen = prior * below * below;
        let cost = edge + price * (beyond / weight + unseen) / total;
        if cost <= best.0 {
            best = (cost, *edge);
        }
        beyond += f64::from(*count) * edge;
    }
    best.1
}

/// The same as it is stored.
#[cfg(feature = "serde")]
mod stored {
    use alloc::vec::Vec;

    #[derive(serde::Serialize, serde::Deserialize)]
    pub(super) struct Forecast {
        counts: Vec<f32>,
        margin: f64,
        cost_per_s: f64,
    }

    impl From<super::Forecast> for Forecast {
        fn from(forecast: super::Forecast) -> Self {
            let super::Forecast { counts, margin, cost_per_s } = forecast;
            Self { counts: counts.to_vec(), margin, cost_per_s }
        }
    }

    impl From<Forecast> for super::Forecast {
        fn from(stored: Forecast) -> Self {
            let mut counts = [0.0; super::BINS];
            for (count, stored) in counts.iter_mut().zip(&stored.counts) {
                *count = *stored;
            }
            let Forecast { margin, cost_per_s, .. } = stored;
            Self { counts, margin, cost_per_s }
        }
    }
}
