#![doc = include_str!("../README.md")]

pub mod adversary;
pub mod autoscaler;
pub mod compare;
pub mod evaluate;
pub mod fluid;
pub mod optimum;
mod plant;
pub mod policy_spec;
pub mod queue;
mod run;
pub mod shadow;
pub mod theory;
pub mod trace;
pub mod whatif;

pub use plant::{Plant, PlantSpec};
pub use run::{Point, Run, run};
