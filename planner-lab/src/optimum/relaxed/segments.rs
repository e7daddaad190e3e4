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
    /// Ready counts with entries of their own, from the fewest possible on. The last entries are
    /// those of the most possible, and count from there on.
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
    // A quarter beyond the peak and one more: what is left from before drains soon. From there on
    // nobody leaves whom the most replicas would keep: levels end at the patience.
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
/// From the last row on a replica changes nothing but the cost. So in some optimal path no stretch
/// with such a replica starts or ends without use, nor does it go without for so long that to
/// remove and to order it again is cheaper: a start-up and the two decisions that this may have to
/// wait for. It may become ready just before the decision from which it has a use.
fn widen(instance: &Instance, segments: &mut [Segment]) {
    let rules = instance.rules();
    let every = instance.decide_every();
    // Before the first decision there is what there is.
    let mut useful = vec![0; instance.decisions() + 1];
    useful[0] = rules.initial;
    for segment in segments.iter() {
        #[expect(clippy::cast_possible_truncation, reason = "rows of u32 counts")]
        let count = rules.replicas_min + (segment.rows - 1) as u32;
        let highest = &mut useful[segment.start / every + 1];
        *highest = count.max(*highest);
    }
    let useful = max_over(&useful, 0, 1);
    let reach = (rules.startup_steps as usize).div_ceil(every) + 2;
    let (before, after) = (max_over(&useful, reach, 0), max_over(&useful, 0, reach));
    for segment in segments {
        let at = segment.start / every + 1;
        segment.width = (before[at].min(after[at]) - rules.replicas_min) as usize + 1;
    }
}

/// Backlog levels in seconds of load, so many at most: none, evenly up to the wait that is allowed,
/// then ever farther apart up to the patience. Any rising levels from 0 on give a bound; these are
/// dense where it matters.
pub(super) fn levels(rules: &Rules, count: usize) -> Vec<f64> {
    let service = &rules.service;
    let allowed_s = if service.slo_wait_s > 0.0 { service.slo_wait_s } else { service.step_s };
    let even = (count / 2).max(1);
    let below = (0..even).map(|step| allowed_s * step as f64 / even as f64);
    let beyond = std::iter::successors(Some(allowed_s), |level| Some(level * 1.4));
    below.chain(beyond).take(count).take_while(|level| *level <= service.patience_s).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimum::fluid::Service;

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
        assert_eq!(widths[4..10], [11; 6]);
        assert_eq!(widths[10..24], [2; 14]);
        assert_eq!((widths[3], widths[24], widths[25], widths[26]), (2, 11, 11, 2));
    }

    #[test]
    fn levels_rise_from_nothing() {
        for count in 1..20 {
            let levels = levels(&Rules::default(), count);
            assert_eq!((levels.len(), levels[0]), (count, 0.0));
            assert!(levels.is_sorted_by(|a, b| a < b), "{levels:?}");
        }
        let service = Service { slo_wait_s: 0.0, patience_s: 0.0, ..Service::default() };
        assert_eq!(levels(&Rules { service, ..Rules::default() }, 9), [0.0]);
    }
}
