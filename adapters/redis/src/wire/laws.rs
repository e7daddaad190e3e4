//! Laws of all messages: what is written is read as it was, no bytes do harm, and the proof of
//! concept's own messages are read to the last field.

use planner_core::ServiceId;
use planner_ports::{Member, ReplicaState};
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

const OLD: &str = include_str!("../../tests/data/old_format.json");

fn service() -> impl Strategy<Value = ServiceId> {
    "[a-z0-9-]{1,63}".prop_map(|name| ServiceId::new(name).expect("a name"))
}

fn wall() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..=1e10, (0_u32..2_000_000_000).prop_map(f64::from)]
}

fn millis() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), 0.0..=1e8, 1e-9..=1.0]
}

fn index() -> impl Strategy<Value = u64> {
    prop_oneof![Just(COUNT_MAX), 0..=COUNT_MAX]
}

fn replicas() -> impl Strategy<Value = u32> {
    0..=1_000_000_u32
}

prop_compose! {
    fn traffic()(
        rps in 0.0..=1e9,
        completions_rps in option::of(0.0..=1e9),
        in_flight in option::of(any::<u32>()),
        queued in option::of(any::<u32>()),
    ) -> DetailTraffic {
        DetailTraffic { rps, completions_rps, in_flight, queued }
    }
}

prop_compose! {
    fn latencies()(
        p50_ms in option::of(millis()),
        p95_low_ms in option::of(millis()),
        p95_high_ms in option::of(millis()),
    ) -> DetailLatencies {
        DetailLatencies { p50_ms, p95_low_ms, p95_high_ms }
    }
}

prop_compose! {
    fn detail()(
        (service, seq, start_ts, end_ts) in (service(), any::<u64>(), wall(), wall()),
        (samples, timeouts, failures) in any::<(u32, u32, u32)>(),
        coverage in option::of(0.0..=1.0),
        latencies in option::of(latencies()),
        (ready, starting) in (option::of(replicas()), option::of(replicas())),
        traffic in option::of(traffic()),
        cpu_share in option::of(0.0..=100.0),
    ) -> Detail {
        Detail {
            service, seq, start_ts, end_ts, samples, timeouts, failures, coverage, latencies,
            ready, starting, traffic, cpu_share,
        }
    }
}

prop_compose! {
    fn alert()(
        endpoint in ".{0,60}",
        window_s in 0.0..=86_400.0,
        requests in any::<u32>(),
        success_rate in 0.0..=1.0,
        avg_ms in option::of(millis()),
        p95_ms in millis(),
        replicas in option::of(replicas()),
        ts in wall(),
        detail in option::of(detail()),
    ) -> Alert {
        let p95_ms = Some(p95_ms);
        Alert {
            endpoint, window_s, requests, success_rate, avg_ms, p95_ms, replicas, ts, detail,
        }
    }
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        Just(Verb::Noop),
        Just(Verb::Step(Step::Up)),
        Just(Verb::Step(Step::Down)),
        Just(Verb::Step(Step::Restart)),
    ]
}

prop_compose! {
    fn observed()(
        p95_ms in option::of(millis()),
        baseline_ms in option::of(millis()),
        sigma_ms in option::of(millis()),
        low_windows in prop::collection::vec(any::<bool>(), 0..9),
        replicas in option::of(replicas()),
    ) -> Observed {
        Observed { p95_ms, baseline_ms, sigma_ms, low_windows, replicas }
    }
}

prop_compose! {
    fn order()(
        replicas in replicas(), epoch in index(), seq in index(), expires_ts in wall()
    ) -> OrderStamp {
        OrderStamp { replicas, epoch, seq, expires_ts }
    }
}

prop_compose! {
    fn action()(
        (ts, container, verb, target) in (wall(), ".{0,20}", verb(), ".{0,20}"),
        reason in ".{0,60}",
        telemetry in option::of(observed()),
        ours in option::of((service(), option::of(order()))),
        id in option::of(index()),
        derivation in prop::collection::vec(".{0,30}", 0..9),
        origin in option::of(prop_oneof![
            Just(ActionOrigin::Advisor), Just(ActionOrigin::Operator), Just(ActionOrigin::Policy),
        ]),
    ) -> Action {
        // There is no order without a service.
        let (service, order) = ours.map_or((None, None), |(service, order)| (Some(service), order));
        Action {
            ts, container, verb, target, reason, telemetry, service, id, order, derivation, origin,
        }
    }
}

prop_compose! {
    fn result()(
        (ts, action, target, reason) in (wall(), ".{0,20}", ".{0,20}", ".{0,60}"),
        status in prop::sample::select(
            vec![Status::Error, Status::Noop, Status::Ok, Status::Skipped]
        ),
        message in option::of(".{0,60}"),
        service in option::of(service()),
        (id, epoch, seq) in (option::of(index()), option::of(index()), option::of(index())),
        (replicas, observed) in (option::of(replicas()), option::of(replicas())),
        took_ms in option::of(millis()),
        cause in option::of(prop::sample::select(Cause::ALL.to_vec())),
        simulated in option::of(any::<bool>()),
    ) -> ActionResult {
        ActionResult {
            ts, action, target, reason, status, message, service, id, epoch, seq, replicas,
            observed, took_ms, cause, simulated,
        }
    }
}

fn address() -> impl Strategy<Value = std::net::SocketAddr> {
    any::<(std::net::IpAddr, u16)>().prop_map(Into::into)
}

fn member() -> impl Strategy<Value = Member> {
    let states = vec![ReplicaState::Draining, ReplicaState::Ready, ReplicaState::Starting];
    ("[A-Za-z0-9_.-]{1,64}", option::of(address()), prop::sample::select(states))
        .prop_map(|(slot, address, state)| Member { slot, address, state })
}

prop_compose! {
    fn membership()(
        service in service(),
        epoch in index(),
        seq in index(),
        ts in wall(),
        replicas in prop::collection::vec(member(), 0..20),
    ) -> Membership {
        Membership { service, epoch, seq, ts, replicas }
    }
}

prop_compose! {
    fn routing()(
        service in service(),
        generation in "[0-9a-fA-F]{1,64}",
        addrs in prop::collection::btree_set(address(), 0..20),
        drained in any::<bool>(),
        seq in option::of(index()),
        ts in wall(),
    ) -> Routing {
        Routing { service, generation, addrs, drained, seq, ts }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_it_was(
        alert in alert(), action in action(), result in result(),
        membership in membership(), routing in routing(),
    ) {
        prop_assert_eq!(Alert::parse(alert.write().as_bytes()), Ok(Heard::Message(alert)));
        prop_assert_eq!(Action::parse(action.write().as_bytes()), Ok(Heard::Message(action)));
        prop_assert_eq!(ActionResult::parse(result.write().as_bytes()), Ok(Heard::Message(result)));
        prop_assert_eq!(Membership::parse(membership.write().as_bytes()), Ok(membership));
        prop_assert_eq!(Routing::parse(routing.write().as_bytes()), Ok(routing));
    }

    #[test]
    fn an_order_says_how_many_and_nothing_of_how(
        action in action(), text in ".{0,40}", number in any::<i64>(), truth in any::<bool>(),
    ) {
        let mut more: Value = serde_json::from_str(&action.write()).expect("JSON");
        let extra = serde_json::json!({
            "Image": text, "image": text, "Binds": [text], "HostConfig": {"Privileged": truth},
            "privileged": truth, "CapAdd": [text], "NetworkMode": text, "Cmd": [text],
            "command": text, "env": {"PATH": text}, "memory": number, "labels": {"a": text},
        });
        for (name, value) in extra.as_object().expect("an object") {
            more[name] = value.clone();
            more["decision"][name] = value.clone();
        }
        prop_assert_eq!(
            Action::parse(more.to_string().as_bytes()), Ok(Heard::Message(action))
        );
    }

    #[test]
    fn a_sealed_action_is_verified_and_read(action in action()) {
        let key = MacKey::new(b"sixteen bytes or more").expect("long enough");
        let sealed = seal(&action.write(), &key);
        prop_assert_eq!(verify(sealed.as_bytes(), &key), Ok(()));
        prop_assert_eq!(Action::parse(sealed.as_bytes()), Ok(Heard::Message(action)));
    }

    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        harmless(&bytes);
    }

    #[test]
    fn a_message_with_a_few_wrong_bytes_does_no_harm(
        text in prop_oneof![
            alert().prop_map(|one| one.write()), action().prop_map(|one| one.write()),
            result().prop_map(|one| one.write()), membership().prop_map(|one| one.write()),
        ],
        wrong in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = text.into_bytes();
        for (at, byte) in wrong {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        harmless(&bytes);
    }
}

/// Reads bytes as everything there is. What is read must be read again as it was once written.
fn harmless(bytes: &[u8]) {
    if let Ok(Heard::Message(alert)) = Alert::parse(bytes) {
        let clock = Clock::new(planner_ports::Timeline::begin());
        let _window_or_not = alert.to_window(&clock);
        assert_eq!(Alert::parse(alert.write().as_bytes()), Ok(Heard::Message(alert)));
    }
    if let Ok(Heard::Message(action)) = Action::parse(bytes) {
        assert_eq!(Action::parse(action.write().as_bytes()), Ok(Heard::Message(action)));
    }
    if let Ok(Heard::Message(result)) = ActionResult::parse(bytes) {
        assert_eq!(ActionResult::parse(result.write().as_bytes()), Ok(Heard::Message(result)));
    }
    if let Ok(membership) = Membership::parse(bytes) {
        assert_eq!(Membership::parse(membership.write().as_bytes()), Ok(membership));
    }
    if let Ok(routing) = Routing::parse(bytes) {
        assert_eq!(Routing::parse(routing.write().as_bytes()), Ok(routing));
    }
    let key = MacKey::new(b"sixteen bytes or more").expect("long enough");
    assert!(verify(bytes, &key).is_err());
}

fn old(part: &str) -> Value {
    serde_json::from_str::<Value>(OLD).expect("a fixture")[part].clone()
}

/// Whether two values are the same, numbers as numbers.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(field, value)| other.get(field).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

#[test]
fn an_old_alert_is_read_and_written_to_the_last_field() {
    let text = old("alert");
    let text = text.as_str().expect("text");
    let alert = Alert::parse(text.as_bytes()).expect("legal").message().expect("an alert");
    assert_eq!((alert.requests, alert.success_rate, alert.replicas), (40, 0.8, Some(2)));
    let before: Value = serde_json::from_str(text).expect("JSON");
    let after: Value = serde_json::from_str(&alert.write()).expect("JSON");
    assert!(same(&before, &after), "{before} became {after}");
}

#[test]
fn old_actions_are_read_and_written_to_the_last_field() {
    let actions = old("actions");
    for (name, before) in actions.as_object().expect("examples") {
        let after = match Action::parse(before.to_string().as_bytes()).expect("legal") {
            Heard::Message(action) => {
                assert_eq!(action.order(), None);
                action.write()
            }
            Heard::Fault(fault) => fault.write_action(),
            Heard::Unknown => panic!("{name} is unknown"),
        };
        let after: Value = serde_json::from_str(&after).expect("JSON");
        assert!(same(before, &after), "{name}: {before} became {after}");
    }
    assert_eq!(actions.as_object().map(serde_json::Map::len), Some(5));
}

#[test]
fn old_results_are_read_and_written_to_the_last_field() {
    let results = old("results");
    for before in results.as_array().expect("examples") {
        let after = match ActionResult::parse(before.to_string().as_bytes()).expect("legal") {
            Heard::Message(result) => result.write(),
            Heard::Fault(fault) => fault.write_result(),
            Heard::Unknown => panic!("{before} is unknown"),
        };
        let after: Value = serde_json::from_str(&after).expect("JSON");
        assert!(same(before, &after), "{before} became {after}");
    }
    assert_eq!(results.as_array().map(Vec::len), Some(16));
}
