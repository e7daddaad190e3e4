//! A fleet decides as its members' own planners would.

mod support;

use planner_core::{
    ClosedGate, Event, Fleet, FleetError, Heuristic, Operation, Outcome, Planner,
    QuarantinedBaseline,
};
use proptest::prelude::*;
use support::{Happening, config, happening, window_of};

/// What a planner without an advisor is.
type Alone = Planner<Heuristic, QuarantinedBaseline, ClosedGate>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_member_decides_as_a_planner_of_its_own(
        configs in prop::collection::vec(config(), 2..4),
        happenings in prop::collection::vec((any::<prop::sample::Index>(), happening()), 1..300),
    ) {
        let mut fleet = Fleet::new(Heuristic);
        let mut planners = Vec::new();
        let mut members = Vec::new();
        for config in &configs {
            let class = fleet.class(config.clone()).expect("few");
            members.push(fleet.add(class).expect("few"));
            let baseline = QuarantinedBaseline::new(config);
            planners.push(Alone::with_parts(config.clone(), Heuristic, baseline, ClosedGate));
        }
        let mut seconds = vec![0_u64; configs.len()];
        let mut decided = vec![None; configs.len()];
        for (index, happening) in &happenings {
            let who = index.index(configs.len());
            match happening {
                Happening::Refuse => {
                    let Some(id) = decided[who] else { continue };
                    fleet.settle(members[who], id, Outcome::Refuse).expect("a member");
                    let settled = Event::Settle(id, Outcome::Refuse);
                    let _ = planners[who].step(support::at(seconds[who]), settled);
                }
                Happening::Wake => {
                    let operation = Operation::default().holding_in();
                    fleet.operate(members[who], operation).expect("a member");
                    let now = support::at(seconds[who]);
                    let _ = planners[who].step(now, Event::Operate(operation));
                }
                _ => {
                    seconds[who] += 1;
                    let Some(window) = window_of(seconds[who], happening) else { continue };
                    let now = window.end();
                    let alone = planners[who].decide(now, &window);
                    let together = fleet.decide(now, members[who], &window).expect("a member");
                    prop_assert_eq!(&together, &alone);
                    decided[who] = Some(alone.id);
                }
            }
        }
        for (member, planner) in members.iter().zip(&planners) {
            let taken = fleet.snapshot(*member).expect("a member");
            let mut other = Fleet::new(Heuristic);
            let class = other.class(planner.config().clone()).expect("few");
            let moved = other.restore(class, taken.clone()).expect("restorable");
            prop_assert_eq!(other.snapshot(moved).expect("a member"), taken);
        }
    }
}

#[test]
fn a_member_of_another_fleet_is_refused() {
    let mut one = Fleet::new(Heuristic);
    let config = Planner::heuristic(planner_core::ReplicaBounds::new(1, 4).expect("bounds"));
    let class = one.class(config.config().clone()).expect("few");
    let member = one.add(class).expect("few");
    let mut other = Fleet::new(Heuristic);
    assert_eq!(other.add(class), Err(FleetError::Stranger));
    let error = other.operate(member, Operation::default()).expect_err("not its member");
    assert_eq!(
        error.to_string(),
        "fleet: no such class or member; use those that this fleet gave out"
    );
}
