//! Tokens that open the API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/tokens`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// For people: whose it is or what it is for. 1-128 characters.
    pub name: String,
    /// Seconds until it expires; at most 366 days.
    pub ttl_s: u64,
}

/// The answer to [`CreateToken`]: the only time that the token itself is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// What is stored of it.
    #[serde(flatten)]
    pub view: TokenView,
    /// The secret, `ort_…`.
    pub token: String,
}

/// A token as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// `k-…`
    pub id: String,
    /// For people.
    pub name: String,
    /// When it was made.
    pub created_ms: i64,
    /// When it stops working; absent for the first administrator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
}
