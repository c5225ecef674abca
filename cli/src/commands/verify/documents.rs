//! `orderly verify order` and `orderly verify receipt`: single documents from files.
//!
//! Owns how their contents are shown once they are believed.

use std::path::PathBuf;

use clap::Args;
use orderly_signing::key::PublicKey;
use orderly_signing::verify::{check_receipt_for, verify_order_offline, verify_receipt};
use orderly_signing::{Digest, InstanceId};
use serde::Serialize;

use super::{Anchors, words};
use crate::context::Context;
use crate::error::{Exit, Failure, OrFail as _, Outcome};
use crate::evidence::{lacking, read, signers};
use crate::output::{Tone, time, time_or_dash};

/// Options of `verify order`.
#[derive(Debug, Args)]
pub(crate) struct OrderFile {
    /// The order, a DSSE envelope
    file: PathBuf,
    /// A file that must be the order's script, byte for byte
    #[arg(long, value_name = "FILE")]
    content: Option<PathBuf>,
    #[command(flatten)]
    anchors: Anchors,
}

#[derive(Debug, Serialize)]
struct OrderView<'a> {
    verified: bool,
    digest: Digest,
    signers: Vec<String>,
    order: &'a orderly_signing::order::Order,
}

impl OrderFile {
    /// Verifies and shows the order.
    pub(super) fn run(self, context: &Context) -> Outcome {
        let keyring = self.anchors.load(context)?;
        let order = verify_order_offline(&read(&self.file)?, &keyring)
            .or_not_verified(|| format!("`{}` is not to be believed", self.file.display()))?;
        if let Some(content) = &self.content {
            order
                .check_content(&read(content)?)
                .or_not_verified(|| format!("`{}` is not the order's script", content.display()))?;
        }
        if let Some(refusal) = lacking(&order, &keyring) {
            let who = signers(&order, &keyring).join(", ");
            let told =
                format!("`{}` is signed by {who}, which is too little: instances refuse it", self.file.display());
            return Err(Failure::not_verified(told).because(refusal));
        }
        let view =
            OrderView { verified: true, digest: order.digest(), signers: signers(&order, &keyring), order: &order };
        context.printer.one(&view, |printer| {
            let rows = [
                ("order", format!("{} ({})", order.order, view.digest)),
                ("invocation", order.invocation.clone()),
                ("signed by", view.signers.join(", ")),
                ("on behalf of", order.principal.clone()),
                ("signed (UTC)", time(order.issued_ms)),
                ("accepted until", time(order.expires_ms)),
                ("targets", format!("{}, root {}", order.targets.count, order.targets.root)),
                ("does", words::action(&order.action)),
            ];
            let when = words::repeat(&order.repeat).map(|when| ("when", when));
            printer.table(
                &["", ""],
                rows.into_iter()
                    .chain(when)
                    .map(|(key, value)| vec![(key.to_owned(), Tone::Dim), (value, Tone::Plain)])
                    .collect(),
            );
            printer.line("verified");
        });
        Ok(Exit::Success)
    }
}

/// Options of `verify receipt`.
#[derive(Debug, Args)]
pub(crate) struct ReceiptFile {
    /// The receipt, a DSSE envelope
    file: PathBuf,
    /// The instance's public key in PEM, whose id is the instance's
    #[arg(long, value_name = "FILE")]
    instance_key: PathBuf,
    /// The order that it must answer; then the order is verified too
    #[arg(long, value_name = "FILE")]
    order: Option<PathBuf>,
    #[command(flatten)]
    anchors: Anchors,
}

#[derive(Debug, Serialize)]
struct ReceiptView<'a> {
    verified: bool,
    instance: InstanceId,
    order_verified: bool,
    receipt: &'a orderly_signing::receipt::Receipt,
}

impl ReceiptFile {
    /// Verifies and shows the receipt.
    pub(super) fn run(self, context: &Context) -> Outcome {
        let key: PublicKey = orderly_signing::key::file::load_public(&self.instance_key)
            .or_usage(|| "the instance's key cannot be used".to_owned())?;
        let receipt = verify_receipt(&read(&self.file)?, &key)
            .or_not_verified(|| format!("`{}` is not to be believed", self.file.display()))?;
        if let Some(file) = &self.order {
            let order = verify_order_offline(&read(file)?, &self.anchors.load(context)?)
                .or_not_verified(|| format!("`{}` is not to be believed", file.display()))?;
            check_receipt_for(&receipt, &order.digest())
                .or_not_verified(|| "the receipt is not for this order".to_owned())?;
            if receipt.invocation != order.invocation {
                return Err(Failure::not_verified(format!(
                    "the receipt names the invocation `{}`, the order `{}`",
                    receipt.invocation, order.invocation
                )));
            }
        }
        let view = ReceiptView {
            verified: true,
            instance: receipt.instance.clone(),
            order_verified: self.order.is_some(),
            receipt: &receipt,
        };
        context.printer.one(&view, |printer| {
            let mut rows = vec![
                ("instance", receipt.instance.to_string()),
                ("order", receipt.order.to_string()),
                ("invocation", receipt.invocation.clone()),
                ("status", receipt.status.clone()),
                ("started (UTC)", time_or_dash(receipt.started_ms)),
                ("ended (UTC)", time(receipt.finished_ms)),
                ("output", format!("{} bytes, {}", receipt.output.bytes, receipt.output.sha256)),
            ];
            let words = [("check", &receipt.check), ("code", &receipt.code), ("reason", &receipt.reason)];
            rows.extend(words.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
            rows.extend(receipt.exit_code.map(|code| ("exit code", code.to_string())));
            rows.extend(receipt.used.iter().map(|used| ("used", format!("{} × {}", used.count, used.capability))));
            printer.table(
                &["", ""],
                rows.into_iter().map(|(key, value)| vec![(key.to_owned(), Tone::Dim), (value, Tone::Plain)]).collect(),
            );
            printer.line(if view.order_verified { "verified, and it answers the order" } else { "verified" });
        });
        Ok(Exit::Success)
    }
}
