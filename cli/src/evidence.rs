//! Evidence of one invocation in a directory: what an auditor needs to check it without the server.
//!
//! Owns the layout (`order.json`, `targets.json`, `keyring.json`, `instances/ID.pub.pem`, `tasks/ID/…`), the download and
//! the check. The check reads nothing but the directory and the pinned keyring, and works with the network unplugged.

mod check;

use std::fs;
use std::path::{Path, PathBuf};

use orderly_signing::{InstanceId, PublicKey};
use orderly_wire::http::instance::InstanceView;
use orderly_wire::http::invocation::Evidence;
use orderly_wire::http::task::{TaskDetail, TaskView};
use orderly_wire::to_server::KeptOutput;
use serde::de::DeserializeOwned;

pub(crate) use check::{Checked, Proof, check, lacking, signers};

use crate::client::{Client, encode};
use crate::context::Context;
use crate::error::{Failure, OrFail as _};
use crate::keystore::make_private_dir;
use crate::trust::write_whole;

/// The paths inside an evidence directory.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// The layout of this directory, which need not be there.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The order, a DSSE envelope.
    pub(crate) fn order(&self) -> PathBuf {
        self.dir.join("order.json")
    }

    /// All targets, a JSON list of instance ids.
    pub(crate) fn targets(&self) -> PathBuf {
        self.dir.join("targets.json")
    }

    /// The keyring at the time of the download, a DSSE envelope.
    pub(crate) fn keyring(&self) -> PathBuf {
        self.dir.join("keyring.json")
    }

    /// An instance's public key.
    pub(crate) fn instance_key(&self, instance: &InstanceId) -> PathBuf {
        self.dir.join("instances").join(format!("{instance}.pub.pem"))
    }

    /// The directory of one task.
    fn task(&self, instance: &InstanceId) -> PathBuf {
        self.dir.join("tasks").join(instance.as_str())
    }

    /// The receipt, a DSSE envelope.
    pub(crate) fn receipt(&self, instance: &InstanceId) -> PathBuf {
        self.task(instance).join("receipt.json")
    }

    /// What was kept of the output.
    pub(crate) fn output(&self, instance: &InstanceId) -> PathBuf {
        self.task(instance).join("output.json")
    }

    /// What a plugin reported.
    pub(crate) fn report(&self, instance: &InstanceId) -> PathBuf {
        self.task(instance).join("report.json")
    }
}

/// Downloads the evidence of an invocation into a new directory. Answers how many receipts there are.
///
/// # Errors
/// The directory is there, the server does not answer, or a file cannot be written.
pub(crate) async fn download(
    client: &Client,
    context: &Context,
    invocation: &str,
    dir: &Path,
) -> Result<usize, Failure> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::usage(format!("`{}` is not empty: evidence goes into a new directory", dir.display())));
    }
    let base = format!("/v1/invocations/{}", encode(invocation));
    let evidence: Evidence = client.get(&format!("{base}/evidence")).await?;
    let layout = Layout::new(dir);
    make_private_dir(&dir.join("instances"))?;
    write_whole(&layout.order(), evidence.order.to_string().as_bytes())?;
    write_json(&layout.targets(), &evidence.targets)?;
    // The keyring that is trusted here, so that the directory can be taken elsewhere; its pin must go another way.
    if let Some(keyring) = context.trust.keyring()? {
        write_whole(&layout.keyring(), keyring.envelope_json())?;
    }
    let tasks: Vec<TaskView> = client.all(&format!("{base}/tasks")).await?;
    let mut receipts = 0;
    for task in tasks {
        let instance = &task.instance;
        let view: InstanceView = client.get(&format!("/v1/instances/{instance}")).await?;
        write_whole(&layout.instance_key(instance), view.key.to_spki_pem().as_bytes())?;
        let detail: TaskDetail = client.get(&format!("{base}/tasks/{instance}")).await?;
        make_private_dir(&layout.task(instance))?;
        if let Some(receipt) = &detail.receipt {
            write_whole(&layout.receipt(instance), receipt.to_string().as_bytes())?;
            receipts += 1;
        }
        if let Some(output) = &detail.output {
            write_json(&layout.output(instance), output)?;
        }
        if let Some(report) = &detail.report {
            write_json(&layout.report(instance), report)?;
        }
    }
    Ok(receipts)
}

fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    let bytes = serde_json::to_vec(value).or_setup(|| format!("`{}` cannot be written as JSON", path.display()))?;
    write_whole(path, &bytes)
}

/// Reads a file that must be there.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).or_usage(|| format!("cannot read `{}`", path.display()))
}

/// Reads a file that may be absent.
fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::usage(format!("cannot read `{}`", path.display())).because(error)),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let Some(bytes) = read_optional(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .or_not_verified(|| format!("`{}` does not hold what it should", path.display()))
}

/// All that the directory holds of one instance.
#[derive(Debug, Default)]
pub(crate) struct TaskFiles {
    pub(crate) key: Option<PublicKey>,
    pub(crate) receipt: Option<Vec<u8>>,
    pub(crate) output: Option<KeptOutput>,
    pub(crate) report: Option<Vec<u8>>,
}

impl TaskFiles {
    fn read(layout: &Layout, instance: &InstanceId) -> Result<Self, Failure> {
        let key_path = layout.instance_key(instance);
        let key = if key_path.exists() {
            let key = orderly_signing::key::file::load_public(&key_path);
            Some(key.or_not_verified(|| format!("the key of `{instance}` cannot be read"))?)
        } else {
            None
        };
        Ok(Self {
            key,
            receipt: read_optional(&layout.receipt(instance))?,
            output: read_json(&layout.output(instance))?,
            report: read_optional(&layout.report(instance))?,
        })
    }
}
