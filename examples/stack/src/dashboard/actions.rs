//! The last actions, each with its result.

use std::collections::VecDeque;

use planner_redis::wire::{Action, ActionOrigin, ActionResult, Cause, Fault, Heard, Verb};
use serde_json::{Value, json};

use super::json::without_absent;
use crate::text::plain;

/// Actions that are remembered.
pub(super) const ACTIONS_MAX: usize = 100;
/// Of these, how many may be decisions to do nothing once there is something else to remember.
const HOLDS_MAX: usize = 50;
/// Most characters of a reason or a message.
const REASON_MAX: usize = 200;
/// Most characters of a name.
const NAME_MAX: usize = 80;
/// Most lines of an argument.
const LINES_MAX: usize = 40;
/// An old executor answers within this time or not at all, seconds.
const ANSWER_MAX_S: f64 = 60.0;
/// How far two machines' clocks may differ, seconds.
const SKEW_MAX_S: f64 = 5.0;

/// What became of an action.
#[derive(Debug)]
enum Answer {
    Result(ActionResult),
    Failed(String),
}

/// An action, its result, or both.
#[derive(Debug)]
struct Row {
    /// Told from all other rows, so that a page can keep one open.
    number: u64,
    /// When it was sent, seconds since 1970.
    ts: f64,
    action: Option<Action>,
    answer: Option<Answer>,
}

/// The last actions in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Actions {
    rows: VecDeque<Row>,
    count: u64,
}

impl Actions {
    /// Takes an action; its result may have come first, since each channel is read by itself.
    pub(super) fn action(&mut self, action: Action) {
        let waiting = self.rows.iter_mut().find(|row| match (&row.action, &row.answer) {
            (None, Some(Answer::Result(result))) => {
                Fit::of(result, &action).is_some_and(|fit| fit != Fit::Place)
            }
            _ => false,
        });
        match waiting {
            Some(row) => {
                row.ts = action.ts;
                row.action = Some(action);
            }
            None => self.push(action.ts, Some(action), None),
        }
    }

    /// Takes a result.
    pub(super) fn result(&mut self, result: ActionResult) {
        let ts = result.ts;
        match self.asked(&result).and_then(|place| self.rows.get_mut(place)) {
            Some(row) => row.answer = Some(Answer::Result(result)),
            None => self.push(ts, None, Some(Answer::Result(result))),
        }
    }

    /// Takes a report that an executor or a planner failed, which came at `now`.
    pub(super) fn fault(&mut self, fault: &Fault, now: f64) {
        let failed = Answer::Failed(fault.error.clone());
        let raw = fault.raw.as_ref().and_then(|raw| Action::parse(raw.as_bytes()).ok());
        let raw = raw.and_then(Heard::message);
        let same = |row: &&mut Row| match (&row.action, &raw) {
            (Some(action), Some(raw)) => row.answer.is_none() && action == raw,
            _ => false,
        };
        match self.rows.iter_mut().find(same) {
            Some(row) => row.answer = Some(failed),
            None => self.push(now, raw, Some(failed)),
        }
    }

    /// Where the action is that a result answers.
    fn asked(&self, result: &ActionResult) -> Option<usize> {
        let fits = self.rows.iter().enumerate().filter_map(|(place, row)| {
            let fit = Fit::of(result, row.action.as_ref()?)?;
            Some((place, fit, row.answer.is_none()))
        });
        // Numbers tell for sure, and the newest answer counts. Old executors answer in order, so
        // theirs belongs to the oldest action without one.
        fits.filter(|(_, fit, is_open)| *fit == Fit::Number || *is_open)
            .min_by_key(|(place, fit, is_open)| match fit {
                Fit::Number => (0, !is_open, usize::MAX - place),
                Fit::Words => (1, false, *place),
                Fit::Place => (2, false, *place),
            })
            .map(|(place, ..)| place)
    }

    fn push(&mut self, ts: f64, action: Option<Action>, answer: Option<Answer>) {
        self.count += 1;
        self.rows.push_back(Row { number: self.count, ts, action, answer });
        if self.rows.len() > ACTIONS_MAX {
            let is_many = self.rows.iter().filter(|row| row.is_hold()).count() > HOLDS_MAX;
            // A quiet hour does not push out what was done before it.
            let place = self.rows.iter().position(Row::is_hold).filter(|_| is_many);
            self.rows.remove(place.unwrap_or(0));
        }
    }

    /// All of them, newest first.
    pub(super) fn list(&self) -> Vec<Value> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by(|a, b| b.ts.total_cmp(&a.ts).then(b.number.cmp(&a.number)));
        rows.into_iter().map(Row::to_json).collect()
    }
}

/// By what a result belongs to an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// Both name the same decision or order.
    Number,
    /// It repeats the action's words, soon after it.
    Words,
    /// It is about the same target, soon after it, and tells why nothing was tried.
    Place,
}

impl Fit {
    fn of(result: &ActionResult, action: &Action) -> Option<Self> {
        if let Some(id) = result.id {
            return (action.id == Some(id)).then_some(Self::Number);
        }
        if let (Some(epoch), Some(seq)) = (result.epoch, result.seq) {
            let order = action.order.filter(|order| (order.epoch, order.seq) == (epoch, seq));
            return order.map(|_| Self::Number);
        }
        let after = result.ts - action.ts;
        if result.target != action.target || !(-SKEW_MAX_S..=ANSWER_MAX_S).contains(&after) {
            return None;
        }
        if result.action == action.verb.as_str() && result.reason == action.reason {
            return Some(Self::Words);
        }
        (result.action == Verb::Noop.as_str()).then_some(Self::Place)
    }
}

impl Row {
    /// Whether it is a decision to do nothing.
    fn is_hold(&self) -> bool {
        let failed = matches!(self.answer, Some(Answer::Failed(_)));
        let is_order = |action: &Action| action.verb != Verb::Noop || action.order.is_some();
        !failed && self.action.as_ref().is_some_and(|action| !is_order(action))
    }

    fn to_json(&self) -> Value {
        let mut row = match (&self.action, &self.answer) {
            (Some(action), _) => of_action(action),
            (None, Some(Answer::Result(result))) => json!({
                "action": plain(&result.action, NAME_MAX),
                "target": plain(&result.target, NAME_MAX),
                "reason": plain(&result.reason, REASON_MAX),
                "id": result.id,
                "epoch": result.epoch,
                "seq": result.seq,
                "replicas": result.replicas,
            }),
            (None, _) => json!({ "action": "error", "target": "", "reason": "" }),
        };
        if let Value::Object(row) = &mut row {
            row.insert("n".into(), self.number.into());
            row.insert("ts".into(), self.ts.into());
            row.insert("hold".into(), self.is_hold().into());
            if let Some(answer) = &self.answer {
                row.insert("result".into(), answer.to_json(self.action.as_ref()));
            }
        }
        without_absent(row)
    }
}

impl Answer {
    fn to_json(&self, action: Option<&Action>) -> Value {
        let result = match self {
            Self::Failed(error) => {
                return json!({ "status": "error", "message": plain(error, REASON_MAX) });
            }
            Self::Result(result) => result,
        };
        // Where nothing was tried, old executors tell why in place of the action's reason.
        let other = action.is_some_and(|action| action.reason != result.reason);
        let reason = (other && !result.reason.is_empty()).then_some(&result.reason);
        let message = result.message.as_ref().or(reason);
        without_absent(json!({
            "status": result.status.as_str(),
            "message": message.map(|message| plain(message, REASON_MAX)),
            "ts": result.ts,
            "observed": result.observed,
            "took_ms": result.took_ms,
            "cause": result.cause.map(Cause::as_str),
            "simulated": result.simulated,
        }))
    }
}

fn of_action(action: &Action) -> Value {
    let lines = action.derivation.iter().take(LINES_MAX);
    let derivation: Vec<String> = lines.map(|line| plain(line, REASON_MAX)).collect();
    let telemetry = action.telemetry.as_ref().map(|view| {
        without_absent(json!({
            "p95_ms": view.p95_ms,
            "baseline_ms": view.baseline_ms,
            "sigma_ms": view.sigma_ms,
            "replicas": view.replicas,
        }))
    });
    json!({
        "action": action.verb.as_str(),
        "target": plain(&action.target, NAME_MAX),
        "reason": plain(&action.reason, REASON_MAX),
        "id": action.id,
        "epoch": action.order.map(|order| order.epoch),
        "seq": action.order.map(|order| order.seq),
        "replicas": action.order.map(|order| order.replicas),
        "origin": action.origin.map(ActionOrigin::as_str),
        "telemetry": telemetry,
        "derivation": (!derivation.is_empty()).then_some(derivation),
    })
}

#[cfg(test)]
mod tests;
