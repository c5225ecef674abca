//! `orderly file`: files to instances and from them.
//!
//! Owns the options that both ways share, and the order that is signed for each file.

mod pull;
mod push;

use clap::{Args, Subcommand};
use orderly_model::file::FileFault;
use orderly_signing::Digest;
use orderly_signing::key::SecretKey;
use orderly_wire::http::instance::InstanceView;
use orderly_wire::http::invocation::InvocationView;

use super::run::TargetArgs;
use super::sending::{Sending, create};
use crate::args::timeout;
use crate::client::Client;
use crate::context::Context;
use crate::error::{Exit, Failure, Outcome};
use crate::order::Work;

/// Put files on instances, or collect them
#[derive(Debug, Subcommand)]
pub(crate) enum File {
    Push(Box<push::Push>),
    Pull(Box<pull::Pull>),
}

impl File {
    /// Runs the sub-command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Push(push) => push.run(context).await,
            Self::Pull(pull) => pull.run(context).await,
        }
    }
}

/// What both ways ask.
#[derive(Debug, Args)]
struct MoveArgs {
    #[command(flatten)]
    targets: TargetArgs,
    /// How long the transfer to or from an instance may take, cuts included
    #[arg(long, value_name = "SPAN", value_parser = timeout, default_value = "15m")]
    timeout: u32,
    #[command(flatten)]
    sending: Sending,
}

/// What is left of [`MoveArgs`] once the instances are found.
struct Mover {
    instances: Vec<InstanceView>,
    sending: Sending,
    key: Option<SecretKey>,
}

impl MoveArgs {
    async fn mover(self, context: &Context, client: &Client) -> Result<Mover, Failure> {
        let key = self.sending.operator(context)?;
        let instances = self.targets.find(&context.printer, client, false).await?;
        Ok(Mover { instances, sending: self.sending, key })
    }
}

impl Mover {
    /// Signs and sends one order; answers the invocation and the order's digest.
    async fn send(&self, client: &Client, work: &Work) -> Result<(InvocationView, Digest), Failure> {
        let frame = self.sending.frame(self.key.as_ref(), &self.instances, None)?;
        create(client, work, &frame, self.key.as_ref()).await
    }
}

/// Everything that is wrong with what was asked.
fn wrong(faults: &[FileFault]) -> Failure {
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Failure::usage(told.join("; "))
}

/// The exit code of several steps: that of the one failure where there is one kind, else that some went well.
fn both(first: Exit, second: Exit) -> Exit {
    match (first, second) {
        (Exit::Success, Exit::Success) => Exit::Success,
        (Exit::Interrupted, _) | (_, Exit::Interrupted) => Exit::Interrupted,
        (Exit::NotVerified, _) | (_, Exit::NotVerified) => Exit::NotVerified,
        (Exit::Halted, _) | (_, Exit::Halted) => Exit::Halted,
        (Exit::TaskFailed, Exit::TaskFailed) => Exit::TaskFailed,
        _ => Exit::Partial,
    }
}
