//! planner as running programs, each of them thin, together a closed loop.
//!
//! ```text
//! monitor --alerts--> planner --orders--> executor --membership--> watcher --> nginx
//!    ^                                        |  ^-------routing------|
//!    +---------------- users, probes ---------+-- containers
//! ```
//!
//! Everything between them is on Redis. Only the [`executor`] holds the engine's socket, only the
//! [`watcher`] writes nginx's file, only the [`planner`] that holds the lease gives orders. Each
//! may be killed at any time: traffic goes on, and whoever comes back goes on from what it finds.
//!
//! [`subscriber`] prints results, [`dashboard`] shows them, [`advisor_check`] asks the advisor
//! once, and [`demo`] starts all of it on loopback.

#![allow(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "this package is never published: its only users are its own programs"
)]

pub mod advisor_check;
pub mod dashboard;
pub mod demo;
pub mod executor;
pub mod monitor;
pub mod planner;
pub mod program;
pub mod subscriber;
pub mod watcher;

mod advisor;
mod parts;
mod pause;
mod text;
