//! `cargo xtask`: how Orderly is **built, tried and checked**.
//!
//! Owns the set-up that each task needs, so that a clean clone and one command are enough. Every task says what it does,
//! can be run again at any time, and ends the processes that it started, also on ctrl-c.

mod bench;
mod check;
mod demo;
mod guests;
mod interrupt;
mod process;
mod programs;
mod step;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};

const HELP: &str = "\
cargo xtask TASK

  demo [--once]        a server and an agent on this machine, real work, real findings; stays until ctrl-c
                       (--once ends after the receipts were verified)
  test                 everything that CI runs
  check                format, lints, tidy, advisories and licences
  guests               build the plugins to finished components
  bench flood          memory of the agent while a script prints 1 GB, and what is kept of it
  bench idle           memory and processor time of an idle agent that is linked over TLS
  bench latency        from an API call to the result in the store, beside a bare spawn and a WebSocket echo
  bench fanout         one order to --agents N (5000) simulated agents until all results are stored: time, processor,
                       memory and disk of the server; --stored N has so many ended tasks lie in the store before
                       (--dev takes quick builds, whose numbers mean nothing)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if words.iter().any(|word| matches!(*word, "help" | "--help" | "-h")) {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let result = match words.as_slice() {
        ["demo"] => task(|root| demo::run(root, false)),
        ["demo", "--once"] => task(|root| demo::run(root, true)),
        ["test"] => task(test::run),
        ["check"] => task(check::run),
        ["guests"] => task(build_guests),
        ["bench", "--dev", name] => task(|root| bench::run(root, name, &["--dev"])),
        ["bench", name, rest @ ..] => task(|root| bench::run(root, name, rest)),
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn task(run: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    run(&root()?)
}

/// The repository's folder.
fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::canonicalize(&here).with_context(|| format!("cannot find {}", here.display()))
}

fn build_guests(root: &Path) -> Result<()> {
    let guests = step::step("guests", || guests::build(root, &|line| println!("   {line}")))?;
    for (name, why) in &guests.left_out {
        println!("   left out: {name}: {why}");
    }
    let how = if guests.built { "built" } else { "nothing to build" };
    let hostile = guests.all.iter().filter(|guest| guest.hostile).count();
    println!(
        "   {how}: {} components ({hostile} of them hostile, for tests) in {}",
        guests.all.len(),
        guests.dir.display()
    );
    Ok(())
}
