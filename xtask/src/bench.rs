//! `cargo xtask bench NAME`: what Orderly costs, measured on the real programs.
//!
//! Owns the measurements and their form: a table for people, then one line of JSON. Never judges them; the targets are in
//! README.md. Numbers of another profile than release mean nothing and are marked so.

mod flood;
mod idle;
#[cfg(feature = "bench")]
mod latency;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::demo::Fleet;
use crate::interrupt::Interrupt;
use crate::programs::{self, Profile, Programs};
use crate::step;

/// Runs a benchmark by its name.
pub(crate) fn run(root: &Path, name: &str, dev: bool) -> Result<()> {
    match name {
        "flood" => flood::run(root, dev),
        "idle" => idle::run(root, dev),
        #[cfg(feature = "bench")]
        "latency" => latency::run(root, dev),
        #[cfg(not(feature = "bench"))]
        "latency" => with_feature(root, name, dev),
        other => bail!("there is no benchmark `{other}`: `flood`, `idle` and `latency` are"),
    }
}

/// Runs this program again with what the benchmark needs built in.
#[cfg(not(feature = "bench"))]
fn with_feature(root: &Path, name: &str, dev: bool) -> Result<()> {
    let mut command = programs::cargo(root);
    command.args(["run", "--quiet", "--locked", "-p", "xtask", "--features", "bench", "--", "bench", name]);
    if dev {
        command.arg("--dev");
    }
    step::run(&mut command)
}

/// Programs as they are measured: release builds, the agent static.
fn programs(root: &Path, dev: bool) -> Result<(Programs, PathBuf)> {
    let profile = if dev { Profile::Dev } else { Profile::Release };
    let programs = programs::build(root, profile)?;
    let agent = if dev { programs.agent.clone() } else { programs::build_static_agent(root, &programs)? };
    Ok((programs, agent))
}

/// A fleet of one to measure.
fn fleet(root: &Path, programs: &Programs, agent: &Path, interrupt: &Interrupt) -> Result<Fleet> {
    let dir = programs::target(root).join("bench");
    step::step("server and agent", || Fleet::start(programs, agent, &dir, interrupt))
}

/// Tells that the numbers are of a quick build.
fn warn_if_dev(dev: bool) {
    if dev {
        println!("   (a quick build: these numbers mean nothing)");
    }
}
