//! `orderly file pull`: one file of many instances to this machine.
//!
//! Owns where it lies here, one folder for each instance, and what is believed of it: the digest and the size of the receipt that the
//! instance signed. No name that a server says becomes a path unless it has the form of an instance's name.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use orderly_model::file::CollectDraft;
use orderly_model::name::InstanceName;
use orderly_signing::Digest;
use orderly_signing::verify::{check_receipt_for, verify_receipt};
use orderly_wire::http::instance::InstanceView;
use orderly_wire::http::task::TaskDetail;

use super::{MoveArgs, both, wrong};
use crate::context::Context;
use crate::error::{Exit, Failure, OrFail as _, Outcome};
use crate::follow;
use crate::keystore::make_private_dir;
use crate::order::Work;
use crate::transfer::{self, Content};

/// The largest file where nothing else is said: 1 GiB.
const MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// Collect a file from instances
///
/// Each instance's file is at DIR/INSTANCE/NAME afterwards, with the digest that the instance has signed. A download that was cut goes
/// on where it ended.
#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// The file's path on the instances
    #[arg(value_name = "PATH")]
    path: String,
    /// The directory here; made where it is missing
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Bytes of the largest file that is taken: a larger one is refused, not cut
    #[arg(long, value_name = "BYTES", default_value_t = MAX_BYTES)]
    max_bytes: u64,
    /// Replace files that are here
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    common: MoveArgs,
}

impl Pull {
    /// Signs, sends, follows, downloads and checks.
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let timeout_s = Some(self.common.timeout);
        let draft = CollectDraft { path: self.path.clone(), max_bytes: self.max_bytes, timeout_s };
        let action = draft.check().map_err(|faults| wrong(&faults))?;
        let name = action.path.rsplit('/').next().unwrap_or_default().to_owned();
        let client = context.client()?;
        let mover = self.common.mover(context, &client).await?;
        let places: Vec<PathBuf> =
            folders(&mover.instances).into_iter().map(|folder| self.to.join(folder).join(&name)).collect();
        if let Some(there) = places.iter().find(|place| place.exists()).filter(|_| !self.overwrite) {
            return Err(Failure::usage(format!("`{}` is there already", there.display())).hint("pass `--overwrite`"));
        }
        let work = Work::Collect(action);
        let (view, order) = mover.send(&client, &work).await?;
        let mut exit = follow::follow(&client, &context.printer, &view).await?;
        if exit == Exit::Interrupted {
            return Ok(exit);
        }
        for (instance, place) in mover.instances.iter().zip(&places) {
            let task = format!("/v1/invocations/{}/tasks/{}", view.id, instance.id);
            let detail: TaskDetail = client.get(&task).await?;
            if detail.view.status != "Success" {
                continue;
            }
            let fetched = async {
                let content = signed(&detail, instance, &order)?;
                let folder = place.parent().unwrap_or(&self.to);
                // What instances hold may be secret: folders that are made here are this user's alone.
                make_private_dir(folder)?;
                transfer::download(&client, &context.printer, &format!("{task}/file"), place, content, self.overwrite)
                    .await?;
                context.printer.remark(&format!("{} {} {}", place.display(), content.digest, content.bytes));
                Ok::<_, Failure>(())
            };
            if let Err(failure) = fetched.await {
                context.printer.failure(&failure);
                exit = both(exit, failure.exit());
            }
        }
        Ok(exit)
    }
}

/// A folder's name for each instance: its own name where that is one and no other's, else its id.
fn folders(instances: &[InstanceView]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    instances
        .iter()
        .map(|view| {
            let good = view.name.parse::<InstanceName>().is_ok()
                && instances.iter().filter(|other| other.name == view.name).count() == 1;
            let name = if good { view.name.clone() } else { view.id.to_string() };
            // A name may have the form of another instance's id.
            if taken.insert(name.clone()) { name } else { format!("{name}-{}", view.id) }
        })
        .collect()
}

/// What the instance signed of its file.
fn signed(detail: &TaskDetail, instance: &InstanceView, order: &Digest) -> Result<Content, Failure> {
    let wrong = || format!("the receipt of `{}` is not right", instance.id);
    let receipt = detail.receipt.as_ref().ok_or_else(|| Failure::not_verified(wrong()))?;
    let receipt = verify_receipt(receipt.to_string().as_bytes(), &instance.key).or_not_verified(wrong)?;
    check_receipt_for(&receipt, order).or_not_verified(wrong)?;
    if receipt.instance != instance.id || receipt.status != "Success" {
        return Err(Failure::not_verified(wrong()));
    }
    Ok(Content { digest: receipt.output.sha256, bytes: receipt.output.bytes })
}
