//! All that is shown, of bounded size.

use planner_core::ServiceId;
use planner_ports::{Member, ReplicaState};
use planner_redis::wire::{
    Action, ActionResult, Alert, Heard, Membership, Routing, SKEW_MAX_S, WireError, wall_now,
};
use serde_json::{Value, json};

use super::actions::Actions;
use super::json::{inert, without_absent};
use super::windows::Windows;
use crate::text::plain;

/// Most replicas and most addresses that are listed.
const MEMBERS_MAX: usize = 64;
/// Most characters of why a message was not understood.
const REFUSAL_MAX: usize = 200;

/// All that is shown.
#[derive(Debug)]
pub(super) struct State {
    service: ServiceId,
    mode: &'static str,
    windows: Windows,
    actions: Actions,
    members: Option<Membership>,
    routing: Option<Routing>,
    /// Whether Redis was lost since anything last came.
    is_lost: bool,
    /// When the newest window came, by this machine's clock.
    heard_ts: Option<f64>,
    refused: u64,
    refusal: Option<String>,
}

impl State {
    /// Nothing yet of a service, on a bus of this mode.
    pub(super) fn new(service: ServiceId, mode: &'static str) -> Self {
        Self {
            service,
            mode,
            windows: Windows::default(),
            actions: Actions::default(),
            members: None,
            routing: None,
            is_lost: false,
            heard_ts: None,
            refused: 0,
            refusal: None,
        }
    }

    /// Redis answers, or does not.
    pub(super) const fn set_lost(&mut self, is_lost: bool) {
        self.is_lost = is_lost;
    }

    /// Takes a message of the channel of alerts.
    pub(super) fn alert(&mut self, bytes: &[u8]) {
        let now = wall_now();
        match Alert::parse(bytes) {
            Ok(Heard::Message(alert)) => {
                if !self.is_ours(alert.detail.as_ref().map(|detail| &detail.service)) {
                    return;
                }
                if self.is_ahead(alert.ts) {
                    return;
                }
                self.heard_ts = Some(now);
                self.windows.push(alert);
            }
            Ok(Heard::Fault(fault)) => self.actions.fault(&fault, now),
            Ok(Heard::Unknown) => {}
            Err(error) => self.misunderstood(&error),
        }
    }

    /// Takes a message of the channel of actions.
    pub(super) fn action(&mut self, bytes: &[u8]) {
        match Action::parse(bytes) {
            Ok(Heard::Message(action)) if self.is_ours(action.service.as_ref()) => {
                if self.is_ahead(action.ts) {
                    return;
                }
                if let Some(view) = &action.telemetry {
                    self.windows.normal(action.ts, view);
                }
                self.actions.action(action);
            }
            Ok(Heard::Fault(fault)) => self.actions.fault(&fault, wall_now()),
            Ok(Heard::Message(_) | Heard::Unknown) => {}
            Err(error) => self.misunderstood(&error),
        }
    }

    /// Takes a message of the channel of results.
    pub(super) fn result(&mut self, bytes: &[u8]) {
        match ActionResult::parse(bytes) {
            Ok(Heard::Message(result)) if self.is_ours(result.service.as_ref()) => {
                if !self.is_ahead(result.ts) {
                    self.actions.result(result);
                }
            }
            Ok(Heard::Fault(fault)) => self.actions.fault(&fault, wall_now()),
            Ok(Heard::Message(_) | Heard::Unknown) => {}
            Err(error) => self.misunderstood(&error),
        }
    }

    /// Takes which replicas there are.
    pub(super) fn members(&mut self, membership: Membership) {
        self.members = Some(membership);
    }

    /// Takes where requests go.
    pub(super) fn routing(&mut self, routing: Routing) {
        self.routing = Some(routing);
    }

    /// On the old channels everybody is heard; who names no service may be ours.
    fn is_ours(&self, service: Option<&ServiceId>) -> bool {
        service.is_none_or(|service| *service == self.service)
    }

    /// Refuses what is ahead of this machine's clock: it would stay the newest for as long.
    fn is_ahead(&mut self, ts: f64) -> bool {
        let is_ahead = ts > wall_now() + SKEW_MAX_S;
        if is_ahead {
            self.refuse("ts: more than 5 s ahead of this machine's clock");
        }
        is_ahead
    }

    fn misunderstood(&mut self, error: &WireError) {
        self.refuse(&error.to_string());
    }

    fn refuse(&mut self, why: &str) {
        self.refused += 1;
        self.refusal = Some(plain(why, REFUSAL_MAX));
    }

    /// The whole of it as one JSON object; [`stamped`] adds the time of its sending.
    pub(super) fn to_json(&self) -> String {
        let (baseline, sigma) = self.windows.baseline();
        // A window that waited in a stream is as old as it says, whenever it was read.
        let heard = match (self.heard_ts, self.windows.last_ts()) {
            (Some(heard), Some(told)) => Some(heard.min(told)),
            _ => None,
        };
        let refused = json!({ "count": self.refused, "last": self.refusal });
        inert(&without_absent(json!({
            "service": self.service.as_str(),
            "bus": { "mode": self.mode, "connected": !self.is_lost },
            "latest": self.windows.latest(),
            "heard_ts": heard,
            "baseline_ms": baseline,
            "sigma_ms": sigma,
            "windows": self.windows.points(),
            "actions": self.actions.list(),
            "members": self.members.as_ref().map(members),
            "routing": self.routing.as_ref().map(routing),
            "refused": without_absent(refused),
        })))
    }
}

/// A state as it is sent at `now`, so that ages can be told without equal clocks.
pub(super) fn stamped(state: &str, now: f64) -> String {
    let rest = state.strip_prefix('{').unwrap_or(state);
    format!("{{\"now_ts\":{now},{rest}")
}

fn members(membership: &Membership) -> Value {
    let one = |member: &Member| {
        let state = match member.state {
            ReplicaState::Draining => "draining",
            ReplicaState::Ready => "ready",
            ReplicaState::Starting => "starting",
        };
        let address = member.address.map(|address| address.to_string());
        without_absent(json!({ "slot": member.slot, "addr": address, "state": state }))
    };
    let replicas: Vec<Value> = membership.replicas.iter().take(MEMBERS_MAX).map(one).collect();
    let counts = membership.counts();
    json!({
        "epoch": membership.epoch,
        "seq": membership.seq,
        "ts": membership.ts,
        "ready": counts.ready,
        "starting": counts.starting,
        "draining": counts.draining,
        "replicas": replicas,
    })
}

fn routing(routing: &Routing) -> Value {
    let addrs: Vec<String> =
        routing.addrs.iter().take(MEMBERS_MAX).map(ToString::to_string).collect();
    without_absent(json!({
        "generation": routing.generation,
        "addrs": addrs,
        "drained": routing.drained,
        "seq": routing.seq,
        "ts": routing.ts,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State::new(ServiceId::new("shop").expect("a name"), "streams")
    }

    fn shown(state: &State) -> Value {
        serde_json::from_str(&stamped(&state.to_json(), 7.5)).expect("JSON")
    }

    fn alert(ts: f64, more: &str) -> String {
        format!(
            r#"{{"kind":"latency_metrics","endpoint":"http://lb/","window_sec":3.0,"requests":40,
            "success_rate":1.0,"avg_ms":26.1,"p95_ms":51.1,"replicas":2,"ts":{ts}{more}}}"#
        )
    }

    #[test]
    fn nothing_is_known_at_first_and_nothing_is_zero() {
        let shown = shown(&state());
        for field in ["latest", "baseline_ms", "sigma_ms", "members", "routing", "heard_ts"] {
            assert!(shown.get(field).is_none(), "{field}");
        }
        assert_eq!((&shown["now_ts"], &shown["actions"]), (&json!(7.5), &json!([])));
    }

    #[test]
    fn the_old_shape_is_there() {
        let mut state = state();
        state.alert(alert(1_000.0, "").as_bytes());
        state.action(
            br#"{"ts":1001.0,"kind":"plan","container":"app","decision":{"action":"scale_up",
            "target":"app","reason":"52.0x baseline"},"telemetry":{"p95_ms":2510.0,
            "baseline_ms":48.4,"sigma_ms":5.9,"low_windows":[false],"replicas":2}}"#,
        );
        state.result(
            br#"{"ts":1001.6,"action":"scale_up","target":"app","reason":"52.0x baseline",
            "result":{"status":"ok","message":"started app-dup-1"}}"#,
        );
        let shown = shown(&state);
        assert_eq!(shown["latest"]["p95_ms"], 51.1);
        assert_eq!(shown["latest"]["replicas"], 2);
        assert_eq!(shown["actions"][0]["action"], "scale_up");
        assert_eq!(shown["actions"][0]["result"]["message"], "started app-dup-1");
        assert_eq!((&shown["baseline_ms"], &shown["sigma_ms"]), (&json!(48.4), &json!(5.9)));
        assert_eq!(shown["windows"][0]["baseline_ms"], 48.4);
        assert_eq!(shown["heard_ts"], 1_000.0);
    }

    #[test]
    fn another_services_messages_are_not_shown() {
        let mut state = state();
        let more = r#","v":1,"service":"other","seq":1,"start_ts":1,"end_ts":2,"samples":1,
            "timeouts":0,"failures":0,"has_latencies":false"#;
        state.alert(alert(1_000.0, more).as_bytes());
        assert!(shown(&state).get("latest").is_none());
    }

    #[test]
    fn what_is_not_understood_is_counted_and_changes_nothing() {
        let mut state = state();
        state.alert(b"{\"kind\":\"latency_metrics\"");
        state.alert(alert(9e9, "").as_bytes());
        state.action(b"[]");
        let shown = shown(&state);
        assert_eq!(shown["refused"]["count"], 3);
        assert!(shown["refused"]["last"].is_string());
        assert!(shown.get("latest").is_none());
    }

    #[test]
    fn the_largest_state_is_of_bounded_size() {
        let mut state = state();
        let line = "<".repeat(4_000);
        let lines = vec![line.as_str(); 15];
        for n in 0..300 {
            let action = json!({ "ts": n, "kind": "plan", "id": n, "derivation": lines,
                "decision": { "action": "noop", "target": "t", "reason": line } });
            state.action(action.to_string().as_bytes());
        }
        assert_eq!(shown(&state)["actions"].as_array().map(Vec::len), Some(100));
        assert!(state.to_json().len() < 3_000_000, "{}", state.to_json().len());
    }
}
