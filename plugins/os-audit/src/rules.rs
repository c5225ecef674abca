//! The baseline: every rule, by area.
//!
//! Owns the list. Never reads anything itself.

mod accounts;
mod files;
mod kernel;
mod network;
mod ssh;
mod sudo;

use crate::rule::Rule;

/// Rules about one thing.
pub(crate) struct Area {
    /// What an operator calls it.
    pub name: &'static str,
    /// Its rules.
    pub rules: &'static [Rule],
}

/// All rules.
pub(crate) const AREAS: &[Area] = &[
    Area { name: "ssh", rules: ssh::RULES },
    Area { name: "accounts", rules: accounts::RULES },
    Area { name: "sudo", rules: sudo::RULES },
    Area { name: "files", rules: files::RULES },
    Area { name: "kernel", rules: kernel::RULES },
    Area { name: "network", rules: network::RULES },
];

#[cfg(test)]
mod tests;
