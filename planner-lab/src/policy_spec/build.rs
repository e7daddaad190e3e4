//! From a named policy to one that decides.

use std::fmt::Display;
use std::time::Duration;

use planner_core::config::ConfigBuilder;
use planner_core::policy::{Heuristic, NoSignal, Poc, Policy};
use planner_core::{Config, ConfigError, GuardSet, ReplicaBounds, Timestamp};
use planner_peers::hpa::behavior::Behavior;
use planner_peers::hpa::{Hpa, HpaError, Snapshot};
use planner_peers::keda::{Keda, KedaSignal};
use planner_peers::kpa::{Kpa, Sample};
use planner_peers::nomad::{Answer, Nomad, NomadSignal, policy::ONLY_CHECK};

use super::table::Kind;
use super::{PolicySpec, PolicySpecError};
use crate::autoscaler::{Autoscaler, Averaged, EachSecond, Fixed, Nothing, Seat, Sense};
use crate::fluid::FluidSpec;

/// Over how many seconds requests per second are averaged for those who ask a metrics server.
pub(super) const AVERAGED_S: u16 = 60;
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
        let rate_per_s = service.service.rate_per_replica_per_s;
        let target_per_s = self.value("target") * rate_per_s;
        match self.entry.kind {
            Kind::Fixed => Ok(Box::new(Fixed::new(whole(self.value("replicas"))))),
            Kind::Hpa => {
                let hpa = self.hpa(target_per_s).map_err(|why| self.refused(&why))?;
                let sense = Averaged::over(AVERAGED_S, |_, per_s| Snapshot::total(per_s));
                self.seat_peer(service, hpa, sense)
            }
            Kind::Keda => {
                let keda = Keda::average_value(target_per_s).map_err(|why| self.refused(&why))?;
                let sense = Averaged::over(AVERAGED_S, |_, per_s| KedaSignal::measured(per_s));
                self.seat_peer(service, keda, sense)
            }
            Kind::Kpa => {
                let kpa = Kpa::requests_per_second(target_per_s, 1.0);
                let kpa = kpa.map_err(|why| self.refused(&why))?;
                self.seat_peer(service, kpa, EachSecond::new(Sample::new))
            }
            Kind::Nomad => {
                let nomad = Nomad::target_per_replica(target_per_s);
                let nomad = nomad.map_err(|why| self.refused(&why))?;
                self.seat_peer(service, nomad, Averaged::over(AVERAGED_S, nomad_signal))
            }
            Kind::Planner => {
                let config = self.config(service).map_err(|why| self.refused(&why))?;
                Ok(self.seat_own(config, Heuristic))
            }
            Kind::Poc => {
                let config = self.config(service).map_err(|why| self.refused(&why))?;
                Ok(self.seat_own(config, Poc))
            }
        }
    }

    pub(super) fn hpa(&self, target_per_s: f64) -> Result<Hpa, HpaError> {
        let hpa = Hpa::average_value(target_per_s)?;
        if self.value("rules") == 0.0 {
            return Ok(hpa);
        }
        let mut spec = hpa.spec().clone();
        spec.behavior = Some(Behavior::default());
        Hpa::new(spec)
    }

    /// A policy of ours behind all guards, on windows alone.
    fn seat_own<P>(&self, config: Config, policy: P) -> Box<dyn Autoscaler>
    where
        P: Policy<Signal = NoSignal> + 'static,
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
        let config = config.map_err(|why| self.refused(&why))?;
        Ok(Box::new(Seat::new(config, policy, sense, 1)))
    }

    /// The configuration of the planner that this policy decides in, for those behind all guards;
    /// `None` for policies of other systems, which bring their own limits.
    ///
    /// # Errors
    ///
    /// [`PolicySpecError::Build`] when it refuses the settings together.
    pub fn configuration(&self, service: &FluidSpec) -> Option<Result<Config, PolicySpecError>> {
        matches!(self.entry.kind, Kind::Planner | Kind::Poc)
            .then(|| self.config(service).map_err(|why| self.refused(&why)))
    }

    /// The error of a policy that refuses its settings.
    pub(super) fn refused(&self, why: &dyn Display) -> PolicySpecError {
        PolicySpecError::Build { policy: self.name(), why: why.to_string() }
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

/// What Nomad is told of requests per second.
pub(super) fn nomad_signal(at: Timestamp, per_s: f64) -> NomadSignal {
    NomadSignal { check: ONLY_CHECK.into(), at, answer: Answer::Values(vec![per_s]) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fluid::{Fluid, SteppedPlant as _};

    /// The orders of a policy under a constant load and then another, by the second of the order.
    fn orders(spec: &str, loads: [u64; 2], switch_s: u64, end_s: u64) -> Vec<(u64, u32)> {
        let service = FluidSpec::default();
        let spec: PolicySpec = spec.parse().expect("a policy");
        let mut autoscaler = spec.build(&service).expect("it accepts");
        let mut plant = Fluid::new(service, 10).expect("a plant");
        let mut orders = Vec::new();
        for second in 0..end_s {
            let load = if second < switch_s { loads[0] } else { loads[1] };
            if let Some(target) = autoscaler.see(&plant.pass(load)) {
                plant.scale_to(target);
                orders.push((second + 1, target));
            }
        }
        orders
    }

    #[test]
    fn a_policy_that_refuses_its_settings_says_why() {
        let mut service = FluidSpec::default();
        service.service.rate_per_replica_per_s = 1e-6;
        let refused = |spec: &str| {
            let spec: PolicySpec = spec.parse().expect("a policy");
            spec.build(&service).map(|_| ()).expect_err("refused").to_string()
        };
        assert!(refused("hpa").starts_with("policy hpa: "), "{}", refused("hpa"));
        assert_eq!(
            refused("kpa"),
            "policy kpa: total_per_replica: 0.0000007 is not within \
             0.01..=1000000000; choose a value in that range"
        );
        service.replicas_max = 0;
        service.replicas_min = 1;
        let spec: PolicySpec = "planner".parse().expect("a policy");
        assert!(spec.build(&service).is_err());
    }

    #[test]
    fn the_hpa_averages_a_minute_and_decides_every_15_s() {
        // After 15 s of 600 the average is 375: 12.5 replicas of 30 a second.
        let orders = orders("hpa:target=0.6", [300, 600], 60, 120);
        assert_eq!(orders, [(75, 13), (90, 15), (105, 18), (120, 20)]);
    }

    #[test]
    fn the_hpa_keeps_for_300_s_what_it_recommended() {
        let written_out = orders("hpa:target=0.6", [600, 60], 300, 720);
        let left_out = orders("hpa:rules=0,target=0.6", [600, 60], 300, 720);
        assert_eq!(written_out.first(), Some(&(15, 20)));
        // The last round that asked for 20 is that at 300 s. Without rules it counts at 600 s too.
        assert_eq!((written_out[1], left_out[1]), ((600, 16), (615, 16)));
    }

    #[test]
    fn scaling_rules_that_are_written_out_add_four_where_those_left_out_double() {
        let orders = |rules| {
            let service = FluidSpec { startup_s: 0, ..FluidSpec::default() };
            let spec: PolicySpec = format!("hpa:rules={rules}").parse().expect("a policy");
            let mut autoscaler = spec.build(&service).expect("it accepts");
            let mut plant = Fluid::new(service, 3).expect("a plant");
            (0..15).find_map(|_| autoscaler.see(&plant.pass(3_000)))
        };
        assert_eq!((orders(0), orders(1)), (Some(6), Some(7)));
    }

    #[test]
    fn the_kpa_decides_every_2_s_and_panics() {
        // It starts in panic, which is over after a minute.
        let orders = orders("kpa:target=0.5", [250, 1_000], 81, 90);
        // Six seconds of which three are of 1000 average 625: 25 replicas of 25 a second.
        assert_eq!(orders, [(82, 11), (84, 25), (86, 35), (88, 40)]);
    }

    #[test]
    fn nomad_decides_every_10_s_and_rests_for_5_minutes_after_a_scaling() {
        let orders = orders("nomad:target=0.5", [250, 500], 60, 400);
        assert_eq!(orders[0].0, 70, "{orders:?}");
        assert_eq!(orders.get(1), Some(&(380, 20)));
    }

    #[test]
    fn keda_follows_its_target_every_15_s() {
        let orders = orders("keda:target=0.5", [250, 500], 60, 120);
        assert_eq!(orders, [(75, 13), (90, 15), (105, 18), (120, 20)]);
    }

    #[test]
    fn a_fixed_count_is_that_count() {
        let orders = orders("fixed:replicas=7", [250, 900], 1, 3);
        assert_eq!(orders, [(1, 7), (2, 7), (3, 7)]);
    }

    #[test]
    fn the_planner_decides_at_the_end_of_its_windows_and_is_told_the_capacity() {
        let told = orders("planner:window_s=7", [250, 2_000], 70, 140);
        assert!(
            !told.is_empty() && told.iter().all(|(at_s, _)| at_s.is_multiple_of(7)),
            "{told:?}"
        );
        let spec: PolicySpec = "planner:capacity_hint=0,slow_price=7".parse().expect("a policy");
        let config = spec.config(&FluidSpec::default()).expect("settings");
        assert_eq!((config.capacity_hint_per_s(), config.slow_price()), (None, 7.0));
        let spec: PolicySpec = "planner".parse().expect("a policy");
        let config = spec.config(&FluidSpec::default()).expect("settings");
        assert_eq!(config.capacity_hint_per_s(), Some(50.0));
        assert_eq!(config.startup_allowance(), Duration::from_secs(40));
        let untouched = Config::builder(config.bounds())
            .capacity_hint_per_s(50.0)
            .startup_allowance(Duration::from_secs(40))
            .build();
        assert_eq!(Ok(config), untouched, "everything else is the default");
    }

    #[test]
    fn the_proof_of_concept_decides_on_latency_alone() {
        let orders = orders("poc", [250, 2_000], 120, 300);
        assert!(!orders.is_empty() && orders.iter().all(|(at_s, _)| at_s.is_multiple_of(5)));
    }

    #[test]
    fn every_policy_of_the_table_can_be_built_at_every_point_of_its_grid() {
        for (name, summary) in PolicySpec::all() {
            let text = if name == "fixed" { "fixed:replicas=3" } else { name };
            let spec: PolicySpec = text.parse().expect("a policy");
            assert!(!summary.is_empty() && spec.grid().is_sorted());
            for value in spec.grid() {
                let at = spec.with_knob(*value);
                assert_eq!(at.knob_value(), Some(*value), "{name}");
                assert!(at.build(&FluidSpec::default()).is_ok(), "{at}");
            }
        }
    }
}
