//! Its executor, over a list of container names.
//!
//! Every container of the target's name counts as a replica, dead ones included; the last in order
//! of name goes first; a new one is named after the second in which it starts, has no label, and is
//! never waited for. Nothing is told apart by id, so an action that comes twice is done twice.

use std::collections::BTreeMap;
use std::fmt;

use super::python;
use super::value::Value;

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the fixed answers of a fixed program")]
pub enum Status {
    /// It could not be done.
    Error,
    /// There was nothing to do.
    Noop,
    /// It is done.
    Ok,
    /// The target is not to be touched.
    Skipped,
}

impl Status {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Noop => "noop",
            Self::Ok => "ok",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What it publishes.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the fixed messages of a fixed program")]
pub enum Outcome {
    /// An action that it could not read or carry out.
    Error {
        /// Why; the text is ours.
        error: String,
        /// The action.
        raw: Value,
    },
    /// The result of an action.
    Result {
        /// When, in Unix seconds.
        ts: f64,
        /// The action, as it came.
        action: Value,
        /// The target, as it came.
        target: Value,
        /// The reason as it came, or why nothing was done.
        reason: Value,
        /// What became of it.
        status: Status,
        /// What was done, in its own words.
        message: Option<String>,
    },
}

impl From<&Outcome> for Value {
    /// The message as it is on the wire.
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Error { error, raw } => Self::map([
                ("status", "error".into()),
                ("error", error.as_str().into()),
                ("raw", raw.clone()),
            ]),
            Outcome::Result { ts, action, target, reason, status, message } => {
                let status = ("status".to_owned(), status.as_str().into());
                let message = message.as_deref().map(|text| ("message".to_owned(), text.into()));
                Self::map([
                    ("ts", Self::Float(*ts)),
                    ("action", action.clone()),
                    ("target", target.clone()),
                    ("reason", reason.clone()),
                    ("result", Self::Map([Some(status), message].into_iter().flatten().collect())),
                ])
            }
        }
    }
}

/// The executor.
///
/// ```
/// use planner_peers::poc::{Executor, Value};
///
/// let mut executor = Executor::new(5, "app:latest").with_container("app", true);
/// let plan = r#"{"kind":"plan","decision":{"action":"scale_up","target":"app","reason":"hot"}}"#;
/// let outcome = executor.take(1_700_000_000.5, plan).expect("a result");
/// let result = Value::from(&outcome);
/// assert_eq!(
///     result.get("result").and_then(|result| result.get("message")),
///     Some(&Value::from("started app-dup-1700000000 from app:latest"))
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executor {
    max_replicas: usize,
    image: String,
    /// Names, and whether they may be touched.
    containers: BTreeMap<String, bool>,
}

impl Executor {
    /// An executor without containers. `max_replicas` is its own `MAX_REPLICAS`, the target
    /// included: 5 unless set. Every container is of `image`.
    pub fn new(max_replicas: usize, image: impl Into<String>) -> Self {
        Self { max_replicas, image: image.into(), containers: BTreeMap::new() }
    }

    /// With one more container, labelled `agentic.target=true` or not.
    #[must_use]
    pub fn with_container(mut self, name: impl Into<String>, labelled: bool) -> Self {
        self.containers.insert(name.into(), labelled);
        self
    }

    /// The names of its containers, in order.
    pub fn containers(&self) -> impl Iterator<Item = &str> {
        self.containers.keys().map(String::as_str)
    }

    /// Takes an action, the text of a message, at this time in Unix seconds. `None` for what is no
    /// plan.
    pub fn take(&mut self, now_s: f64, action: &str) -> Option<Outcome> {
        let message = Value::parse(action)?;
        if message.members().is_some() && message.get("kind") != Some(&"plan".into()) {
            return None;
        }
        let outcome = self.carry_out(now_s, &message);
        Some(outcome.unwrap_or_else(|error| Outcome::Error { error, raw: message }))
    }

    fn carry_out(&mut self, now_s: f64, message: &Value) -> Result<Outcome, String> {
        let part = |name: &str| {
            let value = message.get("decision").and_then(|decision| decision.get(name)).cloned();
            value.ok_or_else(|| format!("the plan has no decision.{name}; send all three"))
        };
        let (action, target, reason) = (part("action")?, part("target")?, part("reason")?);
        let name = python::text(&target);
        let refused = match self.containers.get(&name) {
            Some(true) => None,
            Some(false) => Some((Status::Skipped, "target not labeled agentic.target=true")),
            None => Some((Status::Error, "target container not found")),
        };
        if let Some((status, reason)) = refused {
            let (action, reason) = ("noop".into(), reason.into());
            return Ok(Outcome::Result {
                ts: now_s,
                action,
                target,
                reason,
                status,
                message: None,
            });
        }
        let (status, text) = match &action {
            Value::Text(action) if action == "restart" => (Status::Ok, format!("restarted {name}")),
            Value::Text(action) if action == "scale_down" => self.scale_down(&name),
            Value::Text(action) if action == "scale_up" => self.scale_up(now_s, &name)?,
            _ => (Status::Ok, "noop".to_owned()),
        };
        Ok(Outcome::Result { ts: now_s, action, target, reason, status, message: Some(text) })
    }

    /// The replicas of a target beside itself, in order of name.
    fn siblings<'a>(&'a self, target: &'a str) -> impl DoubleEndedIterator<Item = &'a String> {
        let is_sibling = move |name: &&String| {
            let second = name.strip_prefix(target).and_then(|rest| rest.strip_prefix("-dup-"));
            second.is_some_and(|second| {
                !second.is_empty() && second.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        self.containers.keys().filter(is_sibling)
    }

    fn scale_up(&mut self, now_s: f64, target: &str) -> Result<(Status, String), String> {
        let most = self.max_replicas;
        if self.siblings(target).count() + 1 >= most {
            return Ok((Status::Noop, format!("max replicas {most} reached")));
        }
        let name = format!("{target}-dup-{:.0}", now_s.trunc());
        if self.containers.contains_key(&name) {
            return Err(format!("the name {name} is taken; wait for the next second"));
        }
        let text = format!("started {name} from {}", self.image);
        self.containers.insert(name, false);
        Ok((Status::Ok, text))
    }

    fn scale_down(&mut self, target: &str) -> (Status, String) {
        let Some(victim) = self.siblings(target).next_back().cloned() else {
            return (Status::Noop, "no siblings to remove".to_owned());
        };
        self.containers.remove(&victim);
        (Status::Ok, format!("removed {victim}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(action: &str, target: &str) -> String {
        format!(
            r#"{{"kind":"plan","decision":{{"action":"{action}","target":"{target}","reason":"why"}}}}"#
        )
    }

    fn app() -> Executor {
        Executor::new(3, "app:latest").with_container("app", true)
    }

    fn told(executor: &mut Executor, now_s: f64, message: &str) -> (Status, String, String) {
        match executor.take(now_s, message) {
            Some(Outcome::Result { status, reason, message, .. }) => {
                (status, python::text(&reason), message.unwrap_or_default())
            }
            other => panic!("a result, not {other:?}"),
        }
    }

    #[test]
    fn what_is_no_plan_is_ignored_and_half_a_plan_is_an_error() {
        let mut executor = app();
        assert_eq!(executor.take(1.0, "not json"), None);
        assert_eq!(executor.take(1.0, r#"{"kind":"error"}"#), None);
        for (text, error) in [
            (r#"{"kind":"plan"}"#, "the plan has no decision.action; send all three"),
            (
                r#"{"kind":"plan","decision":{"action":"scale_up"}}"#,
                "the plan has no decision.target; send all three",
            ),
            ("7", "the plan has no decision.action; send all three"),
        ] {
            let raw = Value::parse(text).expect("JSON");
            let error = error.to_owned();
            assert_eq!(executor.take(1.0, text), Some(Outcome::Error { error, raw }));
        }
        assert_eq!(executor, app());
    }

    #[test]
    fn what_is_missing_or_not_labelled_is_left_alone() {
        let mut executor = app().with_container("db", false);
        let (status, reason, _) = told(&mut executor, 1.0, &plan("restart", "db"));
        assert_eq!((status, &*reason), (Status::Skipped, "target not labeled agentic.target=true"));
        let (status, reason, _) = told(&mut executor, 1.0, &plan("restart", "web"));
        assert_eq!((status, &*reason), (Status::Error, "target container not found"));
    }

    #[test]
    fn two_scale_outs_within_a_second_want_the_same_name() {
        let mut executor = app();
        let (status, ..) = told(&mut executor, 7.2, &plan("scale_up", "app"));
        assert_eq!(status, Status::Ok);
        let Some(Outcome::Error { error, .. }) = executor.take(7.9, &plan("scale_up", "app"))
        else {
            panic!("an error")
        };
        assert_eq!(error, "the name app-dup-7 is taken; wait for the next second");
    }

    #[test]
    fn it_scales_out_to_its_own_maximum_and_in_by_order_of_name() {
        let mut executor = app().with_container("app-dup-x", false);
        for (now_s, action, status, message) in [
            (9.0, "scale_up", Status::Ok, "started app-dup-9 from app:latest"),
            (10.0, "scale_up", Status::Ok, "started app-dup-10 from app:latest"),
            (11.0, "scale_up", Status::Noop, "max replicas 3 reached"),
            (12.0, "scale_down", Status::Ok, "removed app-dup-9"),
            (13.0, "scale_down", Status::Ok, "removed app-dup-10"),
            (14.0, "scale_down", Status::Noop, "no siblings to remove"),
            (15.0, "restart", Status::Ok, "restarted app"),
            (16.0, "explode", Status::Ok, "noop"),
        ] {
            let told = told(&mut executor, now_s, &plan(action, "app"));
            assert_eq!(told, (status, "why".to_owned(), message.to_owned()));
        }
        assert_eq!(executor.containers().collect::<Vec<_>>(), ["app", "app-dup-x"]);
    }
}
