//! The mounted file systems and how full they are. Needs the capability `mounts`.
//!
//! Owns nothing: the agent measures, at most 1,000 mounts, and logs those that it leaves out.

pub use crate::bindings::orderly::plugin::mounts::Mount;

/// Gets them in the order of the mount table.
#[must_use]
pub fn get() -> Vec<Mount> {
    crate::bindings::orderly::plugin::mounts::get()
}
