//! `orderly activation`: codes with which instances enrol.
//!
//! Owns the line that is pasted on an instance. Its pins come from this machine: the root fingerprint that is trusted
//! here and the CA by which the server was recognised, never from the server's answer.

use clap::{Args, Subcommand};
use orderly_wire::http::activation::{ActivationView, CreateActivation, CreatedActivation};
use serde::Serialize;

use crate::args::{key_value, seconds};
use crate::client::encode;
use crate::context::Context;
use crate::error::{Exit, Failure, Outcome};
use crate::output::{Tone, plain, time};

/// Make, list and disable activation codes
#[derive(Debug, Subcommand)]
pub(crate) enum Activation {
    /// Make a code, and print the line to run on an instance
    Create(Create),
    /// List activations
    List,
    /// Take a code back; instances that enrolled with it stay
    Disable {
        /// The activation, a-…
        id: String,
    },
}

/// Options of `activation create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// How long it works
    #[arg(long, default_value = "4h", value_name = "SPAN", value_parser = seconds)]
    ttl: u64,
    /// How many instances may enrol with it
    #[arg(long, default_value_t = 10, value_name = "COUNT")]
    max: u32,
    /// A tag that the instances get
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = key_value)]
    tags: Vec<(String, String)>,
    /// A network (CIDR) from which it may be used; anywhere where none is named
    #[arg(long = "network", value_name = "CIDR")]
    networks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Created {
    #[serde(flatten)]
    activation: CreatedActivation,
    line: String,
}

impl Activation {
    /// Runs the sub-command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Create(create) => create.run(context).await,
            Self::List => list(context).await,
            Self::Disable { id } => {
                context.client()?.delete(&format!("/v1/activations/{}", encode(&id))).await?;
                context.printer.remark(&format!("`{id}` is disabled"));
                Ok(Exit::Success)
            }
        }
    }
}

impl Create {
    async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let root = context.trust.pin()?.ok_or_else(|| {
            Failure::setup("no root fingerprint is pinned here, so instances could not be given one")
                .hint("`orderly trust init` makes a new fleet, `orderly trust fetch --root sha256:…` joins one")
        })?;
        let request = CreateActivation {
            name: self.name,
            ttl_s: Some(self.ttl),
            max_instances: Some(self.max),
            tags: self.tags.into_iter().collect(),
            networks: self.networks,
        };
        let activation: CreatedActivation = client.post("/v1/activations", &request).await?;
        let line = format!(
            "orderly-agent enrol --server {} --code {} --root {root} --ca {}",
            client.server(),
            activation.code,
            client.ca_fingerprint()
        );
        let created = Created { activation, line };
        context.printer.one(&created, |printer| {
            printer.line(&created.line);
            let view = &created.activation.view;
            printer.remark(&format!(
                "`{}` works until {} for {} instance(s); the code is not shown again",
                view.id,
                time(view.expires_ms),
                view.max_instances
            ));
        });
        Ok(Exit::Success)
    }
}

async fn list(context: &Context) -> Outcome {
    let rows: Vec<ActivationView> = context.client()?.all("/v1/activations").await?;
    context.printer.many(&rows, |printer| {
        let rows = rows.iter().map(|row| {
            let mut cells = plain([
                row.id.clone(),
                row.name.clone().unwrap_or_default(),
                format!("{} of {}", row.used, row.max_instances),
                time(row.expires_ms),
            ]);
            cells.push(if row.disabled { ("disabled".to_owned(), Tone::Dim) } else { (String::new(), Tone::Plain) });
            cells
        });
        printer.table(&["activation", "name", "used", "expires (UTC)", ""], rows.collect());
    });
    Ok(Exit::Success)
}
