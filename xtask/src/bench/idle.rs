//! `bench idle`: memory and processor time of an agent that is linked over TLS and has nothing to do.
//!
//! Owns the reading of `/proc`. Processor time is the scheduler's count of nanoseconds over all threads, since clock ticks
//! of 10 ms are too coarse for it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{fleet, programs, warn_if_dev};
use crate::interrupt::Interrupt;

/// How long the agent idles while it is watched.
const WATCHED: Duration = Duration::from_secs(120);

/// Between two looks at the memory; reading `/proc` costs the agent nothing.
const LOOK: Duration = Duration::from_secs(10);

/// The last line of the output, for programs.
#[derive(Debug, serde::Serialize)]
struct Line {
    bench: &'static str,
    rss_mb: f64,
    pss_mb: f64,
    cpu_percent: f64,
}

/// Measures.
pub(super) fn run(root: &Path, dev: bool) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let (programs, agent) = programs(root, dev)?;
    let fleet = fleet(root, &programs, &agent, &interrupt)?;
    let pid = fleet.agent_pid();
    println!("== {} s idle, linked over TLS", WATCHED.as_secs());
    let (started, cpu_before) = (Instant::now(), cpu_ns(pid)?);
    let mut most = memory(pid)?;
    while started.elapsed() < WATCHED {
        interrupt.pause(LOOK.min(WATCHED.saturating_sub(started.elapsed())))?;
        let now = memory(pid)?;
        most = (most.0.max(now.0), most.1.max(now.1));
    }
    let watched = started.elapsed();
    let cpu = Duration::from_nanos(cpu_ns(pid)?.saturating_sub(cpu_before));
    let percent = 100.0 * cpu.as_secs_f64() / watched.as_secs_f64();
    let size = std::fs::metadata(&agent).map_or(0, |metadata| metadata.len());
    let (rss, pss) = (mb(most.0), mb(most.1));
    warn_if_dev(dev);
    println!();
    println!("   RSS (most)       {rss:>8.2} MB");
    println!("   PSS (most)       {pss:>8.2} MB");
    println!(
        "   processor        {percent:>8.4} %  ({:.2} ms in {:.0} s)",
        cpu.as_secs_f64() * 1000.0,
        watched.as_secs_f64()
    );
    println!("   program on disk  {:>8.2} MB", size as f64 / 1_000_000.0);
    println!();
    let line = Line { bench: "idle", rss_mb: round(rss, 2), pss_mb: round(pss, 2), cpu_percent: round(percent, 4) };
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}

/// Resident and proportional memory, in KiB.
fn memory(pid: u32) -> Result<(u64, u64)> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    };
    Ok((field("Rss:").context("no Rss")?, field("Pss:").context("no Pss")?))
}

/// Nanoseconds on a processor, over all threads.
pub(super) fn cpu_ns(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).context("the process is gone")? {
        let path = thread?.path().join("schedstat");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let first = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        sum += first.with_context(|| format!("{} holds no time", path.display()))?;
    }
    Ok(sum)
}

/// Megabytes of 10^6 bytes from KiB.
pub(super) fn mb(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1_000_000.0
}

/// A number with so many digits after the point.
pub(super) fn round(value: f64, digits: i32) -> f64 {
    let factor = 10f64.powi(digits);
    (value * factor).round() / factor
}
