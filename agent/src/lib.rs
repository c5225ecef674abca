//! What is **done** on an instance: enrolment, the link, the checks, scripts, plugins and files, receipts.
//!
//! Owns everything that happens on an instance because a signed order says so. It never believes the server: what it does
//! follows from signatures under keys that were pinned at enrolment, from the local policy and from its own journal. It
//! runs on one thread and stops on SIGTERM as `app` writes down.
//!
//! Layers, left may not import right: config · telemetry · shutdown · platform · clock · directory · transport · identity ·
//! facts · journal · artifacts · transfer · exec · policy · desk · link · enrol · app · cli.

mod app;
mod artifacts;
mod cli;
mod clock;
mod config;
mod desk;
mod directory;
mod enrol;
mod exec;
mod facts;
mod identity;
mod journal;
mod link;
mod platform;
mod policy;
mod shutdown;
mod telemetry;
mod transfer;
mod transport;

use std::process::ExitCode;

/// The whole program: what its arguments say. The two hidden commands come first, since they are this program's
/// re-executions of itself and take no arguments of people.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.first().and_then(|first| first.to_str()) {
        Some(orderly_host::child::RUN_PLUGIN_ARGUMENT) => orderly_host::child::main(),
        Some(orderly_host::platform::SUPERVISE_ARGUMENT) => {
            let code = orderly_host::platform::supervise::main(arguments.get(1..).unwrap_or_default());
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
        _ => cli::main(),
    }
}
