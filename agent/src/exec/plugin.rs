//! Running a plugin.
//!
//! Owns the way from an admitted plugin to the host's `invoke`, and how its end is called. The sandbox, the limits and
//! the brokered capabilities are the host's; what is granted was decided by the checks. Nothing of a plugin is alive
//! when this returns, or it says so.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use orderly_host::cache::Compiled;
use orderly_host::invoke::{Ended, PluginEnd, PluginRun, invoke};
use orderly_host::limits::Limits;
use orderly_host::platform::Tree;
use orderly_host::{Failure, PluginFacts};
use orderly_model::grant::Grants;
use orderly_model::instance::Facts;
use orderly_model::plugin::Manifest;
use orderly_model::task::{ResultCode, TaskStatus};
use orderly_signing::digest::Digest;
use orderly_signing::error::Check;
use orderly_signing::instance::InstanceId;
use orderly_signing::verify::{Plugin as Vouched, Verified};
use tokio_util::sync::CancellationToken;

use super::live::Live;
use super::{Outcome, chain};
use crate::clock::local_ms;

/// A plugin order that passed checks 6 to 8, the component's bytes aside.
#[derive(Debug)]
pub(crate) struct AdmittedPlugin {
    /// What was vouched for.
    pub plugin: Verified<Vouched>,
    /// Its manifest.
    pub manifest: Manifest,
    /// What it may touch.
    pub grants: Grants,
    /// Every declared parameter with its value.
    pub arguments: BTreeMap<String, String>,
    /// The component's size.
    pub component_bytes: u64,
    /// Whether a machine without Landlock and seccomp refuses it.
    pub require_sandbox: bool,
}

/// A plugin that was admitted, with all that it takes to run it.
#[derive(Debug)]
pub(crate) struct Plugin {
    /// What was admitted.
    pub admitted: AdmittedPlugin,
    /// When it is ended.
    pub timeout: Duration,
    /// Bytes of output to keep.
    pub output_bytes: u32,
}

/// Where a plugin runs.
pub(crate) struct Place<'a> {
    /// This program.
    pub program: &'a Path,
    /// What this instance is.
    pub facts: &'a Facts,
    /// This instance.
    pub me: &'a InstanceId,
    /// The order, from which a plugin without `random` gets its numbers.
    pub order: Digest,
}

/// Runs the plugin in this tree until it ends, its time is over, or `halt` is cancelled. `code` gives its native code, which
/// may take its time, or says why there is none.
pub(crate) async fn run(
    plugin: &Plugin,
    code: impl Future<Output = Result<Compiled, String>>,
    place: &Place<'_>,
    tree: &Tree,
    halt: &CancellationToken,
    live: &mut Live,
) -> Outcome {
    let started_ms = local_ms();
    let admitted = &plugin.admitted;
    let compiled = tokio::select! {
        compiled = code => compiled,
        () = halt.cancelled() => {
            return Outcome { started_ms: Some(started_ms), ..Outcome::without_run(TaskStatus::Terminated, None, "it was stopped while it was compiled") };
        }
    };
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(reason) => {
            return Outcome::without_run(TaskStatus::Error, Some(ResultCode::ExecutionException), reason);
        }
    };
    let manifest = &admitted.manifest.limits;
    let timeout = plugin.timeout.min(Duration::from_secs(u64::from(manifest.timeout_s)));
    let run = PluginRun {
        plugin: &admitted.plugin,
        compiled: &compiled,
        grants: &admitted.grants,
        limits: Limits::new(manifest.memory_mb, timeout, plugin.output_bytes),
        arguments: admitted.arguments.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        facts: facts(place),
        tree,
        program: place.program,
        stop: halt.clone(),
        require_sandbox: admitted.require_sandbox,
        started_ms,
        seed: place.order,
        trace: false,
    };
    let end = Box::pin(invoke(run, live)).await;
    live.flush();
    if !end.sandbox.missing.is_empty() {
        tracing::debug!(plugin.name = %admitted.plugin.name, missing = ?end.sandbox.missing, "the box lacked something");
    }
    named(end, started_ms, timeout)
}

fn facts(place: &Place<'_>) -> PluginFacts {
    let facts = place.facts;
    PluginFacts {
        instance_id: place.me.to_string(),
        hostname: facts.hostname.clone(),
        architecture: facts.architecture.clone(),
        system: facts.system.as_str().to_owned(),
        kernel: facts.kernel.clone(),
        os_release: facts.os_release.clone(),
        // Tags lie in the server's database, which no plugin's finding may rest on.
        tags: Vec::new(),
    }
}

fn named(end: PluginEnd, started_ms: i64, timeout: Duration) -> Outcome {
    let (status, code, reason) = match end.ended {
        Ended::Outcome(_) => (TaskStatus::Success, None, None),
        Ended::Failure(failure) => failed(failure),
        Ended::Trap(reason) => (TaskStatus::Error, Some(ResultCode::PluginTrapped), Some(reason)),
        Ended::Deadline => {
            let reason =
                format!("it was ended after {} s, the time that order and manifest give it", timeout.as_secs());
            (TaskStatus::Timeout, Some(ResultCode::ExecutionTimeout), Some(reason))
        }
        Ended::OutOfMemory => {
            let reason = "it asked for more memory than its manifest's `memory_mb`".to_owned();
            (TaskStatus::Error, Some(ResultCode::MemoryLimit), Some(reason))
        }
        Ended::OutputCap => {
            let reason = "it wrote more output than any plugin may".to_owned();
            (TaskStatus::Error, Some(ResultCode::OutputLimit), Some(reason))
        }
        Ended::Refused(reasons) => (TaskStatus::Invalid, Some(ResultCode::CapabilityDenied), Some(reasons.join("; "))),
        Ended::NotStarted(reason) => (TaskStatus::Error, Some(ResultCode::ExecutionException), Some(reason)),
        Ended::Crashed(reason) => (TaskStatus::Error, Some(ResultCode::PluginTrapped), Some(reason)),
        Ended::Stopped => (TaskStatus::Terminated, None, Some("it was ended by a stop".to_owned())),
        // The host may learn to tell more ends apart; none of them is a success.
        _ => (TaskStatus::Error, Some(ResultCode::ExecutionException), None),
    };
    let check = (status == TaskStatus::Invalid).then_some(Check::Capabilities);
    let (status, code, reason) = match end.tree {
        Ok(()) => (status, code, reason),
        Err(error) => (TaskStatus::Error, Some(ResultCode::ExecutionException), Some(chain(&error))),
    };
    Outcome {
        status,
        code,
        reason,
        check,
        exit_code: None,
        output: Some(end.kept),
        report: (!end.report.is_empty()).then_some(end.report),
        used: end.used,
        started_ms: Some(started_ms),
    }
}

fn failed(failure: Failure) -> (TaskStatus, Option<ResultCode>, Option<String>) {
    let (code, reason) = match failure {
        Failure::InvalidParameter { name, reason } => {
            (ResultCode::InvalidParameter, format!("parameter `{name}`: {reason}"))
        }
        Failure::NotApplicable(reason) => (ResultCode::CommandNotApplicable, format!("not applicable: {reason}")),
        Failure::Denied(reason) => (ResultCode::PluginFailed, format!("denied: {reason}")),
        Failure::Failed(reason) => (ResultCode::PluginFailed, reason),
    };
    (TaskStatus::Failed, Some(code), Some(reason))
}
