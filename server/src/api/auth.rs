//! Who asks: a token becomes a [`Permit`] before the body is read.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::{StatusCode, header, request::Parts};
use orderly_signing::digest::Digest;

use super::Api;
use super::problem::ApiError;
use crate::clock;

/// Proof that a request carries a good token. Only the extractor makes one.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    name: String,
}

impl Permit {
    /// On whose behalf: the token's name.
    #[must_use]
    pub(crate) fn principal(&self) -> &str {
        &self.name
    }
}

fn refused(code: &str, title: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, code, title)
}

impl FromRequestParts<Arc<Api>> for Permit {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let missing = || {
            refused("token-missing", "this path needs a token")
                .hint("send `authorization: Bearer ort_…`; with `orderly`, set `ORDERLY_TOKEN` or `token_file`")
        };
        let value = parts.headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
        let token = value.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).ok_or_else(missing)?;
        let hash = Digest::of(token.trim().as_bytes());
        let unknown = || {
            refused("token-unknown", "this token is not known here, or was revoked")
                .hint("an administrator makes one with `orderly token create`")
        };
        let row = api.store.token(&hash).await?.filter(|row| same(&row.hash, &hash)).ok_or_else(unknown)?;
        if row.expires_ms.is_some_and(|expires_ms| expires_ms <= clock::now_ms()) {
            return Err(refused("token-expired", "this token has expired")
                .detail(format!("`{}` ({})", row.uid, row.name))
                .hint("an administrator makes another with `orderly token create`"));
        }
        Ok(Self { name: row.name })
    }
}

/// Compares in a time that says nothing about where two digests differ.
fn same(a: &Digest, b: &Digest) -> bool {
    a.as_bytes().iter().zip(b.as_bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
