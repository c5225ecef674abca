//! The command line.
//!
//! Owns the arguments and the words that are printed; everything else is done by `enrol` and `app`. Exit codes: 0 done,
//! 1 failed, 2 wrong arguments, 64 a configuration that is refused.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use orderly_signing::digest::Digest;

use crate::app::{self, RunError};
use crate::directory::{Directory, default_path};
use crate::enrol::{Enrolment, enrol};
use crate::exec::chain;
use crate::identity::Identity;
use crate::telemetry;
use crate::transport::Endpoint;

#[derive(Debug, Parser)]
#[command(name = "orderly-agent", version, about = "Does on this instance what signed orders say")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enrol this instance with an activation code: run the line that `orderly activation create` prints.
    Enrol(EnrolArguments),
    /// Link to the server and carry out orders until SIGTERM.
    Run(RunArguments),
    /// Print who this instance is.
    Status(StatusArguments),
}

#[derive(Debug, Args)]
struct EnrolArguments {
    /// The server, `https://HOST:PORT`.
    #[arg(long)]
    server: Endpoint,
    /// The activation code.
    #[arg(long)]
    code: String,
    /// Fingerprint of the fleet's root keys, `sha256:…`.
    #[arg(long)]
    root: Digest,
    /// Fingerprint of the server's CA certificate, `sha256:…`.
    #[arg(long)]
    ca: Digest,
    /// Where this agent keeps its key and its journal.
    #[arg(long, default_value_os_t = default_path())]
    data_dir: PathBuf,
    /// A name for people; the host name where absent.
    #[arg(long)]
    name: Option<String>,
    /// Enrol anew though this instance is enrolled; its key and its journal are kept.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
struct RunArguments {
    /// Where this agent keeps its key and its journal.
    #[arg(long, default_value_os_t = default_path())]
    data_dir: PathBuf,
    /// The configuration; `agent.toml` in the data directory where absent.
    #[arg(long)]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct StatusArguments {
    /// Where the agent keeps its key and its journal.
    #[arg(long, default_value_os_t = default_path())]
    data_dir: PathBuf,
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = telemetry::start() {
        return failed(&error);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match arguments.command {
        Command::Enrol(arguments) => {
            let request = Enrolment {
                server: arguments.server,
                code: arguments.code,
                root: arguments.root,
                ca: arguments.ca,
                directory: arguments.data_dir.clone(),
                name: arguments.name,
                force: arguments.force,
            };
            match runtime.block_on(enrol(request)) {
                Ok(pins) => {
                    println!("enrolled as {} ({}) at {}", pins.instance, pins.name, pins.server);
                    println!("start it with: orderly-agent run --data-dir {}", arguments.data_dir.display());
                    ExitCode::SUCCESS
                }
                Err(error) => failed(&error),
            }
        }
        Command::Run(arguments) => match runtime.block_on(app::run(&arguments.data_dir, arguments.config.as_deref())) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error @ RunError::Config(_)) => {
                failed(&error);
                ExitCode::from(64)
            }
            Err(error) => failed(&error),
        },
        Command::Status(arguments) => status(&arguments.data_dir),
    }
}

fn status(data: &std::path::Path) -> ExitCode {
    let directory = match Directory::look(data) {
        Ok(directory) => directory,
        Err(error) => return failed(&error),
    };
    match Identity::load(&directory) {
        Ok(identity) => {
            println!("instance  {}", identity.id());
            println!("name      {}", identity.pins.name);
            println!("server    {}", identity.server);
            println!("ca        {}", identity.pins.ca);
            println!("root      {}", identity.pins.root);
            println!("running   {}", directory.holder().as_deref().unwrap_or("no"));
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("orderly-agent: {}", chain(error));
    ExitCode::FAILURE
}
