//! What can be set, and what suits a run of two minutes.

use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use planner_core::{AdviceConfig, Config, ConfigError, ReplicaBounds, StepLimit};
use thiserror::Error;

use super::advisor;
use super::policy::{PolicyName, UnknownPolicy};
use crate::scenario::{Scenario, ScenarioError};
use crate::settings::{Settings, SettingsError};

/// Length of a telemetry window.
pub(super) const WINDOW: Duration = Duration::from_secs(1);
/// Requests that the balancer lets wait at a replica for each of its workers; the rest wait in its
/// own queue, from which a new replica takes its share at once.
const IN_FLIGHT_PER_WORKER: u32 = 4;

/// Watch a service being scaled: real processes, real load, every decision explained.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = SETTINGS_HELP)]
pub struct Args {
    /// The load: `SECONDSxRATE` or `SECONDSxFROM..TO`, separated by commas
    #[arg(long, default_value = "30x20,60x120,40x20")]
    pub scenario: String,

    /// Seed of the arrivals
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Slower than this counts as slow in the score, in milliseconds; the planner never sees it
    #[arg(long, default_value_t = 150.0, value_name = "MS")]
    pub slo_ms: f64,

    /// Fewest replicas
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub min: u32,

    /// Most replicas
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub max: u32,

    /// Who decides: heuristic, or poc (the proof of concept's rules behind the same guards)
    #[arg(long, default_value = "heuristic", value_name = "NAME")]
    pub policy: String,

    /// Who is asked for a second opinion: off, or record:FILE for advice from a file; without it
    /// the model that the environment names as docs/settings.md has it, if any
    #[arg(long, value_name = "WHO")]
    pub advisor: Option<String>,

    /// Requests that a replica serves at the same time
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub app_workers: u32,

    /// How long a request occupies a worker, in milliseconds
    #[arg(long, default_value_t = 20, value_name = "MS")]
    pub app_ms: u32,

    /// Folder for journal, request log, run.json and report.html; its parent must exist
    /// [default: a new folder below ./out]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Address of the load balancer
    #[arg(long, default_value = "127.0.0.1:0", value_name = "HOST:PORT")]
    pub listen: SocketAddr,

    /// Bring your own client: send no load, run until Ctrl-C
    #[arg(long, requires = "listen")]
    pub no_load: bool,

    /// End a run without load after this long, in seconds
    #[arg(long, requires = "no_load", value_name = "S")]
    pub duration_s: Option<f64>,

    /// Print run.json to standard output at the end, and nothing else
    #[arg(long)]
    pub json: bool,

    /// Write no report.html
    #[arg(long)]
    pub no_report: bool,
}

const SETTINGS_HELP: &str = "\
Settings of the planner in this run, made for two minutes rather than two months:
  windows of 1 s, the balancer's real traffic as signal, two probes a second so
  that silence is never taken for calm; baseline warm after 8 windows; cooldown 2 s out
  and 3 s in; scale-in only below everything proposed in the last 6 s; at most 4
  replicas or 100 % more per 2 s, at most 1 replica or 50 % fewer per 3 s. An advisor
  is asked the same again after 5 s, and its thresholds are in force for 30 s;
  a recording is asked up to once a second, and may keep one replica in reserve.
Everything binds to loopback. Ctrl-C ends the run and still writes the report.";

/// Everything that a run needs to know, checked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The load.
    pub scenario: Scenario,
    /// The planner's settings.
    pub config: Config,
    /// Who is asked for a second opinion.
    pub advisor: Settings,
    /// Who decides.
    pub policy: PolicyName,
    /// Requests that wait at one replica.
    pub in_flight_per_replica: NonZeroU32,
    /// When a run without load ends.
    pub duration: Option<Duration>,
    /// As given.
    pub args: Args,
}

impl TryFrom<Args> for Plan {
    type Error = UsageError;

    fn try_from(args: Args) -> Result<Self, UsageError> {
        let workers = NonZeroU32::new(args.app_workers)
            .filter(|workers| workers.get() <= 1_024)
            .ok_or_else(|| UsageError::range("--app-workers", &args.app_workers, "1 to 1024"))?;
        if args.app_ms == 0 || args.app_ms > 60_000 {
            return Err(UsageError::range("--app-ms", &args.app_ms, "1 to 60000"));
        }
        if !(args.slo_ms > 0.0 && args.slo_ms.is_finite()) {
            return Err(UsageError::range("--slo-ms", &args.slo_ms, "above 0 and finite"));
        }
        let duration = match args.duration_s {
            Some(seconds) if !(0.1..=86_400.0).contains(&seconds) => {
                return Err(UsageError::range("--duration-s", &seconds, "0.1 to 86400"));
            }
            seconds => seconds.map(Duration::from_secs_f64),
        };
        let environment = |name: &str| std::env::var(name).ok();
        let advisor = advisor::settings(args.advisor.as_deref(), environment)?;
        Ok(Self {
            scenario: args.scenario.parse()?,
            config: config(&args, advisor.config()?.advice())?,
            advisor,
            policy: args.policy.parse()?,
            in_flight_per_replica: workers
                .saturating_mul(NonZeroU32::MIN.saturating_add(IN_FLIGHT_PER_WORKER - 1)),
            duration,
            args,
        })
    }
}

/// The settings that [`SETTINGS_HELP`] tells of.
fn config(args: &Args, advice: Option<&AdviceConfig>) -> Result<Config, ConfigError> {
    let seconds = Duration::from_secs;
    let builder = Config::builder(ReplicaBounds::new(args.min, args.max)?);
    let builder = match advice {
        Some(advice) => builder.advice(advice.clone()),
        None => builder,
    };
    builder
        .warmup_windows(8)
        .cooldown_out(seconds(2))
        .cooldown_in(seconds(3))
        .stabilisation_in(seconds(6))
        .step_out(StepLimit { replicas: 4, percent: 100, period: seconds(2) })
        .step_in(StepLimit { replicas: 1, percent: 50, period: seconds(3) })
        .window_age_max(seconds(5))
        .startup_allowance(seconds(10))
        .build()
}

/// Why a run does not begin.
#[derive(Debug, Error)]
pub enum UsageError {
    /// There is no such advisor.
    #[error("--advisor: {who:?} is not {rule}; choose one of them")]
    Advisor {
        /// What was given.
        who: String,
        /// What it has to be.
        rule: &'static str,
    },
    /// The planner's settings contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no such policy.
    #[error(transparent)]
    Policy(#[from] UnknownPolicy),
    /// A number outside its range.
    #[error("{flag}: {value} is not {rule}; choose a value in that range")]
    Range {
        /// Which flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What it has to be.
        rule: &'static str,
    },
    /// A setting of the advisor cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The load makes no sense.
    #[error("--scenario: {0}")]
    Scenario(#[from] ScenarioError),
}

impl UsageError {
    fn range(flag: &'static str, value: &dyn Display, rule: &'static str) -> Self {
        Self::Range { flag, value: value.to_string(), rule }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    fn refusal(flags: &[&str]) -> String {
        let program = Program::try_parse_from([&["quickstart"], flags].concat()).expect("flags");
        Plan::try_from(program.args).expect_err("nonsense").to_string()
    }

    #[test]
    fn an_unknown_policy_is_refused_with_the_known_ones() {
        assert_eq!(
            refusal(&["--policy", "oracle"]),
            "--policy: \"oracle\" is not heuristic or poc; choose one of them"
        );
    }

    #[test]
    fn reversed_bounds_are_refused() {
        assert_eq!(
            refusal(&["--min", "9"]),
            "max_replicas: 8 is below min_replicas 9; raise max_replicas or lower min_replicas"
        );
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert_eq!(
            refusal(&["--slo-ms", "inf"]),
            "--slo-ms: inf is not above 0 and finite; choose a value in that range"
        );
        assert_eq!(
            refusal(&["--app-workers", "0"]),
            "--app-workers: 0 is not 1 to 1024; choose a value in that range"
        );
    }

    #[test]
    fn a_nonsense_scenario_is_refused_with_its_flag() {
        assert!(refusal(&["--scenario", "often"]).starts_with("--scenario: "));
    }
}
