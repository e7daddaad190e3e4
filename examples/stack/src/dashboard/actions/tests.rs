//! Joining, bounds and harmless text.

use super::*;

fn action(text: &str) -> Action {
    Action::parse(text.as_bytes()).ok().and_then(Heard::message).expect("an action")
}

fn result(text: &str) -> ActionResult {
    ActionResult::parse(text.as_bytes()).ok().and_then(Heard::message).expect("a result")
}

fn old(ts: f64, verb: &str, reason: &str) -> Action {
    action(&format!(
        r#"{{"ts":{ts},"kind":"plan","container":"app","decision":
        {{"action":"{verb}","target":"app","reason":"{reason}"}}}}"#
    ))
}

fn old_result(ts: f64, verb: &str, reason: &str, message: &str) -> ActionResult {
    result(&format!(
        r#"{{"ts":{ts},"action":"{verb}","target":"app","reason":"{reason}",
        "result":{{"status":"ok","message":"{message}"}}}}"#
    ))
}

fn new(id: u64, ts: f64) -> Action {
    action(&format!(
        r#"{{"ts":{ts},"kind":"plan","container":"app","v":1,"service":"app","id":{id},
        "epoch":1,"seq":{id},"expires_ts":9e9,"derivation":["a  b","c"],"origin":"policy",
        "decision":{{"action":"scale_up","target":"app","reason":"why","replicas":4}}}}"#
    ))
}

fn new_result(id: u64, ts: f64, status: &str) -> ActionResult {
    result(&format!(
        r#"{{"ts":{ts},"action":"scale_up","target":"app","reason":"why","v":1,
        "service":"app","id":{id},"epoch":1,"seq":{id},"observed":4,"took_ms":120.0,
        "result":{{"status":"{status}"}}}}"#
    ))
}

#[test]
fn results_of_ours_find_their_action_by_its_number_in_whatever_order() {
    let mut actions = Actions::default();
    actions.result(new_result(2, 12.0, "ok"));
    actions.action(new(1, 10.0));
    actions.action(new(2, 11.0));
    actions.result(new_result(1, 13.0, "error"));
    let list = actions.list();
    assert_eq!(list.len(), 2, "{list:?}");
    assert_eq!((&list[0]["id"], &list[0]["result"]["status"]), (&json!(2), &json!("ok")));
    assert_eq!((&list[1]["id"], &list[1]["result"]["status"]), (&json!(1), &json!("error")));
    assert_eq!(list[1]["result"]["observed"], 4);
    assert_eq!(list[0]["derivation"], json!(["a  b", "c"]));
}

#[test]
fn the_newest_of_two_results_counts() {
    let mut actions = Actions::default();
    actions.action(new(1, 10.0));
    actions.result(new_result(1, 11.0, "error"));
    actions.result(new_result(1, 12.0, "ok"));
    assert_eq!(actions.list().len(), 1);
    assert_eq!(actions.list()[0]["result"]["status"], "ok");
}

#[test]
fn results_of_old_executors_find_their_action_by_the_order_they_come_in() {
    let mut actions = Actions::default();
    actions.action(old(10.0, "scale_up", "slow"));
    actions.action(old(13.0, "scale_up", "slow"));
    actions.result(old_result(10.5, "scale_up", "slow", "first"));
    actions.result(old_result(14.0, "scale_up", "slow", "second"));
    let list = actions.list();
    assert_eq!(list.len(), 2);
    assert_eq!(list[0]["result"]["message"], "second");
    assert_eq!(list[1]["result"]["message"], "first");
}

#[test]
fn a_result_that_came_before_its_old_action_is_joined_too() {
    let mut actions = Actions::default();
    actions.result(old_result(10.5, "scale_up", "slow", "started"));
    actions.action(old(10.0, "scale_up", "slow"));
    assert_eq!(actions.list().len(), 1);
    assert_eq!(actions.list()[0]["ts"], 10.0);
}

#[test]
fn why_an_old_executor_tried_nothing_is_its_message() {
    let mut actions = Actions::default();
    actions.action(old(10.0, "scale_up", "slow"));
    actions.result(result(
        r#"{"ts":10.5,"action":"noop","target":"app","reason":"target container not found",
        "result":{"status":"error"}}"#,
    ));
    let list = actions.list();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["reason"], "slow");
    assert_eq!(list[0]["result"]["message"], "target container not found");
}

#[test]
fn a_result_long_after_an_old_action_is_not_its_own() {
    let mut actions = Actions::default();
    actions.action(old(10.0, "scale_up", "slow"));
    actions.result(old_result(100.0, "scale_up", "slow", "started"));
    assert_eq!(actions.list().len(), 2);
}

#[test]
fn a_failure_is_shown_at_the_action_that_it_repeats() {
    let mut actions = Actions::default();
    let asked = old(10.0, "scale_up", "slow");
    actions.action(asked.clone());
    let mut fault = Fault::new("boom");
    fault.raw = Some(asked.write());
    actions.fault(&fault, 11.0);
    assert_eq!(actions.list()[0]["result"]["message"], "boom");
    actions.fault(&Fault::new("no p95"), 12.0);
    assert_eq!(actions.list()[0]["action"], "error");
    assert_eq!(actions.list().len(), 2);
}

#[test]
fn a_quiet_hour_does_not_push_out_what_was_done() {
    let mut actions = Actions::default();
    actions.action(new(1, 1.0));
    for n in 0_u32..2_000 {
        actions.action(old(f64::from(n) + 2.0, "noop", "near"));
    }
    assert_eq!(actions.list().len(), ACTIONS_MAX);
    assert_eq!(actions.list().last().map(|row| row["id"].clone()), Some(json!(1)));
    for n in 2..1_000_u32 {
        actions.action(new(n.into(), 5_000.0 + f64::from(n)));
    }
    let list = actions.list();
    assert_eq!(list.len(), ACTIONS_MAX);
    assert_eq!(list.iter().filter(|row| row["hold"] == json!(true)).count(), 0);
}

#[test]
fn hostile_text_is_short_and_on_one_line() {
    let mut actions = Actions::default();
    let reason = format!("<b>\\u202e\\n{}", "x".repeat(900));
    actions.action(old(10.0, "noop", &reason));
    let reason = actions.list()[0]["reason"].clone();
    let reason = reason.as_str().expect("text");
    assert_eq!(reason.chars().count(), REASON_MAX);
    assert!(!reason.contains(['\u{202e}', '\n']), "{reason:?}");
}
