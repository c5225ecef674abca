//! Evidence of one invocation in a directory: what an auditor needs to check it without the server.
//!
//! Owns the layout (`order.json`, `targets.json`, `keyring.json`, `instances/ID.pub.pem`, `tasks/ID/…`, and of a series
//! `tasks/ID/runs/NUMBER/…`), the download and the check. The check reads nothing but the directory and the pinned keyring, and works with the network unplugged.

mod check;

use std::fs;
use std::path::{Path, PathBuf};

use orderly_signing::{InstanceId, PublicKey};
use orderly_wire::http::instance::InstanceView;
use orderly_wire::http::invocation::{Evidence, InvocationView};
use orderly_wire::http::series::{RunDetail, RunView};
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

    /// The runs of a series on one instance.
    fn runs(&self, instance: &InstanceId) -> PathBuf {
        self.task(instance).join("runs")
    }
}

/// The receipt in the directory of a task or run, a DSSE envelope.
fn receipt_in(dir: &Path) -> PathBuf {
    dir.join("receipt.json")
}

/// What was kept of the output.
fn output_in(dir: &Path) -> PathBuf {
    dir.join("output.json")
}

/// What a plugin reported.
fn report_in(dir: &Path) -> PathBuf {
    dir.join("report.json")
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
    let invocation: InvocationView = client.get(&base).await?;
    let tasks: Vec<TaskView> = client.all(&format!("{base}/tasks")).await?;
    let mut receipts = 0;
    for task in tasks {
        let instance = &task.instance;
        let view: InstanceView = client.get(&format!("/v1/instances/{instance}")).await?;
        write_whole(&layout.instance_key(instance), view.key.to_spki_pem().as_bytes())?;
        let base = format!("{base}/tasks/{instance}");
        let detail: TaskDetail = client.get(&base).await?;
        receipts += put(&layout.task(instance), &detail)?;
        if invocation.series.is_none() {
            continue;
        }
        let runs: Vec<RunView> = client.all(&format!("{base}/runs")).await?;
        for run in runs {
            let number = run.task.generation;
            let RunDetail { task: detail, .. } = client.get(&format!("{base}/runs/{number}")).await?;
            receipts += put(&layout.runs(instance).join(number.to_string()), &detail)?;
        }
    }
    Ok(receipts)
}

/// Writes what there is of one task or run; answers how many receipts that are.
fn put(dir: &Path, detail: &TaskDetail) -> Result<usize, Failure> {
    make_private_dir(dir)?;
    if let Some(output) = &detail.output {
        write_json(&output_in(dir), output)?;
    }
    if let Some(report) = &detail.report {
        write_json(&report_in(dir), report)?;
    }
    let Some(receipt) = &detail.receipt else { return Ok(0) };
    write_whole(&receipt_in(dir), receipt.to_string().as_bytes())?;
    Ok(1)
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

/// The numbers of the runs that the directory holds of one instance, in their order.
fn runs(layout: &Layout, instance: &InstanceId) -> Result<Vec<u32>, Failure> {
    let dir = layout.runs(instance);
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::usage(format!("cannot read `{}`", dir.display())).because(error)),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry.or_usage(|| format!("cannot read `{}`", dir.display()))?.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        numbers.push(number.ok_or_else(|| {
            Failure::usage(format!("`{}` in `{}` is no number of a run", name.to_string_lossy(), dir.display()))
        })?);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// An instance's key.
fn instance_key(layout: &Layout, instance: &InstanceId) -> Result<Option<PublicKey>, Failure> {
    let path = layout.instance_key(instance);
    if !path.exists() {
        return Ok(None);
    }
    let key = orderly_signing::key::file::load_public(&path);
    Ok(Some(key.or_not_verified(|| format!("the key of `{instance}` cannot be read"))?))
}

/// All that the directory holds of one task or run.
#[derive(Debug, Default)]
struct Files {
    receipt: Option<Vec<u8>>,
    output: Option<KeptOutput>,
    report: Option<Vec<u8>>,
}

impl Files {
    fn read(dir: &Path) -> Result<Self, Failure> {
        Ok(Self {
            receipt: read_optional(&receipt_in(dir))?,
            output: read_json(&output_in(dir))?,
            report: read_optional(&report_in(dir))?,
        })
    }
}
