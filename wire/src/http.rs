//! The bodies of the HTTP API, `/v1` for people and programs and `/agent/v1` for agents.
//!
//! Never decides anything: requests become model types in the server, views are made from rows there.
//! All times are Unix milliseconds and end in `_ms`. Lists are paged by key: `next` is the value to pass as
//! `after` for the next page, absent on the last.

pub mod activation;
pub mod agent;
pub mod command;
pub mod event;
pub mod file;
pub mod group;
pub mod instance;
pub mod invocation;
pub mod plugin;
pub mod problem;
pub mod result;
pub mod retention;
pub mod rollout;
pub mod script;
pub mod series;
pub mod task;
pub mod token;
pub mod trust;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Rows of a page where the caller does not say.
pub const PAGE_DEFAULT: u32 = 50;

/// The most rows that one page holds.
pub const PAGE_MAX: u32 = 1000;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows, in the list's order.
    pub items: Vec<T>,
    /// What to pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
