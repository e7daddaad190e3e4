//! The offline lab: policies on real traffic, beside each other and beside the best there was.
//!
//! - [`load`]: files, folders and loads that are made up.
//! - [`service`], [`plant`]: the simulated service.
//! - [`mod@run`]: policies on one load, second by second.
//! - [`score`]: what violations and replicas cost each policy on many loads.
//! - [`optimum`]: the least that was possible.
//! - [`whatif`]: a recorded journal with other settings.
//! - [`shadow`]: other policies beside a recorded or a running planner.
//! - [`doctor`]: what a trace cannot show.
//!
//! All that is computed is in `planner-lab`, which has no clock, no files and no threads; they are
//! here. The same command line on the same files gives the same bytes, whatever the number of
//! threads.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Subcommand;
use planner_lab::compare::CompareError;
use planner_lab::optimum::{InstanceError, OptimumError};
use planner_lab::policy_spec::PolicySpecError;
use thiserror::Error;

use crate::program;

mod chart;
pub mod doctor;
pub mod interrupt;
mod journals;
pub mod load;
pub mod optimum;
mod out;
mod page;
pub mod plant;
mod pool;
mod progress;
pub mod run;
pub mod score;
pub mod service;
pub mod shadow;
pub mod span;
mod table;
pub mod whatif;

use interrupt::Writing;
use load::LoadError;
use out::OutError;
use progress::Progress;
use service::ServiceError;
use shadow::ShadowError;
use whatif::WhatifError;

/// Exit code when a doctor found something.
const EXIT_FINDINGS: u8 = 1;

/// What the lab can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// What to know about traces and settings before results are believed
    Doctor(doctor::Args),
    /// The least replica-hours that each load needed
    Optimum(optimum::Args),
    /// Policies on loads, second by second
    Run(run::Args),
    /// What violations and replicas cost each policy, its knob swept, on many loads
    Score(score::Args),
    /// Policies beside a recorded or a running planner, with a ledger
    Shadow(shadow::Args),
    /// A recorded journal with other settings, or another policy
    Whatif(whatif::Args),
}

/// How many threads work.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct JobsArgs {
    /// Threads; the results do not depend on it [default: as many as this machine has cores]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Tell no progress
    #[arg(long)]
    quiet: bool,
}

impl JobsArgs {
    /// Of parts with their names and work, on standard error.
    fn progress(self, parts: Vec<(String, f64)>) -> Progress {
        if self.quiet { Progress::silent() } else { Progress::on_stderr(parts) }
    }

    fn threads(self) -> NonZeroUsize {
        self.jobs.unwrap_or_else(pool::threads_of_this_machine)
    }
}

/// Why the lab has no result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabError {
    /// Policies that cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// A comparison on a plant that it has no time for.
    #[error(
        "--plant: {plant} is not for score, which compares on the fluid plant; leave it out, or use \
         lab run"
    )]
    FluidOnly {
        /// What was asked for.
        plant: String,
    },
    /// A load and a service that do not go together.
    #[error("{label}: {cause}")]
    Instance {
        /// Which load.
        label: String,
        /// What is wrong.
        cause: InstanceError,
    },
    /// Ctrl-C cannot be waited for.
    #[error("cannot wait for signals: {0}; allow another thread")]
    Interrupt(std::io::Error),
    /// A load that cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// An optimum that cannot be computed.
    #[error("{label}: {cause}")]
    Optimum {
        /// Of which load.
        label: String,
        /// What is wrong.
        cause: OptimumError,
    },
    /// Results that cannot be written.
    #[error(transparent)]
    Out(#[from] OutError),
    /// A policy that cannot be.
    #[error(transparent)]
    Policy(#[from] PolicySpecError),
    /// A run that is impossible.
    #[error("{label}: {cause}")]
    Run {
        /// On which load.
        label: String,
        /// What is wrong.
        cause: String,
    },
    /// Seeds that are none.
    #[error(
        "--seeds: {seeds} seeds from {first} on are not 1 to 1000 whole numbers; give fewer, or a \
         smaller --seed"
    )]
    Seeds {
        /// How many were asked for.
        seeds: u64,
        /// The first.
        first: u64,
    },
    /// A service that cannot be.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A ledger that cannot be kept.
    #[error(transparent)]
    Shadow(#[from] ShadowError),
    /// A share that is none.
    #[error("--share: {share} is no share; give a number from 0 to 1, such as 0.01")]
    Share {
        /// What was given.
        share: f64,
    },
    /// A journal that gives no answer.
    #[error(transparent)]
    Whatif(#[from] WhatifError),
}

/// Does what was asked; the code to exit with.
pub fn run(command: &Command) -> ExitCode {
    match carry_out(command) {
        Ok(code) => code,
        Err(error) => program::finish::<_, ()>("lab", Err(error)),
    }
}

fn carry_out(command: &Command) -> Result<ExitCode, LabError> {
    let writing = Writing::default();
    writing.guard_against_interrupts().map_err(LabError::Interrupt)?;
    let (results, out) = match command {
        Command::Doctor(args) => {
            let found = args.run()?;
            let code = if found == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FINDINGS) };
            return Ok(code);
        }
        Command::Optimum(args) => {
            args.out().check()?;
            (args.run()?, args.out())
        }
        Command::Run(args) => {
            args.out().check()?;
            (args.run()?, args.out())
        }
        Command::Score(args) => {
            args.out().check()?;
            (args.run()?, args.out())
        }
        Command::Shadow(args) => {
            args.out().check()?;
            args.run(|results| args.give(results, &writing))?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Whatif(args) => {
            args.out().check()?;
            (args.run()?, args.out())
        }
    };
    out.give(&results, &writing)?;
    Ok(ExitCode::SUCCESS)
}
