//! `orderly`: what an operator, an author or an auditor **asks** in a terminal.
//!
//! Owns the start: arguments, settings, the run, the error, the exit code. Everything runs on one thread and ends with
//! the command. Re-executed with a hidden first argument it is the box of `orderly plugin run`.

mod args;
mod catalogue;
mod client;
mod commands;
mod component;
mod context;
mod env;
mod error;
mod evidence;
mod fleet;
mod follow;
mod keystore;
mod live;
mod order;
mod output;
mod report;
mod settings;
mod source;
mod status;
mod transfer;
mod trust;

use std::process::ExitCode;

use clap::Parser as _;

use crate::commands::Cli;
use crate::context::Context;
use crate::error::{Exit, OrFail as _, Outcome};
use crate::output::Printer;
use crate::settings::Settings;

fn main() -> ExitCode {
    // First of all, before any thread: this program re-executes itself as the box of a plugin and as its supervisor.
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.first().and_then(|first| first.to_str()) {
        Some(orderly_host::child::RUN_PLUGIN_ARGUMENT) => orderly_host::child::main(),
        Some(orderly_host::platform::SUPERVISE_ARGUMENT) => {
            let code = orderly_host::platform::supervise::main(arguments.get(1..).unwrap_or_default());
            return ExitCode::from(u8::try_from(code).unwrap_or(1));
        }
        _ => {}
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, and are no errors.
            drop(error.print());
            return code(if error.use_stderr() { Exit::Usage } else { Exit::Success });
        }
    };
    let printer = Printer::new(cli.global.output, cli.global.quiet);
    match run(cli, &printer).and_then(|exit| printer.written().map(|()| exit)) {
        Ok(exit) => code(exit),
        Err(failure) => {
            printer.failure(&failure);
            code(failure.exit())
        }
    }
}

fn run(cli: Cli, printer: &Printer) -> Outcome {
    let settings = Settings::load(&cli.global)?;
    let context = Context::new(settings, printer.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .or_setup(|| "the runtime cannot be started".to_owned())?;
    runtime.block_on(Box::pin(cli.run(&context)))
}

fn code(exit: Exit) -> ExitCode {
    // Every exit code is below 256.
    ExitCode::from(exit as u8)
}
