//! May the advisor be called now? Budget, back-off and breaker.
//!
//! [`AdviceGate`] is a trait with two implementations: [`Gateway`] is the real one, a token bucket
//! with back-off, and [`ClosedGate`] never lets a call through. A gate decides *whether* a call
//! may be made; whether one would be useful is the planner's business.

mod budget;

use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;

use budget::{Budget, Tokens};

use crate::Timestamp;
use crate::advice::AdvisorFault;
use crate::config::AdviceConfig;

/// How long nobody asks when nothing will change by itself.
const HOLD: Duration = Duration::from_secs(3_600);
/// Longest hold: a quota of a month, and a little more.
const HOLD_MAX: Duration = Duration::from_secs(32 * 86_400);
/// What a call counts as that does not tell its tokens: a prompt of ours and its longest answer.
const TOKENS_UNKNOWN: u64 = 1_500;
/// Many planners that are sent away together come back over at least so many of the shortest wait.
const JITTER_WAITS_MIN: u32 = 3;
/// Longest back-off exponent: beyond it every wait is the longest one anyway.
const DOUBLINGS_MAX: u32 = 20;

/// The right to make one call. Not cloneable; consumed by [`AdviceGate::settle`], so that no call
/// goes without its outcome.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit is one call; settle it"]
pub struct Permit(pub(crate) ());

/// Why no call may be made now, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Denied {
    /// Earlier calls failed.
    Backoff {
        /// Until when.
        until: Timestamp,
    },
    /// There is no advisor.
    Closed,
    /// The budget is spent.
    Spent {
        /// Until when.
        until: Timestamp,
    },
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallOutcome {
    /// With an answer, whatever it was worth.
    Answered,
    /// Nobody waited for its end: not the advisor's fault.
    Cancelled,
    /// Without one.
    Failed(AdvisorFault),
}

/// Everything a gate remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GateState {
    /// The bucket's number: nanoseconds at which it will be full again.
    pub spent: u64,
    /// The same of the day's bucket; 0 where there is none, and then it is not written.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_zero"))]
    pub spent_day: u64,
    /// The same of the day's tokens: nanoseconds at which they will all be there again.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_zero"))]
    pub spent_tokens: u64,
    /// No call before this.
    pub closed_until: Timestamp,
    /// Failed calls in a row.
    pub failures: u32,
    /// State of the jitter's generator.
    pub jitter: u64,
}

#[cfg(feature = "serde")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
pub(crate) const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Decides whether the advisor may be called.
pub trait AdviceGate: fmt::Debug {
    /// Takes one call out of the budget.
    ///
    /// # Errors
    ///
    /// [`Denied`] says why not, and until when.
    fn admit(&mut self, now: Timestamp) -> Result<Permit, Denied>;

    /// Reports how the call ended.
    fn settle(&mut self, now: Timestamp, permit: Permit, outcome: CallOutcome);

    /// Takes the tokens that a call has cost out of the budget; `None` where that is not known.
    fn spend(&mut self, _now: Timestamp, _tokens: Option<u64>) {}

    /// What it remembers, for a snapshot.
    fn state(&self) -> GateState;

    /// Goes on from a snapshot.
    fn restore(&mut self, state: GateState);

    /// Goes on after the clock was set back by `behind`: every remembered time moves with it.
    fn rebase(&mut self, behind: Duration) {
        let state = self.state();
        let moved = |nanos| Timestamp::from_nanos(nanos).saturating_sub(behind).as_nanos();
        self.restore(GateState {
            spent: moved(state.spent),
            spent_day: moved(state.spent_day),
            spent_tokens: moved(state.spent_tokens),
            closed_until: state.closed_until.saturating_sub(behind),
            ..state
        });
    }
}

/// A gate without an advisor behind it: always closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has no settings: all are in `Config`")]
pub struct ClosedGate;

impl AdviceGate for ClosedGate {
    fn admit(&mut self, _: Timestamp) -> Result<Permit, Denied> {
        Err(Denied::Closed)
    }

    fn settle(&mut self, _: Timestamp, _: Permit, _: CallOutcome) {}

    fn state(&self) -> GateState {
        GateState::default()
    }

    fn restore(&mut self, _: GateState) {}
}

/// The gate in front of a real advisor.
///
/// Budget: one call per period with a burst of one, so that no rolling minute sees more than
/// `LLM_RPM` calls (a bucket with a burst of n admits up to 2n − 1); and where there is a daily
/// one, no 24 hours see more than that, spread over the day. A budget of tokens is spread likewise,
/// and the call that spends the last of them may go beyond it. Back-off: after a failed call the
/// wait doubles from the shortest to the longest, never shorter than the advisor asked for, with
/// seeded jitter of up to as long again on top; while the advisor stays down each wait ends in a
/// single probe, which is what a circuit breaker does. A spent quota and wrong settings hold longer
/// than any back-off.
///
/// ```
/// use core::time::Duration;
/// use planner_core::gateway::{AdviceGate, CallOutcome, Denied, Gateway};
/// use planner_core::{AdviceConfig, Timestamp};
///
/// let mut gate = Gateway::new(&AdviceConfig::default(), 7); // two calls a minute
/// let at = |seconds| Timestamp::from_origin(Duration::from_secs(seconds));
/// let permit = gate.admit(at(100)).expect("the first call");
/// gate.settle(at(101), permit, CallOutcome::Answered);
/// assert_eq!(gate.admit(at(102)), Err(Denied::Spent { until: at(130) }));
/// ```
#[derive(Debug)]
pub struct Gateway {
    budget: Budget,
    day: Option<Budget>,
    tokens: Option<Tokens>,
    backoff: (Duration, Duration),
    closed_until: Timestamp,
    failures: u32,
    jitter: u64,
}

impl Gateway {
    /// A gate with a full bucket. `seed` seeds the jitter.
    pub fn new(config: &AdviceConfig, seed: u64) -> Self {
        Self {
            budget: Budget::new(config.period, NonZeroU32::MIN),
            day: NonZeroU32::new(config.calls_per_day).map(Budget::of_day),
            tokens: (config.tokens_per_day > 0).then(|| Tokens::new(config.tokens_per_day)),
            backoff: (*config.backoff.start(), *config.backoff.end()),
            closed_until: Timestamp::ORIGIN,
            failures: 0,
            jitter: seed,
        }
    }

    /// How long nobody asks after this fault, jitter included.
    fn wait(&mut self, fault: AdvisorFault) -> Duration {
        let asked = match fault {
            AdvisorFault::Exhaust { retry_after } => {
                return self.hold(retry_after.unwrap_or(HOLD).min(HOLD_MAX));
            }
            AdvisorFault::Misconfigure => return self.hold(HOLD),
            AdvisorFault::Throttle { retry_after } => retry_after,
            AdvisorFault::Garble | AdvisorFault::Timeout | AdvisorFault::Unreachable => None,
        };
        self.back_off(asked)
    }

    /// A wait that no back-off shortens, with up to a minute of jitter.
    fn hold(&mut self, least: Duration) -> Duration {
        least.saturating_add(Duration::from_millis(split_mix(&mut self.jitter) % 60_000))
    }

    /// The wait after the present number of failures, the advisor's own wish, and jitter.
    fn back_off(&mut self, asked: Option<Duration>) -> Duration {
        let (shortest, longest) = self.backoff;
        let doublings = self.failures.saturating_sub(1).min(DOUBLINGS_MAX);
        let doubled = shortest.checked_mul(1 << doublings).unwrap_or(longest).min(longest);
        let wait = doubled.max(asked.unwrap_or(Duration::ZERO).min(longest));
        // Never less than asked for, and up to as long again or three of the shortest, so that a
        // herd does not come back at once.
        let most = u64::try_from(wait.max(shortest.saturating_mul(JITTER_WAITS_MIN)).as_nanos())
            .unwrap_or(u64::MAX - 1);
        let more = Duration::from_nanos(split_mix(&mut self.jitter) % (most + 1));
        wait.saturating_add(more)
    }
}

impl AdviceGate for Gateway {
    fn admit(&mut self, now: Timestamp) -> Result<Permit, Denied> {
        if now < self.closed_until {
            return Err(Denied::Backoff { until: self.closed_until });
        }
        if let Some(tokens) = &self.tokens {
            tokens.check(now)?;
        }
        self.budget.take(now)?;
        if let Some(day) = &self.day {
            day.take(now)?;
        }
        Ok(Permit(()))
    }

    fn settle(&mut self, now: Timestamp, _: Permit, outcome: CallOutcome) {
        let fault = match outcome {
            CallOutcome::Cancelled => return,
            // A senseless answer costs its call, but the advisor is there.
            CallOutcome::Answered | CallOutcome::Failed(AdvisorFault::Garble) => {
                self.failures = 0;
                return;
            }
            CallOutcome::Failed(fault) => fault,
        };
        self.failures = self.failures.saturating_add(1);
        let until = now.saturating_add(self.wait(fault));
        self.closed_until = self.closed_until.max(until);
    }

    fn spend(&mut self, now: Timestamp, tokens: Option<u64>) {
        if let Some(budget) = &mut self.tokens {
            budget.spend(now, tokens.unwrap_or(TOKENS_UNKNOWN));
        }
    }

    fn state(&self) -> GateState {
        GateState {
            spent: self.budget.spent(),
            spent_tokens: self.tokens.as_ref().map_or(0, |tokens| tokens.full_at.as_nanos()),
            spent_day: self.day.as_ref().map_or(0, Budget::spent),
            closed_until: self.closed_until,
            failures: self.failures,
            jitter: self.jitter,
        }
    }

    fn restore(&mut self, state: GateState) {
        self.budget.restore(state.spent);
        if let Some(day) = &self.day {
            day.restore(state.spent_day);
        }
        if let Some(tokens) = &mut self.tokens {
            tokens.full_at = Timestamp::from_nanos(state.spent_tokens);
        }
        self.closed_until = state.closed_until;
        self.failures = state.failures;
        self.jitter = state.jitter;
    }
}

/// `SplitMix64` (Steele, Lea and Flood 2014): the next number of a seeded sequence.
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    fn per_minute(calls: f64) -> AdviceConfig {
        AdviceConfig { period: Duration::from_secs_f64(60.0 / calls), ..AdviceConfig::default() }
    }

    /// Calls admitted in each second of ten minutes, all of them successes.
    fn admitted(gate: &mut Gateway) -> Vec<u64> {
        let mut admitted = Vec::new();
        for second in 0..600 {
            if let Ok(permit) = gate.admit(at(second)) {
                gate.settle(at(second), permit, CallOutcome::Answered);
                admitted.push(second);
            }
        }
        admitted
    }
    #[test]
    fn no_rolling_minute_sees_more_calls_than_the_budget() {
        for (calls, expected) in [(2.0, 2), (10.0, 10), (60.0, 60), (0.5, 1)] {
            let seconds = admitted(&mut Gateway::new(&per_minute(calls), 0));
            for start in &seconds {
                let minute = seconds.iter().filter(|at| (*start..start + 60).contains(at));
                assert!(minute.count() <= expected, "{calls} a minute");
            }
            assert!(!seconds.is_empty());
        }
    }

    #[test]
    fn half_a_call_a_minute_admits_one_each_two_minutes() {
        let seconds = admitted(&mut Gateway::new(&per_minute(0.5), 0));
        assert_eq!(seconds, [0, 120, 240, 360, 480]);
    }

    /// Calls admitted in three days of asking each ten seconds, through restarts; what each costs.
    fn three_days(config: &AdviceConfig, tokens: Option<u64>) -> Vec<u64> {
        let mut gate = Gateway::new(config, 0);
        let mut admitted = Vec::new();
        for second in (0..3 * 86_400).step_by(10) {
            if second % 7_000 == 0 {
                let state = gate.state();
                gate = Gateway::new(config, 0);
                gate.restore(state);
            }
            if let Ok(permit) = gate.admit(at(second)) {
                gate.spend(at(second), tokens);
                gate.settle(at(second), permit, CallOutcome::Answered);
                admitted.push(second);
            }
        }
        admitted
    }

    /// The most calls in any 24 hours.
    fn most_in_a_day(admitted: &[u64]) -> u64 {
        let from = |start: u64| {
            admitted.iter().filter(|at| (start..start + 86_400).contains(*at)).count() as u64
        };
        admitted.iter().map(|start| from(*start)).max().expect("calls")
    }

    #[test]
    fn no_day_sees_more_calls_than_its_budget_through_restarts_too() {
        for calls_per_day in [1, 2, 3, 18, 20, 250] {
            let config = AdviceConfig { calls_per_day, ..per_minute(2.0) };
            let (admitted, most) = (three_days(&config, Some(0)), u64::from(calls_per_day));
            let calls = most_in_a_day(&admitted);
            assert!(calls <= most, "{calls} of {most} a day");
            let all = admitted.len() as u64;
            assert!(all >= 2 * most, "{all} in three days of {most} each");
        }
    }

    #[test]
    fn no_day_sees_more_tokens_than_its_budget_and_one_call_through_restarts_too() {
        let tokens_per_day = 100_000;
        let config = AdviceConfig { tokens_per_day, ..per_minute(2.0) };
        for tokens in [Some(10_000), Some(700), None] {
            let each = tokens.unwrap_or(TOKENS_UNKNOWN);
            let admitted = three_days(&config, tokens);
            let spent = most_in_a_day(&admitted) * each;
            assert!(spent <= u64::from(tokens_per_day) + each, "{spent} tokens a day");
            let all = admitted.len() as u64 * each;
            assert!(all >= 2 * u64::from(tokens_per_day), "{all} tokens in three days");
        }
    }

    #[test]
    fn no_number_of_tokens_that_anybody_tells_closes_the_gate_for_longer_than_a_day() {
        let mut gate = Gateway::new(&AdviceConfig { tokens_per_day: 100, ..per_minute(2.0) }, 0);
        let permit = gate.admit(at(10)).expect("the first call");
        gate.spend(at(11), Some(u64::MAX));
        gate.settle(at(11), permit, CallOutcome::Answered);
        assert!(matches!(gate.admit(at(86_000)), Err(Denied::Spent { .. })));
        assert!(gate.admit(at(11 + 86_400)).is_ok());
    }

    #[test]
    fn a_clock_that_runs_backwards_earns_nothing() {
        let mut gate = Gateway::new(&per_minute(2.0), 0);
        assert!(gate.admit(at(1_000)).is_ok());
        assert_eq!(gate.admit(at(10)), Err(Denied::Spent { until: at(1_030) }));
    }

    #[test]
    fn failures_double_the_wait_up_to_its_maximum() {
        let mut gate = Gateway::new(&per_minute(60.0), 3);
        let mut waits = Vec::new();
        let mut now = at(0);
        for _ in 0..8 {
            let permit = gate.admit(now).expect("the wait is over");
            gate.settle(now, permit, CallOutcome::Failed(AdvisorFault::Unreachable));
            let until = gate.state().closed_until;
            assert_eq!(gate.admit(now), Err(Denied::Backoff { until }));
            waits.push(until.saturating_since(now).as_secs());
            now = until.saturating_add(Duration::from_secs(1));
        }
        for (wait, least) in waits.iter().zip([10, 20, 40, 80, 160, 300, 300, 300]) {
            assert!((least..=least + least.max(30)).contains(wait), "{waits:?}");
        }
    }

    #[test]
    fn a_wait_the_advisor_asks_for_is_kept_up_to_the_maximum() {
        let mut gate = Gateway::new(&per_minute(60.0), 0);
        for (asked, least) in [(60, 60), (99_999_999, 300)] {
            let now = gate.state().closed_until;
            let permit = gate.admit(now.saturating_add(Duration::from_secs(2))).expect("open");
            let retry_after = Some(Duration::from_secs(asked));
            gate.settle(now, permit, CallOutcome::Failed(AdvisorFault::Throttle { retry_after }));
            let wait = gate.state().closed_until.saturating_since(now).as_secs();
            assert!((least..=least + least.max(30)).contains(&wait), "asked {asked}, waits {wait}");
        }
    }

    #[test]
    fn a_spent_quota_is_held_to_its_end_whatever_the_back_off_allows() {
        let mut gate = Gateway::new(&per_minute(60.0), 0);
        let day = Duration::from_secs(86_400);
        for (fault, least) in [
            (AdvisorFault::Exhaust { retry_after: None }, HOLD),
            (AdvisorFault::Exhaust { retry_after: Some(day) }, day),
            (AdvisorFault::Exhaust { retry_after: Some(Duration::MAX) }, HOLD_MAX),
            (AdvisorFault::Misconfigure, HOLD),
        ] {
            let now = gate.state().closed_until.saturating_add(Duration::from_secs(2));
            let permit = gate.admit(now).expect("one probe");
            gate.settle(now, permit, CallOutcome::Failed(fault));
            let wait = gate.state().closed_until.saturating_since(now);
            assert!((least..=least + Duration::from_secs(60)).contains(&wait), "{fault}: {wait:?}");
            assert!(gate.admit(now.saturating_add(least / 2)).is_err());
        }
    }

    #[test]
    fn a_restored_gate_refuses_what_the_old_one_would_have() {
        let mut old = Gateway::new(&per_minute(2.0), 5);
        let permit = old.admit(at(100)).expect("the first call");
        old.settle(at(101), permit, CallOutcome::Failed(AdvisorFault::Timeout));
        let mut new = Gateway::new(&per_minute(2.0), 5);
        new.restore(old.state());
        for second in [101, 105, 112, 120, 129, 130, 131, 140] {
            assert_eq!(old.admit(at(second)), new.admit(at(second)), "at {second} s");
        }
    }

    #[test]
    fn the_end_of_time_does_not_overflow() {
        let mut gate = Gateway::new(&per_minute(0.001), 0);
        for _ in 0..3 {
            if let Ok(permit) = gate.admit(Timestamp::MAX) {
                gate.settle(Timestamp::MAX, permit, CallOutcome::Failed(AdvisorFault::Timeout));
            }
        }
        gate.restore(GateState { spent: u64::MAX, ..GateState::default() });
        assert!(gate.admit(Timestamp::MAX).is_err() || gate.admit(Timestamp::MAX).is_err());
    }
}
