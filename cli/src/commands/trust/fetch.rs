//! `orderly trust fetch`: the keyring of a fleet whose root fingerprint somebody told us.
//!
//! Owns how a second operator or an auditor begins. The fingerprint comes from a person, never from the server.

use clap::Args;
use orderly_signing::Digest;
use orderly_wire::http::trust::TrustView;
use serde::Serialize;

use crate::context::Context;
use crate::error::{Exit, Failure, Outcome};

/// Options of `trust fetch`.
#[derive(Debug, Args)]
pub(crate) struct Fetch {
    /// The root fingerprint as the fleet's owners tell it; needed the first time
    #[arg(long, value_name = "FINGERPRINT")]
    root: Option<Digest>,
}

#[derive(Debug, Serialize)]
struct View {
    fleet: String,
    revision: u64,
    root: String,
}

impl Fetch {
    /// Gets, verifies and keeps the keyring.
    pub(super) async fn run(self, context: &Context) -> Outcome {
        if let Some(root) = &self.root {
            context.trust.set_pin(root)?;
        }
        let theirs: TrustView = context.client()?.get("/v1/trust").await?;
        let envelope = theirs.keyring.ok_or_else(|| {
            Failure::setup("the server has no keyring yet").hint("its owners run `orderly trust publish`")
        })?;
        let keyring = context.trust.verify(envelope.to_string().as_bytes(), "the server")?;
        if let Some(kept) = context.trust.keyring()?
            && kept.revision > keyring.revision
        {
            return Err(Failure::not_verified(format!(
                "the server shows keyring revision {}, but {} was already seen here",
                keyring.revision, kept.revision
            ))
            .hint("an old keyring may hold keys that were taken out since: ask the fleet's owners"));
        }
        context.trust.keep(&keyring)?;
        let view = View {
            fleet: keyring.fleet.clone(),
            revision: keyring.revision,
            root: keyring.root_fingerprint().to_string(),
        };
        context.printer.one(&view, |printer| {
            printer.line(&format!("keyring revision {} of `{}` is kept", view.revision, view.fleet));
        });
        Ok(Exit::Success)
    }
}
