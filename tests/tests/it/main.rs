//! End to end: real servers, real agents, real command lines, and simulated agents by the hundred.
//!
//! Every test owns its server, its folder and its agents. Waits are for predicates and have limits; what a test starts
//! ends with it. Tests in `killed`, `flood` and `large_file` measure or fill the machine and run alone (`.config/nextest.toml`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod attacks;
mod attacks_plugins;
mod bad_input;
mod command_line;
mod commands;
mod defects;
mod ending;
mod files;
mod flood;
mod hostile;
mod impostor;
mod killed;
mod large_file;
mod native;
mod plugins;
mod rollouts;
mod script_extras;
mod series;
mod unreachable;
mod use_cases;
