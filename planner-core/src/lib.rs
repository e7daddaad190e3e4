#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod advice;
pub mod baseline;
pub mod config;
pub mod decision;
pub mod fleet;
pub mod flip;
pub mod gateway;
pub mod guard;
pub mod guide;
pub mod journal;
mod kernel;
pub mod operation;
pub mod planner;
pub mod policy;
pub mod signal;
pub mod snapshot;
pub mod stats;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod time;
pub mod track;

pub use advice::{Advice, AdvisedAction, AdvisorFault, Receipt, Verdict};
pub use baseline::{
    Baseline, Estimate, FixedReference, Lesson, Level, LevelChange, Quarantine, QuarantinedBaseline,
};
pub use config::{
    AdviceConfig, Config, ConfigBuilder, ConfigError, GuardSet, ReplicaBounds, ServiceId,
    ServiceIdError, StepLimit, Thresholds,
};
pub use decision::{
    Action, Constraint, Decision, DecisionId, Derivation, GuardStep, Origin, Stage,
};
pub use fleet::{Class, Fleet, FleetError, Member};
pub use flip::{Field, Flip, flips};
pub use gateway::{AdviceGate, CallOutcome, ClosedGate, Denied, Gateway, Permit};
pub use guard::Effect;
pub use operation::{Mode, Operation};
pub use planner::{Brief, Consultation, ConsultationId, Event, Idle, Outcome, Planner, Step};
pub use policy::{
    Heuristic, HeuristicState, NoSignal, Poc, Policy, Proposal, Reason, Reasons, View,
};
pub use signal::{Breach, Signal};
pub use snapshot::{RestoreError, Snapshot};
pub use telemetry::{
    Doubt, Latencies, Latency, Quality, Traffic, Window, WindowBuilder, WindowError,
};
pub use time::Timestamp;
pub use track::TrackRecord;
