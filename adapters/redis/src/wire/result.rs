//! What became of an action.

use planner_core::ServiceId;

use super::fields::{Fields, NAME_MAX, TEXT_MAX, need};
use super::write::Writer;
use super::{Fault, Heard, VERSION, WireError};

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the four words of the proof of concept")]
pub enum Status {
    /// It was tried and failed.
    Error,
    /// There was nothing to do.
    Noop,
    /// It was done.
    Ok,
    /// It was not tried.
    Skipped,
}

impl Status {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Noop => "noop",
            Self::Ok => "ok",
            Self::Skipped => "skipped",
        }
    }

    fn read(text: &str) -> Option<Self> {
        [Self::Error, Self::Noop, Self::Ok, Self::Skipped]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// Why it went so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The target is met.
    Applied,
    /// The target is outside the executor's own bounds.
    Bounds,
    /// The engine failed.
    Engine,
    /// The order was too old to be obeyed.
    Expired,
    /// The seal was wrong or absent.
    Forged,
    /// The message was wrong.
    Malformed,
    /// An old action, and old actions are not accepted.
    OldActionRefused,
    /// The executor is paused.
    Paused,
    /// The executor only pretends.
    Simulated,
    /// A newer planner has given orders.
    StaleEpoch,
    /// A newer order of the same planner was known.
    StaleSeq,
    /// A newer order came before this one was met.
    Superseded,
    /// It took too long.
    Timeout,
}

impl Cause {
    /// Every cause, in the order of their names.
    pub const ALL: [Self; 13] = [
        Self::Applied,
        Self::Bounds,
        Self::Engine,
        Self::Expired,
        Self::Forged,
        Self::Malformed,
        Self::OldActionRefused,
        Self::Paused,
        Self::Simulated,
        Self::StaleEpoch,
        Self::StaleSeq,
        Self::Superseded,
        Self::Timeout,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Bounds => "bounds",
            Self::Engine => "engine",
            Self::Expired => "expired",
            Self::Forged => "forged",
            Self::Malformed => "malformed",
            Self::OldActionRefused => "old_action_refused",
            Self::Paused => "paused",
            Self::Simulated => "simulated",
            Self::StaleEpoch => "stale_epoch",
            Self::StaleSeq => "stale_seq",
            Self::Superseded => "superseded",
            Self::Timeout => "timeout",
        }
    }

    fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }
}

/// What became of an action, as it is sent. Start from [`ActionResult::new`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ActionResult {
    /// When it was sent, seconds since 1970.
    pub ts: f64,
    /// The action, in the proof of concept's word.
    pub action: String,
    /// What it was applied to.
    pub target: String,
    /// Why it was wanted.
    pub reason: String,
    /// How it went.
    pub status: Status,
    /// How it went, for people.
    pub message: Option<String>,
    /// Whose replicas; absent in the proof of concept's results.
    pub service: Option<ServiceId>,
    /// Number of the decision.
    pub id: Option<u64>,
    /// Epoch of the order; of a refused one, the newest epoch that the executor knows.
    pub epoch: Option<u64>,
    /// Number of the order within its epoch.
    pub seq: Option<u64>,
    /// How many replicas were ordered.
    pub replicas: Option<u32>,
    /// How many replicas are ready now.
    pub observed: Option<u32>,
    /// How long it took, milliseconds.
    pub took_ms: Option<f64>,
    /// Why it went so.
    pub cause: Option<Cause>,
    /// Whether nothing real was done.
    pub simulated: Option<bool>,
}

impl ActionResult {
    /// A result of ours at `ts` seconds since 1970, of which the rest is to be filled in.
    pub fn new(service: ServiceId, ts: f64, action: impl Into<String>, status: Status) -> Self {
        Self {
            ts,
            action: action.into(),
            target: String::new(),
            reason: String::new(),
            status,
            message: None,
            service: Some(service),
            id: None,
            epoch: None,
            seq: None,
            replicas: None,
            observed: None,
            took_ms: None,
            cause: None,
            simulated: None,
        }
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`WireError`] names the field, its value and the rule.
    pub fn parse(bytes: &[u8]) -> Result<Heard<Self>, WireError> {
        let fields = Fields::parse(bytes)?;
        if let Some(result) = fields.object("result")? {
            return Ok(Heard::Message(Self::read(&fields, &result)?));
        }
        match fields.text("status", NAME_MAX)?.as_deref() {
            Some("error") => Ok(Heard::Fault(Fault::read(&fields)?)),
            _ => Ok(Heard::Unknown),
        }
    }

    /// As it is sent.
    pub fn write(&self) -> String {
        let mut writer = Writer::new();
        writer.put("ts", &self.ts);
        writer.put("action", &self.action);
        writer.put("target", &self.target);
        writer.put("reason", &self.reason);
        let mut result = Writer::new();
        result.put("status", self.status.as_str());
        result.put_some("message", self.message.as_deref());
        writer.put_object("result", result);
        if let Some(service) = &self.service {
            writer.put("v", &VERSION);
            writer.put("service", service.as_str());
        }
        writer.put_some("id", self.id);
        writer.put_some("epoch", self.epoch);
        writer.put_some("seq", self.seq);
        writer.put_some("replicas", self.replicas);
        writer.put_some("observed", self.observed);
        writer.put_some("took_ms", self.took_ms);
        writer.put_some("cause", self.cause.map(Cause::as_str));
        writer.put_some("simulated", self.simulated);
        writer.end()
    }

    fn read(fields: &Fields, result: &Fields) -> Result<Self, WireError> {
        let status = result.word("status", "ok, noop, skipped or error", Status::read)?;
        fields.version()?;
        Ok(Self {
            ts: need("ts", fields.wall("ts")?)?,
            action: need("action", fields.text("action", NAME_MAX)?)?,
            target: fields.text("target", NAME_MAX)?.unwrap_or_default(),
            reason: fields.text("reason", TEXT_MAX)?.unwrap_or_default(),
            status: need("status", status)?,
            message: result.text("message", TEXT_MAX)?,
            service: fields.service()?,
            id: fields.index("id")?,
            epoch: fields.index("epoch")?,
            seq: fields.index("seq")?,
            replicas: fields.replicas("replicas")?,
            observed: fields.replicas("observed")?,
            took_ms: fields.number("took_ms", 0.0..=1e10, "milliseconds from 0 to 1e10")?,
            cause: fields.word("cause", "a cause that a result may have", Cause::read)?,
            simulated: fields.flag("simulated")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_comes_back_with_every_cause_and_status() {
        let service = ServiceId::new("shop").expect("a name");
        for cause in Cause::ALL {
            for status in [Status::Error, Status::Noop, Status::Ok, Status::Skipped] {
                let mut result = ActionResult::new(service.clone(), 1.5, "scale_up", status);
                result.cause = Some(cause);
                result.message = Some(String::from("3 of 4 \u{1f600}"));
                result.observed = Some(3);
                assert_eq!(
                    ActionResult::parse(result.write().as_bytes()),
                    Ok(Heard::Message(result))
                );
            }
        }
    }

    #[test]
    fn a_status_that_is_none_is_refused() {
        let text = b"{\"ts\":1,\"action\":\"noop\",\"result\":{\"status\":\"done\"}}";
        assert_eq!(
            ActionResult::parse(text).expect_err("refused").to_string(),
            "status: \\\"done\\\" is not ok, noop, skipped or error; fix its sender"
        );
    }
}
