//! Tokens of the API.

use axum::extract::Path;
use axum::http::StatusCode;
use orderly_model::id::TokenId;
use orderly_wire::http::Page;
use orderly_wire::http::token::{CreateToken, CreatedToken, TokenView};

use super::State;
use super::auth::Permit;
use super::body::Json;
use super::problem::ApiError;
use super::secret::NewSecret;
use crate::store::row::TokenRow;
use crate::{clock, view};

/// The longest life of a token, in seconds.
const TTL_MAX_S: u64 = 366 * 24 * 60 * 60;

/// Lists tokens, without their secrets.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", responses((status = OK, body = Page<TokenView>)))]
pub(crate) async fn list(_permit: Permit, api: State) -> Result<axum::Json<Page<TokenView>>, ApiError> {
    let items = api.store.tokens().await?.into_iter().map(view::token).collect();
    Ok(axum::Json(Page { items, next: None }))
}

/// Makes a token; its secret is shown this once.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = CreateToken,
    responses((status = CREATED, body = CreatedToken)))]
pub(crate) async fn create(
    _permit: Permit,
    api: State,
    Json(request): Json<CreateToken>,
) -> Result<(StatusCode, axum::Json<CreatedToken>), ApiError> {
    let name = super::body::label("name", Some(&request.name))?.unwrap_or_default();
    if !(1..=TTL_MAX_S).contains(&request.ttl_s) {
        return Err(ApiError::unprocessable("ttl", format!("`ttl_s` is 1 to {TTL_MAX_S} seconds (366 days)")));
    }
    let secret = NewSecret::token().map_err(|error| ApiError::internal(&error))?;
    let now_ms = clock::now_ms();
    let random = clock::random().map_err(|error| ApiError::internal(&error))?;
    let row = TokenRow {
        uid: TokenId::new(now_ms, random).to_string(),
        name,
        hash: secret.hash,
        created_ms: now_ms,
        expires_ms: i64::try_from(request.ttl_s).ok().map(|ttl_s| now_ms + ttl_s * 1000),
    };
    api.store.add_token(row.clone()).await?;
    Ok((StatusCode::CREATED, axum::Json(CreatedToken { view: view::token(row), token: secret.text })))
}

/// Revokes a token.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path,)),
    responses((status = NO_CONTENT)))]
pub(crate) async fn revoke(_permit: Permit, api: State, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    if api.store.remove_token(&id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::unknown("token", id)) }
}
