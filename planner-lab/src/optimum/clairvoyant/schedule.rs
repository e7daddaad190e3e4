//! Schedules that can be followed, and how to make better ones of them.

use crate::optimum::instance::{Instance, Plan};
use crate::optimum::relaxed::max_over;

/// Most rounds in which a schedule that violates too much gets more replicas.
const ROUNDS_MAX: u32 = 16;

/// A plan with these targets, as far as the rate limits allow them.
pub(super) fn planned(instance: &Instance, mut targets: Vec<u32>) -> Plan {
    limit(instance, &mut targets);
    let outcome = instance.follow(&targets);
    Plan { targets, outcome }
}

/// The plan that has at least so many replicas ready at the end of the steps of each decision.
///
/// A count is ordered one start-up before it is to be ready, so a decision orders the most that
/// are ready from it until the start-up of its last step has ended. Replicas that would leave for
/// less than that stay.
pub(super) fn ordered(instance: &Instance, ready: &[u32]) -> Plan {
    let startup = instance.rules().startup_steps as usize;
    planned(instance, max_over(ready, 0, startup / instance.decide_every()))
}

/// Whether a plan keeps to the budget.
pub(super) fn is_within(plan: &Plan, budget: f64) -> bool {
    plan.outcome.violating <= Instance::tolerated(budget)
}

/// Gives one more replica wherever requests violate, and just before, until few enough do; the
/// plans on the way.
pub(super) fn mended(instance: &Instance, mut ready: Vec<u32>, budget: f64) -> Vec<Plan> {
    let most = instance.rules().replicas_max;
    let mut plans = vec![ordered(instance, &ready)];
    for _ in 0..ROUNDS_MAX {
        let Some(last) = plans.last().filter(|it| !is_within(it, budget)) else { break };
        let violating = instance.violating_by_decision(&last.targets);
        let mut more = ready.clone();
        for (at, _) in violating.iter().enumerate().filter(|(_, violating)| **violating > 0.0) {
            for at in [at.saturating_sub(1), at] {
                more[at] = (ready[at] + 1).min(most);
            }
        }
        ready = more;
        plans.push(ordered(instance, &ready));
    }
    plans
}

/// The cheapest plan within the budget that two of these plans give: the two whose straight line
/// in violations and cost is lowest at the budget, one followed up to some decision and the other
/// from there on. `None` when none of them keeps to the budget.
pub(super) fn cheapest_mix(instance: &Instance, plans: &[Plan], budget: f64) -> Option<Plan> {
    let (enough, too_many): (Vec<_>, Vec<_>) =
        plans.iter().partition(|plan| is_within(plan, budget));
    let cost = |plan: &Plan| plan.outcome.replica_s;
    let cheapest = enough.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)))?;
    let pairs = enough.iter().flat_map(|enough| too_many.iter().map(move |few| (*enough, *few)));
    let line = |(enough, few): &(&Plan, &Plan)| {
        let span = few.outcome.violating - enough.outcome.violating;
        let share = (budget - enough.outcome.violating) / span;
        cost(enough) + share * (cost(few) - cost(enough))
    };
    let pair = pairs.min_by(|a, b| line(a).total_cmp(&line(b)));
    let mixes = pair.into_iter().flat_map(|(enough, few)| {
        [true, false]
            .into_iter()
            .filter_map(move |first| splice(instance, enough, few, budget, first))
    });
    mixes.chain([(*cheapest).clone()]).min_by(|a, b| cost(a).total_cmp(&cost(b)))
}

/// Follows the plan within the budget for as few decisions as halving finds, first or last, and
/// the other one for the rest.
fn splice(
    instance: &Instance,
    enough: &Plan,
    few: &Plan,
    budget: f64,
    enough_first: bool,
) -> Option<Plan> {
    let decisions = instance.decisions();
    let (mut least, mut most) = (0, decisions);
    let mut best: Option<Plan> = None;
    while least < most {
        let count = usize::midpoint(least, most);
        let targets = if enough_first {
            [&enough.targets[..count], &few.targets[count..]].concat()
        } else {
            let rest = decisions - count;
            [&few.targets[..rest], &enough.targets[rest..]].concat()
        };
        let plan = planned(instance, targets);
        if is_within(&plan, budget) {
            most = count;
            let is_better =
                best.as_ref().is_none_or(|it| plan.outcome.replica_s < it.outcome.replica_s);
            best = if is_better { Some(plan) } else { best };
        } else {
            least = count + 1;
        }
    }
    best
}

/// Brings targets within bounds and rate limits: ordered earlier where they rise too fast, removed
/// later where they fall too fast. What cannot be reached from the start stays below.
fn limit(instance: &Instance, targets: &mut [u32]) {
    let rules = instance.rules();
    if let Some(added) = rules.added_max {
        for at in (1..targets.len()).rev() {
            targets[at - 1] = targets[at - 1].max(targets[at].saturating_sub(added));
        }
    }
    let mut from = rules.initial;
    for target in targets {
        let allowed = instance.allowed(from);
        *target = (*target).clamp(*allowed.start(), *allowed.end());
        from = *target;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimum::Rules;

    fn instance(rules: Rules) -> Instance {
        let rules = Rules { startup_steps: 2, decide_every_steps: 1, replicas_max: 9, ..rules };
        let mut load = vec![40.0; 12];
        load[6..8].fill(190.0);
        Instance::new(load, rules).expect("an instance")
    }

    #[test]
    fn what_is_to_be_ready_is_ordered_a_start_up_before() {
        let instance = instance(Rules::default());
        let plan = ordered(&instance, &[1, 1, 1, 1, 1, 1, 4, 4, 1, 1, 1, 1]);
        assert_eq!(plan.targets, [1, 1, 1, 1, 4, 4, 4, 4, 1, 1, 1, 1]);
        assert_eq!(plan.outcome.violating, 0.0);
    }

    #[test]
    fn rate_limits_order_earlier_and_remove_later() {
        let instance =
            instance(Rules { added_max: Some(1), removed_max: Some(2), ..Rules::default() });
        let plan = ordered(&instance, &[1, 1, 1, 1, 1, 1, 4, 4, 1, 1, 1, 1]);
        assert_eq!(plan.targets, [1, 1, 2, 3, 4, 4, 4, 4, 2, 1, 1, 1]);
        assert!(instance.replay(&plan.targets).is_ok());
    }

    #[test]
    fn a_schedule_with_too_few_replicas_gets_them_where_they_lack() {
        let instance = instance(Rules::default());
        let plans = mended(&instance, vec![1; 12], 0.0);
        let last = plans.last().expect("a plan");
        assert_eq!(last.outcome.violating, 0.0);
        assert!(last.targets[..3].iter().all(|target| *target == 1), "{last:?}");
    }

    #[test]
    fn two_schedules_share_the_load_so_that_the_budget_is_used_up() {
        let mut load = vec![40.0; 40];
        for peak in 1..4 {
            load[10 * peak..10 * peak + 2].fill(190.0);
        }
        let rules = Rules { startup_steps: 0, decide_every_steps: 1, ..Rules::default() };
        let instance = Instance::new(load, rules).expect("an instance");
        let (few, enough) = (ordered(&instance, &[1; 40]), ordered(&instance, &[4; 40]));
        let budget = few.outcome.violating / 2.0;
        let mix = cheapest_mix(&instance, &[few.clone(), enough.clone()], budget).expect("a mix");
        assert!(mix.outcome.violating <= budget);
        assert!(mix.outcome.replica_s < enough.outcome.replica_s - 20.0, "{mix:?}");
        assert_eq!(cheapest_mix(&instance, &[few], budget), None);
    }
}
