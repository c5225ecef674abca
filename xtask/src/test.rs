//! `cargo xtask test`: everything that CI runs.
//!
//! Owns the order: what is cheap and often wrong first, then what tests need (guests, programs), then the tests.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::programs::{self, Profile, cargo, target};
use crate::{check, guests, step};

/// Runs everything.
pub(crate) fn run(root: &Path) -> Result<()> {
    check::format(root)?;
    let guests = step::step("guests", || guests::build(root, &|line| println!("   {line}")))?;
    for (name, why) in &guests.left_out {
        println!("   left out: {name}: {why}");
    }
    let programs = programs::build(root, Profile::Dev)?;
    let bin_dir = programs.dir.to_str().context("the target folder's path is not text")?.to_owned();
    let nextest = nextest(root)?;
    step::step("tests", || step::run(tests(root, nextest, &["--workspace"]).env("ORDERLY_BIN_DIR", &bin_dir)))?;
    // Apart, since the compiler of components must not get into the other programs.
    step::step("tests with the compiler of components", || {
        step::run(
            tests(root, nextest, &["-p", "orderly-host", "--features", "compile"]).env("ORDERLY_BIN_DIR", &bin_dir),
        )
    })?;
    step::step("native tests of the plugins", || {
        let plugins = root.join("plugins");
        let mut command = cargo(&plugins);
        step::run(
            command.args(["test", "--locked", "--quiet"]).env("CARGO_TARGET_DIR", target(root).join("plugins-native")),
        )
    })?;
    step::step("examples in documentation", || {
        step::run(cargo(root).args(["test", "--locked", "--quiet", "--workspace", "--doc"]))
    })?;
    check::lint(root)?;
    check::deny(root)
}

/// Whether nextest runs the tests: it is got where it is missing, and without it cargo's own runner does.
fn nextest(root: &Path) -> Result<bool> {
    if check::is_installed("nextest") {
        return Ok(true);
    }
    let installed = step::step("cargo-nextest, once", || {
        Ok(step::run(cargo(root).args(["install", "cargo-nextest", "--locked", "--quiet"])))
    })?;
    if let Err(error) = &installed {
        println!("   not installed ({error:#}); `cargo test` runs the tests instead, one test program after the other");
    }
    Ok(installed.is_ok())
}

fn tests(root: &Path, nextest: bool, what: &[&str]) -> std::process::Command {
    let mut command = cargo(root);
    if nextest {
        command.args(["nextest", "run", "--locked"]);
        if std::env::var_os("CI").is_some() {
            command.args(["--profile", "ci"]);
        }
    } else {
        command.args(["test", "--locked", "--all-targets"]);
    }
    command.args(what);
    command
}
