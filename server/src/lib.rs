//! What is **wanted**: the control server, with API, store, dispatcher and agent links.
//!
//! Owns the fleet's intent and what its instances observed, both in the store and nowhere else. It is not trusted with the
//! fleet: it can delay, drop or lie in its own database, and cannot make an instance run what the owners did not sign for.
//!
//! Layers, left may not import right: config · telemetry · shutdown · clock · keys · store · trust · view · live ·
//! intake · offer · link · dispatch · blobs · retention · catalogue · api · gateway · app.

#![allow(clippy::duplicate_mod, reason = "the one body of SQL is mounted once for each database")]

pub mod api;
pub mod app;
pub mod blobs;
pub mod catalogue;
pub mod clock;
pub mod config;
pub mod dispatch;
pub mod gateway;
pub mod intake;
pub mod keys;
pub mod link;
pub mod live;
pub mod offer;
pub mod retention;
pub mod shutdown;
pub mod store;
pub mod telemetry;
#[cfg(test)]
mod tests;
pub mod trust;
pub mod view;
