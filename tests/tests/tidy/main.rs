//! Tidy: what the compiler does not check of the house rules.
//!
//! Reads the repository's own files, runs nothing of it. A rule that cannot fail is not here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod crates;
mod documents;
mod files;
mod layers;
mod source;
mod tables;
