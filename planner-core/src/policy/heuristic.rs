//! The default policy: proportional steps out, proven or reversible steps in.
//!
//! Out: under a breach the count follows the evidence at hand, first what a replica is known to
//! carry, then how far arrivals exceed answers, then how far the latency is beyond its limit. In
//! calm it follows the learned capacity before latency suffers.
//!
//! Where the load moves and it is known what a replica carries, counts are planned for the load of
//! a start-up time later, with a margin learned from how it moved before (see `outlook`).
//!
//! In: where traffic is known, the load is projected onto fewer replicas and compared with what a
//! replica has carried. Where it is not, one replica less is an experiment: watched, undone at
//! once if the signal leaves the band, and remembered.
//!
//! It opens no door to act: bounds, cooldowns and budgets are the guards' business.

mod load;
mod outlook;

use core::time::Duration;

use load::{Need, RATE_WINDOWS, REPLICAS_MAX, Recent, learn_load, replicas_for};
pub use outlook::Basis;
use outlook::Room;

use super::{NoSignal, Policy, Proposal, Reason, View};
use crate::Timestamp;
use crate::signal::Breach;
use crate::telemetry::{Quality, Traffic};

/// Fewest and most seconds in which a backlog should be worked off.
const BACKLOG_DRAIN_MIN_S: f64 = 5.0;
const BACKLOG_DRAIN_MAX_S: f64 = 30.0;
/// Most that one window's arrivals ÷ completions may multiply the count by.
const SATURATION_FACTOR_MAX: f64 = 4.0;
/// Most that the latency alone may multiply the count by.
const LATENCY_FACTOR_MAX: f64 = 2.0;
/// Windows that a scale-out gets to work off the backlog before the breach asks for one more.
const SETTLE_WINDOWS: u32 = 4;
/// From this many baselines on an advisor may bring a scale-out forward.
const ELEVATED_RATIO: f64 = 1.5;
/// From this many σ on an advisor may bring a scale-out forward.
const ELEVATED_Z: f64 = 3.0;
/// A learned floor is first remembered for this many stabilisation windows or cooldowns.
const FLOOR_WAITS: u32 = 10;
/// Most times the wait of a learned floor doubles.
const FLOOR_DOUBLINGS_MAX: u32 = 5;

/// The default policy. See the module's text for what it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has no settings: all are in `Config`")]
pub struct Heuristic;

/// What the default policy remembers.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct HeuristicState {
    /// The last windows with known traffic.
    recent: Recent,
    /// The most requests per second that one replica answered in a window, and whether replicas
    /// were ever used up: only then is it a capacity.
    throughput_per_s: f64,
    used_up: bool,
    /// The highest mean load per replica that stayed in the band.
    proven_per_s: f64,
    /// Fewer replicas than this were not enough.
    floor: Option<LearnedFloor>,
    /// The last scale-in, while it is watched.
    watched: Option<Watched>,
    /// The window before was a breach.
    breached: bool,
    /// How the load moves, once it has moved and what a replica carries is known.
    #[cfg_attr(feature = "serde", serde(default))]
    outlook: Room,
}

/// The least count that was enough, at a load.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct LearnedFloor {
    replicas: u32,
    arrivals_per_s: Option<f32>,
    until: Timestamp,
    times: u32,
}

/// A scale-in that may turn out to have been wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Watched {
    from: u32,
    /// Nothing but calm spoke for it.
    experiment: bool,
    /// The windows before this one were already out of the band.
    strayed: bool,
}

impl Policy for Heuristic {
    type Signal = NoSignal;
    type State = HeuristicState;

    fn name(&self) -> &'static str {
        "heuristic"
    }

    fn version(&self) -> u32 {
        4
    }

    /// What version 1 remembered lacks the outlook alone, and that of version 2 what following each
    /// forecast would have cost; version 3 remembered the same.
    fn continues(&self, version: u32) -> bool {
        (1..=self.version()).contains(&version)
    }

    fn initial_state(&self) -> HeuristicState {
        HeuristicState::default()
    }

    fn reserve(&self, state: &mut HeuristicState) {
        state.outlook.reserve();
    }

    fn propose(&self, view: &View<'_>, state: &HeuristicState) -> Proposal {
        if let Some(breach) = view.signal.breach {
            return scale_out(view, state, breach);
        }
        match (undo(view, state), busy(view, state)) {
            (Some(undo), Some(busy)) if undo.preferred < busy.preferred => return busy,
            (Some(more), _) | (None, Some(more)) => return more,
            (None, None) => {}
        }
        if !view.is_warm() {
            return Proposal::exactly(view.current).because(Reason::Warmup);
        }
        scale_in(view, state).unwrap_or_else(|| hold(view, state))
    }

    fn learn(&self, view: &View<'_>, target: u32, state: &mut HeuristicState) {
        learn_floor(view, state);
        watch(view, target, state);
        learn_load(view, state);
        state.breached = view.signal.breach.is_some();
    }

    fn rebase(&self, behind: Duration, state: &mut HeuristicState) {
        if let Some(floor) = &mut state.floor {
            floor.until = floor.until.saturating_sub(behind);
        }
        if let Some(outlook) = state.outlook.get_mut() {
            outlook.rebase(behind);
        }
    }

    fn refused(&self, state: &mut HeuristicState) {
        state.watched = None;
    }
}

/// More replicas, by the best evidence there is.
fn scale_out(view: &View<'_>, state: &HeuristicState, breach: Breach) -> Proposal {
    let current = view.current;
    let serving = f64::from(view.ready.max(1));
    let target_share = view.config.target_utilisation();
    let traffic = view.window.traffic;
    // An experiment that ends in a breach is undone at least.
    let tried_from = state.watched.filter(|watched| watched.experiment).map(|watched| watched.from);
    let planned = state.needed(view).map(|need| need.replicas);
    let mut needed = state.busy_replicas(view).max(tried_from).max(planned).unwrap_or(0);
    if let (Some(traffic), Some(capacity)) = (traffic, state.capacity_per_s(view)) {
        let demand_per_s = traffic.arrivals_per_s + backlog_per_s(view, traffic);
        needed = needed.max(replicas_for(demand_per_s, target_share * capacity));
    } else if let (Some(traffic), true) = (traffic, state.proven_per_s > 0.0) {
        needed = needed.max(replicas_for(traffic.arrivals_per_s, state.proven_per_s));
    }
    if let Breach::Saturation { arrivals_per_s, completions_per_s } = breach {
        let factor = (arrivals_per_s / completions_per_s).min(SATURATION_FACTOR_MAX);
        needed = needed.max(replicas_for(serving * factor, target_share));
    }
    // Latency alone does not say how many are missing: each guess has to show its effect first.
    let patience = patience(view, state);
    if traffic.is_none() && patience.is_none() {
        let limit = view.thresholds.up_ratio;
        let ratio = view.signal.ratio.unwrap_or(limit);
        let factor = (ratio / limit).clamp(1.0, LATENCY_FACTOR_MAX);
        needed = needed.max(replicas_for(serving * factor, 1.0));
    }
    let proposal = |preferred| {
        Proposal::band(preferred, preferred, view.config.bounds().max())
            .because(Reason::Demand(breach))
    };
    if needed > current {
        return proposal(needed);
    }
    match patience {
        Some(reason) => proposal(current).because(reason),
        None => proposal(current.saturating_add(1)),
    }
}

/// How fast a backlog should be worked off, in requests per second.
///
/// Who works it off in `d` seconds needs `backlog / d` requests a second more, and keeps the
/// replicas for them as long as none may go. Until then whatever arrives waits too long behind it,
/// which is priced. The sum of both is least at `d² = backlog × kept ÷ (price × arrivals)`. Neither
/// a low price nor a long stabilisation makes more than half a minute of it.
fn backlog_per_s(view: &View<'_>, traffic: Traffic) -> f64 {
    let backlog = f64::from(traffic.in_flight.unwrap_or(0));
    let kept_s = view.config.stabilisation_in().max(view.config.cooldown_in()).as_secs_f64();
    let slow_per_s = view.config.slow_price() * traffic.arrivals_per_s;
    // Zero by zero is no number, which counts as the least.
    let drain_s = libm::sqrt(backlog * kept_s / slow_per_s).max(BACKLOG_DRAIN_MIN_S);
    backlog / drain_s.min(BACKLOG_DRAIN_MAX_S)
}

/// Why one more replica should wait, where what a replica carries does not ask for it.
fn patience(view: &View<'_>, state: &HeuristicState) -> Option<Reason> {
    if view.pending() > 0 {
        return Some(Reason::Pending { replicas: view.pending() });
    }
    // What a replica carries says that there are enough: one burst is no reason to doubt that.
    let burst =
        state.capacity_per_s(view).is_some() && view.window.traffic.is_some() && !state.breached;
    (burst || view.settled_windows < SETTLE_WINDOWS)
        .then_some(Reason::Settling { windows: view.settled_windows })
}

/// Back to where a scale-in started from, when it left the band.
fn undo(view: &View<'_>, state: &HeuristicState) -> Option<Proposal> {
    let watched = state.watched.filter(|watched| watched.experiment)?;
    let strays = view.strays_certainly() || (view.strays() && watched.strayed);
    (strays && watched.from > view.current)
        .then(|| Proposal::exactly(watched.from).because(Reason::Undo { to: watched.from }))
}

/// More replicas before latency suffers, by what a replica carries and how the load moves.
fn busy(view: &View<'_>, state: &HeuristicState) -> Option<Proposal> {
    let outlook = state.needed(view);
    let needed = match outlook {
        Some(need) => need.is_more_than(view.current).then_some(need.replicas),
        None => state.busy_replicas(view),
    }?;
    let capacity = state.capacity_per_s(view)? * f64::from(view.current.max(1));
    let utilisation = (view.window.traffic?.arrivals_per_s / capacity).min(REPLICAS_MAX);
    let proposal = Proposal::band(view.current, needed, needed)
        .because(Reason::Busy { utilisation })
        .consulting();
    Some(match outlook {
        Some(need) => proposal.because(foreseen(&need)),
        None => proposal,
    })
}

/// The load that a count is planned for, as a reason.
fn foreseen(need: &Need) -> Reason {
    let Need { plan, .. } = need;
    Reason::Outlook { basis: plan.basis, per_s: plan.forecast_per_s, margin: plan.margin }
}

/// Fewer replicas: proven where traffic is known, an experiment elsewhere.
fn scale_in(view: &View<'_>, state: &HeuristicState) -> Option<Proposal> {
    if view.near_streak < view.config.low_windows() || !view.quality.is_trusted() {
        return None;
    }
    let current = view.current;
    let floor = state.floor(view);
    let least = floor.map_or(0, |floor| floor.replicas);
    let fewer = |preferred: u32, reason| {
        let proposal = Proposal::band(preferred, preferred, current).because(reason).consulting();
        match floor {
            Some(LearnedFloor { replicas, until, .. }) if preferred == replicas => {
                proposal.because(Reason::LearnedFloor { replicas, until })
            }
            _ => proposal,
        }
    };
    if let Some(need) = state.needed(view) {
        let preferred = need.fewer_than(current)?.max(least);
        return (preferred < current).then(|| fewer(preferred, foreseen(&need)));
    }
    if let Some((needed, limit_per_s)) = state.projected_replicas(view) {
        let needed = needed.max(least);
        if needed < current {
            let per_replica_per_s = view.window.traffic?.arrivals_per_s / f64::from(needed.max(1));
            return Some(fewer(needed, Reason::Projection { per_replica_per_s, limit_per_s }));
        }
        if state.capacity_per_s(view).is_some() {
            return None;
        }
    }
    let untested = state.watched.is_none() && current.saturating_sub(1) >= least;
    // The last replica is no experiment: without it there is nothing to watch.
    (untested && current > view.config.bounds().min().max(1))
        .then(|| fewer(current.saturating_sub(1), Reason::Experiment { from: current }))
}

/// As it is; an advisor may bring a scale-out forward when the signal is elevated, and keep a
/// reserve at the fewest replicas.
fn hold(view: &View<'_>, state: &HeuristicState) -> Proposal {
    let current = view.current;
    let ratio = view.signal.ratio.unwrap_or(0.0);
    // No more eager than a breach would be.
    if view.signal.early && patience(view, state).is_none() {
        let more = current.saturating_add(1);
        return Proposal::band(current, more, more)
            .because(Reason::Elevated { ratio })
            .consulting();
    }
    if let Quality::Doubtful(doubt) = view.quality {
        return Proposal::exactly(current).because(Reason::Doubt(doubt));
    }
    let elevated = ratio >= ELEVATED_RATIO || view.signal.z.unwrap_or(0.0) >= ELEVATED_Z;
    if elevated {
        return Proposal::band(current, current, current.saturating_add(1))
            .because(Reason::Elevated { ratio })
            .consulting();
    }
    let with_reserve = reserve(view).filter(|_| view.near_streak >= view.config.low_windows());
    if let Some(most) = with_reserve.filter(|most| *most > current) {
        return Proposal::band(current, current, most).because(Reason::Calm).consulting();
    }
    Proposal::exactly(current).because(Reason::Calm)
}

/// The replicas up to which an advisor may keep a reserve. At the fewest a step hits hardest, and
/// an advisor may know of one; the reserve is counted from the fewest, so it is all that it costs.
fn reserve(view: &View<'_>) -> Option<u32> {
    let reserve = view.config.advice()?.reserve;
    Some(view.config.bounds().min().saturating_add(reserve))
}

/// Remembers that a scale-in was wrong.
fn learn_floor(view: &View<'_>, state: &mut HeuristicState) {
    let undone = undo(view, state).is_some();
    let Some(watched) = state.watched.filter(|_| undone || view.signal.breach.is_some()) else {
        return;
    };
    let times = state.floor.map_or(0, |floor| floor.times).min(FLOOR_DOUBLINGS_MAX);
    let wait = view.config.cooldown_in().max(view.config.stabilisation_in());
    let doubled = wait.checked_mul(FLOOR_WAITS << times).unwrap_or(Duration::MAX);
    let mean = state.mean_per_s(RATE_WINDOWS, view.load());
    #[expect(clippy::cast_possible_truncation, reason = "rounded to single precision")]
    let arrivals_per_s = mean.map(|(mean, _)| mean as f32);
    state.floor = Some(LearnedFloor {
        replicas: view.current.saturating_add(1).min(watched.from),
        arrivals_per_s,
        until: view.now.saturating_add(doubled),
        times: times + 1,
    });
    state.watched = None;
}

/// Starts and ends the watch over a scale-in.
fn watch(view: &View<'_>, target: u32, state: &mut HeuristicState) {
    if target < view.current {
        let projected = match state.needed(view) {
            Some(need) => Some(need.replicas),
            None => state.projected_replicas(view).map(|(needed, _)| needed),
        };
        let proven = projected.is_some_and(|needed| needed <= target);
        state.watched = Some(Watched { from: view.current, experiment: !proven, strayed: false });
        return;
    }
    let settled = view.settled_windows > SETTLE_WINDOWS.max(view.config.low_windows());
    match &mut state.watched {
        Some(_) if settled && view.signal.near => state.watched = None,
        Some(watched) => watched.strayed = view.strays(),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::testing::Scene;

    fn propose(scene: &Scene, state: &HeuristicState) -> Proposal {
        Heuristic.propose(&scene.view(), state)
    }

    /// What is remembered after these windows, nothing having been scaled.
    fn taught(scenes: &[Scene]) -> HeuristicState {
        let mut state = HeuristicState::default();
        for scene in scenes {
            Heuristic.learn(&scene.view(), scene.current, &mut state);
        }
        state
    }

    /// A replica is known to carry 50 requests a second, and 20 were carried within the band.
    fn knowing() -> HeuristicState {
        let calm = (1..=6).map(|second| Scene::calm(second, 1).with_traffic(20.0, 20.0, 1));
        let full = Scene::breach(7, 1).with_traffic(120.0, 50.0, 70);
        taught(&calm.chain([full]).collect::<Vec<_>>())
    }

    /// A scene whose operator knows that a replica carries 50 requests a second.
    fn told(mut scene: Scene) -> Scene {
        let builder = crate::Config::builder(scene.config.bounds());
        scene.config = builder.capacity_hint_per_s(50.0).build().expect("settings");
        scene
    }

    /// An hour of minutes at 100/s, but for the first of every five at `burst_per_s`, on enough
    /// replicas; one window of five seconds after the other.
    fn bursts(burst_per_s: f64) -> (HeuristicState, Scene) {
        let scene = |number: u64| {
            let rate = if (number / 12).is_multiple_of(5) { burst_per_s } else { 100.0 };
            let scene = told(Scene::calm(5 * number, 20)).with_traffic(rate, rate, 2);
            scene.lasting(5)
        };
        let scenes: Vec<_> = (1..720).map(scene).collect();
        (taught(&scenes), scene(720 + 30))
    }

    #[test]
    fn a_load_that_stands_still_has_no_outlook() {
        let calm = |second| told(Scene::calm(second, 3)).with_traffic(100.0, 100.0, 1);
        let mut state = taught(&(1..=600).map(calm).collect::<Vec<_>>());
        assert_eq!(state.outlook.get(), None);
        let moved = told(Scene::calm(601, 3)).with_traffic(160.0, 160.0, 1);
        Heuristic.learn(&moved.view(), 3, &mut state);
        assert!(state.outlook.get().is_some(), "it moved by six standard deviations");
    }

    #[test]
    fn a_load_that_bursts_is_planned_for_by_what_it_did_before() {
        let (state, calm) = bursts(300.0);
        let proposal = propose(&calm, &state);
        assert!(matches!(proposal.reasons.first(), Some(Reason::Outlook { .. })), "{proposal:?}");
        assert!((6..=8).contains(&proposal.preferred), "300/s are to come: {proposal:?}");
        let (state, calm) = bursts(150.0);
        let proposal = propose(&calm, &state);
        assert!((3..=4).contains(&proposal.preferred), "150/s are to come: {proposal:?}");
    }

    #[test]
    fn who_pays_nothing_for_slow_requests_keeps_nothing_for_bursts() {
        let (mut state, mut calm) = bursts(300.0);
        let builder = crate::Config::builder(calm.config.bounds());
        let config = builder.capacity_hint_per_s(50.0).slow_price(0.0).build().expect("settings");
        calm.config = config;
        // Margins are learned with a window, so the next one follows the price.
        Heuristic.learn(&calm.view(), 20, &mut state);
        assert_eq!(propose(&calm, &state).preferred, 3, "100/s at 80 % of 50/s each");
    }

    #[test]
    fn a_burst_of_an_hour_ago_multiplies_no_load_of_now() {
        let scene = |number: u64| {
            let rate = match number {
                0..60 => 10.0,
                60..72 => 1000.0,
                72..792 => 0.0,
                _ => 440.0,
            };
            told(Scene::calm(5 * number, 20)).with_traffic(rate, rate, 2).lasting(5)
        };
        let mut state = HeuristicState::default();
        for number in 1..1512 {
            let scene = scene(number);
            let need = state.needed(&scene.view()).map_or(0, |need| need.replicas);
            let most = if number < 792 { 40 } else { 20 };
            assert!(need <= most, "{need} replicas in window {number}, for 9 busy ones");
            Heuristic.learn(&scene.view(), 20, &mut state);
        }
    }

    #[test]
    fn an_outlook_without_traffic_leaves_scaling_in_to_experiments() {
        let (state, mut calm) = bursts(300.0);
        calm.window.traffic = None;
        let proposal = propose(&calm, &state);
        assert_eq!(proposal.preferred, 19);
        assert!(proposal.reasons.contains(&Reason::Experiment { from: 20 }), "{proposal:?}");
    }

    #[test]
    fn what_was_carried_corrects_an_operator_who_knows_of_less() {
        let mut calm = Scene::calm(1, 2).with_traffic(100.0, 100.0, 2);
        let builder = crate::Config::builder(calm.config.bounds());
        calm.config = builder.capacity_hint_per_s(5.0).build().expect("settings");
        let state = taught(&[Scene::calm(1, 2).with_traffic(100.0, 100.0, 2)]);
        assert_eq!(HeuristicState::default().capacity_per_s(&calm.view()), Some(5.0));
        assert_eq!(state.capacity_per_s(&calm.view()), Some(50.0));
    }

    #[test]
    fn margins_look_a_start_up_time_ahead_however_long_windows_are() {
        // Ten minutes of 100/s and ten of 150/s, in turns: a start-up time sees few of the rises.
        let margin = |seconds: u64| {
            let scene = |number: u64| {
                let rate = if (number * seconds / 600).is_multiple_of(2) { 100.0 } else { 150.0 };
                let scene = told(Scene::calm(number * seconds, 20)).with_traffic(rate, rate, 2);
                scene.lasting(seconds)
            };
            let windows = 36_000 / seconds;
            let state = taught(&(1..windows).map(scene).collect::<Vec<_>>());
            let need = state.needed(&scene(windows).view()).expect("the load moved");
            need.plan.margin
        };
        let (short, long) = (margin(5), margin(60));
        assert!((short - long).abs() < 0.1, "{short} and {long}");
    }

    #[test]
    fn one_replica_more_or_less_of_many_is_not_worth_a_change() {
        let (state, calm) = bursts(300.0);
        let preferred = propose(&calm, &state).preferred;
        let slightly_more = Scene { current: preferred * 10 / 9, ..calm };
        let proposal = propose(&slightly_more, &state);
        assert_eq!(proposal.preferred, slightly_more.current, "{proposal:?}");
    }

    /// Two hours of a load in windows of five seconds, whose proposals are carried out at once:
    /// what is remembered, the replicas at the end, and how often their number changed.
    fn followed(rate_per_s: impl Fn(u64) -> f64) -> (HeuristicState, u32, u32) {
        let (mut state, mut current, mut changes) = (HeuristicState::default(), 5, 0);
        for number in 1..1_440 {
            let rate = rate_per_s(number);
            let calm = told(Scene::calm(5 * number, current)).with_traffic(rate, rate, 2);
            let scene = calm.lasting(5);
            let wanted = propose(&scene, &state).preferred;
            Heuristic.learn(&scene.view(), wanted, &mut state);
            changes += u32::from(wanted != current);
            current = wanted;
        }
        (state, current, changes)
    }

    #[test]
    fn noise_about_a_whole_number_of_replicas_is_not_followed_to_and_fro() {
        // 100/s take three replicas, and 4 % more take another, a minute of every two.
        let (state, _, changes) = followed(|number| match number {
            0..60 => 70.0,
            _ if (number / 12).is_multiple_of(2) => 104.0,
            _ => 96.0,
        });
        assert!(state.outlook.get().is_some(), "the load moved");
        assert!(changes <= 4, "{changes} changes in two hours");
    }

    #[test]
    fn what_is_spare_for_noise_is_no_second_replica_for_a_small_load() {
        let (state, current, _) = followed(|number| if number < 60 { 70.0 } else { 30.0 });
        assert!(state.outlook.get().is_some(), "the load moved");
        assert_eq!(current, 1, "30/s of 50/s");
    }

    #[test]
    fn without_a_baseline_it_holds() {
        let cold = Scene { estimate: None, ..Scene::calm(10, 3) };
        let proposal = propose(&cold, &HeuristicState::default());
        assert_eq!((proposal.preferred, &*proposal.reasons), (3, &[Reason::Warmup][..]));
    }

    #[test]
    fn a_breach_of_known_traffic_asks_for_what_a_replica_is_known_to_carry() {
        let scene = Scene::breach(8, 1).with_traffic(120.0, 50.0, 100);
        // 120/s and a backlog of 100 within 5 s, at 80 % of 50/s each.
        assert_eq!(propose(&scene, &knowing()).preferred, 4);
    }

    #[test]
    fn a_long_backlog_gets_the_time_that_its_replicas_and_its_requests_cost_alike() {
        let state = knowing();
        let settings =
            |scene: &Scene| crate::Config::builder(scene.config.bounds()).capacity_hint_per_s(50.0);
        let replicas = |arrivals_per_s, in_flight, change: &dyn Fn(crate::ConfigBuilder) -> _| {
            let mut scene = Scene::breach(8, 1).with_traffic(arrivals_per_s, 50.0, in_flight);
            let changed: crate::ConfigBuilder = change(settings(&scene));
            scene.config = changed.build().expect("settings");
            propose(&scene, &state).preferred
        };
        // In 26 s, and not in 5 s: 232/s beside the 120/s that arrive, at 80 % of 50/s each.
        assert_eq!(replicas(120.0, 6_000, &|it| it), 9);
        // 4.5 s would cost least, and 134/s.
        assert_eq!(replicas(400.0, 600, &|it| it), 13, "120/s in 5 s");
        assert_eq!(replicas(0.0, 6_000, &|it| it), 5, "200/s in half a minute, with no arrivals");
        assert_eq!(replicas(120.0, 6_000, &|it| it.slow_price(0.0)), 8, "nor with no price");
        let day = Duration::from_secs(86_400);
        assert_eq!(replicas(120.0, 6_000, &|it| it.cooldown_in(day)), 8, "nor kept for a day");
    }

    #[test]
    fn a_breach_of_unknown_capacity_asks_for_what_was_carried_before() {
        let calm = (1..=6).map(|second| Scene::calm(second, 1).with_traffic(20.0, 20.0, 1));
        let state = taught(&calm.collect::<Vec<_>>());
        let scene = Scene::breach(7, 1).with_traffic(70.0, 60.0, 10);
        assert_eq!(propose(&scene, &state).preferred, 4, "70/s at 20/s each");
    }

    #[test]
    fn arrivals_that_outrun_answers_multiply_the_count() {
        let breach = Breach::Saturation { arrivals_per_s: 150.0, completions_per_s: 50.0 };
        let mut scene = Scene::breach(1, 2).with_traffic(150.0, 50.0, 100);
        scene.signal.breach = Some(breach);
        // Three times two, each used at 80 %.
        assert_eq!(propose(&scene, &HeuristicState::default()).preferred, 8);
    }

    #[test]
    fn a_breach_of_latency_alone_is_answered_in_proportion_and_at_most_doubled() {
        let mut scene = Scene::breach(8, 4);
        assert_eq!(propose(&scene, &HeuristicState::default()).preferred, 5);
        scene.signal.ratio = Some(12.0);
        assert_eq!(propose(&scene, &HeuristicState::default()).preferred, 6);
        scene.signal.ratio = Some(1e6);
        assert_eq!(propose(&scene, &HeuristicState::default()).preferred, 8);
    }

    #[test]
    fn ordered_replicas_get_time_to_show_their_effect() {
        let pending = Scene { current: 5, ..Scene::breach(8, 4) };
        let proposal = propose(&pending, &HeuristicState::default());
        assert_eq!(proposal.preferred, 5);
        assert!(proposal.reasons.contains(&Reason::Pending { replicas: 1 }));
        let fresh = Scene { settled_windows: 1, ..Scene::breach(8, 5) }.with_traffic(90.0, 90.0, 4);
        let proposal = propose(&fresh, &knowing());
        assert_eq!(proposal.preferred, 5);
        assert!(proposal.reasons.contains(&Reason::Settling { windows: 1 }));
    }

    #[test]
    fn one_burst_at_a_load_that_is_known_to_be_carried_asks_for_nothing() {
        let mut state = knowing();
        for second in 8..18 {
            let calm = Scene::calm(second, 1).with_traffic(27.0, 27.0, 0);
            Heuristic.learn(&calm.view(), 1, &mut state);
        }
        let burst = Scene::breach(18, 1).with_traffic(27.0, 29.0, 0);
        assert_eq!(propose(&burst, &state).preferred, 1);
        Heuristic.learn(&burst.view(), 1, &mut state);
        let again = Scene::breach(19, 1).with_traffic(27.0, 27.0, 0);
        assert_eq!(propose(&again, &state).preferred, 2, "a breach that lasts is no burst");
    }

    #[test]
    fn a_scale_in_is_projected_onto_what_a_replica_carries() {
        // 60/s and two Poisson deviations on the safe side, at 80 % of 50/s each: two replicas.
        let scenes =
            (8..=13).map(|second| told(Scene::calm(second, 4)).with_traffic(60.0, 60.0, 1));
        let state = taught(&scenes.collect::<Vec<_>>());
        let proposal = propose(&told(Scene::calm(14, 4)).with_traffic(60.0, 60.0, 1), &state);
        assert_eq!((proposal.floor, proposal.preferred, proposal.ceiling), (2, 2, 4));
        assert!(matches!(proposal.reasons.first(), Some(Reason::Projection { .. })));
    }

    #[test]
    fn with_known_capacity_there_are_no_experiments() {
        let calm = |second| told(Scene::calm(second, 3)).with_traffic(110.0, 110.0, 2);
        let state = taught(&(8..=13).map(calm).collect::<Vec<_>>());
        let proposal = propose(&calm(14), &state);
        assert_eq!((proposal.preferred, &*proposal.reasons), (3, &[Reason::Calm][..]));
    }

    #[test]
    fn busy_replicas_get_help_before_latency_suffers() {
        let calm = |second| told(Scene::calm(second, 2)).with_traffic(110.0, 100.0, 3);
        let state = taught(&(8..=12).map(calm).collect::<Vec<_>>());
        let proposal = propose(&calm(13), &state);
        assert_eq!(proposal.preferred, 3);
        assert!(matches!(proposal.reasons.first(), Some(Reason::Busy { .. })));
    }

    #[test]
    fn noise_of_counting_is_not_busy() {
        // 95 arrivals in one second are within the noise of 80/s, which two replicas carry.
        let scene = Scene::calm(8, 2).with_traffic(95.0, 95.0, 3);
        assert_eq!(propose(&scene, &knowing()).preferred, 2);
    }

    #[test]
    fn an_experiment_that_leaves_the_band_is_undone_and_remembered() {
        let mut state = HeuristicState::default();
        Heuristic.learn(&Scene::calm(10, 4).view(), 3, &mut state);
        let mut strays = Scene::calm(11, 3);
        strays.window = crate::testing::window(11, 70.0, 3);
        strays.signal.near = false;
        let proposal = propose(&strays, &state);
        assert_eq!((proposal.preferred, &*proposal.reasons), (4, &[Reason::Undo { to: 4 }][..]));
        Heuristic.learn(&strays.view(), 4, &mut state);
        let proposal = propose(&Scene::calm(20, 4), &state);
        assert_eq!(proposal.preferred, 4, "tried again at once");
        let much_later = propose(&Scene::calm(20 + 10 * 120, 4), &state);
        assert_eq!(much_later.preferred, 3, "never tried again");
    }

    #[test]
    fn doubt_is_named_and_proposes_nothing() {
        let doubt = crate::Doubt::Silent;
        let scene = Scene { quality: Quality::Doubtful(doubt), ..Scene::calm(10, 3) };
        let proposal = propose(&scene, &knowing());
        assert_eq!((proposal.preferred, &*proposal.reasons), (3, &[Reason::Doubt(doubt)][..]));
    }

    #[test]
    fn an_elevated_signal_asks_for_a_second_opinion_on_one_more() {
        let mut scene = Scene::calm(10, 3);
        scene.signal = crate::Signal { ratio: Some(2.0), z: Some(3.5), ..scene.signal };
        scene.signal.near = false;
        let scene = Scene { near_streak: 0, ..scene };
        let proposal = propose(&scene, &knowing());
        assert_eq!((proposal.floor, proposal.preferred, proposal.ceiling), (3, 3, 4));
        assert!(proposal.consult);
    }

    #[test]
    fn arithmetic_has_no_way_to_ask_for_the_impossible() {
        assert_eq!(replicas_for(1e9, 0.0), 1_000_000);
        assert_eq!(replicas_for(0.0, 0.0), 0);
        assert_eq!(replicas_for(1e9, 1e-300), 1_000_000);
        assert_eq!(replicas_for(120.0, 40.0), 3);
    }

    #[test]
    fn a_replica_that_answered_nothing_has_no_capacity() {
        let mut scene = Scene::breach(1, 1).with_traffic(100.0, 0.0, 100);
        scene.signal.breach = Some(Breach::Timeouts { share: 1.0 });
        let state = taught(&[scene]);
        assert!(state.used_up);
        assert_eq!(state.capacity_per_s(&Scene::calm(2, 1).view()), None);
    }

    #[test]
    fn what_was_never_carried_in_the_band_is_no_proof() {
        let scene = Scene::calm(10, 3).with_traffic(60.0, 60.0, 1);
        assert_eq!(HeuristicState::default().projected_replicas(&scene.view()), None);
    }

    #[test]
    fn a_window_without_a_length_has_no_load() {
        let mut scene = Scene::calm(10, 3).with_traffic(60.0, 60.0, 1);
        assert!(scene.view().load().is_some());
        scene.window.start = scene.window.end;
        assert_eq!(scene.view().load(), None);
    }

    #[test]
    fn what_stands_at_the_end_of_the_band_does_not_stray() {
        let mut scene = Scene::calm(10, 3);
        scene.window = crate::testing::window(10, 50.0, 3);
        assert!(!scene.view().strays_certainly());
        scene.window = crate::testing::window(10, 50.1, 3);
        assert!(scene.view().strays_certainly());
    }

    #[test]
    fn an_experiment_whose_count_is_back_already_is_not_undone() {
        let mut state = HeuristicState::default();
        Heuristic.learn(&Scene::calm(10, 4).view(), 3, &mut state);
        let mut strays = Scene::calm(11, 4);
        strays.window = crate::testing::window(11, 70.0, 4);
        strays.signal.near = false;
        let proposal = propose(&strays, &state);
        assert_eq!(proposal.preferred, 4);
        assert!(!proposal.reasons.contains(&Reason::Undo { to: 4 }), "{:?}", proposal.reasons);
    }
}
