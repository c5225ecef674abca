//! Files that instances send, and people fetch.
//!
//! An instance sends what an order collects under the order's digest, and only while its own task of that order is open and
//! within the order's size and time. Where it broke off it asks how far it came. People fetch it by the task.

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::Stream;
use orderly_signing::digest::Digest;
use orderly_signing::envelope::Envelope;
use orderly_signing::order::{Action, CollectAction, Order};
use orderly_wire::http::file::{OCTETS, Piece, Received};

use super::agent::instance_proof;
use super::auth::Permit;
use super::blobs::{failed, refused};
use super::body::{Params, expect_type};
use super::problem::ApiError;
use super::{Api, PeerConnection, State, tasks};
use crate::blobs::upload::Part;
use crate::store::row::{InstanceKey, InvocationKey};

/// How much longer than its order's time-out an upload may take.
const LATE: Duration = Duration::from_secs(60);

/// A task that may send a file.
struct Sender {
    instance: InstanceKey,
    invocation: InvocationKey,
    order: Digest,
    action: CollectAction,
    open: bool,
}

/// The task of this instance that this order makes, where it collects a file.
async fn sender(api: &Api, peer: &PeerConnection, headers: &HeaderMap, order: &str) -> Result<Sender, ApiError> {
    let (_, instance) = instance_proof(api, peer, headers, "file").await?;
    let unknown = || {
        ApiError::new(StatusCode::NOT_FOUND, "unknown-order", "no such order collects a file from this instance")
            .detail(format!("`{}`", order.escape_debug()))
    };
    let order: Digest = order.parse().map_err(|_| unknown())?;
    let found = api.store.collecting(&order, instance).await?.ok_or_else(unknown)?;
    let envelope = Envelope::parse(&found.envelope).map_err(|error| ApiError::internal(&error))?;
    let body: Order = serde_json::from_slice(&envelope.payload).map_err(|error| ApiError::internal(&error))?;
    let Action::Collect(action) = body.action else { return Err(unknown()) };
    Ok(Sender { instance, invocation: found.invocation, order, action, open: !found.status.is_final() })
}

async fn have(api: &Api, sender: &Sender) -> Result<Received, ApiError> {
    Ok(match api.store.file(sender.invocation, sender.instance).await? {
        Some(file) => Received { bytes: u64::try_from(file.bytes).unwrap_or(0), digest: Some(file.digest) },
        None => Received { bytes: api.blobs.received(&Part::File(sender.order, sender.instance)), digest: None },
    })
}

/// How much of a collected file is here.
#[utoipa::path(get, path = "/agent/v1/files/{order}", tag = "agents", params(
        ("order" = String, Path, description = "the order's digest: `sha256:` and 64 hexadecimal digits"),
        ("orderly-instance" = String, Header, description = "the instance id, a space, and the proof in Base64"),
    ), responses((status = OK, body = Received)))]
pub(crate) async fn state(
    api: State,
    Extension(peer): Extension<PeerConnection>,
    headers: HeaderMap,
    Path(order): Path<String>,
) -> Result<axum::Json<Received>, ApiError> {
    let sender = sender(&api, &peer, &headers, &order).await?;
    have(&api, &sender).await.map(axum::Json)
}

/// Brings a file that an order collects, or the rest of it.
#[utoipa::path(put, path = "/agent/v1/files/{order}", tag = "agents", params(
        ("order" = String, Path, description = "the order's digest: `sha256:` and 64 hexadecimal digits"),
        ("bytes" = u64, Query, description = "the size of the whole"),
        ("offset" = u64, Query, description = "where in it the body begins"),
        ("orderly-instance" = String, Header, description = "the instance id, a space, and the proof in Base64"),
    ), request_body(content = String, content_type = "application/octet-stream"),
    responses((status = OK, body = Received)))]
pub(crate) async fn put(
    api: State,
    Extension(peer): Extension<PeerConnection>,
    Path(order): Path<String>,
    Params(piece): Params<Piece>,
    request: Request,
) -> Result<axum::Json<Received>, ApiError> {
    expect_type(&request, OCTETS)?;
    let sender = sender(&api, &peer, request.headers(), &order).await?;
    let before = have(&api, &sender).await?;
    if before.digest.is_some() {
        return Ok(axum::Json(before));
    }
    if !sender.open {
        return Err(ended());
    }
    if piece.bytes > sender.action.max_bytes {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "file-too-large",
            "the order takes no file of this size",
        )
        .detail(format!("{} bytes, at most {}", piece.bytes, sender.action.max_bytes)));
    }
    let part = Part::File(sender.order, sender.instance);
    let body = request.into_body().into_data_stream();
    let time = Duration::from_secs(u64::from(sender.action.timeout_s)) + LATE;
    let whole = tokio::time::timeout(time, api.blobs.take(&part, piece.bytes, piece.offset, body)).await;
    let whole = whole.map_err(|_| ended().detail("the order's time is over"))?.map_err(refused)?;
    let file = api.blobs.place_file(whole, sender.invocation, sender.instance).await.map_err(refused)?;
    Ok(axum::Json(Received { bytes: u64::try_from(file.bytes).unwrap_or(0), digest: Some(file.digest) }))
}

/// The answer to a file for which it is too late.
pub(super) fn ended() -> ApiError {
    ApiError::new(StatusCode::GONE, "task-ended", "the task has ended, nothing more is taken for it")
}

/// The file that a task collected. `Range: bytes=N-` asks for the rest of it.
#[utoipa::path(get, path = "/v1/invocations/{id}/tasks/{instance}/file", tag = "files",
    params(("id" = String, Path,), ("instance" = String, Path,)),
    responses((status = OK, body = String, content_type = "application/octet-stream")))]
pub(crate) async fn fetch(
    _permit: Permit,
    api: State,
    headers: HeaderMap,
    Path((id, instance)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (invocation, task, _) = tasks::find(&api, &id, &instance).await?;
    let file = api.store.file(invocation.key, task.instance).await?.ok_or_else(|| {
        ApiError::new(StatusCode::NOT_FOUND, "no-file", "there is no file of this task here")
            .detail(format!("it is {}", task.status))
            .hint("a collected file is kept for seven days")
    })?;
    let length = u64::try_from(file.bytes).unwrap_or(0);
    let offset = offset(&headers, length)?;
    Ok(rest(api.blobs.collected(&file.digest, offset).await.map_err(failed)?, offset, length))
}

/// Where the answer begins: nought, or what `Range: bytes=N-` says. Other forms of ranges are ignored, as RFC 9110 lets a server.
pub(super) fn offset(headers: &HeaderMap, length: u64) -> Result<u64, ApiError> {
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<u64>().ok());
    match from {
        Some(from) if from > 0 && from >= length => {
            Err(ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", "the range begins behind the end")
                .detail(format!("{length} bytes are here")))
        }
        from => Ok(from.unwrap_or(0)),
    }
}

/// The answer with the bytes from `offset` on.
pub(super) fn rest(
    pieces: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    offset: u64,
    length: u64,
) -> Response {
    let headers = [
        (header::CONTENT_TYPE, OCTETS.to_owned()),
        (header::CONTENT_LENGTH, (length - offset).to_string()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ];
    let mut response = (headers, Body::from_stream(pieces)).into_response();
    if offset > 0 {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {offset}-{}/{length}", length - 1);
        if let Ok(range) = range.parse() {
            response.headers_mut().insert(header::CONTENT_RANGE, range);
        }
    }
    response
}
