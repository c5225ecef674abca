//! Instances.

use std::collections::BTreeMap;

use orderly_model::instance::Facts;
use orderly_signing::instance::InstanceId;
use orderly_signing::key::PublicKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceView {
    /// `i-…`
    #[schema(value_type = String)]
    pub id: InstanceId,
    /// For people.
    pub name: String,
    /// Whether its link is up.
    pub online: bool,
    /// When it was last heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_ms: Option<i64>,
    /// When it enrolled.
    pub enrolled_ms: i64,
    /// Tags that operators gave it.
    pub tags: BTreeMap<String, String>,
    /// What the agent said of it.
    #[schema(value_type = Object)]
    pub facts: Facts,
    /// Its public key, from which its id and its receipts can be checked.
    #[schema(value_type = String)]
    pub key: PublicKey,
}

/// `PUT /v1/instances/{id}/tags`: replaces all tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTags {
    /// The tags from now on; at most 20.
    pub tags: BTreeMap<String, String>,
}

/// The query of `GET /v1/instances`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListInstances {
    /// `key=value` pairs joined by commas, all of which must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// A selector, such as `env=prod and not role in (db,cache)`, that must match.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// A saved group of instances, whose selector must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Only those whose link is up, or down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
    /// The last page's `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Rows of the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
