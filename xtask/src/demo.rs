//! `cargo xtask demo`: all of Orderly on this machine, on its own data.
//!
//! Owns the tour: build, start, run a script and three public commands, verify the receipts with the network unplugged.
//! Everything lies in `target/demo`, made anew by each run. What it started ends with it.

mod fleet;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::interrupt::Interrupt;
use crate::programs::{self, Profile};
use crate::{guests, step};

pub(crate) use fleet::Fleet;
#[cfg(feature = "bench")]
pub(crate) use fleet::{READY, fresh};

/// The public commands of the tour.
const PLUGINS: [&str; 3] = ["os-audit", "package-inventory", "disk-report"];

/// A script whose output comes bit by bit, so that it can be seen to stream.
const SCRIPT: &str =
    "echo \"hello from $(hostname), as $(id -un)\"; for n in 1 2 3; do echo \"line $n\"; sleep 0.3; done; uname -srm";

/// Runs the demo; without `once` it stays up until ctrl-c.
pub(crate) fn run(root: &Path, once: bool) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let guests = step::step("guests", || guests::build(root, &|line| println!("   {line}")))?;
    let programs = programs::build(root, Profile::Dev)?;
    interrupt.check()?;
    let dir = programs::target(root).join("demo");
    let fleet = step::step("server and agent", || Fleet::start(&programs, &programs.agent, &dir, &interrupt))?;

    step::step("a script", || fleet.tour(&["run", "--all", "--", SCRIPT]))?;
    interrupt.check()?;
    step::step("publish the public commands", || {
        for name in PLUGINS {
            publish(&fleet, guests.get(name)?, &dir)?;
        }
        fleet.tour(&["plugin", "list"])
    })?;
    for name in PLUGINS {
        interrupt.check()?;
        step::step(name, || fleet.tour(&["run", "--all", "--plugin", name]))?;
    }
    interrupt.check()?;
    step::step("verify what ran, offline", || verify(&fleet, &dir))?;
    if !once {
        try_next(&fleet, &dir);
        println!("\nstays up until ctrl-c");
        interrupt.wait();
        println!("ending");
    }
    Ok(())
}

fn publish(fleet: &Fleet, guest: &guests::Guest, dir: &Path) -> Result<()> {
    let package = dir.join(format!("{}.orderly.tar", guest.name));
    let component = guest.component.to_string_lossy().into_owned();
    let manifest = guest.manifest.to_string_lossy().into_owned();
    let package = package.to_string_lossy().into_owned();
    fleet.tour(&["--quiet", "plugin", "sign", &component, "--manifest", &manifest, "--to", &package])?;
    fleet.tour(&["plugin", "push", &package, "--approve"])
}

/// Downloads the evidence of everything that ran, then checks it without a network and without the server.
fn verify(fleet: &Fleet, dir: &Path) -> Result<()> {
    let unplugged = can_unplug();
    if !unplugged {
        println!("   (`unshare --net` is not allowed here, so the network is left plugged; no command below uses it)");
    }
    let listed = fleet.json(&["invocation", "list"])?;
    let ids: Vec<String> = listed
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|invocation| Some(invocation.get("id")?.as_str()?.to_owned()))
        .collect();
    anyhow::ensure!(
        ids.len() == PLUGINS.len() + 1,
        "{} invocations are on the server, {} were made",
        ids.len(),
        PLUGINS.len() + 1
    );
    for id in ids {
        let evidence = dir.join("evidence").join(&id);
        let evidence = evidence.to_string_lossy().into_owned();
        fleet.tour(&["--quiet", "invocation", "evidence", &id, "--dir", &evidence])?;
        let arguments = ["verify", "evidence", &evidence, "--complete"];
        if unplugged {
            println!("$ unshare --net orderly {}", arguments.join(" "));
            let mut command = Command::new("unshare");
            command.arg("--net").arg("--").arg(fleet.cli());
            step::run(fleet.surroundings(&mut command).args(arguments))?;
        } else {
            fleet.tour(&arguments)?;
        }
    }
    Ok(())
}

/// Whether a process may be given a network of its own with nothing in it.
fn can_unplug() -> bool {
    let mut command = Command::new("unshare");
    let quiet = command.args(["--net", "--", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn try_next(fleet: &Fleet, dir: &Path) {
    println!("\nTry, in another terminal:\n");
    println!("  export ORDERLY_CONFIG_DIR={}", fleet.config_dir().display());
    println!("  export PATH={}:$PATH", fleet.cli().parent().map(|dir| dir.display().to_string()).unwrap_or_default());
    for line in [
        "orderly instance list",
        "orderly run --all -- 'ps aux | head -5'",
        "orderly run --all --timeout 3s -- 'echo begin; sleep 60'",
        "orderly run --all --plugin os-audit --set area=ssh -o json",
        "orderly run --all --unsigned -- id        # refused: nobody but the server signed",
        "orderly invocation list",
        "orderly trust status",
        "orderly plugin show os-audit",
    ] {
        println!("  {line}");
    }
    let (url, _) = fleet.api();
    println!(
        "  curl --cacert {ca} -H \"authorization: Bearer $(cat {token})\" {url}/v1/instances",
        ca = dir.join("server/ca.pem").display(),
        token = dir.join("token").display()
    );
}

/// A folder as text, for arguments.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not text", path.display()))
}
