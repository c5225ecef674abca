//! Builds the four programs.
//!
//! Owns the cargo calls and why they are several: cargo unifies features within one call, so the compiler of components
//! (`orderly-wasmc`, with Cranelift) is built apart from the agent (without). Never installs anything.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::step;

/// How programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build.
    Dev,
    /// As they are released.
    Release,
}

/// Where the built programs lie.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// The folder of all four.
    pub(crate) dir: PathBuf,
    /// `orderly-server`
    pub(crate) server: PathBuf,
    /// `orderly-agent`
    pub(crate) agent: PathBuf,
    /// `orderly`
    pub(crate) cli: PathBuf,
}

/// Cargo in this repository.
///
/// Without the variables that the outer `cargo run` set for this program: build scripts (ring's among them) look at them,
/// and everything would be built anew each time that xtask and a plain `cargo build` take turns.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let ours =
            name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if ours {
            command.env_remove(name);
        }
    }
    command
}

/// Cargo's target folder.
pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

/// Builds all four.
pub(crate) fn build(root: &Path, profile: Profile) -> Result<Programs> {
    step::step("programs", || {
        let mut command = cargo(root);
        command.args(["build", "--locked", "-p", "orderly", "-p", "orderly-agent", "-p", "orderly-server"]);
        step::run(release(&mut command, profile))
    })?;
    step::step("compiler of components", || {
        let mut command = cargo(root);
        command.args(["build", "--locked", "-p", "orderly-host", "--features", "compile", "--bin", "orderly-wasmc"]);
        step::run(release(&mut command, profile))
    })?;
    Ok(at(target(root).join(folder(profile))))
}

/// Builds the server alone, and the program that writes rows into its store without it. Answers both.
#[cfg(feature = "bench")]
pub(crate) fn build_server(root: &Path, profile: Profile) -> Result<(PathBuf, PathBuf)> {
    // Apart, so that what the example needs changes nothing about the program that is measured.
    for (name, what) in [("rows", ["--example", "rows"]), ("server", ["--bin", "orderly-server"])] {
        step::step(name, || {
            let mut command = cargo(root);
            command.args(["build", "--locked", "-p", "orderly-server"]).args(what);
            step::run(release(&mut command, profile))
        })?;
    }
    let dir = target(root).join(folder(profile));
    Ok((dir.join("orderly-server"), dir.join("examples/rows")))
}

/// Builds the agent as it is released: static and at a fixed address, which halves its idle memory. Answers its path, with
/// the compiler of components beside it.
pub(crate) fn build_static_agent(root: &Path, programs: &Programs) -> Result<PathBuf> {
    let triple = host_triple(root)?;
    step::step("static agent", || {
        let mut command = cargo(root);
        // With `--target` the flags reach neither build scripts nor procedural macros, which must stay dynamic.
        command
            .args(["build", "--locked", "--release", "-p", "orderly-agent", "--target", &triple])
            .env("RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=static");
        step::run(&mut command)
    })?;
    let dir = target(root).join(&triple).join("release");
    std::fs::copy(programs.dir.join("orderly-wasmc"), dir.join("orderly-wasmc"))?;
    Ok(dir.join("orderly-agent"))
}

fn host_triple(root: &Path) -> Result<String> {
    let output = Command::new("rustc").current_dir(root).arg("-vV").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("`rustc -vV` names no host"))
}

fn release(command: &mut Command, profile: Profile) -> &mut Command {
    if profile == Profile::Release { command.arg("--release") } else { command }
}

const fn folder(profile: Profile) -> &'static str {
    match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    }
}

fn at(dir: PathBuf) -> Programs {
    Programs { server: dir.join("orderly-server"), agent: dir.join("orderly-agent"), cli: dir.join("orderly"), dir }
}
