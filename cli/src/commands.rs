//! The commands of `orderly`: one file each.
//!
//! Owns the tree of commands and their help. Never does anything itself.

mod activation;
mod command;
mod completions;
mod config;
mod file;
mod group;
mod instance;
mod invocation;
mod key;
mod plugin;
mod run;
mod sending;
mod task;
mod token;
mod trust;
mod verify;

use clap::{Parser, Subcommand};

use crate::args::GlobalArgs;
use crate::context::Context;
use crate::error::{EXIT_CODES_HELP, Outcome};

/// Run scripts and vetted plugins on a fleet, and prove what ran
///
/// Orders are built and signed on this machine; instances obey the signature, not the server.
#[derive(Debug, Parser)]
#[command(name = "orderly", version, after_help = EXIT_CODES_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Run>),
    #[command(subcommand)]
    Command(command::Command),
    #[command(subcommand)]
    File(file::File),
    #[command(subcommand)]
    Invocation(invocation::Invocation),
    #[command(subcommand)]
    Task(task::Task),
    #[command(subcommand)]
    Instance(instance::Instance),
    #[command(subcommand)]
    Group(group::Group),
    #[command(subcommand)]
    Activation(activation::Activation),
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    #[command(subcommand)]
    Trust(trust::Trust),
    #[command(subcommand)]
    Verify(verify::Verify),
    #[command(subcommand)]
    Key(key::Key),
    #[command(subcommand)]
    Token(token::Token),
    #[command(subcommand)]
    Config(config::Config),
    Completions(completions::Completions),
}

impl Cli {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        match self.command {
            Command::Run(command) => command.run(context).await,
            Command::Command(command) => command.run(context).await,
            Command::File(command) => command.run(context).await,
            Command::Invocation(command) => command.run(context).await,
            Command::Task(command) => command.run(context).await,
            Command::Instance(command) => command.run(context).await,
            Command::Group(command) => command.run(context).await,
            Command::Activation(command) => command.run(context).await,
            Command::Plugin(command) => command.run(context).await,
            Command::Trust(command) => command.run(context).await,
            Command::Verify(command) => command.run(context).await,
            Command::Key(command) => command.run(context),
            Command::Token(command) => command.run(context).await,
            Command::Config(command) => command.run(context),
            Command::Completions(command) => command.run::<Self>(context),
        }
    }
}

#[cfg(test)]
mod tests;
