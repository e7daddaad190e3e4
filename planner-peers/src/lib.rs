#![doc = include_str!("../README.md")]

pub mod hpa;
pub mod keda;
pub mod kpa;
pub mod nomad;
pub mod on_windows;
pub mod poc;
