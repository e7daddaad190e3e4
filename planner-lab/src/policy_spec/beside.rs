//! From a named policy to one that watches beside a real planner.

use std::collections::VecDeque;

#[cfg(doc)]
use planner_core::GuardSet;
use planner_core::policy::{Heuristic, Poc, Policy};
use planner_core::{Config, Timestamp, Window};
use planner_peers::hpa::Snapshot;
use planner_peers::keda::{Keda, KedaSignal};
use planner_peers::kpa::Kpa;
use planner_peers::nomad::Nomad;
use planner_peers::on_windows::OnWindows;

use super::build::{AVERAGED_S, nomad_signal};
use super::table::Kind;
use super::{PolicySpec, PolicySpecError};
use crate::shadow::Candidate;
use crate::whatif::Changes;

impl PolicySpec {
    /// The policy as one that follows a planner with this configuration, under the name that was
    /// written, with an empty memory. Ours have its configuration with what was set changed, those
    /// of other systems the same behind [`GuardSet::Peer`]. `rate_per_s` is what a replica answers,
    /// requests per second: targets are shares of it.
    ///
    /// ```
    /// use planner_core::{Config, ReplicaBounds};
    /// use planner_lab::policy_spec::PolicySpec;
    ///
    /// let config = Config::builder(ReplicaBounds::new(2, 10)?).build()?;
    /// let spec: PolicySpec = "hpa:target=0.6".parse()?;
    /// assert_eq!(spec.candidate(&config, Some(50.0))?.name(), "hpa:target=0.6");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PolicySpecError::Build`] when a rate is needed and not known, and when policy or
    /// configuration refuse the settings together; for a fixed count, and for a length of windows:
    /// these are the real planner's.
    pub fn candidate(
        &self,
        config: &Config,
        rate_per_s: Option<f64>,
    ) -> Result<Candidate, PolicySpecError> {
        let kind = self.entry.kind;
        let candidate = match kind {
            Kind::Fixed => return Err(self.refused(&"a fixed count watches nothing; leave it out")),
            Kind::Planner => Candidate::new(self.changed(config, rate_per_s)?, Heuristic),
            Kind::Poc => Candidate::new(self.changed(config, rate_per_s)?, Poc),
            Kind::Hpa | Kind::Keda | Kind::Kpa | Kind::Nomad => {
                let target_per_s = self.value("target") * self.rate(rate_per_s)?;
                self.peer(config, target_per_s)?
            }
        };
        Ok(candidate.named(self.to_string()))
    }

    /// A policy of another system, which brings its own limits.
    fn peer(&self, config: &Config, target_per_s: f64) -> Result<Candidate, PolicySpecError> {
        let mut changes = Changes::of(config);
        changes.add("guard_set=peer").map_err(|why| self.refused(&why))?;
        let peer = changes.config().map_err(|why| self.refused(&why))?;
        Ok(match self.entry.kind {
            Kind::Keda => {
                let keda = Keda::average_value(target_per_s).map_err(|why| self.refused(&why))?;
                averaged(peer, keda, |_, per_s| KedaSignal::measured(per_s))
            }
            Kind::Kpa => {
                let kpa = Kpa::requests_per_second(target_per_s, 1.0);
                Candidate::new(peer, OnWindows::new(kpa.map_err(|why| self.refused(&why))?))
            }
            Kind::Nomad => {
                let nomad = Nomad::target_per_replica(target_per_s);
                averaged(peer, nomad.map_err(|why| self.refused(&why))?, nomad_signal)
            }
            _ => {
                let hpa = self.hpa(target_per_s).map_err(|why| self.refused(&why))?;
                averaged(peer, hpa, |_, per_s| Snapshot::total(per_s))
            }
        })
    }

    /// The real planner's configuration with what was set.
    fn changed(&self, config: &Config, rate_per_s: Option<f64>) -> Result<Config, PolicySpecError> {
        let mut changes = Changes::of(config);
        for (&name, &value) in &self.given {
            let change = match name {
                "window_s" => {
                    return Err(self.refused(&"window_s: the windows are there; leave it out"));
                }
                "capacity_hint" if value == 0.0 => "capacity_hint_per_s=0".to_owned(),
                "capacity_hint" => {
                    format!("capacity_hint_per_s={}", value * self.rate(rate_per_s)?)
                }
                name => match name.strip_suffix("_s") {
                    Some(span) => format!("{span}={value}s"),
                    None => format!("{name}={value}"),
                },
            };
            changes.add(&change).map_err(|why| self.refused(&why))?;
        }
        changes.config().map_err(|why| self.refused(&why))
    }

    fn rate(&self, rate_per_s: Option<f64>) -> Result<f64, PolicySpecError> {
        let known = rate_per_s.filter(|rate_per_s| *rate_per_s > 0.0 && rate_per_s.is_finite());
        let unknown = "its settings are shares of what a replica answers, which is not known; say \
                       how many requests per second that are";
        known.ok_or_else(|| self.refused(&unknown))
    }
}

/// A policy that is told the requests per second of the last while, as a metrics server would.
fn averaged<P>(
    config: Config,
    policy: P,
    signal: impl Fn(Timestamp, f64) -> P::Signal + Send + 'static,
) -> Candidate
where
    P: Policy + Send + 'static,
    P::State: Send,
    P::Signal: 'static,
{
    let mut average = Average::default();
    Candidate::with_signals(config, policy, move |window| {
        let per_s = average.with(window);
        per_s.map(|per_s| signal(window.end(), per_s)).into_iter().collect()
    })
}

/// Arrivals per second over the windows of the last while.
#[derive(Debug, Default)]
struct Average {
    /// When each ended, its seconds and its requests.
    windows: VecDeque<(Timestamp, f64, f64)>,
}

impl Average {
    /// The average with this window; `None` when it does not know its arrivals.
    fn with(&mut self, window: &Window) -> Option<f64> {
        let seconds = window.length().as_secs_f64();
        let requests = window.traffic()?.arrivals_per_s() * seconds;
        // After the clock was set back, what was seen before is of no known time.
        if self.windows.back().is_some_and(|(last, ..)| *last >= window.end()) {
            self.windows.clear();
        }
        self.windows.push_back((window.end(), seconds, requests));
        let is_over = |&(end, ..): &(Timestamp, f64, f64)| {
            window.end().saturating_since(end).as_secs_f64() >= f64::from(AVERAGED_S)
        };
        while self.windows.len() > 1 && self.windows.front().is_some_and(is_over) {
            self.windows.pop_front();
        }
        let sums = |sums: (f64, f64), &(_, seconds, requests): &(Timestamp, f64, f64)| {
            (sums.0 + seconds, sums.1 + requests)
        };
        let (seconds, requests) = self.windows.iter().fold((0.0, 0.0), sums);
        (seconds > 0.0).then(|| requests / seconds)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use planner_core::{Mode, Operation, ReplicaBounds, Traffic};

    use super::*;

    fn config() -> Config {
        let bounds = ReplicaBounds::new(1, 20).expect("bounds");
        Config::builder(bounds).build().expect("settings")
    }

    fn candidate(spec: &str, rate_per_s: Option<f64>) -> Result<Candidate, PolicySpecError> {
        spec.parse::<PolicySpec>().expect("a policy").candidate(&config(), rate_per_s)
    }

    fn window(number: u64, arrivals_per_s: f64) -> Window {
        let at = |number: u64| Timestamp::from_origin(Duration::from_secs(5 * number));
        Window::builder(number, at(number - 1), at(number))
            .outcomes(100, 0, 0)
            .ready(8)
            .traffic(Traffic::arriving(arrivals_per_s).expect("a rate"))
            .build()
            .expect("a window")
    }

    #[test]
    fn a_policy_that_cannot_watch_says_why() {
        for (spec, rate_per_s, message) in [
            (
                "fixed:replicas=3",
                Some(50.0),
                "policy fixed: a fixed count watches nothing; leave it out",
            ),
            (
                "hpa",
                None,
                "policy hpa: its settings are shares of what a replica answers, which is not \
                 known; say how many requests per second that are",
            ),
            (
                "planner:window_s=3",
                Some(50.0),
                "policy planner: window_s: the windows are there; leave it out",
            ),
        ] {
            assert_eq!(candidate(spec, rate_per_s).expect_err("refused").to_string(), message);
        }
        for spec in ["planner", "planner:capacity_hint=0", "poc"] {
            assert!(candidate(spec, None).is_ok(), "{spec} needs no rate");
        }
        assert!(candidate("kpa", Some(f64::NAN)).is_err());
    }

    #[test]
    fn what_was_set_is_changed_and_the_rest_is_the_real_planners() {
        let text = "planner:capacity_hint=0.5,cooldown_in_s=30,slow_price=4,target_utilisation=0.6";
        let spec: PolicySpec = text.parse().expect("a policy");
        let changed = spec.changed(&config(), Some(50.0)).expect("settings");
        let expected = Config::builder(config().bounds())
            .capacity_hint_per_s(25.0)
            .cooldown_in(Duration::from_secs(30))
            .slow_price(4.0)
            .target_utilisation(0.6)
            .build();
        assert_eq!(Ok(changed), expected);
    }

    #[test]
    fn every_policy_of_another_system_follows_the_arrivals() {
        for spec in ["hpa:target=0.5", "keda:target=0.5", "kpa:target=0.5", "nomad:target=0.5"] {
            let mut watching = candidate(spec, Some(50.0)).expect("it watches");
            watching.watch_only(Timestamp::ORIGIN, Operation::of(Mode::Act));
            let mut wanted = None;
            for number in 1..=24 {
                let window = window(number, 250.0);
                let decision = watching.decide(window.end(), &window);
                wanted = decision.and_then(|decision| decision.replicas()).or(wanted);
            }
            assert_eq!(wanted, Some(10), "{spec}: 25 a second each");
        }
    }

    #[test]
    fn a_metric_is_the_mean_of_a_minute() {
        let mut average = Average::default();
        let seen: Vec<_> = (1..=24)
            .map(|number| average.with(&window(number, if number <= 12 { 100.0 } else { 400.0 })))
            .collect();
        assert_eq!((seen[0], seen[11], seen[17]), (Some(100.0), Some(100.0), Some(250.0)));
        assert_eq!(seen[23], Some(400.0));
        assert_eq!(average.with(&window(2, 70.0)), Some(70.0), "the clock was set back");
    }
}
