//! `orderly invocation halt`, `resume` and `confirm`: what a person says to a rollout.
//!
//! Owns which wave and which errors are meant: those that were seen, so that what came since is not let through with them.

use clap::Args;
use orderly_wire::http::invocation::InvocationView;
use orderly_wire::http::rollout::{ConfirmRollout, HaltRollout, ResumeRollout};
use serde::Serialize;

use super::get;
use crate::client::{Client, encode};
use crate::context::Context;
use crate::error::{Exit, Failure, Outcome};
use crate::status;

/// Start nothing more of a rollout until it is resumed; what is open goes on
#[derive(Debug, Args)]
pub(crate) struct Halt {
    /// The invocation, t-…
    id: String,
    /// Why, for people
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Let a rollout that has halted go on
///
/// The errors that you have seen count no more. Those that come later do, and can halt it again.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The invocation, t-…
    id: String,
    /// How many errors you have seen; those that are counted now where absent
    #[arg(long, value_name = "COUNT")]
    errors: Option<u64>,
}

/// Let the next wave of a rollout begin
#[derive(Debug, Args)]
pub(crate) struct Confirm {
    /// The invocation, t-…
    id: String,
    /// The wave that you have looked at, as `invocation show` says; to confirm it twice starts one wave
    #[arg(long, value_name = "NUMBER")]
    wave: u64,
}

impl Halt {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Outcome {
        say(context, client, &self.id, "halt", &HaltRollout { reason: self.reason }).await
    }
}

impl Resume {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Outcome {
        let errors = match self.errors {
            Some(errors) => errors,
            None => {
                let view = get(client, &self.id).await?;
                let rollout = view.rollout.as_ref().ok_or_else(|| {
                    Failure::usage(format!("`{}` is no rollout: all its tasks started at once", self.id))
                })?;
                rollout.errors
            }
        };
        say(context, client, &self.id, "resume", &ResumeRollout { errors }).await
    }
}

impl Confirm {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Outcome {
        say(context, client, &self.id, "confirm", &ConfirmRollout { wave: self.wave }).await
    }
}

/// Says it, and shows how the rollout goes then.
async fn say(context: &Context, client: &Client, id: &str, what: &str, request: &(impl Serialize + Sync)) -> Outcome {
    let view: InvocationView = client.post(&format!("/v1/invocations/{}/{what}", encode(id)), request).await?;
    context.printer.one(&view, |printer| {
        if let Some(rollout) = &view.rollout {
            printer.line(&status::rollout(rollout));
        }
    });
    let next = view.rollout.as_ref().and_then(|rollout| status::next(rollout, id));
    context.printer.remark(&next.unwrap_or_else(|| format!("`orderly invocation follow {id}` follows it")));
    Ok(Exit::Success)
}
