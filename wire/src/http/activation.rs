//! Activations: codes with which instances enrol.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/activations`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateActivation {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Seconds until the code expires; 4 hours where absent, at most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u64>,
    /// How many instances may enrol with it; 10 where absent, at most 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<u32>,
    /// Tags that the instances get.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Networks (CIDR) from which it may be used; anywhere where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
}

/// The answer to [`CreateActivation`]: the only time that the code is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedActivation {
    /// What is stored of it.
    #[serde(flatten)]
    pub view: ActivationView,
    /// The code.
    pub code: String,
    /// The whole line to run on an instance, with the fingerprints of root and CA in it; absent while no keyring
    /// has been published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrol_line: Option<String>,
}

/// An activation as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActivationView {
    /// `a-…`
    pub id: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was made.
    pub created_ms: i64,
    /// When it stops working.
    pub expires_ms: i64,
    /// How many instances may enrol with it.
    pub max_instances: u32,
    /// How many have.
    pub used: u32,
    /// Whether it was taken back.
    pub disabled: bool,
    /// Tags that the instances get.
    pub tags: BTreeMap<String, String>,
    /// Networks from which it may be used.
    pub networks: Vec<String>,
}
