//! The keyring and the server's own public keys.

use orderly_signing::key::PublicKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/trust`. `PUT /v1/trust/keyring` takes a keyring envelope as `application/json` and answers this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrustView {
    /// The key with which this server signs orders.
    #[schema(value_type = String)]
    pub dispatch: PublicKey,
    /// SHA-256 of the CA certificate's DER, `sha256:…`.
    pub ca_fingerprint: String,
    /// The CA certificate in PEM.
    pub ca_pem: String,
    /// The keyring in force, a DSSE envelope; absent until one is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub keyring: Option<serde_json::Value>,
}
