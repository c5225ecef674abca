//! The API against a whole server in this process, with agents that speak and run nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod enrolment;
mod groups;
mod invocations;
mod latency;
mod links;
mod live;
mod plugins;
mod requests;
mod results;
mod series;
