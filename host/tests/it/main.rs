//! Real children, real trees, real boxes. Run with `--features compile`: it needs `orderly-wasmc`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod boxed;
mod cache;
mod invoke;
mod support;
mod trees;
mod wat;
