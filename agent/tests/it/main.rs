//! The agent as a program, against a server that this test plays: enrolment, orders, ends, crashes.
//!
//! One binary, so that it is linked once. Each test owns a server on a port of its own, a data directory and an agent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod containers;
mod crashes;
mod enrolment;
mod extras;
mod files;
mod fleet;
mod orders;
mod plugins;
mod refusals;
mod scripts;
mod series;
mod server;
mod values;
