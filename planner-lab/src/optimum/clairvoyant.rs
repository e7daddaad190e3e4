//! Bounds for long loads: the best price for a lower, schedules around it for an upper bound.

mod schedule;

use self::schedule::{cheapest_mix, is_within, mended, ordered, planned};
use super::instance::{Instance, Plan};
use super::relaxed::{Descent, Relaxed, Rounding, Table};
use super::{OptimumError, check_share};

/// Most prices tried for the lower bound of one share.
const PRICES_MAX: usize = 24;
/// By how much dearer a schedule's price is tried than that of the lower bound, until one keeps to
/// the budget; and by how much cheaper, until one does not.
const DEARER: [f64; 4] = [1.001, 1.02, 1.2, 3.0];
const CHEAPER: [f64; 4] = [0.999, 0.98, 0.8, 0.3];
/// A bound need not be closer to the best of its kind than this share.
const TOLERANCE: f64 = 1e-5;
/// What rounding may have added to sums of millions of terms, as a share.
const ROUNDING: f64 = 1e-9;

/// The least that was possible within a share of violations, from both sides.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Bracket {
    /// The share of requests that may violate.
    pub share: f64,
    /// No schedule within the share costs less replica-seconds.
    pub lower_replica_s: f64,
    /// A schedule within the share.
    pub plan: Plan,
}

impl Bracket {
    /// How much dearer the schedule is than the lower bound, as a share of the bound: what the
    /// optimum is known to at worst. 0 when both are 0.
    pub fn gap(&self) -> f64 {
        let upper = self.plan.outcome.replica_s;
        if upper > self.lower_replica_s { upper / self.lower_replica_s - 1.0 } else { 0.0 }
    }
}

/// Someone who knows a whole load in advance.
///
/// Made once per load; brackets of several shares reuse the simulation of the load and the prices
/// tried before. Tables take 130 MB at most, beside the load and some 100 bytes per decision.
///
/// ```
/// use planner_lab::optimum::{Clairvoyant, Instance, Rules};
///
/// // A quarter of an hour of 60 requests a second, with two minutes of 400 in it.
/// let load = (0..900).map(|s| if (300..420).contains(&s) { 400.0 } else { 60.0 }).collect();
/// let instance = Instance::new(load, Rules { initial: 2, ..Rules::default() })?;
///
/// let mut clairvoyant = Clairvoyant::new(&instance)?;
/// let strict = clairvoyant.bracket(0.0)?;
/// // 2 replicas throughout, 6 more for the peak and its start-up.
/// assert_eq!(strict.plan.outcome.replica_s, 2.0 * 900.0 + 6.0 * (30.0 + 120.0));
/// assert!(strict.gap() < 0.001);
/// // Who may give up a tenth of all requests lets the six go sooner: the last of the peak wait.
/// let lenient = clairvoyant.bracket(0.1)?;
/// assert!(lenient.plan.outcome.replica_s <= strict.plan.outcome.replica_s - 6.0 * 10.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Clairvoyant<'a> {
    instance: &'a Instance,
    table: Table,
    descent: Descent,
    /// Tangents to the bounds, by rising price.
    tangents: Vec<Tangent>,
}

/// What a price per violating request gave.
#[derive(Clone, Copy, Debug)]
struct Tangent {
    /// Replica-seconds per violating request.
    price: f64,
    relaxed: Relaxed,
}

impl Tangent {
    /// The lower bound that this price gives.
    fn bound(&self, budget: f64) -> f64 {
        let value = self.relaxed.value * (1.0 - ROUNDING);
        value - self.price * Instance::tolerated(budget)
    }

    /// Replica-seconds of its path.
    fn cost(&self) -> f64 {
        self.relaxed.value - self.price * self.relaxed.violating
    }
}

impl<'a> Clairvoyant<'a> {
    /// Simulates what every segment of the load does to every state.
    ///
    /// # Errors
    ///
    /// [`OptimumError::TooLarge`] when the load has too many decisions for so many replicas.
    pub fn new(instance: &'a Instance) -> Result<Self, OptimumError> {
        let table = Table::new(instance)?;
        let descent = Descent::default();
        Ok(Self { instance, table, descent, tangents: Vec::new() })
    }

    /// The least replica-seconds with which at most `share` of all requests violate.
    ///
    /// # Errors
    ///
    /// [`OptimumError::Share`] when the share is none, [`OptimumError::Impossible`] when the lower
    /// bound is beyond what any schedule can cost, [`OptimumError::NotFound`] when it is not and no
    /// schedule was found all the same.
    pub fn bracket(&mut self, share: f64) -> Result<Bracket, OptimumError> {
        check_share(share)?;
        let budget = self.instance.budget(share);
        let price = self.raise_lower(budget);
        let lower_replica_s = self.tangents.iter().map(|it| it.bound(budget)).fold(0.0, f64::max);
        if lower_replica_s > self.dearest_replica_s() {
            return Err(OptimumError::Impossible { share });
        }
        let plan = self.plan(share, budget, price)?;
        Ok(Bracket { share, lower_replica_s, plan })
    }

    /// The brackets of several shares.
    ///
    /// # Errors
    ///
    /// Those of [`Clairvoyant::bracket`], for the first share that has one.
    pub fn curve(&mut self, shares: &[f64]) -> Result<Vec<Bracket>, OptimumError> {
        shares.iter().map(|share| self.bracket(*share)).collect()
    }

    /// Tries prices until the lower bound hardly rises any more; gives the best of them.
    ///
    /// The bound is concave in the price and every price gives a tangent to it, so the best lies
    /// between the last price whose path violates too much and the first whose path does not,
    /// below where their tangents cross. That is where it is tried next.
    fn raise_lower(&mut self, budget: f64) -> f64 {
        for _ in 0..PRICES_MAX {
            let enough = self.tangents.partition_point(|it| it.relaxed.violating > budget);
            let below = enough.checked_sub(1).map(|at| self.tangents[at]);
            let above = self.tangents.get(enough).copied();
            let price = match (below, above) {
                (None, None) => 0.0,
                // Even for nothing few enough violate: every price lowers the bound.
                (None, Some(_)) => break,
                (Some(below), None) => {
                    if below.bound(budget) > self.dearest_replica_s() {
                        break;
                    }
                    let rate = self.instance.rules().service.rate_per_replica_per_s;
                    4.0 * below.price.max(0.5 / rate)
                }
                (Some(below), Some(above)) => {
                    let fall = below.relaxed.violating - above.relaxed.violating;
                    let crossing = (above.cost() - below.cost()) / fall;
                    let ceiling = below.cost() + crossing * (below.relaxed.violating - budget);
                    let best = below.bound(budget).max(above.bound(budget));
                    let is_between = below.price < crossing && crossing < above.price;
                    if !is_between || ceiling - best <= TOLERANCE * best {
                        break;
                    }
                    crossing
                }
            };
            let relaxed =
                self.table.descend(self.instance, price, Rounding::Down, &mut self.descent);
            let at = self.tangents.partition_point(|it| it.price < price);
            self.tangents.insert(at, Tangent { price, relaxed });
        }
        let best = self.tangents.iter().max_by(|a, b| a.bound(budget).total_cmp(&b.bound(budget)));
        best.map_or(0.0, |it| it.price)
    }

    /// The cheapest schedule found within the budget, by prices around that of the lower bound.
    fn plan(&mut self, share: f64, budget: f64, price: f64) -> Result<Plan, OptimumError> {
        let instance = self.instance;
        let constant = |count| planned(instance, vec![count; instance.decisions()]);
        let fewest = constant(instance.rules().replicas_min);
        if is_within(&fewest, budget) {
            return Ok(fewest);
        }
        let mut plans = vec![fewest, constant(instance.rules().replicas_max)];
        let mut is_met = false;
        let mut ready = Vec::new();
        for factor in DEARER {
            let plan;
            (plan, ready) = self.schedule(price * factor);
            is_met = is_within(&plan, budget);
            plans.push(plan);
            if is_met {
                break;
            }
        }
        if !is_met {
            plans.extend(mended(instance, ready, budget));
        }
        for factor in CHEAPER {
            let (plan, _) = self.schedule(price * factor);
            let is_met = is_within(&plan, budget);
            plans.push(plan);
            if !is_met {
                break;
            }
        }
        cheapest_mix(instance, &plans, budget).ok_or_else(|| {
            let shares = plans.iter().map(|plan| plan.outcome.violating_share());
            OptimumError::NotFound { share, least: shares.fold(f64::INFINITY, f64::min) }
        })
    }

    /// What a schedule may cost at most: all replicas all the time.
    fn dearest_replica_s(&self) -> f64 {
        let rules = self.instance.rules();
        let seconds = self.instance.arrivals().len() as f64 * rules.service.step_s;
        f64::from(rules.replicas_max) * seconds
    }

    /// The schedule of a price, and the ready counts that it is for.
    fn schedule(&mut self, price: f64) -> (Plan, Vec<u32>) {
        self.table.descend(self.instance, price, Rounding::Nearest, &mut self.descent);
        let ready = self.table.ready(self.instance, &self.descent);
        (ordered(self.instance, &ready), ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimum::Rules;

    #[test]
    fn what_no_schedule_meets_is_proven_impossible() {
        let rules = Rules { replicas_max: 2, ..Rules::default() };
        let instance = Instance::new(vec![200.0; 200], rules).expect("an instance");
        let mut clairvoyant = Clairvoyant::new(&instance).expect("small");
        assert_eq!(clairvoyant.bracket(0.1), Err(OptimumError::Impossible { share: 0.1 }));
        assert!(clairvoyant.bracket(1.0).is_ok());
    }

    #[test]
    fn what_only_rate_limits_forbid_is_said_not_to_be_found() {
        let rules = Rules { added_max: Some(1), startup_steps: 0, ..Rules::default() };
        let instance = Instance::new(vec![200.0; 20], rules).expect("an instance");
        let error = Clairvoyant::new(&instance).expect("small").bracket(0.0).expect_err("too slow");
        assert_eq!(
            error.to_string(),
            "no schedule within 0 was found, the best violates 0.9875; allow that share, more \
             replicas or faster orders"
        );
    }

    #[test]
    fn a_share_that_is_none_is_refused() {
        let instance = Instance::new(vec![200.0], Rules::default()).expect("an instance");
        let refusal = Clairvoyant::new(&instance).expect("small").bracket(-0.1);
        assert_eq!(refusal, Err(OptimumError::Share { share: -0.1 }));
    }

    #[test]
    fn without_requests_the_fewest_replicas_are_the_optimum() {
        let instance = Instance::new(vec![0.0; 50], Rules::default()).expect("an instance");
        let bracket = Clairvoyant::new(&instance).expect("small").bracket(0.0).expect("possible");
        assert_eq!((bracket.plan.outcome.replica_s, bracket.plan.targets), (50.0, vec![1; 5]));
        assert!(bracket.lower_replica_s > 49.999 && bracket.lower_replica_s <= 50.0);
    }

    #[test]
    fn shares_asked_together_get_the_bounds_they_get_alone() {
        let load = (0..2_000).map(|s| 300.0 + f64::from(s * 7919 % 200)).collect();
        let rules = Rules { initial: 10, ..Rules::default() };
        let instance = Instance::new(load, rules).expect("an instance");
        let curve = Clairvoyant::new(&instance).expect("small").curve(&[0.01, 0.05, 0.2]);
        for bracket in curve.expect("possible") {
            let alone = Clairvoyant::new(&instance).expect("small").bracket(bracket.share);
            let alone = alone.expect("possible").lower_replica_s;
            let difference = (bracket.lower_replica_s - alone).abs();
            assert!(difference <= 2.0 * TOLERANCE * alone, "{difference} of {alone}");
        }
    }
}
