//! Between nothing and something: who wakes a workload, and who puts it back to sleep.
//!
//! From one replica on another rule counts; this one only moves between none, idle and the
//! minimum.

use core::time::Duration;

use planner_core::Timestamp;

/// Whether a value is above its threshold: equal is not yet active, nor is what is no number.
///
/// ```
/// use planner_peers::keda::activation::is_active;
///
/// assert!(is_active(0.001, 0.0));
/// assert!(!is_active(5.0, 5.0));
/// ```
pub fn is_active(value: f64, threshold: f64) -> bool {
    value > threshold
}

/// What operators hold by annotation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who hold something")]
#[expect(clippy::struct_excessive_bools, reason = "four annotations, each on its own")]
pub struct Hold {
    /// Nothing is scaled at all.
    pub paused: bool,
    /// Nothing is scaled in.
    pub paused_scale_in: bool,
    /// Nothing is scaled out.
    pub paused_scale_out: bool,
    /// The workload counts as active, whatever its triggers say.
    pub force_activation: bool,
}

/// When a workload wakes and sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who describe a workload")]
pub struct Activation {
    /// Least replicas while anything is active; 0 lets it sleep.
    pub min_replicas: u32,
    /// Replicas of a sleeping workload; `None` for none, and then only with a minimum of 0.
    pub idle_replicas: Option<u32>,
    /// How long after its last activity a workload stays awake.
    pub cooldown: Duration,
    /// The same for a workload that was never active, counted from its creation.
    pub initial_cooldown: Duration,
    /// Replicas of the fallback; `None` without one.
    pub fallback_replicas: Option<u32>,
    /// What operators hold.
    pub hold: Hold,
}

impl Default for Activation {
    /// Asleep at none, after 300 s without activity.
    fn default() -> Self {
        Self {
            min_replicas: 0,
            idle_replicas: None,
            cooldown: Duration::from_secs(300),
            initial_cooldown: Duration::ZERO,
            fallback_replicas: None,
            hold: Hold::default(),
        }
    }
}

/// What is known at one poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fixed input of a fixed rule")]
pub struct Poll {
    /// The time of the poll.
    pub now: Timestamp,
    /// When the workload was put under this rule.
    pub created: Timestamp,
    /// When it was last active; `None` for never.
    pub last_active: Option<Timestamp>,
    /// Replicas ordered.
    pub current: u32,
    /// Whether any trigger is active.
    pub is_active: bool,
    /// Whether any trigger failed.
    pub is_error: bool,
}

/// Whether the workload counts as active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Active {
    /// A trigger is active, or activation is forced.
    Active,
    /// Nothing is active, and the cooldown goes on.
    Cooldown,
    /// Nothing is active.
    Inactive,
}

impl Active {
    /// Status and reason of the condition of this name.
    pub const fn condition(self) -> (&'static str, &'static str) {
        match self {
            Self::Active => ("True", "ScalerActive"),
            Self::Cooldown => ("False", "ScalerCooldown"),
            Self::Inactive => ("False", "ScalerNotActive"),
        }
    }
}

/// Whether the triggers can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ready {
    /// None is active, one failed, and there is no fallback.
    TriggerError,
    /// Some are active, some failed.
    PartialTriggerError,
    /// They can.
    Ready,
}

impl Ready {
    /// Status of the condition of this name.
    pub const fn status(self) -> &'static str {
        match self {
            Self::TriggerError => "False",
            Self::PartialTriggerError => "Unknown",
            Self::Ready => "True",
        }
    }
}

/// What one poll changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// Replicas to order; `None` leaves them to the other rule.
    pub replicas: Option<u32>,
    /// Whether this poll counts as activity.
    pub marks_activity: bool,
    /// Whether the workload counts as active; `None` while paused.
    pub active: Option<Active>,
    /// Whether the triggers can be relied on.
    pub ready: Ready,
}

impl Activation {
    /// What one poll changes.
    ///
    /// ```
    /// use core::time::Duration;
    /// use planner_core::Timestamp;
    /// use planner_peers::keda::activation::{Activation, Poll};
    ///
    /// let at = |seconds| Timestamp::from_origin(Duration::from_secs(seconds));
    /// let quiet = Poll {
    ///     now: at(300),
    ///     created: at(0),
    ///     last_active: Some(at(0)),
    ///     current: 3,
    ///     is_active: false,
    ///     is_error: false,
    /// };
    /// let rule = Activation::default();
    /// assert_eq!(rule.judge(&quiet).replicas, None); // Not older than 300 s yet.
    /// assert_eq!(rule.judge(&Poll { now: at(301), ..quiet }).replicas, Some(0));
    /// let woken = Poll { current: 0, is_active: true, ..quiet };
    /// assert_eq!(rule.judge(&woken).replicas, Some(1));
    /// ```
    pub fn judge(&self, poll: &Poll) -> Verdict {
        let verdict =
            Verdict { replicas: None, marks_activity: false, active: None, ready: Ready::Ready };
        if self.hold.paused {
            verdict
        } else if poll.is_active || self.hold.force_activation {
            self.awake(poll, Verdict { active: Some(Active::Active), ..verdict })
        } else {
            self.quiet(poll, Verdict { active: Some(Active::Inactive), ..verdict })
        }
    }

    /// Whether the workload is asleep at this count: the other rule leaves it alone.
    pub fn is_asleep(&self, current: u32, is_active: bool) -> bool {
        let is_idle = self.idle_replicas.is_some_and(|idle| current <= idle);
        current == 0 || (is_idle && !is_active && !self.hold.force_activation)
    }

    fn awake(&self, poll: &Poll, verdict: Verdict) -> Verdict {
        let is_idle = self.idle_replicas.is_some() && poll.current < self.min_replicas;
        if poll.current == 0 || is_idle {
            if self.hold.paused_scale_out {
                return verdict;
            }
            let replicas = Some(self.min_replicas.max(1));
            return Verdict { replicas, marks_activity: true, ..verdict };
        }
        if poll.is_error {
            return Verdict { ready: Ready::PartialTriggerError, ..verdict };
        }
        Verdict { marks_activity: true, ..verdict }
    }

    fn quiet(&self, poll: &Poll, verdict: Verdict) -> Verdict {
        if poll.is_error {
            match self.fallback_replicas {
                None => return Verdict { ready: Ready::TriggerError, ..verdict },
                // Going to sleep now would keep the fallback from ever being reached.
                Some(1..) => return verdict,
                Some(0) => {}
            }
        }
        let may_idle = self.idle_replicas.is_some_and(|idle| poll.current > idle);
        if may_idle || (poll.current > 0 && self.min_replicas == 0) {
            return self.fall_asleep(poll, verdict);
        }
        let is_short = self.idle_replicas.is_none() && poll.current < self.min_replicas;
        Verdict { replicas: is_short.then_some(self.min_replicas), ..verdict }
    }

    fn fall_asleep(&self, poll: &Poll, verdict: Verdict) -> Verdict {
        if self.hold.paused_scale_in {
            return verdict;
        }
        let (since, span) = match poll.last_active {
            Some(last_active) => (last_active, self.cooldown),
            None => (poll.created, self.initial_cooldown),
        };
        if since.saturating_add(span) >= poll.now {
            return Verdict { active: Some(Active::Cooldown), ..verdict };
        }
        Verdict { replicas: Some(self.idle_replicas.unwrap_or(self.min_replicas)), ..verdict }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    /// Quiet for 1000 s at `current` replicas.
    fn quiet(current: u32) -> Poll {
        let (now, created, last_active) = (at(2_000), at(0), Some(at(1_000)));
        Poll { now, created, last_active, current, is_active: false, is_error: false }
    }

    #[test]
    fn a_failing_trigger_without_fallback_never_puts_a_workload_to_sleep() {
        let verdict = Activation::default().judge(&Poll { is_error: true, ..quiet(3) });
        assert_eq!((verdict.replicas, verdict.ready), (None, Ready::TriggerError));
    }

    #[test]
    fn a_fallback_of_some_replicas_keeps_a_workload_awake_and_one_of_none_does_not() {
        let failing = Poll { is_error: true, ..quiet(3) };
        let some = Activation { fallback_replicas: Some(4), ..Activation::default() };
        assert_eq!(some.judge(&failing).replicas, None);
        let none = Activation { fallback_replicas: Some(0), ..Activation::default() };
        assert_eq!(none.judge(&failing).replicas, Some(0));
    }

    #[test]
    fn a_cooldown_ends_strictly_after_its_length() {
        let rule = Activation::default();
        let verdict = rule.judge(&Poll { now: at(1_300), ..quiet(3) });
        assert_eq!((verdict.replicas, verdict.active), (None, Some(Active::Cooldown)));
        let verdict = rule.judge(&Poll { now: at(1_301), ..quiet(3) });
        assert_eq!((verdict.replicas, verdict.active), (Some(0), Some(Active::Inactive)));
    }

    #[test]
    fn what_was_never_active_waits_for_the_initial_cooldown() {
        let rule =
            Activation { initial_cooldown: Duration::from_secs(60), ..Activation::default() };
        let fresh = Poll { last_active: None, created: at(1_940), ..quiet(3) };
        assert_eq!(rule.judge(&fresh).active, Some(Active::Cooldown));
        assert_eq!(rule.judge(&Poll { now: at(2_001), ..fresh }).replicas, Some(0));
    }

    #[test]
    fn each_hold_stops_its_own_direction_only() {
        let woken = Poll { is_active: true, ..quiet(0) };
        let with = |hold| Activation { hold, ..Activation::default() };
        let scale_in = with(Hold { paused_scale_in: true, ..Hold::default() });
        assert_eq!(scale_in.judge(&quiet(3)).replicas, None);
        assert_eq!(scale_in.judge(&woken).replicas, Some(1));
        let scale_out = with(Hold { paused_scale_out: true, ..Hold::default() });
        assert_eq!(scale_out.judge(&quiet(3)).replicas, Some(0));
        let verdict = scale_out.judge(&woken);
        assert_eq!((verdict.replicas, verdict.marks_activity), (None, false));
        let paused = with(Hold { paused: true, ..Hold::default() });
        for poll in [quiet(3), woken] {
            assert_eq!((paused.judge(&poll).replicas, paused.judge(&poll).active), (None, None));
        }
    }

    #[test]
    fn forced_activation_wakes_without_a_trigger() {
        let hold = Hold { force_activation: true, ..Hold::default() };
        let rule = Activation { min_replicas: 2, hold, ..Activation::default() };
        assert_eq!(rule.judge(&quiet(0)).replicas, Some(2));
    }

    #[test]
    fn an_idle_count_is_left_for_the_minimum_and_reached_from_above() {
        let rule = Activation { min_replicas: 5, idle_replicas: Some(1), ..Activation::default() };
        assert_eq!(rule.judge(&Poll { is_active: true, ..quiet(1) }).replicas, Some(5));
        assert_eq!(rule.judge(&quiet(4)).replicas, Some(1));
        assert_eq!(rule.judge(&quiet(0)).replicas, None, "a minimum is no floor while idle");
        assert!(rule.is_asleep(1, false) && !rule.is_asleep(1, true) && rule.is_asleep(0, true));
    }

    #[test]
    fn below_the_minimum_a_quiet_workload_is_raised_to_it() {
        let rule = Activation { min_replicas: 2, ..Activation::default() };
        assert_eq!(rule.judge(&quiet(1)).replicas, Some(2));
        assert_eq!(rule.judge(&quiet(2)).replicas, None);
    }

    #[test]
    fn activity_beside_an_error_is_not_relied_on() {
        let poll = Poll { is_active: true, is_error: true, ..quiet(3) };
        let verdict = Activation::default().judge(&poll);
        assert_eq!((verdict.ready, verdict.marks_activity), (Ready::PartialTriggerError, false));
        let woken = Activation::default().judge(&Poll { current: 0, ..poll });
        assert_eq!((woken.replicas, woken.ready), (Some(1), Ready::Ready));
    }
}
