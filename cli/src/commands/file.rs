//! `orderly file`: files to instances and from them.
//!
//! Owns the options that both ways share, and the order that is signed for each file.

mod pull;
mod push;

use clap::{Args, Subcommand};
use orderly_model::file::FileFault;
use orderly_signing::{Digest, InstanceId};
use orderly_wire::http::instance::InstanceView;
use orderly_wire::http::invocation::InvocationView;

use super::run::{TargetArgs, principal};
use crate::args::{deadline, timeout};
use crate::client::Client;
use crate::context::Context;
use crate::error::{Exit, Failure, Outcome};
use crate::order::{self, Frame, Work};
use crate::output::now_ms;

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
    /// Within which time an instance must have accepted it; more makes it wait for instances that are offline
    #[arg(long, value_name = "SPAN", value_parser = deadline, default_value = "60s")]
    deadline: u32,
    /// The key that signs: a name in `keys/`, or a path
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Send no signature of an operator; instances then obey only where the fleet's policy accepts the server's alone
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
}

/// What is left of [`MoveArgs`] once the instances are found.
struct Mover {
    instances: Vec<InstanceView>,
    deadline_s: u32,
    key: Option<orderly_signing::key::SecretKey>,
}

impl MoveArgs {
    async fn mover(self, context: &Context, client: &Client) -> Result<Mover, Failure> {
        let name = self.key.as_deref().unwrap_or(&context.settings.operator_key);
        let key = if self.unsigned { None } else { Some(context.keys.secret(name)?) };
        let instances = self.targets.find(&context.printer, client, false).await?;
        Ok(Mover { instances, deadline_s: self.deadline, key })
    }
}

impl Mover {
    /// Signs and sends one order; answers the invocation and the order's digest.
    async fn send(&self, client: &Client, work: &Work) -> Result<(InvocationView, Digest), Failure> {
        let frame = Frame {
            principal: principal(self.key.as_ref()),
            instances: self.instances.iter().map(|view| view.id.clone()).collect::<Vec<InstanceId>>(),
            deadline_s: self.deadline_s,
            name: None,
            now_ms: now_ms(),
        };
        let order = self.key.as_ref().map(|key| order::sign(work, &frame, key)).transpose()?;
        let request = order::request(work, &frame, order.as_ref());
        let view: InvocationView = client.post("/v1/invocations", &request).await?;
        let taken = view
            .order
            .parse::<Digest>()
            .map_err(|error| Failure::server(format!("the server names the order `{}`", view.order)).because(error))?;
        if order.as_ref().is_some_and(|order| order.digest() != taken) {
            return Err(Failure::not_verified(format!(
                "the server took another order ({taken}) than the one that was signed"
            ))
            .hint(format!("instances obey only signed orders; look at `orderly verify invocation {}`", view.id)));
        }
        Ok((view, taken))
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
        (Exit::TaskFailed, Exit::TaskFailed) => Exit::TaskFailed,
        _ => Exit::Partial,
    }
}
