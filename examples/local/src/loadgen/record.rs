//! What one request got, and the figures over many of them.
//!
//! Not for judging a run against its objective alone: [`crate::score`] does that.

use std::fmt::{Display, Formatter};

use serde::{Deserialize, Serialize};

/// How a request ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The generator gave it up because the run was cancelled; nobody's fault.
    Cancelled,
    /// No answer, half an answer, or a status of 500 and above.
    Failed,
    /// A complete answer with a status below 500.
    Ok,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// No connection could be made.
    Connect,
    /// The connection broke, or the answer was short or malformed.
    Reset,
    /// The answer's status was 500 or above.
    Status,
    /// Nothing complete within the timeout.
    Timeout,
}

/// One request: a line of the log.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct RequestRecord {
    /// When it was due, in seconds from the start.
    pub at_s: f64,
    /// From when it was due until it ended.
    pub latency_ms: f64,
    /// How much later than due it was sent: the generator's own error.
    pub sent_late_ms: f64,
    /// How it ended.
    pub outcome: Outcome,
    /// The status of the answer, if one came.
    pub status: Option<u16>,
    /// Why it failed, if it did.
    pub cause: Option<Cause>,
}

/// The figures of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Requests that count: all but the cancelled ones.
    pub requests: u64,
    /// Requests without a good answer.
    pub failed: u64,
    /// Requests answered well, but later than `slo_ms`.
    pub slow: u64,
    /// Requests given up because the run was cancelled.
    pub cancelled: u64,
    /// The objective: what is slower is slow.
    pub slo_ms: f64,
    /// Median latency of the requests answered well.
    pub p50_ms: Option<f64>,
    /// 95th percentile of the same.
    pub p95_ms: Option<f64>,
    /// 99th percentile of the same.
    pub p99_ms: Option<f64>,
    /// The slowest of the same.
    pub max_ms: Option<f64>,
    /// How late the generator was at worst.
    pub max_sent_late_ms: f64,
}

impl Summary {
    /// Computes the figures over all records of a run.
    ///
    /// Percentiles cover the requests answered well: a refused connection takes a tenth of a
    /// millisecond and would only flatter them.
    pub fn of(records: &[RequestRecord], slo_ms: f64) -> Self {
        let score = crate::score::score(records, slo_ms);
        let mut answered_ms: Vec<f64> = records
            .iter()
            .filter(|record| record.outcome == Outcome::Ok)
            .map(|record| record.latency_ms)
            .collect();
        answered_ms.sort_by(f64::total_cmp);
        Self {
            requests: score.requests,
            failed: score.failed,
            slow: score.slow,
            cancelled: score.cancelled,
            slo_ms,
            p50_ms: percentile(&answered_ms, 50),
            p95_ms: percentile(&answered_ms, 95),
            p99_ms: percentile(&answered_ms, 99),
            max_ms: answered_ms.last().copied(),
            max_sent_late_ms: records.iter().map(|r| r.sent_late_ms).fold(0.0, f64::max),
        }
    }
}

impl Display for Summary {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let percent = |part: u64| match self.requests {
            0 => 0.0,
            requests => 100.0 * part as f64 / requests as f64,
        };
        writeln!(out, "requests   {}", self.requests)?;
        writeln!(out, "failed     {} ({:.2} %)", self.failed, percent(self.failed))?;
        let slow_percent = percent(self.slow);
        writeln!(out, "slow       {} ({slow_percent:.2} %) over {} ms", self.slow, self.slo_ms)?;
        if self.cancelled > 0 {
            writeln!(out, "cancelled  {} (in no other figure)", self.cancelled)?;
        }
        let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        let (p50, p95) = (ms(self.p50_ms), ms(self.p95_ms));
        let (p99, max) = (ms(self.p99_ms), ms(self.max_ms));
        writeln!(out, "latency    p50 {p50} ms, p95 {p95} ms, p99 {p99} ms, max {max} ms")?;
        write!(out, "sent late  {:.1} ms at worst", self.max_sent_late_ms)
    }
}

/// The smallest value that at least `percent` of the sorted values do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(latency_ms: f64) -> RequestRecord {
        RequestRecord {
            at_s: 1.5,
            latency_ms,
            sent_late_ms: 0.25,
            outcome: Outcome::Ok,
            status: Some(200),
            cause: None,
        }
    }

    #[test]
    fn a_record_is_one_line_with_every_field_named() {
        assert_eq!(
            serde_json::to_string(&ok(20.5)).expect("a record has nothing unserialisable"),
            concat!(
                r#"{"at_s":1.5,"latency_ms":20.5,"sent_late_ms":0.25,"#,
                r#""outcome":"ok","status":200,"cause":null}"#
            )
        );
        let failed = RequestRecord {
            outcome: Outcome::Failed,
            status: None,
            cause: Some(Cause::Timeout),
            ..ok(10_000.0)
        };
        let line = serde_json::to_string(&failed).expect("likewise");
        assert!(line.ends_with(r#""outcome":"failed","status":null,"cause":"timeout"}"#), "{line}");
        assert_eq!(serde_json::from_str::<RequestRecord>(&line).expect("round trip"), failed);
    }

    #[test]
    fn a_summary_without_requests_has_no_percentiles() {
        let summary = Summary::of(&[], 150.0);
        assert_eq!((summary.p50_ms, summary.max_ms), (None, None));
        assert!(summary.to_string().contains("p50 - ms"));
    }

    #[test]
    fn quick_failures_do_not_flatter_the_percentiles() {
        let mut records: Vec<_> = (1..=100).map(|ms| ok(f64::from(ms))).collect();
        let refused = RequestRecord {
            outcome: Outcome::Failed,
            cause: Some(Cause::Connect),
            status: None,
            ..ok(0.1)
        };
        records.extend([refused; 100]);
        let summary = Summary::of(&records, 97.0);
        assert_eq!((summary.p50_ms, summary.p95_ms), (Some(50.0), Some(95.0)));
        assert_eq!((summary.p99_ms, summary.max_ms), (Some(99.0), Some(100.0)));
        assert_eq!(
            summary.to_string(),
            "requests   200\nfailed     100 (50.00 %)\nslow       3 (1.50 %) over 97 ms\n\
             latency    p50 50.0 ms, p95 95.0 ms, p99 99.0 ms, max 100.0 ms\n\
             sent late  0.2 ms at worst"
        );
    }
}
