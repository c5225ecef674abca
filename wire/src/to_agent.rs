//! What the server says to an agent.
//!
//! Nothing here makes an agent act by itself: an [`Offer`] carries a signed order, and the agent believes
//! only that order.

use std::collections::BTreeMap;

use orderly_signing::digest::Digest;
use orderly_signing::merkle::TargetProof;
use serde::{Deserialize, Serialize};

/// One frame from the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToAgent {
    /// The link is accepted. The first frame from the server.
    Welcome(Welcome),
    /// Here is an order. The same order may come again; it never starts twice.
    Offer(Box<Offer>),
    /// All reports with a sequence number up to this one are on the server's disk.
    Ack(Ack),
    /// A newer keyring, to be verified against the pinned root.
    Keyring(KeyringUpdate),
    /// The link will be closed by the server: why, in words for the log.
    Goodbye(Goodbye),
}

/// Acceptance of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Welcome {
    /// The version of the link that is spoken from here on.
    pub version: u32,
    /// The server's clock in Unix milliseconds: for the log only, never trusted.
    pub server_time_ms: i64,
    /// How often the agent sends a heart-beat, in seconds.
    pub heartbeat_s: u32,
}

/// An order with all that one agent needs to check and carry it out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The DSSE envelope of the order, byte for byte as it was signed and stored.
    #[serde(with = "crate::frame::base64_bytes")]
    pub order: Vec<u8>,
    /// That this instance is in the order's targets.
    pub proof: TargetProof,
    /// The script, where the order is one of at most 64 KiB; larger content is fetched by its digest.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::frame::optional_base64_bytes")]
    pub content: Option<Vec<u8>>,
    /// The plugin's documents, where the order runs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginDocuments>,
    /// What only the server knows of the instance, for scripts that have parameters: `RegionId`, `AccountId`, `InstanceName`, and
    /// `Tag::KEY` for a tag. Nobody signs it; agents let it be an environment variable, and text only where it can do no harm.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub built_ins: BTreeMap<String, String>,
    /// Whether live output is wanted while it runs.
    #[serde(default)]
    pub live: bool,
}

/// The documents of a plugin; the component itself is fetched by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginDocuments {
    /// SHA-256 of the component.
    pub component: Digest,
    /// Its size in bytes.
    pub component_bytes: u64,
    /// The bytes of `plugin.toml`.
    #[serde(with = "crate::frame::base64_bytes")]
    pub manifest: Vec<u8>,
    /// The publisher's statement, a DSSE envelope.
    #[serde(with = "crate::frame::base64_bytes")]
    pub statement: Vec<u8>,
    /// The security team's approval, a DSSE envelope; absent where there is none yet, and then the agent refuses.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::frame::optional_base64_bytes")]
    pub approval: Option<Vec<u8>>,
}

/// Reports that need not be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// The highest sequence number of the outbox that is safe.
    pub seq: u64,
}

/// A keyring that the server thinks is newer than the agent's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyringUpdate {
    /// The DSSE envelope of the keyring.
    #[serde(with = "crate::frame::base64_bytes")]
    pub keyring: Vec<u8>,
}

/// Why the server closes a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goodbye {
    /// A stable word: `stopping`, `replaced` (another link of the same instance), `proof`, `version`, `unknown-instance`,
    /// `facts` (what the instance says of itself is out of bounds), `frame` (not a frame, or not one for now), `slow`.
    pub code: String,
    /// For people.
    pub reason: String,
}
