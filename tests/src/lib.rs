//! What is **proven**: the harness that starts real programs, and the agents that only pretend.
//!
//! Owns the start and the end of servers, agents and command lines in folders of their own, a client of the API, orders
//! signed by keys made for the test, and simulated agents by the hundred. It never waits blindly: each wait is for a
//! predicate and has a limit. Everything that it starts ends when its value is dropped, by process id.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod agent;
pub mod api;
pub mod fleet;
pub mod orders;
pub mod packages;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod rogue;
pub mod simulated;
pub mod tls;
pub mod trust;
pub mod wait;
