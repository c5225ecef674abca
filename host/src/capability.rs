//! The effect of each capability inside the child: one file each. The vocabulary is the model's.

pub(crate) mod clock;
pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod mounts;
pub(crate) mod random;
pub(crate) mod uses;
