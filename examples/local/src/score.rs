//! What a run cost its users, and what it would have cost at the very least.
//!
//! [`score`] counts what was measured; [`floor_share`] simulates an ideal reaction to the same
//! arrivals, so that a share of slow requests can be told apart from one that nobody could avoid.
//!
//! Not for judging a planner while it runs: everything here looks back over a whole run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::loadgen::{Outcome, RequestRecord};

/// What the requests of a run got.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Score {
    /// Requests that count: all but the cancelled ones.
    pub requests: u64,
    /// Requests without a good answer.
    pub failed: u64,
    /// Requests answered well but later than the objective.
    pub slow: u64,
    /// Requests that the generator gave up itself; in no other figure.
    pub cancelled: u64,
    /// `(failed + slow) / requests`; zero without requests.
    pub slow_or_failed_share: f64,
}

/// Counts the slow and the failed; slow is succeeded, but in more than `slo_ms`.
pub fn score(records: &[RequestRecord], slo_ms: f64) -> Score {
    let mut score = Score::default();
    for record in records {
        match record.outcome {
            Outcome::Cancelled => score.cancelled += 1,
            Outcome::Failed => score.failed += 1,
            Outcome::Ok if record.latency_ms > slo_ms => score.slow += 1,
            Outcome::Ok => {}
        }
    }
    score.requests = records.len() as u64 - score.cancelled;
    score.slow_or_failed_share = share(score.failed + score.slow, score.requests);
    score
}

/// What one replica can do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Service {
    /// Requests that one replica serves at the same time.
    pub workers: u32,
    /// How long one request occupies a worker, in milliseconds; negative counts as zero.
    pub service_ms: f64,
}

/// What an ideal reaction would have lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    /// Share of the requests slower than the objective in spite of the ideal reaction.
    pub share: f64,
    /// The second in which the load first broke the smallest fleet; `None` when it never did.
    pub breach_s: Option<f64>,
}

/// The share of slow requests under an ideal reaction to these arrivals.
///
/// One queue, first in first out, in front of replicas x workers servers with a fixed service
/// time. `min_replicas` serve until the breach has been seen; from the end of its first second
/// on, `max_replicas` serve. The breach begins with the first whole second in which more requests
/// arrive than `min_replicas` can serve, and in which at least one arrives that `min_replicas`
/// would answer later than `slo_ms`. No reaction can precede its evidence: that second has to be
/// over before anything can have been measured.
pub fn floor_share(
    arrivals_s: &[f64],
    service: Service,
    min_replicas: u32,
    max_replicas: u32,
    slo_ms: f64,
) -> Floor {
    let mut arrivals_ns: Vec<u64> = arrivals_s.iter().map(|at_s| nanoseconds(*at_s)).collect();
    arrivals_ns.sort_unstable();
    let queue = Queue {
        service_ns: nanoseconds(service.service_ms / 1_000.0),
        servers_min: servers(min_replicas, service.workers, arrivals_ns.len()),
        servers_max: servers(max_replicas.max(min_replicas), service.workers, arrivals_ns.len()),
    };
    let slo_ns = nanoseconds(slo_ms / 1_000.0);
    let unhelped_ns = queue.latencies_ns(&arrivals_ns, None);
    let capacity_ns = u64::from(min_replicas)
        .saturating_mul(u64::from(service.workers))
        .saturating_mul(NANOSECONDS_PER_SECOND);
    let breach = first_breach_s(
        &arrivals_ns,
        &unhelped_ns,
        |arrived| arrived.saturating_mul(queue.service_ns) > capacity_ns,
        slo_ns,
    );
    let latencies_ns = match breach {
        None => unhelped_ns,
        Some(second) => queue
            .latencies_ns(&arrivals_ns, Some((second + 1).saturating_mul(NANOSECONDS_PER_SECOND))),
    };
    let slow = latencies_ns.iter().filter(|latency_ns| **latency_ns > slo_ns).count();
    Floor {
        share: share(slow as u64, arrivals_ns.len() as u64),
        breach_s: breach.map(|second| second as f64),
    }
}

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// One first-in-first-out queue whose servers all take the same time.
struct Queue {
    service_ns: u64,
    servers_min: usize,
    servers_max: usize,
}

impl Queue {
    /// The latency of each request; the servers above the minimum exist from `grown_at_ns` on.
    fn latencies_ns(&self, arrivals_ns: &[u64], grown_at_ns: Option<u64>) -> Vec<u64> {
        let mut free_at_ns: BinaryHeap<Reverse<u64>> =
            std::iter::repeat_n(Reverse(0), self.servers_min).collect();
        if let Some(at_ns) = grown_at_ns {
            let added = self.servers_max - self.servers_min;
            free_at_ns.extend(std::iter::repeat_n(Reverse(at_ns), added));
        }
        arrivals_ns
            .iter()
            .map(|arrival_ns| match free_at_ns.pop() {
                None => u64::MAX,
                Some(Reverse(free_ns)) => {
                    let done_ns = free_ns.max(*arrival_ns).saturating_add(self.service_ns);
                    free_at_ns.push(Reverse(done_ns));
                    done_ns - arrival_ns
                }
            })
            .collect()
    }
}

/// The first whole second with more arrivals than capacity and a late answer among them.
fn first_breach_s(
    arrivals_ns: &[u64],
    latencies_ns: &[u64],
    exceeds_capacity: impl Fn(u64) -> bool,
    slo_ns: u64,
) -> Option<u64> {
    let mut from = 0;
    for second in arrivals_ns.chunk_by(|a, b| whole_second(*a) == whole_second(*b)) {
        let until = from + second.len();
        let late = latencies_ns[from..until].iter().any(|latency_ns| *latency_ns > slo_ns);
        if late && exceeds_capacity(second.len() as u64) {
            return second.first().map(|at_ns| whole_second(*at_ns));
        }
        from = until;
    }
    None
}

fn whole_second(at_ns: u64) -> u64 {
    at_ns / NANOSECONDS_PER_SECOND
}

/// More servers than requests change nothing, so the simulation never holds more.
fn servers(replicas: u32, workers: u32, requests: usize) -> usize {
    let servers = u64::from(replicas) * u64::from(workers);
    usize::try_from(servers).unwrap_or(usize::MAX).min(requests)
}

/// Whole nanoseconds: a simulation in integers has no rounding to explain.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates: negative and undefined become zero, by documentation"
)]
fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loadgen::Cause;

    const TWENTY_MS: Service = Service { workers: 1, service_ms: 20.0 };

    fn record(outcome: Outcome, latency_ms: f64) -> RequestRecord {
        RequestRecord {
            at_s: 0.0,
            latency_ms,
            sent_late_ms: 0.0,
            outcome,
            status: Some(200),
            cause: (outcome == Outcome::Failed).then_some(Cause::Status),
        }
    }

    #[test]
    fn no_requests_score_zero_and_not_an_undefined_share() {
        assert_eq!(score(&[], 150.0), Score::default());
        let floor = floor_share(&[], TWENTY_MS, 1, 4, 150.0);
        assert_eq!(floor, Floor { share: 0.0, breach_s: None });
    }

    #[test]
    fn cancelled_requests_count_apart_and_a_failed_one_is_never_also_slow() {
        let records = [
            record(Outcome::Cancelled, 5_000.0),
            record(Outcome::Failed, 10_000.0),
            record(Outcome::Ok, 150.1),
            record(Outcome::Ok, 150.0),
            record(Outcome::Ok, 20.0),
        ];
        assert_eq!(
            score(&records, 150.0),
            Score { requests: 4, failed: 1, slow: 1, cancelled: 1, slow_or_failed_share: 0.5 }
        );
    }

    #[test]
    fn without_any_replica_at_any_time_everything_is_lost() {
        assert_eq!(floor_share(&[0.5, 1.5], TWENTY_MS, 0, 0, 150.0).share, 1.0);
    }

    #[test]
    fn a_burst_that_the_smallest_fleet_serves_within_a_second_is_no_breach() {
        // Ten at once, 1 x 20 ms: answered after 20, 40, .. 200 ms; three exceed 150 ms.
        // Fifty a second could be served, so there is nothing that more replicas are needed for.
        let floor = floor_share(&[0.0; 10], TWENTY_MS, 1, 8, 150.0);
        assert_eq!(floor, Floor { share: 0.3, breach_s: None });
    }

    #[test]
    fn more_than_capacity_without_a_late_answer_is_no_breach() {
        // 51 arrivals spread over the second at 50/s: the last waits hardly at all.
        let arrivals_s: Vec<f64> = (0..51).map(|i| f64::from(i) / 51.0).collect();
        let floor = floor_share(&arrivals_s, TWENTY_MS, 1, 8, 150.0);
        assert_eq!(floor, Floor { share: 0.0, breach_s: None });
    }

    #[test]
    fn nothing_is_faster_before_the_second_of_the_breach_is_over() {
        // Sixty at 3.0 s: number n is answered after n x 20 ms. Until 4.0 s fifty are done, of
        // which the first seven in time; then four servers take the last ten: all late.
        let floor = floor_share(&[3.0; 60], TWENTY_MS, 1, 4, 150.0);
        assert_eq!(floor, Floor { share: 53.0 / 60.0, breach_s: Some(3.0) });
    }

    #[test]
    fn after_the_breach_the_largest_fleet_clears_the_queue() {
        // 100 at 0.0 s; at 1.0 s fifty wait, and five more arrive. Ten servers take ten each
        // 20 ms: the fifty are gone at 1.1 s, the five are answered at 1.12 s, in time (120 ms).
        let mut arrivals_s = vec![0.0; 100];
        arrivals_s.extend([1.0; 5]);
        let floor = floor_share(&arrivals_s, TWENTY_MS, 1, 10, 150.0);
        assert_eq!(floor, Floor { share: 93.0 / 105.0, breach_s: Some(0.0) });
        // Three servers need 1.34 s for the fifty: the five are late as well.
        let floor = floor_share(&arrivals_s, TWENTY_MS, 1, 3, 150.0);
        assert_eq!(floor, Floor { share: 98.0 / 105.0, breach_s: Some(0.0) });
    }

    #[test]
    fn workers_count_like_replicas() {
        let two_workers = Service { workers: 2, service_ms: 20.0 };
        assert_eq!(
            floor_share(&[3.0; 120], two_workers, 1, 2, 150.0),
            floor_share(&[3.0; 120], TWENTY_MS, 2, 4, 150.0)
        );
    }

    #[test]
    fn absurd_inputs_are_bounded_and_do_not_panic() {
        let absurd = Service { workers: u32::MAX, service_ms: f64::INFINITY };
        assert_eq!(floor_share(&[f64::NAN, 1e300], absurd, u32::MAX, 0, f64::NAN).share, 0.5);
    }
}
