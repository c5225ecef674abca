//! `orderly trust`: the fleet's keys, its keyring and what they mean.
//!
//! Owns the sub-commands' list. The root key signs here and nowhere else; it never goes to a server.

mod fetch;
mod init;
mod publish;
mod status;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Outcome;

/// Make and publish the fleet's keyring, or see what it says
#[derive(Debug, Subcommand)]
pub(crate) enum Trust {
    /// Make the keys of a new fleet; never overwrites one
    Init(init::Init),
    /// Sign the next keyring with the root key and give it to the server
    Publish(publish::Publish),
    /// Pin a fleet's root fingerprint and get its keyring from the server
    Fetch(fetch::Fetch),
    /// Show who holds which role, what each tier needs, and what an attacker would need
    Status(status::Status),
}

impl Trust {
    /// Runs the sub-command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Init(command) => command.run(context).await,
            Self::Publish(command) => command.run(context).await,
            Self::Fetch(command) => command.run(context).await,
            Self::Status(command) => command.run(context),
        }
    }
}
