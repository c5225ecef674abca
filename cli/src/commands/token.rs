//! `orderly token`: tokens that open the API.
//!
//! Owns making, listing and revoking them. A token is shown once, when it is made.

use clap::Subcommand;
use orderly_wire::http::token::{CreateToken, CreatedToken, TokenView};

use crate::args::seconds;
use crate::client::encode;
use crate::context::Context;
use crate::error::{Exit, Outcome};
use crate::output::{plain, time, time_or_dash};

/// Make, list and revoke API tokens
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token; it is shown once
    Create {
        /// Whose it is, or what it is for
        name: String,
        /// How long it works
        #[arg(long, default_value = "30d", value_name = "SPAN", value_parser = seconds)]
        ttl: u64,
    },
    /// List tokens
    List,
    /// Revoke a token
    Revoke {
        /// The token's id, k-…
        id: String,
    },
}

impl Token {
    /// Runs the sub-command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::Create { name, ttl } => {
                let created: CreatedToken = client.post("/v1/tokens", &CreateToken { name, ttl_s: ttl }).await?;
                context.printer.one(&created, |printer| {
                    printer.line(&created.token);
                    printer.remark(&format!(
                        "`{}` works until {}; it is not shown again",
                        created.view.id,
                        time_or_dash(created.view.expires_ms)
                    ));
                });
            }
            Self::List => {
                let rows: Vec<TokenView> = client.all("/v1/tokens").await?;
                context.printer.many(&rows, |printer| {
                    let rows = rows.iter().map(|row| {
                        plain([row.id.clone(), row.name.clone(), time(row.created_ms), time_or_dash(row.expires_ms)])
                    });
                    printer.table(&["token", "name", "made (UTC)", "expires (UTC)"], rows.collect());
                });
            }
            Self::Revoke { id } => {
                client.delete(&format!("/v1/tokens/{}", encode(&id))).await?;
                context.printer.remark(&format!("`{id}` is revoked"));
            }
        }
        Ok(Exit::Success)
    }
}
