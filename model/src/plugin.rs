//! What a plugin says of itself: its manifest, `plugin.toml`, and the imports of its component.
//! Owns the meaning of both; digests are over the manifest's raw bytes and are the signing crate's.

mod fault;
mod imports;
mod manifest;
mod wit;

pub use fault::{ManifestErrors, ManifestFault};
pub use imports::{ImportClass, MissingImport, MissingReason, classify, missing_for};
pub use manifest::{Manifest, ManifestLimits};
pub use wit::{WIT_SUPPORTED, WitVersion};
