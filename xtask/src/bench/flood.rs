//! `bench flood`: what a script that prints a gigabyte costs the agent.
//!
//! Owns the script and the check of what is kept of it: head, tail and the count of what was dropped must be right, or there
//! are no figures.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::idle::{mb, round};
use super::{fleet, programs, warn_if_dev};
use crate::interrupt::Interrupt;

/// Bytes between the first and the last line.
const FLOOD: u64 = 1_000_000_000;

/// What comes before.
const FIRST: &str = "first-line\n";

/// What comes after.
const LAST: &str = "\nlast-line\n";

/// The last line of the output, for programs.
#[derive(Debug, serde::Serialize)]
struct Line {
    bench: &'static str,
    idle_rss_mb: f64,
    peak_rss_mb: f64,
    seconds: f64,
    /// How long the same pipe takes into a program that only counts.
    floor_seconds: f64,
    output_bytes: u64,
    dropped_bytes: u64,
}

/// Measures.
pub(super) fn run(root: &Path, dev: bool) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let (programs, agent) = programs(root, dev)?;
    let fleet = fleet(root, &programs, &agent, &interrupt)?;
    let pid = fleet.agent_pid();
    let idle = status_kib(pid, "VmRSS:")?;
    let script = format!("echo first-line; head -c {FLOOD} /dev/zero | tr '\\0' x; echo; echo last-line");

    println!("== the same pipe into `wc -c`, for comparison");
    let started = Instant::now();
    let piped = Command::new("sh").args(["-c", &format!("{{ {script}; }} | wc -c")]).stdout(Stdio::null()).status()?;
    ensure!(piped.success(), "the comparison ended with {piped}");
    let floor = started.elapsed();

    println!("== a script that prints {FLOOD} bytes");
    let started = Instant::now();
    let ran = fleet.json(&["run", "--tag", "env=demo", "--timeout", "300s", "--", &script])?;
    let took = started.elapsed();
    let peak = status_kib(pid, "VmHWM:")?;
    let (total, dropped) = kept_right(&fleet, &ran)?;

    warn_if_dev(dev);
    let seconds = |time: Duration| time.as_secs_f64();
    println!();
    println!("   RSS before       {:>8.2} MB", mb(idle));
    println!("   RSS, peak        {:>8.2} MB", mb(peak));
    println!("   time             {:>8.2} s   (into `wc -c`: {:.2} s)", seconds(took), seconds(floor));
    println!("   bytes            {total}, of which {dropped} were dropped; head, tail and count are right");
    println!();
    let line = Line {
        bench: "flood",
        idle_rss_mb: round(mb(idle), 2),
        peak_rss_mb: round(mb(peak), 2),
        seconds: round(seconds(took), 2),
        floor_seconds: round(seconds(floor), 2),
        output_bytes: total,
        dropped_bytes: dropped,
    };
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}

/// All bytes and the dropped ones, where what the server holds of the output is what the script printed.
fn kept_right(fleet: &crate::demo::Fleet, ran: &Value) -> Result<(u64, u64)> {
    let invocation = ran.pointer("/invocation/id").and_then(Value::as_str).context("`run` names no invocation")?;
    let task = ran.pointer("/tasks/0").context("`run` names no task")?;
    let number = |name: &str| task.get(name).and_then(Value::as_u64).with_context(|| format!("the task has no {name}"));
    let (total, dropped) = (number("output_bytes")?, number("dropped_bytes")?);
    let instance = task.get("instance").and_then(Value::as_str).context("the task has no instance")?;
    let mut command = Command::new(fleet.cli());
    let output = fleet.surroundings(&mut command).args(["task", "output", invocation, instance, "--quiet"]).output()?;
    ensure!(output.status.success(), "`task output` ended with {}", output.status);
    let text = output.stdout;
    ensure!(text.starts_with(FIRST.as_bytes()), "the head is not what the script printed first");
    ensure!(text.ends_with(LAST.as_bytes()), "the tail is not what the script printed last");
    let expected = FLOOD + (FIRST.len() + LAST.len()) as u64;
    ensure!(total == expected, "{total} bytes were counted, {expected} were printed");
    ensure!(dropped < total && total - dropped <= 24 * 1024, "{} bytes were kept", total.saturating_sub(dropped));
    Ok((total, dropped))
}

/// A line of `/proc/PID/status` in KiB.
pub(super) fn status_kib(pid: u32, name: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    line.trim().trim_end_matches(" kB").parse().with_context(|| format!("{name} is no number"))
}
