//! Between the wall clock, which messages go by, and the planner's time.

use std::time::{Duration, SystemTime};

use planner_core::Timestamp;
use planner_ports::Timeline;

use super::WireError;

/// How far ahead another machine's clock may be, in seconds; what is further ahead is refused.
pub const SKEW_MAX_S: f64 = 5.0;

/// The wall clock, in seconds since 1970.
pub fn wall_now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs_f64()
}

/// Maps wall times of messages to planner time by how long ago they are, and back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    timeline: Timeline,
}

impl Clock {
    /// The clock of a planner.
    pub const fn new(timeline: Timeline) -> Self {
        Self { timeline }
    }

    /// Planner time of a wall time in seconds. What is before the planner's origin is the origin;
    /// what is ahead by no more than [`SKEW_MAX_S`] is now.
    ///
    /// # Errors
    ///
    /// [`WireError::Field`] for what is further ahead, or no time at all.
    pub fn timestamp(&self, wall_s: f64) -> Result<Timestamp, WireError> {
        timestamp(wall_s, wall_now(), self.timeline.now())
    }

    /// Wall time of a planner time, in seconds since 1970.
    pub fn wall(&self, at: Timestamp) -> f64 {
        wall(at, wall_now(), self.timeline.now())
    }
}

/// Planner time of a wall time, by both clocks.
pub(super) fn timestamp(
    wall_s: f64,
    wall_now_s: f64,
    now: Timestamp,
) -> Result<Timestamp, WireError> {
    let age_s = wall_now_s - wall_s;
    if !(-SKEW_MAX_S..=f64::INFINITY).contains(&age_s) {
        let rule = "a time at most 5 s ahead of this machine's clock";
        return Err(WireError::field("ts", &format!("{wall_s}"), rule));
    }
    // An age that no duration holds is beyond the origin.
    let age = Duration::try_from_secs_f64(age_s.max(0.0)).unwrap_or(Duration::MAX);
    Ok(now.saturating_sub(age))
}

/// Wall time of a planner time, by both clocks.
pub(super) fn wall(at: Timestamp, wall_now_s: f64, now: Timestamp) -> f64 {
    let behind = now.saturating_since(at).as_secs_f64();
    let ahead = at.saturating_since(now).as_secs_f64();
    wall_now_s - behind + ahead
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn a_time_is_as_far_back_as_it_is_long_ago() {
        assert_eq!(timestamp(990.0, 1_000.0, at(100)), Ok(at(90)));
        assert_eq!(timestamp(1.0, 1_000.0, at(100)), Ok(Timestamp::ORIGIN));
        assert_eq!(timestamp(f64::NEG_INFINITY, 1_000.0, at(100)), Ok(Timestamp::ORIGIN));
    }

    #[test]
    fn a_time_a_little_ahead_is_now_and_further_ahead_is_refused() {
        assert_eq!(timestamp(1_005.0, 1_000.0, at(100)), Ok(at(100)));
        assert_eq!(
            timestamp(1_006.0, 1_000.0, at(100)).expect_err("ahead").to_string(),
            "ts: 1006 is not a time at most 5 s ahead of this machine's clock; fix its sender"
        );
        assert!(timestamp(f64::NAN, 1_000.0, at(100)).is_err());
    }

    #[test]
    fn a_planner_time_is_told_by_the_wall_and_comes_back() {
        assert_eq!(wall(at(90), 1_000.0, at(100)), 990.0);
        assert_eq!(wall(at(103), 1_000.0, at(100)), 1_003.0);
        let clock = Clock::new(Timeline::resume(at(100), SystemTime::now()));
        let back = clock.timestamp(clock.wall(at(99))).expect("in the past");
        let off = back.saturating_since(at(99)).max(at(99).saturating_since(back));
        assert!(off < Duration::from_millis(50), "{off:?}");
    }
}
