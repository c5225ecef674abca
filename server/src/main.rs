//! `orderly-server`: parse, run, say what went wrong. The rest is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use orderly_server::{app, config::Config, telemetry};

fn main() -> ExitCode {
    let config = Config::parse();
    if let Err(error) = telemetry::start() {
        return fail(&error);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(app::run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Prints an error with its causes, a line each.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}
