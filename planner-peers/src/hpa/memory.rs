//! What is remembered between rounds.

use std::borrow::Cow;
use std::time::Duration;

use planner_core::Timestamp;

use super::conditions::{Condition, ConditionReason, Conditions};
use super::events::ScaleEvents;
use super::reconcile::Outcome;
use super::spec::Spec;
use super::stabilization::Recommendation;

/// What is remembered between rounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who restore it")]
pub struct Memory {
    /// What the metrics asked for; `None` before the first round, which starts with the count that
    /// it finds.
    pub recommendations: Option<Vec<Recommendation>>,
    /// Scalings up, under scaling rules only.
    pub scale_up: ScaleEvents,
    /// Scalings down, under scaling rules only.
    pub scale_down: ScaleEvents,
    /// What was said last.
    pub conditions: Conditions,
}

/// Where a scaling was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Stored {
    up: bool,
    slot: usize,
}

impl Memory {
    /// Remembers a round at `now` that started from `current`, after which `target` replicas are
    /// wanted: those of the outcome, unless somebody else had the last word.
    pub fn commit(
        &mut self,
        spec: &Spec,
        outcome: &Outcome,
        now: Timestamp,
        (current, target): (u32, u32),
    ) {
        _ = self.store(spec, outcome, now, (current, target));
    }

    /// The same, telling where a scaling was stored.
    pub(super) fn store(
        &mut self,
        spec: &Spec,
        outcome: &Outcome,
        now: Timestamp,
        (current, target): (u32, u32),
    ) -> Option<Stored> {
        self.conditions = outcome.conditions;
        let mut recommendations = self.recommendations_from(now, current).into_owned();
        if let Some(replicas) = outcome.recommendation {
            spec.stabilization().record(now, &mut recommendations, replicas);
        }
        self.recommendations = Some(recommendations);
        if target == current {
            return None;
        }
        self.conditions.able_to_scale = Some(Condition::yes(ConditionReason::SucceededRescale));
        let behavior = spec.behavior.as_ref()?;
        let up = target > current;
        let (events, rules) = if up {
            (&mut self.scale_up, &behavior.scale_up)
        } else {
            (&mut self.scale_down, &behavior.scale_down)
        };
        let slot = events.store(now, rules.longest_period(), target.abs_diff(current));
        Some(Stored { up, slot })
    }

    /// Forgets a scaling that was refused.
    pub(super) fn forget(&mut self, Stored { up, slot }: Stored) {
        let events = if up { &mut self.scale_up } else { &mut self.scale_down };
        events.forget(slot);
    }

    /// The recommendations so far; at first, the count that is found.
    pub(super) fn recommendations_from(
        &self,
        now: Timestamp,
        current: u32,
    ) -> Cow<'_, [Recommendation]> {
        match &self.recommendations {
            Some(recommendations) => Cow::Borrowed(recommendations),
            None => Cow::Owned(vec![Recommendation { at: now, replicas: current }]),
        }
    }

    /// Moves every time back by `behind`.
    pub(super) fn rebase(&mut self, behind: Duration) {
        for recommendation in self.recommendations.iter_mut().flatten() {
            recommendation.at = recommendation.at.saturating_sub(behind);
        }
        self.scale_up.rebase(behind);
        self.scale_down.rebase(behind);
    }
}

#[cfg(test)]
mod tests {
    use super::super::behavior::Behavior;
    use super::super::reconcile::{Scale, Snapshot, reconcile};
    use super::super::spec::{Metric, ValueTarget};
    use super::*;

    const NOW: Timestamp = Timestamp::from_origin(Duration::from_secs(1_000));

    fn spec(behavior: Option<Behavior>) -> Spec {
        let metrics = vec![Metric::External(ValueTarget::AverageValue(10_000))];
        Spec { behavior, ..Spec::new(metrics) }
    }

    /// After one round with 5 replicas and load for 8, when `target` was what came of it.
    fn after(behavior: Option<Behavior>, target: u32) -> Memory {
        let (spec, mut memory) = (spec(behavior), Memory::default());
        let scale = Scale { current: 5, min: 1, max: 20 };
        let outcome = reconcile(&spec, scale, &Snapshot::total(80.0), &memory, NOW);
        memory.commit(&spec, &outcome, NOW, (5, target));
        memory
    }

    #[test]
    fn a_scaling_that_did_not_happen_is_neither_stored_nor_said() {
        let memory = after(Some(Behavior::default()), 5);
        assert_eq!(memory.scale_up, ScaleEvents::default());
        let able = memory.conditions.able_to_scale.map(|it| it.reason);
        assert_eq!(able, Some(ConditionReason::ReadyForNewScale));
    }

    #[test]
    fn without_scaling_rules_no_scaling_is_stored() {
        let memory = after(None, 8);
        assert_eq!(memory.scale_up, ScaleEvents::default());
        let able = memory.conditions.able_to_scale.map(|it| it.reason);
        assert_eq!(able, Some(ConditionReason::SucceededRescale));
    }

    #[test]
    fn the_final_count_is_stored_in_its_direction_beside_the_recommendation() {
        let memory = after(Some(Behavior::default()), 4);
        assert_eq!(memory.scale_up, ScaleEvents::default());
        assert_eq!(memory.scale_down.slots().first().map(|it| it.replica_change), Some(1));
        let replicas: Vec<_> =
            memory.recommendations.iter().flatten().map(|it| it.replicas).collect();
        assert_eq!(replicas, [5, 8]);
    }
}
