//! planner on one machine: the programs around the planner that make a run measurable.
//!
//! - [`advisor`]: who is asked for a second opinion, by the settings.
//! - [`settings`]: file, environment and flags; [`checkup`] examines them.
//! - [`app`]: a toy web service with a real, finite capacity.
//! - [`scenario`]: the load of a run as one line of text.
//! - [`loadgen`]: an open-loop load generator that never waits for an answer before it sends.
//! - [`score`]: what the run cost its users, and what it would have cost at the very least.
//! - [`advice_report`]: what an advisor was worth in a run.
//! - [`report`]: the run as one self-contained HTML page.
//! - [`lab`]: policies on recorded load, offline.
//! - [`view`]: the run as it happens, in a terminal.
//!
//! Nothing here is part of planner itself: no crate that decides anything depends on it.

#![allow(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "this package is never published: its only users are its own programs"
)]

pub mod advice_report;
pub mod advice_vectors;
pub mod advisor;
pub mod app;
pub mod checkup;
pub mod conformance;
pub mod lab;
pub mod loadgen;
pub mod program;
pub mod quickstart;
pub mod repeat;
pub mod report;
pub mod scenario;
pub mod score;
pub mod settings;
pub mod view;

mod open_files;
