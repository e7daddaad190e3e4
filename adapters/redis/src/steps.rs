//! Towards executors that know single steps only: the next step, until the count is right.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use planner_ports::ReplicaCounts;
use tokio::task::JoinHandle;

use crate::wire::{Action, Verb, wall_now};
use crate::{Bus, Channel, LeaseHold};

/// What repeats the steps of one planner.
#[derive(Debug)]
pub(crate) struct Steps {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    order: Option<Action>,
    /// When a step was last sent.
    sent: Option<Instant>,
    counts: Option<(ReplicaCounts, Instant)>,
}

impl State {
    /// The step that is due: only one after which nobody has counted yet is under way.
    fn due(&self, now: Instant, pause: Duration) -> Option<Action> {
        let (order, (counts, counted)) = (self.order.as_ref()?, self.counts?);
        if let Some(sent) = self.sent
            && (counted <= sent || now.saturating_duration_since(sent) < pause)
        {
            return None;
        }
        let target = order.order?.replicas;
        // One that is on its way need not be started again, and one that is up can be removed.
        let current = if counts.ready < target {
            counts.ready.saturating_add(counts.starting).min(target)
        } else {
            counts.ready
        };
        let verb = Verb::towards(Some(current), Some(target));
        (verb != Verb::Noop).then(|| Action { verb, ..order.clone() })
    }
}

impl Steps {
    /// Repeats steps, at most one in `pause`, valid for `ttl`.
    pub(crate) fn start(bus: Bus, lease: LeaseHold, pause: Duration, ttl: Duration) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause.min(Duration::from_millis(250))).await;
                let Some(mut action) = lock(&shared).due(Instant::now(), pause) else { continue };
                let Some(stamp) = &mut action.order else { continue };
                if lease.epoch() != Some(stamp.epoch) {
                    continue;
                }
                action.ts = wall_now();
                // The same order, later: an executor of ours obeys it once.
                stamp.expires_ts = action.ts + ttl.as_secs_f64();
                let text = bus.sealed(action.write());
                if bus.publish(Channel::Actions, &text).await.is_ok() {
                    lock(&shared).sent = Some(Instant::now());
                }
            }
        });
        Self { state, task }
    }

    /// An order was given; its first step was sent with it.
    pub(crate) fn order(&self, action: Action) {
        let mut state = lock(&self.state);
        let stepped = action.verb != Verb::Noop;
        state.order = Some(action);
        if stepped {
            state.sent = Some(Instant::now());
        }
    }

    /// How many replicas there are now.
    pub(crate) fn note(&self, counts: ReplicaCounts) {
        lock(&self.state).counts = Some((counts, Instant::now()));
    }

    /// What was last counted, if that is not older than `age`.
    pub(crate) fn counted(&self, age: Duration) -> Option<ReplicaCounts> {
        let counts = lock(&self.state).counts;
        counts.filter(|(_, at)| at.elapsed() <= age).map(|(counts, _)| counts)
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Whoever panicked left a state of which every part stands for itself.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use planner_core::ServiceId;

    use super::*;
    use crate::wire::{Stamp, Step};

    const PAUSE: Duration = Duration::from_secs(2);

    fn state(target: u32, ready: u32, starting: u32, now: Instant) -> State {
        let stamp = Stamp {
            service: ServiceId::new("shop").expect("a name"),
            container: String::from("app"),
            ts: 1.0,
            epoch: 1,
            seq: 1,
            expires_ts: 2.0,
        };
        State {
            order: Some(Action::of_target(target, None, stamp)),
            sent: None,
            counts: Some((ReplicaCounts { ready, starting, draining: 0 }, now)),
        }
    }

    fn verb(state: &State, now: Instant) -> Option<Verb> {
        state.due(now, PAUSE).map(|action| action.verb)
    }

    #[test]
    fn steps_go_towards_the_target_and_stop_there() {
        let now = Instant::now();
        assert_eq!(verb(&state(3, 1, 0, now), now), Some(Verb::Step(Step::Up)));
        assert_eq!(verb(&state(3, 1, 1, now), now), Some(Verb::Step(Step::Up)));
        assert_eq!(verb(&state(3, 1, 2, now), now), None);
        assert_eq!(verb(&state(3, 3, 0, now), now), None);
        assert_eq!(verb(&state(3, 5, 1, now), now), Some(Verb::Step(Step::Down)));
    }

    #[test]
    fn a_step_waits_for_a_count_and_for_the_pause() {
        let now = Instant::now();
        let mut state = state(3, 1, 0, now);
        state.sent = Some(now);
        assert_eq!(verb(&state, now + 2 * PAUSE), None, "nobody has counted since");
        state.counts = state.counts.map(|(counts, at)| (counts, at + Duration::from_millis(1)));
        assert_eq!(verb(&state, now + PAUSE / 2), None, "too soon");
        assert!(verb(&state, now + PAUSE).is_some());
        state.counts = None;
        assert_eq!(verb(&state, now + PAUSE), None, "unknown");
    }
}
