//! How an invocation is signed and sent, whatever it is of.
//!
//! Owns the options of it, and that an order which the server takes is the very one that was signed here. How it spreads is in a
//! file of its own.

mod rollout;

use clap::Args;
use orderly_signing::Digest;
use orderly_signing::key::SecretKey;
use orderly_wire::http::instance::InstanceView;
use orderly_wire::http::invocation::InvocationView;

use crate::args::deadline;
use crate::client::Client;
use crate::context::Context;
use crate::env;
use crate::error::Failure;
use crate::order::{self, Frame, Work};
use crate::output::now_ms;
use crate::status;

/// Who signs, how long instances may take to accept it, and how it spreads over them.
#[derive(Debug, Args)]
pub(super) struct Sending {
    /// Within which time an instance must have accepted it; more makes it wait for instances that are offline. In a rollout the time
    /// begins for each instance with its turn
    #[arg(long, value_name = "SPAN", value_parser = deadline, default_value = "60s")]
    deadline: u32,
    /// The key that signs: a name in `keys/`, or a path
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// Send no signature of an operator; instances then obey only where the fleet's policy accepts the server's alone
    #[arg(long, conflicts_with = "key")]
    pub(super) unsigned: bool,
    #[command(flatten)]
    rollout: rollout::RolloutArgs,
}

impl Sending {
    /// The name of the operator's key.
    pub(super) fn key_name<'a>(&'a self, context: &'a Context) -> &'a str {
        self.key.as_deref().unwrap_or(&context.settings.operator_key)
    }

    /// The operator's key, unless nothing shall be signed.
    pub(super) fn operator(&self, context: &Context) -> Result<Option<SecretKey>, Failure> {
        if self.unsigned { Ok(None) } else { context.keys.secret(self.key_name(context)).map(Some) }
    }

    /// For whom and by when, from now on.
    ///
    /// # Errors
    /// A rollout that could not be, or not within the time that an order may live.
    pub(super) fn frame(
        &self,
        key: Option<&SecretKey>,
        instances: &[InstanceView],
        name: Option<String>,
    ) -> Result<Frame, Failure> {
        Ok(Frame {
            principal: principal(key),
            instances: instances.iter().map(|view| view.id.clone()).collect(),
            deadline_s: self.deadline,
            name,
            now_ms: now_ms(),
            series: None,
            rollout: self.rollout.read(instances.len() as u64, self.deadline)?,
        })
    }
}

/// How a rollout will spread, in words; nothing where all tasks start at once.
pub(super) fn spreads(work: &Work, frame: &Frame) -> Option<String> {
    let policy = frame.rollout.as_ref()?;
    let total = frame.instances.len() as u64;
    Some(format!("{}; the order lives {}", status::policy(policy, total), status::span(frame.lifetime_s(work).into())))
}

/// Signs, where there is a key, and sends; answers the invocation and its order's digest.
///
/// # Errors
/// The server refuses it, or took another order than the one that was signed.
pub(super) async fn create(
    client: &Client,
    work: &Work,
    frame: &Frame,
    key: Option<&SecretKey>,
) -> Result<(InvocationView, Digest), Failure> {
    let order = key.map(|key| order::sign(work, frame, key)).transpose()?;
    let request = order::request(work, frame, order.as_ref());
    let view: InvocationView = client.post("/v1/invocations", &request).await?;
    let taken = view
        .order
        .parse::<Digest>()
        .map_err(|error| Failure::server(format!("the server names the order `{}`", view.order)).because(error))?;
    if order.is_some_and(|order| order.digest() != taken) {
        return Err(Failure::not_verified(format!(
            "the server took another order ({taken}) than the one that was signed"
        ))
        .hint(format!("instances obey only signed orders; look at `orderly verify invocation {}`", view.id)));
    }
    Ok((view, taken))
}

/// Who asks, for people: the user of this machine and the key.
fn principal(key: Option<&SecretKey>) -> String {
    let user = std::env::var(env::USER).unwrap_or_default();
    let user: String = user.chars().filter(|c| !c.is_control()).take(64).collect();
    let user = if user.is_empty() { "operator".to_owned() } else { user };
    match key {
        Some(key) => {
            let id = key.public().key_id().to_string();
            format!("{user} (key {})", id.get(..16).unwrap_or_default())
        }
        None => user,
    }
}
