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

/// Licences, sources and bans of all dependencies, and the advisories on them. Gets cargo-deny where it is missing. The
/// advisories are the one part that needs more than a package registry: where their database cannot be reached that part is
/// said to be skipped, with what git answered.
pub(crate) fn deny(root: &Path) -> Result<()> {
    let tools = crate::programs::target(root).join("tools");
    let program = tools.join("bin").join("cargo-deny");
    if !is_installed("deny") && !program.exists() {
        step::step("cargo-deny, once", || {
            // Unoptimised: it runs for a second and would take minutes to optimise.
            let mut install = cargo(root);
            install.args([
                "install",
                "cargo-deny",
                "--version",
                DENY_VERSION,
                "--locked",
                "--debug",
                "--quiet",
                "--root",
            ]);
            step::run(install.arg(&tools))
        })?;
    }
    let deny = || {
        let mut command = if program.exists() { Command::new(&program) } else { Command::new("cargo") };
        command.current_dir(root).args(if program.exists() {
            &["--locked", "check"][..]
        } else {
            &["deny", "--locked", "check"]
        });
        command
    };
    step::step("licences, sources and bans", || {
        // It reads the manifests of all targets' dependencies, which nothing else has brought here yet.
        step::run(cargo(root).args(["fetch", "--locked", "--quiet"]))?;
        step::run(deny().args(["--hide-inclusion-graph", "licenses", "sources", "bans"]))
    })?;
    let fetched = Command::new("git")
        .args(["ls-remote", "--exit-code", "https://github.com/RustSec/advisory-db", "HEAD"])
        .stdin(Stdio::null())
        .output();
    let unreachable = match fetched {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    };
    match unreachable {
        None => step::step("advisories", || step::run(deny().arg("advisories"))),
        Some(why) => {
            println!("== advisories\n   skipped: their database cannot be reached from here: {why}");
            Ok(())
        }
    }
}

/// The release of cargo-deny that is installed where there is none.
const DENY_VERSION: &str = "0.20.2";

/// Whether cargo has this sub-command.
pub(crate) fn is_installed(command: &str) -> bool {
    let mut cargo = Command::new("cargo");
    let quiet = cargo.args([command, "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
