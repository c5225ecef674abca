//! From rows to what the API and the event streams show. One direction only, and no decision.

use std::collections::BTreeMap;

use orderly_model::invocation::{StatusCounts, aggregate};
use orderly_model::rollout::{Step, Wait};
use orderly_model::task::{ResultCode, TaskStatus};
use orderly_signing::key::PublicKey;
use orderly_wire::http::activation::ActivationView;
use orderly_wire::http::command::{CommandRef, CommandView, VersionView};
use orderly_wire::http::group::GroupView;
use orderly_wire::http::instance::InstanceView;
use orderly_wire::http::invocation::InvocationView;
use orderly_wire::http::plugin::PluginView;
use orderly_wire::http::rollout::RolloutView;
use orderly_wire::http::series::{RunSeries, RunView, SeriesView, SkipView};
use orderly_wire::http::task::TaskView;
use orderly_wire::http::token::TokenView;

use crate::clock;
use crate::store::StoreError;
use crate::store::fact::series::{RUN_LOST, SERIES_LOST};
use crate::store::fact::{RECEIPT_REFUSED, ROLLOUT_EXPIRED, ROLLOUT_HALTED};
use crate::store::row::{
    ActivationRow, CommandRow, GroupRow, InstanceRow, InvocationRow, PluginRow, RolloutRow, RunRow, SeriesRow, SkipRow,
    TaskRow, TokenRow, VersionRow,
};

/// The counts by the names of the statuses, without the zeros.
#[must_use]
pub fn counts(counts: &StatusCounts) -> BTreeMap<String, u64> {
    counts.iter().filter(|(_, count)| *count > 0).map(|(status, count)| (status.as_str().to_owned(), count)).collect()
}

/// A count or size of the store, which is never negative.
#[must_use]
pub fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// An invocation.
#[must_use]
pub fn invocation(row: &InvocationRow) -> InvocationView {
    InvocationView {
        id: row.uid.clone(),
        name: row.name.clone(),
        kind: row.kind.clone(),
        summary: row.summary.clone(),
        command: row.command.as_ref().map(|(id, version)| CommandRef { id: id.clone(), version: number(*version) }),
        status: aggregate(&row.counts).as_str().to_owned(),
        counts: counts(&row.counts),
        targets: unsigned(row.targets),
        principal: row.principal.clone(),
        created_ms: row.created_ms,
        finished_ms: row.finished_ms,
        delivery_deadline_ms: row.deadline_ms,
        order: row.order_digest.to_string(),
        rollout: row.rollout.as_ref().map(|found| rollout(row, found)),
        series: row.series.as_deref().map(series),
    }
}

/// When a series is due.
fn series(row: &SeriesRow) -> SeriesView {
    let said = row.series.clone();
    let series = RunSeries { due: said.due, until_ms: said.until_ms, misfire: said.misfire, overlap: said.overlap };
    SeriesView { revision: said.revision, series, issued_ms: row.issued_ms }
}

/// A run of a series.
#[must_use]
pub fn run(invocation: &str, row: &RunRow) -> RunView {
    RunView { task: task(invocation, &row.task), due_ms: row.due_ms, late: row.late.clone() }
}

/// What was left out of a series.
#[must_use]
pub fn skip(row: &SkipRow) -> SkipView {
    let skip = &row.skip;
    SkipView {
        instance: row.instance_uid.clone(),
        instance_name: row.instance_name.clone(),
        reason: skip.reason.clone(),
        first_ms: skip.first_ms,
        last_ms: skip.last_ms,
        count: unsigned(skip.count),
        exact: skip.exact,
        told_ms: skip.told_ms,
    }
}

/// How a rollout goes now.
fn rollout(row: &InvocationRow, found: &RolloutRow) -> RolloutView {
    let now_ms = clock::now_ms();
    let (policy, total) = (found.asked.policy, row.counts.total());
    let state = found.state(&row.counts, now_ms);
    let step = found.step(&row.counts, now_ms);
    let (name, reason, until_ms) = match (step, &found.halted) {
        _ if found.held == 0 => ("started", None, None),
        (_, Some(why)) => ("halted", Some(why.clone()), None),
        (Step::Halt(halt), None) => ("halted", Some(halt.to_string()), None),
        (Step::Wait(Wait::Confirmation(_)), None) => ("confirming", None, None),
        (Step::Wait(Wait::Until(until)), None) => ("pausing", None, Some(until)),
        _ => ("rolling", None, None),
    };
    RolloutView {
        policy,
        state: name.to_owned(),
        reason,
        wave: policy.wave_of(total, found.released),
        waves: policy.waves(total),
        held: found.held,
        started: found.released,
        open: state.open(),
        errors: state.errors(),
        lost: found.lost,
        until_ms,
    }
}

/// A task. Where this server ended it by itself there is no receipt, so the reason is said here.
#[must_use]
pub fn task(invocation: &str, row: &TaskRow) -> TaskView {
    let reason = row.reason.clone().or_else(|| {
        let reason = match (row.status, row.code.as_deref()) {
            (TaskStatus::Aborted, Some(code)) if code == ResultCode::DeliveryTimeout.as_str() => {
                "the instance did not accept the order before the delivery deadline"
            }
            (TaskStatus::Error, Some(RECEIPT_REFUSED)) => {
                "the instance reported the end with a receipt that does not verify; it was not stored"
            }
            (TaskStatus::Error, Some(SERIES_LOST)) => {
                "what the instance knew of the series was damaged: where it stood cannot be told"
            }
            (TaskStatus::Error, Some(RUN_LOST)) => {
                "the instance told what followed a run, and not how that run had ended"
            }
            (TaskStatus::Cancelled, Some(ROLLOUT_HALTED)) => {
                "stopped while the rollout had halted: the instance was not asked"
            }
            (TaskStatus::Cancelled, Some(ROLLOUT_EXPIRED)) => {
                "the order expired before this instance's turn in the rollout came: it was not asked"
            }
            (TaskStatus::Cancelled, None) if row.started_ms.is_none() => {
                "stopped before the instance accepted the order"
            }
            _ => return None,
        };
        Some(reason.to_owned())
    });
    TaskView {
        invocation: invocation.to_owned(),
        instance: row.instance_uid.clone(),
        instance_name: row.instance_name.clone(),
        generation: u32::try_from(row.generation).unwrap_or(1),
        status: row.status.as_str().to_owned(),
        code: row.code.clone(),
        reason,
        check: row.check.clone(),
        exit_code: row.exit_code,
        started_ms: row.started_ms,
        finished_ms: row.finished_ms,
        output_bytes: unsigned(row.output_bytes),
        dropped_bytes: unsigned(row.dropped_bytes),
        output_digest: row.output_digest,
    }
}

/// An instance; `heard_ms` is when its link was last heard, where it has one. The store learns of that in batches, a little later.
///
/// # Errors
/// Where its row holds what this version did not write.
pub fn instance(row: InstanceRow, heard_ms: Option<i64>) -> Result<InstanceView, StoreError> {
    let unreadable = || StoreError::Row { table: "instances", value: row.uid.to_string() };
    Ok(InstanceView {
        online: heard_ms.is_some(),
        last_seen_ms: heard_ms.max(row.last_seen_ms),
        enrolled_ms: row.enrolled_ms,
        facts: serde_json::from_str(&row.facts).map_err(|_| unreadable())?,
        key: PublicKey::from_spki_der(&row.public_key).map_err(|_| unreadable())?,
        tags: row.tags,
        name: row.name,
        id: row.uid,
    })
}

/// An activation.
#[must_use]
pub fn activation(row: ActivationRow) -> ActivationView {
    ActivationView {
        id: row.uid,
        name: row.name,
        created_ms: row.created_ms,
        expires_ms: row.expires_ms,
        max_instances: u32::try_from(row.max_instances).unwrap_or(0),
        used: u32::try_from(row.used).unwrap_or(0),
        disabled: row.disabled,
        tags: row.tags,
        networks: row.networks,
    }
}

/// A token.
#[must_use]
pub fn token(row: TokenRow) -> TokenView {
    TokenView { id: row.uid, name: row.name, created_ms: row.created_ms, expires_ms: row.expires_ms }
}

/// The number of a version, which is never negative.
fn number(version: i32) -> u32 {
    u32::try_from(version).unwrap_or(0)
}

/// A version of a command.
#[must_use]
pub fn version(row: VersionRow) -> VersionView {
    VersionView {
        version: number(row.version),
        name: row.name,
        description: row.description,
        content: row.content_digest,
        content_bytes: unsigned(row.content_bytes),
        changed_ms: row.changed_ms,
        changed_by: row.changed_by,
    }
}

/// A command.
#[must_use]
pub fn command(row: CommandRow) -> CommandView {
    CommandView {
        id: row.uid,
        kind: row.kind,
        newest: number(row.newest),
        shown: version(row.version),
        tags: row.tags,
        created_ms: row.created_ms,
        created_by: row.created_by,
        used_ms: row.used_ms,
    }
}

/// A group.
#[must_use]
pub fn group(row: GroupRow) -> GroupView {
    GroupView { name: row.name, selector: row.selector, created_ms: row.created_ms, created_by: row.created_by }
}

/// A plugin version.
#[must_use]
pub fn plugin(row: PluginRow) -> PluginView {
    PluginView {
        name: row.name,
        version: row.version,
        summary: row.summary,
        component: row.component,
        component_bytes: unsigned(row.component_bytes),
        manifest: row.manifest_digest,
        publisher: row.publisher,
        approved: row.approval_revision.is_some(),
        capabilities: row.capabilities.lines().map(str::to_owned).collect(),
        tier: row.tier,
        created_ms: row.created_ms,
    }
}
