//! What is **true** in Orderly: ids, names, limits, capabilities, policy, reports and state machines.
//!
//! Everything here is a value or a pure function over values. The crate never reads a clock, a
//! file, a socket or a random source (callers pass times and random bytes), and it never enforces
//! a policy: it says what a policy means, and `orderly-host` and the agent enforce it.
//!
//! Modules, each of which imports only modules before it: `error`, `id`, `limits`, `name`,
//! `schedule`, `pattern`, `instance`, `feature`, `effect`, `selector`, `capability`, `parameter`,
//! `template`, `command`, `file`, `plugin`, `policy`, `grant`, `report`, `task`, `invocation`,
//! `target`, `rollout`.

pub mod capability;
pub mod command;
pub mod effect;
pub mod error;
pub mod feature;
pub mod file;
pub mod grant;
pub mod id;
pub mod instance;
pub mod invocation;
pub mod limits;
pub mod name;
pub mod parameter;
pub mod pattern;
pub mod plugin;
pub mod policy;
pub mod report;
pub mod rollout;
pub mod schedule;
pub mod selector;
pub mod target;
pub mod task;
pub mod template;

pub use orderly_signing::digest::Digest;
pub use orderly_signing::instance::InstanceId;
pub use orderly_signing::keyring::Tier;
