//! Real time as the planner counts it. The one place where a clock becomes a timestamp.

use std::time::{Duration, Instant, SystemTime};

use planner_core::Timestamp;

/// Longest time that a planner is taken to have been away: what it remembers is for hours.
const AWAY_MAX: Duration = Duration::from_secs(86_400);

/// Turns the monotonic clock into timestamps. Everything around one planner shares one timeline.
///
/// A timeline begins at [`Timestamp::ORIGIN`] with a planner's first start. After a restart it is
/// resumed, so that cooldowns go on where they were: planner time then passed as the wall clock
/// says, at least not at all and at most a day, because wall clocks are set.
///
/// ```
/// use planner_core::Timestamp;
/// use planner_ports::Timeline;
///
/// let timeline = Timeline::begin();
/// assert!(timeline.now() >= Timestamp::ORIGIN);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    /// When it was made, and what the time was then.
    made: Instant,
    time_then: Timestamp,
}

impl Timeline {
    /// A timeline whose origin is now.
    pub fn begin() -> Self {
        Self { made: Instant::now(), time_then: Timestamp::ORIGIN }
    }

    /// The timeline that stood at `saved` when the wall clock stood at `saved_wall`.
    pub fn resume(saved: Timestamp, saved_wall: SystemTime) -> Self {
        let away = SystemTime::now().duration_since(saved_wall).unwrap_or(Duration::ZERO);
        Self { made: Instant::now(), time_then: saved.saturating_add(away.min(AWAY_MAX)) }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.time_then.saturating_add(self.made.elapsed())
    }

    /// The instant at which the time is `at`; one that is over counts as the timeline's beginning.
    /// `None` when it is further away than the clock can tell.
    pub fn instant(&self, at: Timestamp) -> Option<Instant> {
        self.made.checked_add(at.saturating_since(self.time_then))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    /// Seconds that the time is past 100 s, after a restart at which the wall clock has moved so.
    fn after(wall: impl FnOnce(SystemTime) -> SystemTime) -> u64 {
        let timeline = Timeline::resume(at(100), wall(SystemTime::now()));
        timeline.now().saturating_since(at(100)).as_secs()
    }

    #[test]
    fn a_wall_clock_that_was_set_back_stops_the_time_and_no_more() {
        assert_eq!(after(|now| now + Duration::from_secs(9_999)), 0);
    }

    #[test]
    fn the_time_away_counts_up_to_a_day() {
        assert_eq!(after(|now| now - Duration::from_secs(30)), 30);
        assert_eq!(after(|now| now - Duration::from_secs(400_000_000)), 86_400);
        assert_eq!(after(|_| SystemTime::UNIX_EPOCH), 86_400);
    }

    #[test]
    fn an_instant_is_as_far_away_as_its_time() {
        let timeline = Timeline::resume(at(100), SystemTime::now());
        let ahead = timeline.instant(at(160)).expect("a minute away").duration_since(timeline.made);
        assert!(ahead <= Duration::from_secs(60) && ahead > Duration::from_secs(50), "{ahead:?}");
        assert_eq!(timeline.instant(Timestamp::ORIGIN), Some(timeline.made));
    }
}
