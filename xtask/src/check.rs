//! `cargo xtask check`: format, lints, tidy, advisories and licences.
//!
//! Owns what must hold of the source before anybody reads it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::programs::cargo;
use crate::step;

/// Runs all of them.
pub(crate) fn run(root: &Path) -> Result<()> {
    format(root)?;
    lint(root)?;
    step::step("tidy", || {
        step::run(cargo(root).args(["test", "--locked", "--quiet", "-p", "orderly-tests", "--test", "tidy"]))
    })?;
    deny(root)
}

/// Both workspaces are formatted.
pub(crate) fn format(root: &Path) -> Result<()> {
    step::step("format", || {
        step::run(cargo(root).args(["fmt", "--all", "--check"]))?;
        step::run(cargo(&root.join("plugins")).args(["fmt", "--all", "--check"]))
    })
}

/// No lint has anything to say.
pub(crate) fn lint(root: &Path) -> Result<()> {
    step::step("lints", || {
        step::run(cargo(root).args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
        // What hides behind features.
        step::run(cargo(root).args([
            "clippy",
            "--locked",
            "-p",
            "xtask",
            "--features",
            "bench",
            "--",
            "-D",
            "warnings",
        ]))
    })
}

/// Advisories and licences of all dependencies. Needs the network for the advisories, and cargo-deny.
pub(crate) fn deny(root: &Path) -> Result<()> {
    if !is_installed("deny") {
        println!(
            "== advisories and licences\n   skipped: cargo-deny is not installed (`cargo install cargo-deny --locked`)"
        );
        return Ok(());
    }
    step::step("advisories and licences", || step::run(cargo(root).args(["deny", "--locked", "check"])))
}

/// Whether cargo has this sub-command.
pub(crate) fn is_installed(command: &str) -> bool {
    let mut cargo = Command::new("cargo");
    let quiet = cargo.args([command, "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
