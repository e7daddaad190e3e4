//! The model, fitted to what was recorded.

use std::collections::BTreeMap;

use planner_core::journal::Record;
use planner_core::{Config, Decision, Event, Operation, Outcome, Step, Timestamp, Window};

use super::model::{Assumed, Model, NoPlant, Source};

/// Use of the capacity up to which latency counts as calm.
const CALM_UTILISATION: f64 = 0.7;
/// A p95 of this many calm ones means that requests wait: replicas are used up.
const WAITING_RATIO: f64 = 2.0;
/// Seconds after which a request leaves, where no timeout was recorded.
const PATIENCE_DEFAULT_S: f64 = 10.0;

/// One recorded window, and what was done on it.
#[derive(Clone, Debug)]
pub(super) struct Moment<'a> {
    pub(super) window: &'a Window,
    /// Operator's orders since the window before.
    pub(super) operations: Vec<(Timestamp, Operation)>,
    /// When the window was handed over.
    pub(super) at: Timestamp,
    /// The scaling that was carried out on it, or on the consultation that it opened.
    pub(super) scaled: Option<(Timestamp, u32)>,
    /// The last decision on it.
    pub(super) decision: Option<&'a Decision>,
}

/// The recorded run as a series of fresh windows.
#[derive(Clone, Debug)]
pub(super) struct History<'a> {
    pub(super) moments: Vec<Moment<'a>>,
    /// How many of them are not behind the divergence.
    pub(super) before: usize,
}

impl<'a> History<'a> {
    /// The windows of `records`, which diverge at the record of that number.
    pub(super) fn of(records: &'a [Record], diverged: usize) -> Self {
        let mut moments: Vec<Moment<'a>> = Vec::new();
        let mut before = 0;
        let mut operations = Vec::new();
        let mut orders: BTreeMap<u64, usize> = BTreeMap::new();
        for (index, record) in records.iter().enumerate() {
            match &record.event {
                Event::Observe(window) => {
                    let last = moments.last().map(|moment| moment.window.end());
                    if last.is_none_or(|last| window.end() > last) {
                        let operations = std::mem::take(&mut operations);
                        let at = record.at;
                        moments.push(Moment {
                            window,
                            operations,
                            at,
                            scaled: None,
                            decision: None,
                        });
                    }
                }
                Event::Operate(operation) => operations.push((record.at, *operation)),
                Event::Settle(id, Outcome::Refuse) => {
                    if let Some(index) = orders.get(&id.get())
                        && let Some(moment) = moments.get_mut(*index)
                    {
                        moment.scaled = None;
                    }
                }
                _ => {}
            }
            if let (Step::Decide(decision), Some(place)) =
                (&record.step, moments.len().checked_sub(1))
            {
                moments[place].decision = Some(decision);
                if let Some(target) = decision.target() {
                    moments[place].scaled = Some((record.at, target));
                    orders.insert(decision.id.get(), place);
                }
            }
            if index <= diverged {
                before = moments.len();
            }
        }
        Self { moments, before }
    }

    /// The moment of the divergence.
    pub(super) fn divergence(&self) -> Option<&Moment<'a>> {
        self.moments.get(self.before.checked_sub(1)?)
    }

    /// The model of the service, with the objective that the caller gave.
    pub(super) fn model(
        &self,
        config: &Config,
        objective_ms: Option<f64>,
    ) -> Result<Model, NoPlant> {
        let arrivals = |moment: &Moment<'_>| moment.window.traffic().is_some();
        if !self.moments.iter().any(arrivals) {
            return Err(NoPlant::ArrivalsUnknown);
        }
        let behind = &self.moments[self.before..];
        if behind.is_empty() {
            return Err(NoPlant::NothingFollows);
        }
        let (capacity, base) = (self.capacity(config)?, self.first_of(lowest_p95));
        let lowest = base.ok_or(NoPlant::LatencyUnknown)?;
        let (capacity_per_s, used_up) = capacity;
        let calm = |moments: &[Moment<'_>]| calm_p95(moments, capacity_per_s.value);
        let base_ms = self.first_of(calm).unwrap_or(lowest);
        let default = |value, source| Assumed { value, source, evidence: 0 };
        let startup_s = self
            .first_of(startup_s)
            .unwrap_or_else(|| default(config.startup_allowance().as_secs_f64(), Source::Setting));
        let patience_s = self
            .first_of(patience_s)
            .unwrap_or_else(|| default(PATIENCE_DEFAULT_S, Source::Default));
        let objective_ms = objective_ms.map_or_else(
            || Assumed { value: base_ms.value * config.thresholds().up_ratio, ..base_ms },
            |given| default(given, Source::Setting),
        );
        let waited = |moment: &Moment<'_>| {
            p95_ms(moment.window).is_some_and(|p95| p95 > WAITING_RATIO * base_ms.value)
        };
        let filled = behind.iter().filter(|moment| moment.window.traffic().is_none()).count();
        Ok(Model {
            capacity_per_s,
            capacity_is_tight: capacity_per_s.source == Source::Setting
                || used_up
                || self.moments.iter().any(waited),
            base_ms,
            startup_s,
            patience_s,
            objective_ms,
            arrivals_filled: filled as u64,
        })
    }

    /// What `tell` finds before the divergence, or in the whole record where that does not tell.
    fn first_of(&self, tell: impl Fn(&[Moment<'_>]) -> Option<(f64, u64)>) -> Option<Assumed> {
        let (before, all) = (&self.moments[..self.before], &self.moments[..]);
        [(before, Source::Before), (all, Source::WholeRecord)].into_iter().find_map(
            |(moments, source)| {
                let (value, evidence) = tell(moments)?;
                Some(Assumed { value, source, evidence })
            },
        )
    }

    /// What a replica can answer, and whether it was used up. Under a growing backlog replicas do
    /// what they can, give or take the noise of counting; elsewhere they carry at most that.
    fn capacity(&self, config: &Config) -> Result<(Assumed, bool), NoPlant> {
        if let Some(tight) = self.first_of(|moments| median(steady_per_s(moments, true))) {
            return Ok((tight, true));
        }
        let carried = self.first_of(highest_per_s);
        let hinted = config.capacity_hint_per_s().map(|value| Assumed {
            value,
            source: Source::Setting,
            evidence: 0,
        });
        match (carried, hinted) {
            (Some(carried), Some(hinted)) if carried.value > hinted.value => Ok((carried, false)),
            (_, Some(hinted)) => Ok((hinted, false)),
            (Some(carried), None) => Ok((carried, false)),
            (None, None) => Err(NoPlant::CapacityUnknown),
        }
    }
}

/// The p95 of a window in milliseconds.
pub(super) fn p95_ms(window: &Window) -> Option<f64> {
    window.latencies().map(|latencies| latencies.p95().as_millis())
}

/// Requests per second that each ready replica answered.
fn throughput_per_s(window: &Window) -> Option<f64> {
    let ready = window.ready().filter(|ready| *ready > 0)?;
    let answered = window.traffic()?.completions_per_s()?;
    (answered > 0.0).then(|| answered / f64::from(ready))
}

/// Throughput per replica in windows with the count of the window before.
fn steady_per_s(moments: &[Moment<'_>], backlogged: bool) -> Vec<f64> {
    let steady = moments.windows(2).filter(|pair| {
        pair[0].window.ready() == pair[1].window.ready()
            && (!backlogged || is_backlogged(pair[1].window))
    });
    steady.filter_map(|pair| throughput_per_s(pair[1].window)).collect()
}

/// The highest throughput per replica and how many windows it is of.
fn highest_per_s(moments: &[Moment<'_>]) -> Option<(f64, u64)> {
    let all = steady_per_s(moments, false);
    let highest = all.iter().copied().max_by(f64::total_cmp)?;
    Some((highest, all.len() as u64))
}

/// Whether more arrived than was answered by more than three times the noise of counting.
fn is_backlogged(window: &Window) -> bool {
    let Some(traffic) = window.traffic() else { return false };
    let Some(answered) = traffic.completions_per_s() else { return false };
    let seconds = window.length().as_secs_f64();
    let (arrived, excess) =
        (traffic.arrivals_per_s() * seconds, (traffic.arrivals_per_s() - answered) * seconds);
    excess > 0.0 && excess * excess > 9.0 * arrived
}

fn lowest_p95(moments: &[Moment<'_>]) -> Option<(f64, u64)> {
    moments
        .iter()
        .filter_map(|moment| p95_ms(moment.window))
        .filter(|p95| *p95 > 0.0)
        .min_by(f64::total_cmp)
        .map(|lowest| (lowest, 1))
}

/// The median p95 of calm windows.
fn calm_p95(moments: &[Moment<'_>], capacity_per_s: f64) -> Option<(f64, u64)> {
    let calm = |moment: &&Moment<'_>| {
        let breach = moment.decision.is_some_and(|it| it.derivation.signal.breach.is_some());
        let (Some(ready), Some(traffic)) = (moment.window.ready(), moment.window.traffic()) else {
            return false;
        };
        let used = traffic.arrivals_per_s() / (capacity_per_s * f64::from(ready.max(1)));
        !breach && !is_backlogged(moment.window) && used <= CALM_UTILISATION
    };
    let p95s = moments.iter().filter(calm).filter_map(|moment| p95_ms(moment.window));
    median(p95s.filter(|p95| *p95 > 0.0).collect())
}

/// The median time from a scale-out to the first window that counts all of it ready.
fn startup_s(moments: &[Moment<'_>]) -> Option<(f64, u64)> {
    let mut delays = Vec::new();
    for (index, moment) in moments.iter().enumerate() {
        let Some((at, to)) = moment.scaled else { continue };
        if moment.window.ready().is_none_or(|ready| ready >= to) {
            continue;
        }
        // A later scale-in below it means that nobody knows when it would have been ready.
        for later in &moments[index + 1..] {
            if later.window.ready().is_some_and(|ready| ready >= to) {
                delays.push(later.window.start().saturating_since(at).as_secs_f64());
                break;
            }
            if later.scaled.is_some_and(|(_, other)| other < to) {
                break;
            }
        }
    }
    median(delays)
}

/// The highest p95 of windows in which requests ran into their deadline, in seconds. Where none
/// did, what was waited for at most, if that is longer than the usual patience.
fn patience_s(moments: &[Moment<'_>]) -> Option<(f64, u64)> {
    let highest_s = |timed_out: bool| {
        let windows = moments.iter().map(|moment| moment.window);
        let p95s = windows.filter(|it| !timed_out || it.timeouts() > 0).filter_map(p95_ms);
        let fold = |(most, count): (f64, u64), p95: f64| (most.max(p95), count + 1);
        let (highest, count) = p95s.fold((0.0, 0), fold);
        (highest / 1_000.0, count)
    };
    Some(highest_s(true))
        .filter(|(highest, _)| *highest > 0.0)
        .or_else(|| Some(highest_s(false)).filter(|(highest, _)| *highest > PATIENCE_DEFAULT_S))
}

/// The median and how many it is of; the lower one of two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> Option<(f64, u64)> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len().checked_sub(1)? / 2;
    Some((values[middle], values.len() as u64))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use planner_core::{Latencies, Latency, Planner, ReplicaBounds, Traffic};

    use super::*;

    /// Windows of 10 s: ready replicas, arrivals and answers per second.
    fn windows(told: &[(u32, f64, f64)]) -> Vec<Window> {
        let at = |index: usize| Timestamp::from_origin(Duration::from_secs(10 * index as u64));
        let window = |(index, (ready, arrivals, answers)): (usize, &(u32, f64, f64))| {
            let traffic = Traffic::arriving(*arrivals)?.with_completions(*answers)?;
            let p95 = Latency::from_millis(50.0).expect("a latency");
            Window::builder(index as u64, at(index), at(index + 1))
                .outcomes(100, 0, 0)
                .ready(*ready)
                .latencies(Latencies::from_p95(p95))
                .traffic(traffic)
                .build()
        };
        told.iter().enumerate().map(|it| window(it).expect("a window")).collect()
    }

    fn moments<'a>(windows: &'a [Window], scaled: &[(usize, u32)]) -> Vec<Moment<'a>> {
        let moment = |(index, window): (usize, &'a Window)| {
            let order = scaled.iter().find(|(at, _)| *at == index);
            let scaled = order.map(|(_, to)| (window.end(), *to));
            let at = window.end();
            Moment { window, operations: Vec::new(), at, scaled, decision: None }
        };
        windows.iter().enumerate().map(moment).collect()
    }

    fn model(windows: &[Window], before: usize) -> Result<Model, NoPlant> {
        let bounds = ReplicaBounds::new(1, 10).expect("bounds");
        let history = History { moments: moments(windows, &[]), before };
        history.model(Planner::heuristic(bounds).config(), None)
    }

    #[test]
    fn a_window_in_which_the_count_changed_tells_no_capacity() {
        let told = windows(&[(4, 100.0, 100.0), (1, 100.0, 100.0), (1, 20.0, 20.0)]);
        assert_eq!(highest_per_s(&moments(&told, &[])), Some((20.0, 1)));
        assert_eq!(model(&told[..2], 1), Err(NoPlant::CapacityUnknown));
    }

    #[test]
    fn without_a_backlog_a_capacity_is_only_a_lower_bound() {
        let told = windows(&[(2, 60.0, 60.0), (2, 80.0, 80.0), (2, 70.0, 70.0), (2, 1.0, 1.0)]);
        let model = model(&told, 3).expect("a model");
        assert_eq!((model.capacity_per_s.value, model.capacity_is_tight), (40.0, false));
        assert_eq!(model.capacity_per_s.source, Source::Before);
        assert!(model.to_string().contains("at least 40.0/s per replica"));
    }

    #[test]
    fn what_is_not_told_before_the_divergence_is_taken_from_the_whole_record() {
        let told = windows(&[(2, 60.0, 60.0), (2, 60.0, 60.0), (2, 300.0, 90.0), (2, 300.0, 94.0)]);
        let model = model(&told, 2).expect("a model");
        // The lower one of two in the middle.
        assert_eq!((model.capacity_per_s.value, model.capacity_is_tight), (45.0, true));
        assert_eq!(model.capacity_per_s.source, Source::WholeRecord);
        assert_eq!(model.startup_s.source, Source::Setting);
    }

    #[test]
    fn a_start_up_is_timed_from_the_order_to_the_window_that_counts_all_of_it() {
        let told = windows(&[(1, 1.0, 1.0), (1, 1.0, 1.0), (2, 1.0, 1.0), (3, 1.0, 1.0)]);
        assert_eq!(startup_s(&moments(&told, &[(0, 3)])), Some((20.0, 1)));
    }

    #[test]
    fn an_order_that_was_taken_back_times_nothing() {
        let told = windows(&[(1, 1.0, 1.0), (1, 1.0, 1.0), (2, 1.0, 1.0), (3, 1.0, 1.0)]);
        assert_eq!(startup_s(&moments(&told, &[(0, 3), (1, 1)])), None);
    }
}
