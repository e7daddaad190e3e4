//! All of it on loopback, under load: Redis, nginx, containers and the programs between them.
//!
//! It starts what it needs in folders of its own, runs the load, shows the same view and writes the
//! same reports as `quickstart`, and stops and removes what it started. The programs are this
//! program too, by subcommand.

mod container;
mod error;
mod follow;
mod hold;
pub mod image;
mod key;
mod part;
mod run;
pub mod servers;
mod swarm;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use planner_examples_local::quickstart::{self, Plan};
use planner_examples_local::{app, loadgen, program};

pub use error::DemoError;

/// Runs the whole closed loop on one machine: needs redis-server, nginx and a Docker engine.
#[derive(Parser)]
#[command(name = "demo", version, args_conflicts_with_subcommands = true)]
struct Program {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    run: quickstart::Args,
    #[command(flatten)]
    engine: EngineArgs,
}

/// What runs the replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EngineKind {
    /// Containers of one engine
    Docker,
    /// The tasks of a Swarm's service; an engine that is in none becomes its own for the run
    Swarm,
}

/// What can be set beside the flags of `quickstart`.
#[derive(Clone, Debug, clap::Args)]
pub struct EngineArgs {
    /// What runs the replicas
    #[arg(long = "engine", value_enum, default_value_t = EngineKind::Docker)]
    kind: EngineKind,

    /// Socket of the Docker engine; images, containers and a network of this run are made on it
    /// and removed at the end
    #[arg(
        long,
        env = "DOCKER_SOCKET",
        default_value = "/var/run/docker.sock",
        value_name = "FILE"
    )]
    pub docker_socket: PathBuf,

    /// Socket of another engine of the Swarm, on which the image is made too: there is no registry
    /// that it could get it from. May be given several times
    #[arg(long, value_name = "FILE")]
    build_on: Vec<PathBuf>,
}

/// The other processes of a run that are no program of the stack.
#[derive(Subcommand)]
enum Part {
    /// A replica: the toy service alone
    App(app::Args),
    /// Holds network and processes of a container for others that share them, and does nothing
    Hold,
    /// The load generator alone
    Loadgen(loadgen::Args),
}

/// Runs the program.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    if let Some(part) = stack_program(&arguments) {
        return part(arguments.into_iter().skip(1).collect());
    }
    let parsed: Program = match program::parse() {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    match parsed.part {
        Some(Part::App(args)) => program::finish("app", app::run(&args)),
        Some(Part::Hold) => program::finish("hold", hold::run()),
        Some(Part::Loadgen(args)) => program::finish("loadgen", loadgen::run_program(&args)),
        None if parsed.engine.kind == EngineKind::Docker && !parsed.engine.build_on.is_empty() => {
            program::finish::<_, ()>("demo", Err(DemoError::BuildOn))
        }
        None => match Plan::try_from(parsed.run) {
            Ok(plan) => program::finish("demo", run::run(&parsed.engine, &plan)),
            Err(error) => program::finish::<_, ()>("demo", Err(error)),
        },
    }
}

/// The program of the stack that a subcommand names.
fn stack_program(arguments: &[OsString]) -> Option<fn(Vec<OsString>) -> ExitCode> {
    match arguments.get(1)?.to_str()? {
        "dashboard" => Some(crate::dashboard::main),
        "executor" => Some(crate::executor::main),
        "advisor-check" => Some(crate::advisor_check::main),
        "monitor" => Some(crate::monitor::main),
        "planner" => Some(crate::planner::main),
        "subscriber" => Some(crate::subscriber::main),
        "watcher" => Some(crate::watcher::main),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn no_two_flags_are_in_each_others_way() {
        Program::command().debug_assert();
    }
}
