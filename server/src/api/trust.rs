//! The keyring in force.

use axum::body::Bytes;
use orderly_wire::http::trust::TrustView;

use super::auth::Permit;
use super::problem::ApiError;
use super::{Api, State};
use crate::trust::TrustError;

fn view(api: &Api) -> Result<TrustView, ApiError> {
    let keyring = api.trust.keyring().map(|keyring| serde_json::from_slice(keyring.envelope_json())).transpose();
    Ok(TrustView {
        dispatch: api.trust.dispatch().public().clone(),
        ca_fingerprint: api.authority.fingerprint.to_string(),
        ca_pem: api.authority.pem.clone(),
        keyring: keyring.map_err(|error| ApiError::internal(&error))?,
    })
}

/// Shows the keyring in force and this server's public keys.
#[utoipa::path(get, path = "/v1/trust", tag = "trust", responses((status = OK, body = TrustView)))]
pub(crate) async fn show(_permit: Permit, api: State) -> Result<axum::Json<TrustView>, ApiError> {
    view(&api).map(axum::Json)
}

/// Publishes a keyring: signed by the root keys of the one in force, and newer.
#[utoipa::path(put, path = "/v1/trust/keyring", tag = "trust",
    request_body(content = Object, description = "a keyring, a DSSE envelope", content_type = "application/json"),
    responses((status = OK, body = TrustView)))]
pub(crate) async fn publish(_permit: Permit, api: State, body: Bytes) -> Result<axum::Json<TrustView>, ApiError> {
    api.trust.publish(&body).await.map_err(|error| match error {
        TrustError::Refused(refusal) => {
            let code = format!("keyring-{}", refusal.check.code());
            ApiError::unprocessable(&code, "the keyring is refused")
                .detail(refusal.reason)
                .hint("`orderly trust publish` makes and signs one that this server takes")
        }
        TrustError::NotNewer { .. } => {
            ApiError::conflict("keyring-revision", "the keyring is not newer than the one in force")
                .detail(error.to_string())
                .hint("sign a keyring with a higher revision")
        }
        TrustError::Store(error) => error.into(),
    })?;
    view(&api).map(axum::Json)
}
