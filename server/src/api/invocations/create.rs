//! Creating an invocation: resolve the targets, get or make the order, store all in one transaction, nudge.

use std::collections::{BTreeMap, HashSet};

use axum::http::StatusCode;
use orderly_model::invocation::StatusCounts;
use orderly_model::limits::{
    CONTENT_INLINE_MAX_BYTES, DELIVERY_DEADLINE_DEFAULT_S, DELIVERY_DEADLINE_MAX_S, TARGETS_MAX,
};
use orderly_model::name::{TagKey, TagValue};
use orderly_model::selector::TagSelector;
use orderly_model::task::TaskStatus;
use orderly_signing::instance::InstanceId;
use orderly_signing::merkle::TargetSet;
use orderly_signing::order::Repeat;
use orderly_wire::http::invocation::{CreateInvocation, Targets};

use super::super::auth::Permit;
use super::super::blobs::failed;
use super::super::body::label;
use super::super::order::{self, Draft, Times};
use super::super::problem::ApiError;
use super::super::{Api, instances, run};
use super::rollout;
use crate::clock;
use crate::store::row::{
    Created, InstanceKey, InvocationRow, NewInvocation, OrderBody, OrderHead, OrderKind, RolloutRow, SeriesRow,
};

/// Targets whose tree is built at once; the tree of more takes longer than another thread takes to wake.
const TREE_AT_ONCE: usize = 1000;

/// Unknown instances that an error names.
const NAMED_MAX: usize = 5;

pub(super) async fn create(api: &Api, permit: &Permit, request: CreateInvocation) -> Result<InvocationRow, ApiError> {
    let keyring = api.trust.keyring().ok_or_else(order::no_keyring)?;
    let now_ms = clock::now_ms();
    let name = label("name", request.name.as_deref())?;
    let deadline_ms = request.delivery_deadline_s.map(|seconds| deadline(now_ms, seconds)).transpose()?;
    let signed = request.order.is_some();
    let (checked, resolved) =
        tokio::join!(run::check(api, request.run, signed), resolve(api, &request.targets, signed));
    let (checked, resolved) = (checked?, resolved?);
    let repeat =
        super::series::repeat(&request.series, request.dry_run, request.rollout.is_some(), &checked.action, now_ms)?;
    let tree = target_set(resolved.iter().map(|(_, uid)| uid.clone()).collect()).await?;
    let targets = tree.targets();
    let seconds = request.delivery_deadline_s;
    let rollout = request.rollout.map(|policy| rollout::asked(policy, &checked.action, seconds)).transpose()?;
    // In a rollout the deadline begins with each task's start; the order says until when all of it may be accepted.
    let deadline_ms = match &rollout {
        None => deadline_ms,
        Some(_) if signed => None,
        Some(rollout) => Some(rollout::expires_ms(rollout, targets.count, now_ms)),
    };
    let signed = match &request.order {
        Some(order) => {
            order::take(api, &keyring, order, &checked, targets, Times { now_ms, deadline_ms, repeat: repeat.clone() })?
        }
        None => {
            let expires_ms = deadline_ms.unwrap_or(now_ms + i64::from(DELIVERY_DEADLINE_DEFAULT_S) * 1000);
            let action = checked.action.clone();
            let expires_ms = Some(expires_ms);
            let repeat = repeat.clone();
            let draft = Draft { principal: permit.principal(), action, targets, now_ms, expires_ms, repeat };
            order::make(api, &keyring, draft, checked.tiers)?
        }
    };
    if let Some(rollout) = &rollout {
        rollout::fits(rollout, resolved.len() as u64, now_ms, signed.deadline_ms)?;
    }
    let (content, blob) = match checked.content {
        Some(content) if content.len() > CONTENT_INLINE_MAX_BYTES => {
            (None, Some(api.blobs.put(content).await.map_err(failed)?))
        }
        content => (content.map(|content| content.to_vec()), checked.blob),
    };
    let new = NewInvocation {
        uid: signed.invocation.clone(),
        name,
        kind: checked.kind,
        summary: checked.summary,
        principal: signed.principal,
        created_ms: now_ms,
        deadline_ms: signed.deadline_ms,
        order_digest: signed.digest,
        envelope: signed.envelope,
        plugin: checked.plugin.as_ref().map(|(plugin, _)| plugin.key),
        content,
        blob,
        command: checked.command,
        targets: resolved.into_iter().map(|(key, _)| key).collect(),
        rollout,
        series: match repeat {
            Repeat::Series(series) => Some(SeriesRow { series, issued_ms: signed.issued_ms }),
            Repeat::Once | Repeat::DryRun => None,
        },
    };
    let Some(created) = api.store.create(new.clone()).await? else {
        let row = super::find(api, &new.uid).await?;
        if row.order_digest != new.order_digest {
            return Err(ApiError::conflict("invocation-exists", "another invocation has this id")
                .detail(format!("`{}`", new.uid))
                .hint("sign a new order with a new invocation id"));
        }
        api.nudge.look();
        return Ok(row);
    };
    let row = as_created(created, &new);
    let head = OrderHead {
        key: created.order,
        invocation: created.invocation,
        kind: OrderKind::Run,
        expires_ms: new.deadline_ms,
        rolled: new.rollout.is_some(),
    };
    let body = OrderBody {
        head,
        invocation: new.uid,
        envelope: new.envelope,
        targets: None,
        content: new.content,
        plugin: checked.plugin,
    };
    api.link.offers.put(body, tree);
    if row.rollout.is_some() {
        api.nudge.roll();
    }
    api.nudge.look();
    Ok(row)
}

/// The row of an invocation as it was committed: every task waits.
fn as_created(created: Created, new: &NewInvocation) -> InvocationRow {
    let mut counts = StatusCounts::default();
    counts.add(TaskStatus::Pending, new.targets.len() as u64);
    InvocationRow {
        key: created.invocation,
        uid: new.uid.clone(),
        name: new.name.clone(),
        kind: new.kind.to_owned(),
        summary: new.summary.clone(),
        principal: new.principal.clone(),
        created_ms: new.created_ms,
        deadline_ms: new.deadline_ms,
        finished_ms: None,
        order_digest: new.order_digest,
        command: new.command.clone(),
        targets: i64::try_from(new.targets.len()).unwrap_or(i64::MAX),
        counts,
        rollout: new.rollout.map(|asked| Box::new(RolloutRow::new(asked, new.targets.len() as u64))),
        series: new.series.clone().map(Box::new),
    }
}

fn deadline(now_ms: i64, seconds: u32) -> Result<i64, ApiError> {
    if (1..=DELIVERY_DEADLINE_MAX_S).contains(&seconds) {
        return Ok(now_ms + i64::from(seconds) * 1000);
    }
    Err(ApiError::unprocessable(
        "delivery-deadline",
        format!("`delivery_deadline_s` is 1 to {DELIVERY_DEADLINE_MAX_S} seconds (7 days)"),
    )
    .detail(format!("{seconds}")))
}

fn no_targets(detail: impl Into<String>) -> ApiError {
    ApiError::unprocessable("no-targets", "the invocation is for no instance")
        .detail(detail)
        .hint("`orderly instance list` shows instances and their tags")
}

/// The instances of a request, each once.
async fn resolve(api: &Api, targets: &Targets, signed: bool) -> Result<Vec<(InstanceKey, InstanceId)>, ApiError> {
    let resolved = match targets {
        Targets::Instances(named) if named.is_empty() => return Err(no_targets("`targets.instances` is empty")),
        Targets::Instances(named) => known(api, named).await?,
        Targets::Tags(_) if signed => {
            return Err(ApiError::unprocessable("signed-targets", "a signed order is for named instances")
                .hint("send the ids that the order was signed for as `targets.instances`"));
        }
        Targets::Tags(tags) => {
            let selector = selector(tags)?;
            let found = api.store.instances_with(&instances::pairs(&selector)).await?;
            if found.is_empty() {
                return Err(no_targets(format!("no instance has the tags `{selector}`")));
            }
            found
        }
    };
    if resolved.len() > TARGETS_MAX {
        return Err(ApiError::unprocessable(
            "too-many-targets",
            format!("an invocation is for at most {TARGETS_MAX} instances, this one for {}", resolved.len()),
        ));
    }
    Ok(resolved)
}

fn selector(tags: &BTreeMap<String, String>) -> Result<TagSelector, ApiError> {
    let wrong = |error: orderly_model::error::ParseError| {
        ApiError::unprocessable("selector", "`targets.tags` is not a tag selector").detail(error.to_string())
    };
    let pairs = tags.iter().map(|(key, value)| Ok((key.parse::<TagKey>()?, value.parse::<TagValue>()?)));
    TagSelector::new(pairs.collect::<Result<Vec<_>, _>>().map_err(wrong)?).map_err(wrong)
}

/// The keys of named instances; an error names those that there are not, or that are named twice.
pub(super) async fn known(api: &Api, named: &[InstanceId]) -> Result<Vec<(InstanceKey, InstanceId)>, ApiError> {
    let mut distinct = HashSet::with_capacity(named.len());
    if let Some(twice) = named.iter().find(|uid| !distinct.insert(*uid)) {
        return Err(
            ApiError::unprocessable("duplicate-target", "an instance is named twice").detail(format!("`{twice}`"))
        );
    }
    let found = api.store.instance_keys(named).await?;
    if found.len() == named.len() {
        return Ok(found);
    }
    let there: HashSet<&InstanceId> = found.iter().map(|(_, uid)| uid).collect();
    let missing: Vec<&InstanceId> = named.iter().filter(|uid| !there.contains(uid)).collect();
    let mut listed = missing.iter().take(NAMED_MAX).map(|uid| format!("`{uid}`")).collect::<Vec<_>>().join(", ");
    if missing.len() > NAMED_MAX {
        listed.push_str(&format!(" and {} more", missing.len() - NAMED_MAX));
    }
    Err(ApiError::new(StatusCode::NOT_FOUND, "unknown-instance", "an instance is not enrolled here")
        .detail(listed)
        .hint("`orderly instance list` shows those that are"))
}

/// The set of targets with its tree; large ones are built where they hold nothing else up.
pub(in crate::api) async fn target_set(uids: Vec<InstanceId>) -> Result<TargetSet, ApiError> {
    let built = if uids.len() <= TREE_AT_ONCE {
        TargetSet::of_instances(uids)
    } else {
        let built = tokio::task::spawn_blocking(move || TargetSet::of_instances(uids)).await;
        built.map_err(|error| ApiError::internal(&error))?
    };
    built.map_err(|error| {
        ApiError::unprocessable("targets", "these instances cannot be targets").detail(error.to_string())
    })
}
