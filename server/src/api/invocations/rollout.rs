//! Rollouts: whether one can be, and what a person says to one that goes on.

use axum::extract::Path;
use orderly_model::limits::{DELIVERY_DEADLINE_DEFAULT_S, DELIVERY_DEADLINE_MAX_S};
use orderly_model::rollout::RolloutPolicy;
use orderly_signing::order::Action;
use orderly_wire::http::invocation::InvocationView;
use orderly_wire::http::problem::Fault;
use orderly_wire::http::rollout::{ConfirmRollout, HaltRollout, ResumeRollout};

use super::super::auth::Permit;
use super::super::body::{Json, label};
use super::super::problem::ApiError;
use super::super::{Api, State};
use crate::clock;
use crate::store::row::{NewRollout, Steer, SteerOutcome};
use crate::view;

/// The rollout of a request, checked as far as it can be without an order.
pub(super) fn asked(
    policy: RolloutPolicy,
    action: &Action,
    delivery_deadline_s: Option<u32>,
) -> Result<NewRollout, ApiError> {
    let mut faults: Vec<String> = policy.check().iter().map(ToString::to_string).collect();
    if !policy.holds_back() {
        faults.push("nothing is held back: set `max_concurrency`, `canary` or `batch`".to_owned());
    }
    if !faults.is_empty() {
        let fault = |message| Fault { field: "rollout".to_owned(), message };
        return Err(ApiError::faults(faults.into_iter().map(fault).collect()));
    }
    let run_s = match action {
        Action::Script(script) => script.timeout_s,
        Action::Plugin { timeout_s, .. } => *timeout_s,
        Action::File(file) => file.timeout_s,
        Action::Collect(collect) => collect.timeout_s,
        Action::Stop { .. } => 0,
    };
    Ok(NewRollout { policy, accept_s: delivery_deadline_s.unwrap_or(DELIVERY_DEADLINE_DEFAULT_S), run_s })
}

/// Until when an order for it should live.
pub(super) fn expires_ms(rollout: &NewRollout, total: u64, now_ms: i64) -> i64 {
    let lifetime_s = rollout.policy.lifetime_s(total, rollout.pace()).min(u64::from(DELIVERY_DEADLINE_MAX_S));
    now_ms + i64::try_from(lifetime_s).unwrap_or(0) * 1000
}

/// Refuses an order that expires before the last wave can have started.
pub(super) fn fits(rollout: &NewRollout, total: u64, now_ms: i64, expires_ms: i64) -> Result<(), ApiError> {
    let (policy, lives_s) = (rollout.policy, (expires_ms - now_ms) / 1000);
    let least_s = policy.least_s(total, rollout.pace());
    if u64::try_from(lives_s).is_ok_and(|lives_s| lives_s >= least_s) {
        return Ok(());
    }
    let pauses = policy.waves(total).saturating_sub(1);
    Err(ApiError::unprocessable("rollout-too-long", "the order expires before the last wave of the rollout can start")
        .detail(format!(
            "{pauses} pause(s) of {} s and {} s for the last wave to be accepted are {least_s} s; the order lives {lives_s} s, \
             at most {DELIVERY_DEADLINE_MAX_S} s (7 days) are allowed",
            policy.pause_s, rollout.accept_s
        ))
        .hint("make the waves larger (`--batch`) or the pauses shorter (`--pause`), or sign an order that lives longer"))
}

async fn steer(api: &Api, id: &str, steer: Steer) -> Result<axum::Json<InvocationView>, ApiError> {
    let row = super::find(api, id).await?;
    if row.rollout.is_none() {
        return Err(ApiError::conflict("no-rollout", "the invocation is no rollout: all its tasks started at once"));
    }
    let named = match &steer {
        Steer::Confirm(wave) => *wave,
        Steer::Halt(_) | Steer::Resume(_) => 0,
    };
    let row = match api.store.steer(row.key, steer, clock::now_ms()).await? {
        SteerOutcome::Done(row) => row,
        SteerOutcome::NothingHeld => {
            return Err(ApiError::conflict("rollout-started", "nothing of the rollout is held back any more")
                .hint(format!("`orderly invocation stop {id}` ends what runs")));
        }
        SteerOutcome::NotHalted => {
            return Err(ApiError::conflict("rollout-not-halted", "the rollout is not halted"));
        }
        SteerOutcome::NotWaiting(waits) => {
            let waits = waits.map_or_else(|| "no wave waits".to_owned(), |wave| format!("wave {wave} waits"));
            return Err(ApiError::conflict("wave-not-waiting", "this wave does not wait to be confirmed")
                .detail(format!("{waits}, wave {named} was confirmed"))
                .hint(format!("look at it with `orderly invocation show {id}` first")));
        }
    };
    api.nudge.roll();
    api.link.hub.tell(&row.uid, || crate::live::counts(&row));
    Ok(axum::Json(view::invocation(&row)))
}

/// Halts a rollout: no more tasks start until it is resumed. Those that are open go on. To halt it again changes nothing.
#[utoipa::path(post, path = "/v1/invocations/{id}/halt", tag = "invocations", params(("id" = String, Path,)),
    request_body = HaltRollout, responses((status = OK, body = InvocationView)))]
pub(crate) async fn halt(
    permit: Permit,
    api: State,
    Path(id): Path<String>,
    Json(request): Json<HaltRollout>,
) -> Result<axum::Json<InvocationView>, ApiError> {
    let reason = label("reason", request.reason.as_deref())?;
    let why = match reason {
        Some(reason) => format!("halted by {}: {reason}", permit.principal()),
        None => format!("halted by {}", permit.principal()),
    };
    steer(&api, &id, Steer::Halt(why)).await
}

/// Resumes a rollout that has halted. Only the errors that were seen are forgiven.
#[utoipa::path(post, path = "/v1/invocations/{id}/resume", tag = "invocations", params(("id" = String, Path,)),
    request_body = ResumeRollout, responses((status = OK, body = InvocationView)))]
pub(crate) async fn resume(
    _permit: Permit,
    api: State,
    Path(id): Path<String>,
    Json(request): Json<ResumeRollout>,
) -> Result<axum::Json<InvocationView>, ApiError> {
    steer(&api, &id, Steer::Resume(request.errors)).await
}

/// Confirms a wave that is over, so that the next one starts. To confirm it again changes nothing.
#[utoipa::path(post, path = "/v1/invocations/{id}/confirm", tag = "invocations", params(("id" = String, Path,)),
    request_body = ConfirmRollout, responses((status = OK, body = InvocationView)))]
pub(crate) async fn confirm(
    _permit: Permit,
    api: State,
    Path(id): Path<String>,
    Json(request): Json<ConfirmRollout>,
) -> Result<axum::Json<InvocationView>, ApiError> {
    steer(&api, &id, Steer::Confirm(request.wave)).await
}
