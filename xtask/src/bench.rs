//! `cargo xtask bench NAME`: what Orderly costs, measured on the real programs.
//!
//! Owns the measurements and their form: a table for people, then one line of JSON. Never judges them; the targets are in
//! README.md. Numbers of another profile than release mean nothing and are marked so.

#[cfg(feature = "bench")]
mod fanout;
mod flood;
mod idle;
#[cfg(feature = "bench")]
mod latency;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::demo::Fleet;
use crate::interrupt::Interrupt;
use crate::programs::{self, Profile, Programs};
use crate::step;

/// What a benchmark is told besides its name.
#[derive(Debug)]
#[cfg_attr(not(feature = "bench"), allow(dead_code, reason = "handed on to the build that has them"))]
struct Options {
    /// Quick builds.
    dev: bool,
    /// Simulated agents of `fanout`.
    agents: usize,
    /// Ended tasks that lie in the store before `fanout` measures.
    stored: u64,
}

impl Options {
    fn parse(name: &str, words: &[&str]) -> Result<Self> {
        let mut options = Self { dev: false, agents: 5000, stored: 0 };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--dev" => options.dev = true,
                "--agents" if name == "fanout" => options.agents = number(word, words.next())?,
                "--stored" if name == "fanout" => options.stored = number(word, words.next())?,
                other => bail!("`bench {name}` has no option `{other}`"),
            }
        }
        ensure!(options.agents > 0, "`--agents` is at least 1");
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(option: &str, word: Option<&&str>) -> Result<T> {
    let word = word.with_context(|| format!("`{option}` needs a number"))?;
    word.parse().ok().with_context(|| format!("`{word}` is no number for `{option}`"))
}

/// Runs a benchmark by its name, with the words that follow it.
pub(crate) fn run(root: &Path, name: &str, words: &[&str]) -> Result<()> {
    let options = Options::parse(name, words)?;
    match name {
        "flood" => flood::run(root, options.dev),
        "idle" => idle::run(root, options.dev),
        #[cfg(feature = "bench")]
        "latency" => latency::run(root, options.dev),
        #[cfg(feature = "bench")]
        "fanout" => fanout::run(root, &options),
        #[cfg(not(feature = "bench"))]
        "latency" => with_feature(root, name, words, Profile::Dev),
        // Thousands of simulated agents of a quick build would be what is measured.
        #[cfg(not(feature = "bench"))]
        "fanout" => with_feature(root, name, words, if options.dev { Profile::Dev } else { Profile::Release }),
        other => bail!("there is no benchmark `{other}`: `flood`, `idle`, `latency` and `fanout` are"),
    }
}

/// Runs this program again with what the benchmark needs built in.
#[cfg(not(feature = "bench"))]
fn with_feature(root: &Path, name: &str, words: &[&str], profile: Profile) -> Result<()> {
    let mut command = programs::cargo(root);
    command.args(["run", "--quiet", "--locked", "-p", "xtask", "--features", "bench"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    step::run(command.args(["--", "bench", name]).args(words))
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
