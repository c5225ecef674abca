//! `orderly plugin`: for authors, for the security team, and for whoever looks for one.
//!
//! Owns the sub-commands' list. Only `inspect` and `run` execute a plugin, in the agent's very sandbox.

mod build;
mod grant;
mod inspect;
mod list;
mod new;
mod push;
mod run;
mod sandbox;
mod sign;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Outcome;

/// Make, try, sign, publish and approve plugins
#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Make a new plugin in Rust, with the SDK in it
    New(new::New),
    /// Build a plugin's component
    Build(build::Build),
    /// Show what a component imports, what its manifest asks for, and what it says of itself
    Inspect(inspect::Inspect),
    /// Run a plugin on this machine, in the agent's very sandbox
    Run(run::Run),
    /// Sign a plugin and pack it
    Sign(sign::Sign),
    /// Upload a package
    Push(push::Push),
    /// Approve a plugin, as the security team
    Approve(push::Approve),
    /// List the server's plugins
    List,
    /// Show one of the server's plugins
    Show {
        /// NAME or NAME@VERSION
        plugin: String,
    },
}

impl Plugin {
    /// Runs the sub-command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::New(command) => command.run(context),
            Self::Build(command) => command.run(context),
            Self::Inspect(command) => command.run(context).await,
            Self::Run(command) => command.run(context).await,
            Self::Sign(command) => command.run(context),
            Self::Push(command) => command.run(context).await,
            Self::Approve(command) => command.run(context).await,
            Self::List => list::list(context).await,
            Self::Show { plugin } => list::show(context, &plugin).await,
        }
    }
}
