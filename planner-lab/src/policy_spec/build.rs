//! From a named policy to one that decides.

use std::fmt::Display;
use std::time::Duration;

use planner_core::config::ConfigBuilder;
use planner_core::policy::{Heuristic, Poc, Policy};
use planner_core::{Config, ConfigError, GuardSet, ReplicaBounds, Timestamp};
use planner_peers::hpa::{Hpa, Snapshot};
use planner_peers::keda::{Keda, KedaSignal};
use planner_peers::kpa::{Kpa, Sample};
use planner_peers::nomad::{Answer, Nomad, NomadSignal, policy::ONLY_CHECK};

use super::table::Kind;
use super::{PolicySpec, PolicySpecError};
use crate::autoscaler::{Autoscaler, Averaged, EachSecond, Fixed, Nothing, Seat, Sense};
use crate::fluid::FluidSpec;

/// Over how many seconds requests per second are averaged for those who ask a metrics server.
const AVERAGED_S: u16 = 60;
/// What the start-up allowance is beyond the start-up time, in seconds.
const STARTUP_MARGIN_S: u32 = 10;
/// The longest allowance.
const DAY: Duration = Duration::from_secs(86_400);

/// The default of a setting of the planner's configuration.
pub(super) fn default_of(setting: &str) -> f64 {
    let bounds = ReplicaBounds::new(1, 1);
    let Ok(config) = bounds.and_then(|bounds| Config::builder(bounds).build()) else {
        return 0.0;
    };
    match setting {
        "cooldown_in_s" => config.cooldown_in().as_secs_f64(),
        "cooldown_out_s" => config.cooldown_out().as_secs_f64(),
        "flap_budget_per_hour" => f64::from(config.flap_budget_per_hour()),
        "slow_price" => config.slow_price(),
        "stabilisation_in_s" => config.stabilisation_in().as_secs_f64(),
        "target_utilisation" => config.target_utilisation(),
        _ => 0.0,
    }
}

impl PolicySpec {
    /// The policy for this service, which knows its rate, its bounds and its start-up time.
    ///
    /// # Errors
    ///
    /// [`PolicySpecError::Build`] when policy or configuration refuse the settings together.
    pub fn build(&self, service: &FluidSpec) -> Result<Box<dyn Autoscaler>, PolicySpecError> {
        let refused = |why: &dyn Display| PolicySpecError::Build {
            policy: self.name(),
            why: why.to_string(),
        };
        let rate_per_s = service.service.rate_per_replica_per_s;
        let target_per_s = self.value("target") * rate_per_s;
        match self.entry.kind {
            Kind::Fixed => Ok(Box::new(Fixed::new(whole(self.value("replicas"))))),
            Kind::Hpa => {
                let hpa = Hpa::average_value(target_per_s).map_err(|why| refused(&why))?;
                let sense = Averaged::over(AVERAGED_S, |_, per_s| Snapshot::total(per_s));
                self.seat_peer(service, hpa, sense)
            }
            Kind::Keda => {
                let keda = Keda::average_value(target_per_s).map_err(|why| refused(&why))?;
                let sense = Averaged::over(AVERAGED_S, |_, per_s| KedaSignal::measured(per_s));
                self.seat_peer(service, keda, sense)
            }
            Kind::Kpa => {
                let kpa = Kpa::requests_per_second(target_per_s, 1.0);
                let kpa = kpa.map_err(|why| refused(&why))?;
                self.seat_peer(service, kpa, EachSecond::new(Sample::new))
            }
            Kind::Nomad => {
                let nomad = Nomad::target_per_replica(target_per_s);
                let nomad = nomad.map_err(|why| refused(&why))?;
                let sense = Averaged::over(AVERAGED_S, |at: Timestamp, per_s| NomadSignal {
                    check: ONLY_CHECK.into(),
                    at,
                    answer: Answer::Values(vec![per_s]),
                });
                self.seat_peer(service, nomad, sense)
            }
            Kind::Planner => {
                let config = self.config(service).map_err(|why| refused(&why))?;
                Ok(self.seat_own(config, Heuristic))
            }
            Kind::Poc => {
                let config = self.config(service).map_err(|why| refused(&why))?;
                Ok(self.seat_own(config, Poc))
            }
        }
    }

    /// A policy of ours behind all guards, on windows alone.
    fn seat_own<P>(&self, config: Config, policy: P) -> Box<dyn Autoscaler>
    where
        P: Policy<Signal = planner_core::NoSignal> + 'static,
    {
        Box::new(Seat::new(config, policy, Nothing, whole(self.value("window_s"))))
    }

    /// A policy of another system behind doubt and bounds alone: it brings its own limits.
    fn seat_peer<P, S>(
        &self,
        service: &FluidSpec,
        policy: P,
        sense: S,
    ) -> Result<Box<dyn Autoscaler>, PolicySpecError>
    where
        P: Policy + 'static,
        S: Sense<Signal = P::Signal> + 'static,
    {
        let config = common(service).and_then(|it| it.guard_set(GuardSet::Peer).build());
        let config = config
            .map_err(|why| PolicySpecError::Build { policy: self.name(), why: why.to_string() })?;
        Ok(Box::new(Seat::new(config, policy, sense, 1)))
    }

    /// The planner's configuration with what was set.
    fn config(&self, service: &FluidSpec) -> Result<Config, ConfigError> {
        let mut builder = common(service)?;
        if self.entry.kind == Kind::Planner {
            let span = |name| Duration::from_secs(whole(self.value(name)).into());
            let hint = self.value("capacity_hint") * service.service.rate_per_replica_per_s;
            builder = builder
                .capacity_hint_per_s(hint)
                .cooldown_in(span("cooldown_in_s"))
                .cooldown_out(span("cooldown_out_s"))
                .flap_budget_per_hour(whole(self.value("flap_budget_per_hour")))
                .slow_price(self.value("slow_price"))
                .stabilisation_in(span("stabilisation_in_s"))
                .target_utilisation(self.value("target_utilisation"));
        }
        builder.build()
    }
}

/// What every policy knows of the service.
fn common(service: &FluidSpec) -> Result<ConfigBuilder, ConfigError> {
    let bounds = ReplicaBounds::new(service.replicas_min, service.replicas_max)?;
    let allowance = Duration::from_secs((service.startup_s + STARTUP_MARGIN_S).into());
    Ok(Config::builder(bounds).startup_allowance(allowance.min(DAY)))
}

/// A setting that is a whole number within its range.
fn whole(value: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 to 1e6")]
    let whole = value.clamp(0.0, 1e6) as u32;
    whole
}
