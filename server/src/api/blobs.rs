//! Blobs that people bring: the content of files that are put on instances.
//!
//! An upload is `PUT /v1/blobs/{digest}?bytes=N&offset=M` with the content from byte M on as its body. Where it broke off,
//! `GET /v1/blobs/{digest}` says from where to go on. The content counts once it is whole and has that digest.

use axum::extract::{Path, Request};
use axum::http::StatusCode;
use orderly_signing::digest::Digest;
use orderly_wire::http::file::{OCTETS, Piece, Received};

use super::auth::Permit;
use super::body::{Params, expect_type};
use super::problem::ApiError;
use super::{Api, State};
use crate::blobs::BlobError;
use crate::blobs::upload::{Part, UploadError};

/// How an upload that is not taken is answered.
pub(super) fn refused(error: UploadError) -> ApiError {
    let (status, code, title, hint) = match error {
        UploadError::Blob(error) => return failed(error),
        UploadError::TooLarge { .. } => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "file-too-large",
            "the file is too large",
            "see the server's `--file-max-bytes`",
        ),
        UploadError::Full { .. } => (
            StatusCode::INSUFFICIENT_STORAGE,
            "storage-full",
            "the server has no room for the file",
            "wait until it removes what nothing needs, or raise its `--storage-max-bytes`",
        ),
        UploadError::Busy => {
            (StatusCode::CONFLICT, "upload-busy", "the same upload is under way", "wait for it, or try again soon")
        }
        UploadError::Offset { .. } => (
            StatusCode::CONFLICT,
            "upload-offset",
            "the upload does not go on where it ended",
            "`GET` on the same path says how many bytes are here",
        ),
        UploadError::TooMany(_) => (
            StatusCode::BAD_REQUEST,
            "upload-size",
            "the body is longer than was announced",
            "say the file's size as `bytes`",
        ),
        UploadError::Ended => return super::files::ended().detail(error.to_string()),
        // Not the request's fault: whoever sends goes on from where it broke off.
        UploadError::Cut(_) => {
            (StatusCode::REQUEST_TIMEOUT, "upload-cut", "the body broke off", "go on with another request")
        }
        UploadError::Digest { .. } => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "blob-digest",
            "the content has another digest than the path says",
            "did the file change while it was sent? what was sent is thrown away",
        ),
    };
    ApiError::new(status, code, title).detail(error.to_string()).hint(hint)
}

/// How a failure of the disk or the store is answered.
pub(super) fn failed(error: BlobError) -> ApiError {
    match error {
        BlobError::Store(error) => error.into(),
        error => ApiError::internal(&error),
    }
}

fn digest(text: &str) -> Result<Digest, ApiError> {
    text.parse().map_err(|_| {
        ApiError::bad_request("digest", "this is not a digest")
            .detail(format!("`{}`", text.escape_debug()))
            .hint("it is `sha256:` and 64 hexadecimal digits")
    })
}

async fn have(api: &Api, digest: Digest) -> Result<Received, ApiError> {
    Ok(match api.store.blob(&digest).await? {
        Some(bytes) => Received { bytes: u64::try_from(bytes).unwrap_or(0), digest: Some(digest) },
        None => Received { bytes: api.blobs.received(&Part::Blob(digest)), digest: None },
    })
}

/// How much of a blob is here.
#[utoipa::path(get, path = "/v1/blobs/{digest}", tag = "files",
    params(("digest" = String, Path, description = "`sha256:` and 64 hexadecimal digits")),
    responses((status = OK, body = Received)))]
pub(crate) async fn show(
    _permit: Permit,
    api: State,
    Path(text): Path<String>,
) -> Result<axum::Json<Received>, ApiError> {
    have(&api, digest(&text)?).await.map(axum::Json)
}

/// Brings a blob, or the rest of one whose upload broke off.
#[utoipa::path(put, path = "/v1/blobs/{digest}", tag = "files", params(
        ("digest" = String, Path, description = "`sha256:` and 64 hexadecimal digits"),
        ("bytes" = u64, Query, description = "the size of the whole"),
        ("offset" = u64, Query, description = "where in it the body begins"),
    ), request_body(content = String, content_type = "application/octet-stream"),
    responses((status = OK, body = Received)))]
pub(crate) async fn put(
    _permit: Permit,
    api: State,
    Path(text): Path<String>,
    Params(piece): Params<Piece>,
    request: Request,
) -> Result<axum::Json<Received>, ApiError> {
    expect_type(&request, OCTETS)?;
    let digest = digest(&text)?;
    if api.store.blob(&digest).await?.is_none() {
        let body = request.into_body().into_data_stream();
        let whole = api.blobs.take(&Part::Blob(digest), piece.bytes, piece.offset, body).await.map_err(refused)?;
        api.blobs.place_blob(whole, &digest).await.map_err(refused)?;
    }
    have(&api, digest).await.map(axum::Json)
}
