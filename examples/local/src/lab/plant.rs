//! How a service is simulated, as `--plant` says it.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use planner_lab::queue::{AfterTimeout, LifeSpec, QueueSpec, ServiceTime, TimeoutSpec};
use thiserror::Error;

/// A kind of plant with its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlantKind {
    /// Load flows in and replicas drain it, in steps of a second.
    Fluid(Fluid),
    /// Single requests, one after the other.
    Queue(Queue),
}

/// Settings of the fluid plant, and what users bear on both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fluid {
    /// A wait beyond this violates the objective, in seconds.
    pub slo_wait_s: f64,
    /// Who would wait longer leaves, in seconds.
    pub patience_s: f64,
    /// p95 of a request that does not wait, in milliseconds.
    pub base_ms: f64,
}

/// Settings of the queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Queue {
    /// What users bear.
    pub fluid: Fluid,
    /// Requests that a replica serves at the same time.
    pub concurrency: u32,
    /// Standard deviation of the service time as a share of its mean.
    pub cv: f64,
}

impl Default for PlantKind {
    fn default() -> Self {
        Self::Fluid(Fluid::default())
    }
}

impl Default for Fluid {
    /// 250 ms of waiting are borne, nobody leaves before 10 s, requests take 40 ms.
    fn default() -> Self {
        Self { slo_wait_s: 0.25, patience_s: 10.0, base_ms: 40.0 }
    }
}

impl Default for Queue {
    /// One request at a time, exponential service times.
    fn default() -> Self {
        Self { fluid: Fluid::default(), concurrency: 1, cv: 1.0 }
    }
}

impl PlantKind {
    /// What users bear.
    pub(super) const fn fluid(&self) -> Fluid {
        match self {
            Self::Fluid(fluid) => *fluid,
            Self::Queue(queue) => queue.fluid,
        }
    }

    /// Takes one setting; whether it has it.
    fn set(&mut self, key: &str, value: f64) -> bool {
        match (self, key) {
            (Self::Queue(queue), "concurrency") => queue.concurrency = whole(value),
            (Self::Queue(queue), "cv") => queue.cv = value,
            (Self::Fluid(fluid), "base_ms") => fluid.base_ms = value,
            (Self::Fluid(fluid) | Self::Queue(Queue { fluid, .. }), "patience") => {
                fluid.patience_s = value;
            }
            (Self::Fluid(fluid) | Self::Queue(Queue { fluid, .. }), "slo_wait") => {
                fluid.slo_wait_s = value;
            }
            _ => return false,
        }
        true
    }

    const fn keys(&self) -> &'static str {
        match self {
            Self::Fluid(_) => "base_ms, patience and slo_wait",
            Self::Queue(_) => "concurrency, cv, patience and slo_wait",
        }
    }
}

impl Queue {
    /// The queue whose replicas answer `rate_per_s` requests a second.
    pub(super) fn spec(&self, rate_per_s: f64, startup_s: u32) -> QueueSpec {
        let mean_s = f64::from(self.concurrency) / rate_per_s;
        let service = if self.cv == 0.0 {
            ServiceTime::Deterministic { mean_s }
        } else if self.cv == 1.0 {
            ServiceTime::Exponential { mean_s }
        } else {
            ServiceTime::LogNormal { mean_s, cv: self.cv }
        };
        QueueSpec {
            concurrency: self.concurrency,
            wait_threshold_s: self.fluid.slo_wait_s,
            life: LifeSpec { startup_s: f64::from(startup_s), ..LifeSpec::default() },
            timeout: Some(TimeoutSpec {
                after_s: self.fluid.patience_s,
                work: AfterTimeout::IsCancelled,
            }),
            ..QueueSpec::of(service)
        }
    }
}

/// What a setting has to be, in words and as a check.
fn rule_of(key: &str) -> (&'static str, fn(f64) -> bool) {
    match key {
        "concurrency" => ("a whole number from 1 to 1000", |number| {
            (1.0..=1_000.0).contains(&number) && number.fract() == 0.0
        }),
        "cv" => ("0, or a number from 0.01 to 10", |number| {
            number == 0.0 || (0.01..=10.0).contains(&number)
        }),
        "base_ms" => {
            ("a number of milliseconds from 0.001 to 1e6", |number| (1e-3..=1e6).contains(&number))
        }
        _ => ("a number of seconds from 0 to 1e6", |number| (0.0..=1e6).contains(&number)),
    }
}

fn whole(value: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let whole = value as u32;
    whole
}

/// Why a text is no plant.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum PlantError {
    /// Something between commas is no setting.
    #[error("{text:?} is not KEY=VALUE; write it as one, with commas between them")]
    Form {
        /// What is there.
        text: String,
    },
    /// There is no such kind.
    #[error("{kind:?} is no plant; take fluid or queue")]
    Kind {
        /// What is there.
        kind: String,
    },
    /// There is no such setting.
    #[error("{key:?} is no setting of {kind}; it has {keys}")]
    Key {
        /// Of which kind.
        kind: String,
        /// What is there.
        key: String,
        /// Those that there are.
        keys: &'static str,
    },
    /// A value out of its range.
    #[error("{key}: {value:?} is not {rule}; give one")]
    Value {
        /// Which setting.
        key: String,
        /// What is there.
        value: String,
        /// What it has to be.
        rule: &'static str,
    },
}

impl FromStr for PlantKind {
    type Err = PlantError;

    fn from_str(text: &str) -> Result<Self, PlantError> {
        let (kind, settings) = text.split_once(':').unwrap_or((text, ""));
        let mut plant = match kind {
            "fluid" => Self::Fluid(Fluid::default()),
            "queue" => Self::Queue(Queue::default()),
            _ => return Err(PlantError::Kind { kind: kind.to_owned() }),
        };
        for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
            let (key, value) = setting
                .split_once('=')
                .ok_or_else(|| PlantError::Form { text: setting.to_owned() })?;
            let (rule, fits) = rule_of(key);
            let number = value.parse().ok().filter(|number| fits(*number));
            let number = number.ok_or_else(|| PlantError::Value {
                key: key.to_owned(),
                value: value.to_owned(),
                rule,
            })?;
            if !plant.set(key, number) {
                let (kind, key, keys) = (kind.to_owned(), key.to_owned(), plant.keys());
                return Err(PlantError::Key { kind, key, keys });
            }
        }
        Ok(plant)
    }
}

/// With all settings; read again, it is the same plant.
impl Display for PlantKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Fluid { slo_wait_s, patience_s, base_ms } = self.fluid();
        match self {
            Self::Fluid(_) => {
                write!(f, "fluid:slo_wait={slo_wait_s},patience={patience_s},base_ms={base_ms}")
            }
            Self::Queue(queue) => write!(
                f,
                "queue:slo_wait={slo_wait_s},patience={patience_s},concurrency={},cv={}",
                queue.concurrency, queue.cv
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plant_is_told_what_there_is() {
        for (text, expected) in [
            ("solid", "\"solid\" is no plant; take fluid or queue"),
            (
                "fluid:patience",
                "\"patience\" is not KEY=VALUE; write it as one, with commas \
              between them",
            ),
            ("fluid:cv=1", "\"cv\" is no setting of fluid; it has base_ms, patience and slo_wait"),
            (
                "queue:base_ms=1",
                "\"base_ms\" is no setting of queue; it has concurrency, cv, patience and slo_wait",
            ),
            (
                "queue:concurrency=1.5",
                "concurrency: \"1.5\" is not a whole number from 1 to 1000; give one",
            ),
            ("queue:cv=-1", "cv: \"-1\" is not 0, or a number from 0.01 to 10; give one"),
            (
                "fluid:patience=NaN",
                "patience: \"NaN\" is not a number of seconds from 0 to 1e6; give one",
            ),
        ] {
            let error = text.parse::<PlantKind>().expect_err("refused").to_string();
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn a_plant_is_read_as_it_is_written() {
        for text in ["fluid", "fluid:slo_wait=0.5,patience=5", "queue:concurrency=4,cv=1.5"] {
            let plant: PlantKind = text.parse().expect("a plant");
            assert_eq!(plant.to_string().parse(), Ok(plant));
        }
    }

    #[test]
    fn the_replicas_of_a_queue_answer_the_rate_that_was_said() {
        let queue = Queue { concurrency: 4, cv: 1.5, ..Queue::default() };
        let spec = queue.spec(50.0, 30);
        assert_eq!(spec.service, ServiceTime::LogNormal { mean_s: 0.08, cv: 1.5 });
        assert_eq!((spec.life.startup_s, spec.wait_threshold_s), (30.0, 0.25));
        let certain = Queue { cv: 0.0, ..Queue::default() };
        assert_eq!(certain.spec(50.0, 0).service, ServiceTime::Deterministic { mean_s: 0.02 });
    }
}
