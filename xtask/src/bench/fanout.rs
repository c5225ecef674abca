//! `bench fanout`: one order to thousands of agents, from the API call until every result is in the store.
//!
//! Owns the measurement: a server of its own that knows all agents, rounds of one signed order each, and two floors of the same
//! run: a bare echo over the same links, and bare inserts of as many rows into the same engine. The agents are simulated in
//! this process (real links over TLS, real receipts, nothing run); the server is the program that is released. Ends the server
//! before it ends.

mod agents;
mod place;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use orderly_tests::orders::Work;
use tokio::runtime::Runtime;

use super::flood::status_kib;
use super::idle::{cpu_ns, mb, round};
use super::{Options, warn_if_dev};
use crate::demo::{fresh, text};
use crate::interrupt::Interrupt;
use crate::programs::{self, Profile};
use crate::step;

use agents::Agents;
use place::Place;

/// Measured rounds; the middle one is told.
const ROUNDS: usize = 5;

/// How often the API is asked whether the last result is stored.
const LOOK: Duration = Duration::from_millis(5);

/// How long one round may take.
const ROUND_MAX: Duration = Duration::from_secs(120);

/// The last line of the output, for programs.
#[derive(Debug, serde::Serialize)]
struct Line {
    bench: &'static str,
    agents: usize,
    stored: u64,
    /// From the API call until all results are stored.
    wall_s: f64,
    /// Of that, until the API had answered.
    created_s: f64,
    /// Of that, until the last agent had signed its receipt.
    begun_s: f64,
    /// Processor seconds of the server for it.
    server_cpu_s: f64,
    /// Processor seconds of all simulated agents for it, on the same machine.
    agents_cpu_s: f64,
    /// Resident memory of the server after the rounds.
    rss_mb: f64,
    /// Bytes that one round leaves in the data directory, in MB.
    disk_mb: f64,
    /// A bare echo over the same links: until every agent has its own back.
    echo_s: f64,
    /// Processor seconds of the server for the echoes.
    echo_server_cpu_s: f64,
    /// As many rows, inserted into a new database of the same engine by nobody else.
    insert_s: f64,
}

/// What one round took.
#[derive(Debug, Clone, Copy)]
struct Round {
    wall: Duration,
    /// Of the wall, until the API had answered: the order checked and stored, with a task for each agent.
    created: Duration,
    /// Of the wall, until the last agent had its order and had signed its receipt.
    begun: Duration,
    server_ns: u64,
    agents_ns: u64,
    echo: Duration,
    echo_ns: u64,
}

/// Measures.
pub(super) fn run(root: &Path, options: &Options) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let profile = if options.dev { Profile::Dev } else { Profile::Release };
    let (server, rows) = programs::build_server(root, profile)?;
    let dir = programs::target(root).join("bench");
    let _lock = fresh(&dir)?;
    place::raise_descriptors(options.agents)?;
    let runtime = Runtime::new().context("no runtime")?;

    let mut place = step::step("server", || Place::start(&runtime, &server, &dir))?;
    let members = step::step(&format!("{} agents enrol over the API", options.agents), || place.enrol(options.agents))?;
    {
        let agents = step::step("and link", || Agents::link(&runtime, place.at(), &members))?;
        step::step("a first round, which fills caches", || measure(&place, &agents, &interrupt))?;
    }
    place.stop()?;
    if options.stored > 0 {
        step::step(&format!("{} ended tasks more", options.stored), || {
            let mut copy = Command::new(&rows);
            step::run(copy.args(["copy", text(place.data())?]).arg(options.stored.to_string()))
        })?;
    }
    let before = place.disk_bytes()?;
    place.restart(&server)?;
    let linking = Instant::now();
    let agents = step::step("all link again", || Agents::link(&runtime, place.at(), &members))?;
    let linking = linking.elapsed();
    let rounds = step::step(&format!("{ROUNDS} rounds"), || {
        (0..ROUNDS).map(|_| measure(&place, &agents, &interrupt)).collect::<Result<Vec<_>>>()
    })?;
    let (rss, peak) = (status_kib(place.pid(), "VmRSS:")?, status_kib(place.pid(), "VmHWM:")?);
    drop(agents);
    place.stop()?;
    let disk = place.disk_bytes()?.saturating_sub(before) / ROUNDS as u64;
    let insert = step::step("as many rows into the bare engine", || bare_inserts(&rows, &dir, options.agents))?;

    let middle = |of: fn(&Round) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(ROUNDS / 2).copied().unwrap_or(0.0)
    };
    let line = Line {
        bench: "fanout",
        agents: options.agents,
        stored: options.stored,
        wall_s: round(middle(|one| one.wall.as_secs_f64()), 3),
        created_s: round(middle(|one| one.created.as_secs_f64()), 3),
        begun_s: round(middle(|one| one.begun.as_secs_f64()), 3),
        server_cpu_s: round(middle(|one| one.server_ns as f64 / 1e9), 3),
        agents_cpu_s: round(middle(|one| one.agents_ns as f64 / 1e9), 3),
        rss_mb: round(mb(rss), 1),
        disk_mb: round(disk as f64 / 1e6, 2),
        echo_s: round(middle(|one| one.echo.as_secs_f64()), 3),
        echo_server_cpu_s: round(middle(|one| one.echo_ns as f64 / 1e9), 3),
        insert_s: round(insert, 3),
    };
    let each = |seconds: f64| seconds * 1e6 / options.agents as f64;
    warn_if_dev(options.dev);
    println!();
    println!("   {:<52} {:>9} {:>12}", "", "s", "µs per task");
    for (what, seconds) in [
        ("API call until all results are stored", line.wall_s),
        ("  of that, until the API answered", line.created_s),
        ("  of that, until the last agent signed its receipt", line.begun_s),
        ("  processor time of the server", line.server_cpu_s),
        ("  processor time of the simulated agents", line.agents_cpu_s),
        ("floor: an echo over the same links", line.echo_s),
        ("  processor time of the server", line.echo_server_cpu_s),
        ("floor: as many rows into the bare engine", line.insert_s),
    ] {
        println!("   {what:<52} {seconds:>9.3} {:>12.1}", each(seconds));
    }
    println!(
        "   rounds               {}",
        rounds.iter().map(|one| format!("{:.3} ", one.wall.as_secs_f64())).collect::<String>()
    );
    println!("   all linked again in  {:>9.2} s", linking.as_secs_f64());
    println!("   RSS of the server    {:>9.1} MB (peak {:.1} MB)", line.rss_mb, mb(peak));
    println!("   disk, each round     {:>9.2} MB", line.disk_mb);
    println!();
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}

/// One round: the echo, then the order.
fn measure(place: &Place, agents: &Agents, interrupt: &Interrupt) -> Result<Round> {
    interrupt.check()?;
    let server = cpu_ns(place.pid())?;
    let echo = agents.echo(ROUND_MAX)?;
    let echo_ns = cpu_ns(place.pid())?.saturating_sub(server);

    let script = Work::script("true");
    let request = script.signed(agents.ids(), &place.trust().operator);
    let (server, own) = (cpu_ns(place.pid())?, cpu_ns(std::process::id())?);
    let started = Instant::now();
    let created = place.api().create(&request).map_err(|problem| anyhow::anyhow!("refused: {problem:?}"))?;
    let answered = started.elapsed();
    let view = loop {
        let view = place.api().invocation(&created.id);
        if view.finished_ms.is_some() {
            break view;
        }
        agents.check()?;
        ensure!(started.elapsed() < ROUND_MAX, "not ended within {} s: {:?}", ROUND_MAX.as_secs(), view.counts);
        std::thread::sleep(LOOK);
    };
    let wall = started.elapsed();
    // The acknowledgements belong to the cost, whenever they come.
    agents.all_acknowledged(ROUND_MAX)?;
    let (server, own) = (cpu_ns(place.pid())?.saturating_sub(server), cpu_ns(std::process::id())?.saturating_sub(own));
    let good = view.counts.get("Success").copied().unwrap_or(0);
    ensure!(good == agents.ids().len() as u64, "not all succeeded: {:?}", view.counts);
    let last = agents.each_began_once(&view.order)?;
    Ok(Round {
        wall,
        created: answered,
        begun: last.saturating_duration_since(started),
        server_ns: server,
        agents_ns: own,
        echo,
        echo_ns,
    })
}

/// Seconds that as many rows take in a new database.
fn bare_inserts(rows: &Path, dir: &Path, count: usize) -> Result<f64> {
    let dir = dir.join("bare");
    std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let output = Command::new(rows).args(["bare", text(&dir)?]).arg(count.to_string()).output()?;
    ensure!(
        output.status.success(),
        "`rows` ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().parse().context("`rows` printed no seconds")
}
