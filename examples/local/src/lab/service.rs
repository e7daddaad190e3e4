//! The simulated service: what its replicas can do, and how they may be ordered.

use planner_lab::evaluate::Setup;
use planner_lab::fluid::FluidSpec;
use planner_lab::optimum::Rules;
use planner_lab::optimum::fluid::Service;
use planner_lab::trace::Trace;
use thiserror::Error;

use super::plant::PlantKind;
use super::span::Span;

/// Steps of the optimum from one decision to the next, in seconds.
pub(super) const DECIDE_EVERY_S: u32 = 5;

/// What the service is like.
#[derive(Clone, Debug, clap::Args)]
pub struct ServiceArgs {
    /// Requests per second that one replica answers
    #[arg(long, value_name = "PER_S", default_value_t = 50.0)]
    pub rate: f64,

    /// How long a replica takes to become ready; it is billed from its order on
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub startup: Span,

    /// Fewest replicas
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min: u32,

    /// Most replicas
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub max: u32,

    /// How it is simulated: fluid or queue, with settings as in
    /// `fluid:slo_wait=0.5,patience=5`
    #[arg(long, value_name = "KIND[:KEY=VALUE,...]", default_value = "fluid")]
    pub plant: PlantKind,
}

/// A service that cannot be.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("{name}: {value} is not {rule}; {remedy}")]
pub struct ServiceError {
    name: &'static str,
    value: String,
    rule: &'static str,
    remedy: &'static str,
}

impl ServiceArgs {
    /// What every command needs to be true.
    ///
    /// # Errors
    ///
    /// [`ServiceError`] names the flag, its value and the rule.
    pub fn check(&self) -> Result<(), ServiceError> {
        let refused =
            |name, value: String, rule, remedy| Err(ServiceError { name, value, rule, remedy });
        if !(1e-6..=1e6).contains(&self.rate) {
            let remedy = "say how many requests a second one replica answers";
            return refused("--rate", self.rate.to_string(), "from 1e-6 to 1e6", remedy);
        }
        if self.startup.seconds > 86_400 {
            let remedy = "take a shorter time";
            return refused("--startup", self.startup.to_string(), "at most a day", remedy);
        }
        if !(1..=10_000).contains(&self.max) {
            return refused("--max", self.max.to_string(), "from 1 to 10000", "choose another");
        }
        if self.min > self.max {
            let value = format!("{} with --max {}", self.min, self.max);
            return refused("--min", value, "at most --max", "lower it, or raise --max");
        }
        Ok(())
    }

    /// Length of a start-up in seconds.
    pub(super) fn startup_s(&self) -> u32 {
        u32::try_from(self.startup.seconds).unwrap_or(u32::MAX)
    }

    /// The fluid service.
    pub(super) fn fluid(&self) -> FluidSpec {
        let bears = self.plant.fluid();
        FluidSpec {
            service: Service {
                rate_per_replica_per_s: self.rate,
                slo_wait_s: bears.slo_wait_s,
                patience_s: bears.patience_s,
                step_s: 1.0,
            },
            startup_s: self.startup_s(),
            replicas_min: self.min,
            replicas_max: self.max,
            base_ms: bears.base_ms,
        }
    }

    /// The fluid service with the replicas that are ready at the start of a load.
    pub(super) fn setup(&self, trace: &Trace) -> Setup {
        Setup::starting_at(self.fluid(), trace.rate_at(0))
    }

    /// The rules of the optimum for a load.
    pub(super) fn rules(&self, trace: &Trace) -> Rules {
        self.fluid().rules(self.setup(trace).initial, DECIDE_EVERY_S)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::lab) fn service() -> ServiceArgs {
        ServiceArgs {
            rate: 50.0,
            startup: Span { seconds: 30 },
            min: 1,
            max: 100,
            plant: PlantKind::default(),
        }
    }

    #[test]
    fn a_service_that_cannot_be_is_refused_by_its_flag() {
        for (wrong, expected) in [
            (
                ServiceArgs { rate: f64::NAN, ..service() },
                "--rate: NaN is not from 1e-6 to 1e6; say how many requests a second one replica \
                 answers",
            ),
            (
                ServiceArgs { startup: Span { seconds: 90_000 }, ..service() },
                "--startup: 25h is not at most a day; take a shorter time",
            ),
            (
                ServiceArgs { max: 0, min: 0, ..service() },
                "--max: 0 is not from 1 to 10000; choose another",
            ),
            (
                ServiceArgs { min: 9, max: 3, ..service() },
                "--min: 9 with --max 3 is not at most --max; lower it, or raise --max",
            ),
        ] {
            assert_eq!(wrong.check().expect_err("refused").to_string(), expected);
        }
        assert_eq!(service().check(), Ok(()));
    }
}
