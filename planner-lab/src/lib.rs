#![doc = include_str!("../README.md")]

pub mod optimum;
mod plant;
pub mod queue;
mod run;
pub mod shadow;
pub mod theory;
pub mod trace;
pub mod whatif;

pub use plant::{Plant, PlantSpec};
pub use run::{Point, Run, run};
