use std::time::Duration;

use planner_core::{Planner, ReplicaBounds, Timestamp, Window};

use super::*;

fn stamp() -> Stamp {
    Stamp {
        service: ServiceId::new("shop").expect("a name"),
        container: String::from("app"),
        ts: 1_000.5,
        epoch: 3,
        seq: 7,
        expires_ts: 1_060.5,
    }
}

/// The decision at a window of 1 replica, where 3 is the least.
fn decision(ready: u32) -> Decision {
    let at = |seconds| Timestamp::from_origin(Duration::from_secs(seconds));
    let mut planner = Planner::heuristic(ReplicaBounds::new(3, 8).expect("bounds"));
    let window = Window::probes(at(0), at(3), &[21.0; 40], 0, ready).expect("a window");
    planner.decide(at(3), &window)
}

#[test]
fn a_decision_with_a_target_is_an_order_with_its_whole_argument() {
    let decision = decision(1);
    assert_eq!(decision.target(), Some(3));
    let action = Action::of_decision(&decision, stamp());
    assert_eq!(action.verb, Verb::Step(Step::Up));
    let order = action.order().expect("an order");
    assert_eq!((order.replicas, order.epoch, order.seq), (3, 3, 7));
    assert_eq!(order.id, Some(decision.id.get()));
    assert!(action.derivation.iter().any(|line| line.starts_with("binding")), "{action:?}");
    assert_eq!(Action::parse(action.write().as_bytes()), Ok(Heard::Message(action)));
}

#[test]
fn a_hold_orders_nothing() {
    let decision = decision(3);
    assert_eq!(decision.target(), None);
    let action = Action::of_decision(&decision, stamp());
    assert_eq!((action.verb, action.order(), action.origin), (Verb::Noop, None, None));
    assert!(!action.write().contains("expires_ts"));
    assert_eq!(Action::parse(action.write().as_bytes()), Ok(Heard::Message(action)));
}

#[test]
fn a_target_without_a_decision_is_an_order_of_the_operators() {
    let action = Action::of_target(5, Some(7), stamp());
    assert_eq!(action.verb, Verb::Step(Step::Down));
    assert_eq!(action.origin, Some(ActionOrigin::Operator));
    assert_eq!(Action::parse(action.write().as_bytes()), Ok(Heard::Message(action)));
}

#[test]
fn an_absolute_number_without_its_stamp_is_refused() {
    let text = |extra: &str| {
        format!(
            "{{\"ts\":1.0,\"kind\":\"plan\",\"decision\":{{\"action\":\"scale_up\",\
             \"replicas\":3}}{extra}}}"
        )
    };
    for (extra, field) in [
        ("", "v"),
        (",\"v\":1", "service"),
        (",\"v\":1,\"service\":\"shop\"", "epoch"),
        (",\"v\":1,\"service\":\"shop\",\"epoch\":1", "seq"),
        (",\"v\":1,\"service\":\"shop\",\"epoch\":1,\"seq\":1", "expires_ts"),
    ] {
        let refused = Action::parse(text(extra).as_bytes());
        assert_eq!(refused, Err(WireError::Missing { field }), "{extra}");
    }
}

#[test]
fn a_word_that_is_none_of_the_four_is_refused() {
    let text = b"{\"ts\":1.0,\"kind\":\"plan\",\"decision\":{\"action\":\"delete_all\"}}";
    assert_eq!(
        Action::parse(text).expect_err("refused").to_string(),
        "action: \\\"delete_all\\\" is not noop, restart, scale_up or scale_down; fix its sender"
    );
}

#[test]
fn an_unknown_kind_is_skipped() {
    assert_eq!(Action::parse(b"{\"kind\":\"gossip\",\"ts\":\"x\"}"), Ok(Heard::Unknown));
    assert_eq!(Action::parse(b"{}"), Ok(Heard::Unknown));
}
