#![doc = include_str!("../README.md")]

mod plant;
mod run;

pub use plant::{Plant, PlantSpec};
pub use run::{Point, Run, run};
