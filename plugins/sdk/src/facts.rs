//! What the instance is. Needs the capability `facts`.
//!
//! Owns nothing: the agent collects these facts itself and the plugin gets a copy.

pub use crate::bindings::orderly::plugin::facts::InstanceFacts;

/// Gets them.
#[must_use]
pub fn get() -> InstanceFacts {
    crate::bindings::orderly::plugin::facts::get()
}
