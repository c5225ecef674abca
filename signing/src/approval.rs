//! What a security team approved: one plugin version, by digest, with its publishers and capabilities.
//!
//! Owns that document until the catalogue carries it. The capabilities are signed as text and parsed by the model
//! crate, so that the vocabulary of capabilities can grow without a change here. It never decides what is granted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    document::{self, Document},
    envelope::APPROVAL_TYPE,
    error::Invalid,
    key::PublicKey,
};

/// Most publishers that one approval names.
pub const MAX_PUBLISHERS: usize = 16;
/// Longest text of capabilities, in bytes.
pub const MAX_CAPABILITIES_BYTES: usize = 64 * 1024;

/// An approval of one version of one plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Always 1.
    pub version: u32,
    /// The plugin's name.
    pub name: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// SHA-256 of the component.
    pub component: Digest,
    /// SHA-256 of the manifest.
    pub manifest: Digest,
    /// Whose statement counts, at least one. A publisher is revoked by an approval that no longer names it.
    pub publishers: Vec<PublicKey>,
    /// The approved capabilities, as the text that the model crate parses.
    pub capabilities: String,
    /// When it was signed, unix milliseconds.
    pub issued_ms: i64,
    /// Until when, exclusive, new work may begin under it, unix milliseconds.
    pub expires_ms: i64,
    /// Grows with each approval of the same plugin version.
    pub revision: u64,
}

impl Approval {
    /// Checks all bounds that the types do not check.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn validate(&self) -> Result<(), Invalid> {
        document::version_1(self.version)?;
        document::plugin_name("name", &self.name)?;
        document::text("plugin_version", &self.plugin_version, 64, document::word)?;
        document::within("publishers", self.publishers.len() as u64, 1, MAX_PUBLISHERS as u64)?;
        let distinct: BTreeSet<_> = self.publishers.iter().map(PublicKey::key_id).collect();
        if distinct.len() != self.publishers.len() {
            return Err(Invalid::new("publishers", "names one key twice"));
        }
        if self.capabilities.len() > MAX_CAPABILITIES_BYTES {
            return Err(Invalid::new("capabilities", format!("must have at most {MAX_CAPABILITIES_BYTES} bytes")));
        }
        document::times(("issued_ms", self.issued_ms), ("expires_ms", self.expires_ms))
    }
}

impl Document for Approval {
    const TYPE: &'static str = APPROVAL_TYPE;
    const NAME: &'static str = "approval";

    fn bounds(&self) -> Result<(), Invalid> {
        self.validate()
    }
}
