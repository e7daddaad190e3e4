//! What the planner wants.

use planner_core::{Action as Verdict, Decision, Origin, ServiceId};

use super::fields::{Fields, NAME_MAX, TEXT_MAX, need};
use super::write::Writer;
use super::{Fault, Heard, VERSION, WireError};
use crate::fence::Order;

/// Most lines of an argument.
const LINES_MAX: usize = 128;
/// Most of the proof of concept's remembered windows.
const WINDOWS_MAX: usize = 128;

/// One step, as old executors are told and old planners tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the three steps of the proof of concept")]
pub enum Step {
    /// One replica fewer.
    Down,
    /// Every replica anew, one at a time.
    Restart,
    /// One replica more.
    Up,
}

/// What the proof of concept's executor is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the four words of the proof of concept")]
pub enum Verb {
    /// Nothing.
    Noop,
    /// One step.
    Step(Step),
}

impl Verb {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::Step(Step::Down) => "scale_down",
            Self::Step(Step::Restart) => "restart",
            Self::Step(Step::Up) => "scale_up",
        }
    }

    /// The step from one number of replicas towards another; none where either is unknown.
    pub fn towards(current: Option<u32>, target: Option<u32>) -> Self {
        match (current, target) {
            (Some(current), Some(target)) if target > current => Self::Step(Step::Up),
            (Some(current), Some(target)) if target < current => Self::Step(Step::Down),
            _ => Self::Noop,
        }
    }

    fn read(text: &str) -> Option<Self> {
        [Self::Noop, Self::Step(Step::Down), Self::Step(Step::Restart), Self::Step(Step::Up)]
            .into_iter()
            .find(|verb| verb.as_str() == text)
    }
}

/// Whose target it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActionOrigin {
    /// The advisor's.
    Advisor,
    /// An operator's or a program's, without a decision.
    Operator,
    /// The policy's.
    Policy,
}

impl ActionOrigin {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Advisor => "advisor",
            Self::Operator => "operator",
            Self::Policy => "policy",
        }
    }

    fn read(text: &str) -> Option<Self> {
        [Self::Advisor, Self::Operator, Self::Policy].into_iter().find(|one| one.as_str() == text)
    }
}

/// What the proof of concept's planner tells of its view.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Observed {
    /// 95th percentile of the latency, milliseconds.
    pub p95_ms: Option<f64>,
    /// What is normal, milliseconds.
    pub baseline_ms: Option<f64>,
    /// How much it scatters, milliseconds.
    pub sigma_ms: Option<f64>,
    /// Whether each of the last windows was near what is normal, oldest first.
    pub low_windows: Vec<bool>,
    /// Replicas that serve.
    pub replicas: Option<u32>,
}

/// By what an order is told from earlier ones, and until when it may be obeyed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct OrderStamp {
    /// How many replicas it orders.
    pub replicas: u32,
    /// Epoch of the planner that gives it.
    pub epoch: u64,
    /// Its number within the epoch.
    pub seq: u64,
    /// Until when it may be obeyed, seconds since 1970.
    pub expires_ts: f64,
}

/// Where and when an action is given, as [`Action::of_decision`] needs it.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "an argument list with names")]
pub struct Stamp {
    /// Whose replicas.
    pub service: ServiceId,
    /// The container that old executors look for.
    pub container: String,
    /// Now, seconds since 1970.
    pub ts: f64,
    /// Epoch of the planner.
    pub epoch: u64,
    /// Number of the order within the epoch.
    pub seq: u64,
    /// Until when the order may be obeyed, seconds since 1970.
    pub expires_ts: f64,
}

/// A plan as it is sent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Action {
    /// When it was sent, seconds since 1970.
    pub ts: f64,
    /// The container that old executors look for.
    pub container: String,
    /// The step for old executors.
    pub verb: Verb,
    /// What old executors apply it to.
    pub target: String,
    /// Why.
    pub reason: String,
    /// The view behind it.
    pub telemetry: Option<Observed>,
    /// Whose replicas; absent in the proof of concept's plans.
    pub service: Option<ServiceId>,
    /// Number of the decision.
    pub id: Option<u64>,
    /// The order; absent when nothing is ordered, and in the proof of concept's plans.
    pub order: Option<OrderStamp>,
    /// The whole argument, line by line.
    pub derivation: Vec<String>,
    /// Whose target it is.
    pub origin: Option<ActionOrigin>,
}

impl Action {
    /// The action of a decision. Only one with a target to carry out is an order.
    pub fn of_decision(decision: &Decision, stamp: Stamp) -> Self {
        let derivation = &decision.derivation;
        let target = decision.target();
        let window = &derivation.window;
        Self {
            ts: stamp.ts,
            target: stamp.container.clone(),
            container: stamp.container,
            verb: Verb::towards(derivation.current, target),
            reason: cut(&decision.to_string()),
            telemetry: Some(Observed {
                p95_ms: window.latencies().map(|all| all.p95().as_millis()),
                baseline_ms: derivation.estimate.map(|normal| normal.median.as_millis()),
                sigma_ms: derivation.estimate.map(|normal| normal.sigma.as_millis()),
                low_windows: vec![derivation.signal.near],
                replicas: window.ready(),
            }),
            service: Some(stamp.service),
            id: Some(decision.id.get()),
            order: target.map(|replicas| OrderStamp {
                replicas,
                epoch: stamp.epoch,
                seq: stamp.seq,
                expires_ts: stamp.expires_ts,
            }),
            derivation: derivation.to_string().lines().take(LINES_MAX).map(cut).collect(),
            origin: match (decision.action, decision.origin) {
                (Verdict::Hold, _) => None,
                (_, Origin::Advisor) => Some(ActionOrigin::Advisor),
                _ => Some(ActionOrigin::Policy),
            },
        }
    }

    /// An order without a decision, from `current` replicas where that is known.
    pub fn of_target(replicas: u32, current: Option<u32>, stamp: Stamp) -> Self {
        let (epoch, seq, expires_ts) = (stamp.epoch, stamp.seq, stamp.expires_ts);
        Self {
            ts: stamp.ts,
            target: stamp.container.clone(),
            container: stamp.container,
            verb: Verb::towards(current, Some(replicas)),
            reason: format!("{replicas} replicas were asked for"),
            telemetry: None,
            service: Some(stamp.service),
            id: None,
            order: Some(OrderStamp { replicas, epoch, seq, expires_ts }),
            derivation: Vec::new(),
            origin: Some(ActionOrigin::Operator),
        }
    }

    /// What an executor is to obey; `None` when nothing is ordered.
    pub fn order(&self) -> Option<Order> {
        self.order.map(|stamp| Order {
            replicas: stamp.replicas,
            epoch: stamp.epoch,
            seq: stamp.seq,
            id: self.id,
            expires_ts: stamp.expires_ts,
            reason: self.reason.clone(),
        })
    }

    /// Reads one. Its seal is [`verify`](super::verify)'s business.
    ///
    /// # Errors
    ///
    /// [`WireError`] names the field, its value and the rule.
    pub fn parse(bytes: &[u8]) -> Result<Heard<Self>, WireError> {
        let fields = Fields::parse(bytes)?;
        match fields.text("kind", NAME_MAX)?.as_deref() {
            Some("plan") => Ok(Heard::Message(Self::read(&fields)?)),
            Some("error") => Ok(Heard::Fault(Fault::read(&fields)?)),
            _ => Ok(Heard::Unknown),
        }
    }

    /// As it is sent, without a seal.
    pub fn write(&self) -> String {
        let mut writer = Writer::new();
        writer.put("ts", &self.ts);
        writer.put("kind", "plan");
        writer.put("container", &self.container);
        let mut decision = Writer::new();
        decision.put("action", self.verb.as_str());
        decision.put("target", &self.target);
        decision.put("reason", &self.reason);
        decision.put_some("replicas", self.order.map(|order| order.replicas));
        writer.put_object("decision", decision);
        if let Some(telemetry) = &self.telemetry {
            writer.put_object("telemetry", telemetry.write());
        }
        if let Some(service) = &self.service {
            writer.put("v", &VERSION);
            writer.put("service", service.as_str());
        }
        writer.put_some("id", self.id);
        writer.put_some("epoch", self.order.map(|order| order.epoch));
        writer.put_some("seq", self.order.map(|order| order.seq));
        writer.put_some("expires_ts", self.order.map(|order| order.expires_ts));
        if !self.derivation.is_empty() {
            writer.put("derivation", &self.derivation);
        }
        writer.put_some("origin", self.origin.map(ActionOrigin::as_str));
        writer.end()
    }

    fn read(fields: &Fields) -> Result<Self, WireError> {
        let decision = need("decision", fields.object("decision")?)?;
        let rule = "noop, restart, scale_up or scale_down";
        let verb = decision.word("action", rule, Verb::read)?;
        let lines = "at most 128 lines of at most 4096 characters";
        let telemetry = fields.object("telemetry")?;
        Ok(Self {
            ts: need("ts", fields.wall("ts")?)?,
            container: fields.text("container", NAME_MAX)?.unwrap_or_default(),
            verb: need("action", verb)?,
            target: decision.text("target", NAME_MAX)?.unwrap_or_default(),
            reason: decision.text("reason", TEXT_MAX)?.unwrap_or_default(),
            telemetry: telemetry.map(|view| Observed::read(&view)).transpose()?,
            service: Self::read_service(fields)?,
            id: fields.index("id")?,
            order: Self::read_order(fields, &decision)?,
            derivation: fields
                .list("derivation", LINES_MAX, lines, |line| {
                    let line = line.as_str().filter(|line| line.chars().count() <= TEXT_MAX)?;
                    Some(line.to_owned())
                })?
                .unwrap_or_default(),
            origin: fields.word("origin", "advisor, operator or policy", ActionOrigin::read)?,
        })
    }

    fn read_service(fields: &Fields) -> Result<Option<ServiceId>, WireError> {
        match fields.version()? {
            Some(_) => need("service", fields.service()?).map(Some),
            None => fields.service(),
        }
    }

    /// The order: an absolute number is worth nothing without what tells it from earlier ones.
    fn read_order(fields: &Fields, decision: &Fields) -> Result<Option<OrderStamp>, WireError> {
        let Some(replicas) = decision.replicas("replicas")? else { return Ok(None) };
        need("v", fields.version()?)?;
        Ok(Some(OrderStamp {
            replicas,
            epoch: need("epoch", fields.index("epoch")?)?,
            seq: need("seq", fields.index("seq")?)?,
            expires_ts: need("expires_ts", fields.wall("expires_ts")?)?,
        }))
    }
}

impl Observed {
    fn write(&self) -> Writer {
        let mut writer = Writer::new();
        writer.put_some("p95_ms", self.p95_ms);
        writer.put_some("baseline_ms", self.baseline_ms);
        writer.put_some("sigma_ms", self.sigma_ms);
        writer.put("low_windows", &self.low_windows);
        writer.put_some("replicas", self.replicas);
        writer
    }

    fn read(fields: &Fields) -> Result<Self, WireError> {
        let rule = "at most 128 of true and false";
        let windows = fields.list("low_windows", WINDOWS_MAX, rule, serde_json::Value::as_bool)?;
        Ok(Self {
            p95_ms: fields.millis("p95_ms")?,
            baseline_ms: fields.millis("baseline_ms")?,
            sigma_ms: fields.millis("sigma_ms")?,
            low_windows: windows.unwrap_or_default(),
            replicas: fields.replicas("replicas")?,
        })
    }
}

/// Text of at most what a reader takes.
fn cut(text: &str) -> String {
    text.chars().take(512).collect()
}

#[cfg(test)]
mod tests;
