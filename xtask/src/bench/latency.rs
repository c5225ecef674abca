//! `bench latency`: from an API call to the result in the store, for a script and for a plugin.
//!
//! Owns the measurement, and its companions of the same run that say where the time goes: a bare spawn, a bare WebSocket
//! echo, a flush to the disk, a bare API call. One at a time, over one kept connection.

mod api;
mod parts;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::idle::round;
use super::{fleet, programs, warn_if_dev};
use crate::demo::text;
use crate::interrupt::Interrupt;
use crate::programs::target;
use crate::{guests, step};

/// Measured runs of each kind.
const RUNS: usize = 200;

/// Runs before the first measured one, which fill caches.
const WARM_UP: usize = 5;

/// The plugin that is measured.
const PLUGIN: &str = "disk-report";

/// Times of one kind, sorted.
#[derive(Debug)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    /// Measures each call of `run`.
    pub(super) fn of(mut run: impl FnMut() -> Result<Duration>) -> Result<Self> {
        for _ in 0..WARM_UP {
            run()?;
        }
        let mut times = (0..RUNS).map(|_| run()).collect::<Result<Vec<_>>>()?;
        times.sort_unstable();
        Ok(Self(times))
    }

    /// The time in ms below which this share of the runs was.
    fn ms(&self, percent: usize) -> f64 {
        let at = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    }
}

/// The last line of the output, for programs.
#[derive(Debug, serde::Serialize)]
struct Line {
    bench: &'static str,
    shell_p50_ms: f64,
    shell_p95_ms: f64,
    plugin_p50_ms: f64,
    plugin_p95_ms: f64,
    spawn_p50_ms: f64,
    ws_echo_p50_ms: f64,
}

/// Measures.
pub(super) fn run(root: &Path, dev: bool) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let guests = step::step("guests", || guests::build(root, &|line| println!("   {line}")))?;
    let (programs, agent) = programs(root, dev)?;
    let fleet = fleet(root, &programs, &agent, &interrupt)?;
    let dir = target(root).join("bench");
    let guest = guests.get(PLUGIN)?;
    let package = dir.join("plugin.tar");
    let sign = [
        "--quiet",
        "plugin",
        "sign",
        text(&guest.component)?,
        "--manifest",
        text(&guest.manifest)?,
        "--to",
        text(&package)?,
    ];
    fleet.tour(&sign)?;
    fleet.tour(&["plugin", "push", text(&package)?, "--approve"])?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let api = api::Api::new(&fleet, &dir.join("server/ca.pem"))?;
    let (shell, plugin, call) = step::step(&format!("{RUNS} scripts, {RUNS} runs of {PLUGIN}"), || {
        let shell = Times::of(|| runtime.block_on(api.script("true")))?;
        interrupt.check()?;
        let plugin = Times::of(|| runtime.block_on(api.plugin(PLUGIN)))?;
        interrupt.check()?;
        Ok((shell, plugin, Times::of(|| runtime.block_on(api.health()))?))
    })?;
    let (spawn, flush) = step::step("bare spawns and flushes", || {
        Ok((Times::of(parts::spawn)?, Times::of(|| parts::flush(&dir.join("flush")))?))
    })?;
    let echo = step::step("bare WebSocket echoes", || runtime.block_on(parts::echo(RUNS + WARM_UP)))?;
    let mut echoes = echo.into_iter();
    let echo = Times::of(|| echoes.next().context("an echo is missing"))?;

    warn_if_dev(dev);
    println!();
    println!("   {:<44} {:>9} {:>9}", "", "p50 ms", "p95 ms");
    for (what, times) in [
        ("script `true`: API call to result in store", &shell),
        ("disk-report, warm: API call to result in store", &plugin),
        ("`sh -c true`, spawned directly", &spawn),
        ("WebSocket echo, bare, over loopback", &echo),
        ("API call that does nothing, over TLS", &call),
        ("4 KiB written and flushed to this disk", &flush),
    ] {
        println!("   {what:<46} {:>7.2} {:>9.2}", times.ms(50), times.ms(95));
    }
    println!();
    println!("   Where a script's time goes, p50: four flushes one after the other (order, promise, outcome, result)");
    println!(
        "   about {:.2} ms, the spawn {:.2} ms, API call and event {:.2} ms, link there and back {:.2} ms.",
        4.0 * flush.ms(50),
        spawn.ms(50),
        2.0 * call.ms(50),
        echo.ms(50)
    );
    println!();
    let line = Line {
        bench: "latency",
        shell_p50_ms: round(shell.ms(50), 3),
        shell_p95_ms: round(shell.ms(95), 3),
        plugin_p50_ms: round(plugin.ms(50), 3),
        plugin_p95_ms: round(plugin.ms(95), 3),
        spawn_p50_ms: round(spawn.ms(50), 3),
        ws_echo_p50_ms: round(echo.ms(50), 3),
    };
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}

/// How long it took.
pub(super) fn since(started: Instant) -> Duration {
    started.elapsed()
}
