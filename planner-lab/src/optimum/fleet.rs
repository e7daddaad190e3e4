//! Replicas that serve and replicas that start.

/// The replicas of a service between two steps.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Fleet {
    ready: u32,
    total: u32,
    /// The step at which ordered replicas become ready and their number, earliest first.
    starting: Vec<(usize, u32)>,
}

impl Fleet {
    pub(crate) const fn new(ready: u32) -> Self {
        Self { ready, total: ready, starting: Vec::new() }
    }

    /// Replicas that serve.
    pub(crate) const fn ready(&self) -> u32 {
        self.ready
    }

    /// Replicas that are billed: ready or starting.
    pub(crate) const fn total(&self) -> u32 {
        self.total
    }

    /// Orders this many replicas: new ones are ready at the step `ready_at`, superfluous ones
    /// leave at once, the latest order first.
    pub(crate) fn order(&mut self, target: u32, ready_at: usize) {
        if target > self.total {
            self.starting.push((ready_at, target - self.total));
        }
        let mut superfluous = self.total.saturating_sub(target);
        while superfluous > 0
            && let Some((_, count)) = self.starting.last_mut()
        {
            let leave = superfluous.min(*count);
            *count -= leave;
            superfluous -= leave;
            if *count == 0 {
                self.starting.pop();
            }
        }
        self.ready -= superfluous.min(self.ready);
        self.total = target;
    }

    /// Lets those serve whose start-up ends with this step; whether there were any.
    pub(crate) fn become_ready(&mut self, step: usize) -> bool {
        let due = self.starting.iter().take_while(|(at, _)| *at <= step).count();
        self.ready += self.starting.drain(..due).map(|(_, count)| count).sum::<u32>();
        due > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_order_leaves_first_and_then_those_that_serve() {
        let mut fleet = Fleet::new(2);
        fleet.order(4, 10);
        fleet.order(5, 11);
        fleet.order(3, 12);
        assert_eq!((fleet.ready(), fleet.total(), fleet.starting.len()), (2, 3, 1));
        fleet.order(1, 13);
        assert_eq!((fleet.ready(), fleet.total(), fleet.starting.len()), (1, 1, 0));
    }

    #[test]
    fn ordered_replicas_serve_from_their_step_on() {
        let mut fleet = Fleet::new(0);
        fleet.order(2, 3);
        fleet.order(3, 4);
        assert!(!fleet.become_ready(2));
        assert!(fleet.become_ready(3));
        assert_eq!((fleet.ready(), fleet.total()), (2, 3));
    }

    #[test]
    fn a_replica_serves_when_the_order_has_held_it_for_its_whole_start_up() {
        // The fact that the relaxation rests on: ready(t) = min of the orders of [t - startup, t].
        let orders = [3, 5, 5, 2, 4, 4, 4, 6, 1, 3, 3, 3_u32];
        for startup in 0..4 {
            let mut fleet = Fleet::new(3);
            for (step, order) in orders.iter().enumerate() {
                fleet.order(*order, step + startup);
                fleet.become_ready(step);
                let held = (0..=startup)
                    .map(|ago| step.checked_sub(ago).map_or(3, |earlier| orders[earlier]));
                assert_eq!(Some(fleet.ready()), held.min(), "step {step}, start-up {startup}");
            }
        }
    }
}
