//! Where the ready count may change, and how many replicas can be of use there.

use super::window::max_over;
use crate::optimum::instance::{Instance, Rules};

/// A stretch of steps with a constant ready count.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Segment {
    /// First step.
    pub(super) start: usize,
    /// The step after the last.
    pub(super) end: usize,
    /// Whether replicas may leave at its start: a decision.
    pub(super) falls: bool,
    /// Whether ordered replicas may become ready at its start: a decision was one start-up ago.
    pub(super) rises: bool,
    /// Ready counts with entries of their own, from the fewest possible on; beyond them the
    /// entries of the most possible are taken.
    pub(super) rows: usize,
    /// Ready counts that an optimal path may take, from the fewest possible on.
    pub(super) width: usize,
    /// What a backlog level of one second is, in requests.
    pub(super) scale_per_s: f64,
}

/// Cuts an instance into its segments.
pub(super) fn cut(instance: &Instance) -> Vec<Segment> {
    let rules = instance.rules();
    let (every, startup) = (instance.decide_every(), rules.startup_steps as usize);
    let lag = startup % every;
    let mut segments = Vec::new();
    for decision in 0..instance.decisions() {
        let start = decision * every;
        let end = (start + every).min(instance.arrivals().len());
        let rise = start + lag;
        let possible = rise >= startup && rise < end;
        if possible && lag > 0 {
            segments.push(segment(instance, start..rise, true, false));
            segments.push(segment(instance, rise..end, false, true));
        } else {
            segments.push(segment(instance, start..end, true, possible));
        }
    }
    widen(instance, &mut segments);
    segments
}

fn segment(
    instance: &Instance,
    steps: std::ops::Range<usize>,
    falls: bool,
    rises: bool,
) -> Segment {
    let rules = instance.rules();
    let arrivals = &instance.arrivals()[steps.clone()];
    let per_s = |count: f64| count / rules.service.step_s;
    let rate = rules.service.rate_per_replica_per_s;
    let peak = per_s(arrivals.iter().copied().fold(0.0, f64::max));
    // A quarter beyond the peak: enough to drain what is left from before.
    let useful = (1.25 * peak / rate).ceil().min(f64::from(rules.replicas_max)) + 1.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let useful = (useful as u32).clamp(rules.replicas_min, rules.replicas_max);
    let mean = per_s(arrivals.iter().sum::<f64>() / arrivals.len() as f64);
    Segment {
        start: steps.start,
        end: steps.end,
        falls,
        rises,
        rows: (useful - rules.replicas_min) as usize + 1,
        width: 0,
        scale_per_s: mean.max(rate),
    }
}

/// How far an optimal path may go in each segment.
///
/// Beyond the rows a replica changes nothing but the cost. So in some optimal path no stretch with
/// a replica beyond the rows is without use for longer than its start-up (and the two decisions
/// that its removal and its order may have to wait): it would be removed and ordered again.
/// Nor does such a stretch start or end without use.
fn widen(instance: &Instance, segments: &mut [Segment]) {
    let rules = instance.rules();
    let every = instance.decide_every();
    let mut useful = vec![0; instance.decisions() + 1];
    // Before the first decision there is what there is.
    useful[0] = rules.initial;
    for segment in segments.iter() {
        let highest = &mut useful[segment.start / every + 1];
        #[expect(clippy::cast_possible_truncation, reason = "rows of u32 counts")]
        let count = rules.replicas_min + (segment.rows - 1) as u32;
        *highest = count.max(*highest);
    }
    let reach = (rules.startup_steps as usize).div_ceil(every) + 2;
    let (before, after) = (max_over(&useful, reach, 0), max_over(&useful, 0, reach));
    for segment in segments {
        let at = segment.start / every + 1;
        segment.width = (before[at].min(after[at]) - rules.replicas_min) as usize + 1;
    }
}

/// Backlog levels in seconds of load: none, evenly up to the wait that is allowed, then ever
/// farther apart. Any rising levels from 0 give a bound; these are dense where it matters.
pub(super) fn levels(rules: &Rules, count: usize) -> Vec<f64> {
    let service = &rules.service;
    let allowed_s = if service.slo_wait_s > 0.0 { service.slo_wait_s } else { service.step_s };
    let even = (count / 2).max(1);
    let mut levels: Vec<f64> =
        (0..even).map(|step| allowed_s * step as f64 / even as f64).collect();
    let mut level = allowed_s;
    while levels.len() < count {
        levels.push(level);
        level *= 1.4;
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arrivals: &[f64], rules: Rules) -> Vec<Segment> {
        cut(&Instance::new(arrivals.to_vec(), rules).expect("an instance"))
    }

    #[test]
    fn replicas_rise_one_start_up_after_a_decision_and_fall_at_it() {
        let rules = Rules { startup_steps: 13, decide_every_steps: 10, ..Rules::default() };
        let cuts: Vec<_> =
            of(&[1.0; 35], rules).iter().map(|it| (it.start, it.end, it.falls, it.rises)).collect();
        let expected = [
            (0, 10, true, false),
            (10, 13, true, false),
            (13, 20, false, true),
            (20, 23, true, false),
            (23, 30, false, true),
            (30, 33, true, false),
            (33, 35, false, true),
        ];
        assert_eq!(cuts, expected);
        let rules = Rules { startup_steps: 10, ..rules };
        let rises: Vec<_> = of(&[1.0; 35], rules).iter().map(|it| it.rises).collect();
        assert_eq!(rises, [false, true, true, true]);
    }

    #[test]
    fn replicas_are_kept_between_peaks_that_are_close_and_not_otherwise() {
        let rules =
            Rules { startup_steps: 2, decide_every_steps: 1, replicas_max: 20, ..Rules::default() };
        let mut load = vec![10.0; 30];
        (load[5], load[9], load[25]) = (400.0, 400.0, 400.0);
        let widths: Vec<_> = of(&load, rules).iter().map(|it| it.width).collect();
        assert_eq!(widths[5..10], [11; 5]);
        assert_eq!(widths[10..25], [2; 15]);
        assert_eq!((widths[4], widths[25], widths[26]), (2, 11, 2));
    }

    #[test]
    fn levels_rise_from_nothing() {
        for count in 1..20 {
            let levels = levels(&Rules::default(), count);
            assert_eq!((levels.len(), levels[0]), (count, 0.0));
            assert!(levels.is_sorted_by(|a, b| a < b), "{levels:?}");
        }
    }
}
