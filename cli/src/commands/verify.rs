//! `orderly verify`: checks of evidence, with the network unplugged.
//!
//! Owns the options that all checks have in common. Only `verify invocation` asks a server, to fetch what it then checks
//! as the others do.

mod documents;
mod invocation;
mod plugin;
pub(super) mod words;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use orderly_signing::keyring::Keyring;
use orderly_signing::{Digest, Verified};

pub(crate) use plugin::{check_package, publishers};

use crate::context::Context;
use crate::error::{Failure, Outcome};

/// Verify orders, receipts, plugins and whole invocations; works without a network
#[derive(Debug, Subcommand)]
pub(crate) enum Verify {
    /// Verify an order: who signed it, and what it says
    Order(documents::OrderFile),
    /// Verify a receipt: that an instance signed it, and for which order
    Receipt(documents::ReceiptFile),
    /// Verify a plugin package: component, manifest, publisher and approval
    Plugin(plugin::PluginFile),
    /// Verify a directory that `orderly invocation evidence` made
    Evidence(invocation::EvidenceDir),
    /// Download an invocation's evidence and verify it
    Invocation(invocation::InvocationId),
}

impl Verify {
    /// Runs the sub-command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Order(command) => command.run(context),
            Self::Receipt(command) => command.run(context),
            Self::Plugin(command) => command.run(context),
            Self::Evidence(command) => command.run(context),
            Self::Invocation(command) => command.run(context).await,
        }
    }
}

/// Where trust comes from.
#[derive(Debug, Args)]
pub(crate) struct Anchors {
    /// The keyring; the one that this machine keeps where absent
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// The root fingerprint; the one that this machine pins where absent
    #[arg(long, value_name = "FINGERPRINT")]
    root: Option<Digest>,
}

impl Anchors {
    fn load(&self, context: &Context) -> Result<Verified<Keyring>, Failure> {
        context.trust.keyring_for_audit(self.keyring.as_deref(), self.root.as_ref())
    }
}
