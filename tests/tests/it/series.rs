//! A schedule on real programs: it goes on without a server, its agent comes back to it after a crash, no run is missed or doubled
//! without a word, and the receipts of all runs can be verified without anybody.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use orderly_signing::InstanceId;
use orderly_signing::key::file::save_secret;
use orderly_tests::agent::Agent;
use orderly_tests::api::now_ms;
use orderly_tests::fleet::Fleet;
use orderly_tests::wait::{SOON, until};
use orderly_wire::http::series::{RunView, SkipView};
use orderly_wire::http::{PAGE_MAX, Page};

/// The shortest that a cron expression may leave between two runs.
const EACH_MS: i64 = 10_000;

/// One period, and what a slow machine adds.
const PERIOD: Duration = Duration::from_secs(25);

/// Runs the command line, which must succeed; answers both its streams.
fn orderly(fleet: &Fleet, arguments: &[&str]) -> String {
    let output = fleet.run(arguments);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "orderly {arguments:?}:\n{text}");
    text
}

/// Signs and sends a series; answers its invocation once the instance keeps it, or a run of it has begun already.
fn scheduled(fleet: &Fleet, instance: &InstanceId, due: &[&str], script: &str) -> String {
    let key = fleet.path("operator.pem").display().to_string();
    save_secret(&key, &fleet.trust.operator).unwrap();
    let text = orderly(fleet, &[&["run", "--all", "--key", &key, "--timeout", "5s"], due, &["--", script]].concat());
    let id = text.split_whitespace().find(|word| word.starts_with("t-")).unwrap_or_else(|| panic!("no id:\n{text}"));
    until("a series that is kept", SOON, || {
        let status = fleet.api.task(id, instance).view.status;
        matches!(status.as_str(), "Scheduled" | "Running" | "Success").then_some(())
    });
    id.to_owned()
}

/// The runs that the server knows, the first one first.
fn runs(fleet: &Fleet, invocation: &str) -> Vec<RunView> {
    let path = format!("/v1/invocations/{invocation}/runs?limit={PAGE_MAX}");
    let page = fleet.api.get::<Page<RunView>>(&path).unwrap();
    assert_eq!(page.next, None, "more runs than a test should take for all");
    page.items.into_iter().rev().collect()
}

/// Waits until so many runs have ended, as the server knows.
fn ended(fleet: &Fleet, invocation: &str, count: usize) -> Vec<RunView> {
    until("runs that have ended", PERIOD, || {
        let runs = runs(fleet, invocation);
        (runs.iter().filter(|run| run.task.finished_ms.is_some()).count() >= count).then_some(runs)
    })
}

/// How often the script began, by its own word.
fn begun(witness: &Path) -> usize {
    fs::read_to_string(witness).map_or(0, |text| text.lines().count())
}

/// Waits until the clock shows this.
fn clock(at_ms: i64) {
    until("a time", PERIOD, || (now_ms() >= at_ms).then_some(()));
}

#[test]
fn over_a_killed_agent_and_a_killed_server_no_run_is_doubled_and_each_one_left_out_is_told() {
    let mut fleet = Fleet::start();
    let mut agent: Agent = fleet.agent("agent");
    let (witness, evidence) = (fleet.path("witness"), fleet.path("evidence"));
    let script = format!("echo run; echo run >> {}", witness.display());
    let id = scheduled(&fleet, &agent.id, &["--cron", "*/10 * * * * ?"], &script);
    let first = ended(&fleet, &id, 1)[0].due_ms;

    // Dead from here until after the next one was due: with no agent nothing runs.
    agent.kill();
    clock(first + EACH_MS + EACH_MS / 2);
    agent.start();
    let back = ended(&fleet, &id, 2);
    assert!(begun(&witness) >= 2, "{back:?}");

    // No server: the agent runs on, and tells it later.
    fleet.kill_server();
    let before = begun(&witness);
    until("a run without a server", PERIOD, || (begun(&witness) > before).then_some(()));
    fleet.restart_server();
    ended(&fleet, &id, before + 1);

    let stopped = orderly(&fleet, &["invocation", "stop", &id]);
    let task = fleet.api.wait_end(&id, &agent.id, SOON);
    assert_eq!(task.view.status, "Stopped", "{stopped}");
    let last = runs(&fleet, &id);
    assert_eq!(last.len(), begun(&witness), "each run began once: {last:?}");
    assert!(last.iter().all(|run| run.task.status == "Success"), "{last:?}");
    // Every time that was due between the first run and the last was a run, or is told as left out.
    let skips = fleet.api.get::<Page<SkipView>>(&format!("/v1/invocations/{id}/skips?limit={PAGE_MAX}")).unwrap().items;
    let told: u64 = skips.iter().map(|skip| skip.count).sum();
    let span = last[last.len() - 1].due_ms - first;
    assert_eq!(span % EACH_MS, 0, "{last:?}");
    assert_eq!(last.len() as u64 + told, (span / EACH_MS) as u64 + 1, "{last:?} {skips:?}");
    // It does not come back.
    clock(last[last.len() - 1].due_ms + EACH_MS + 1_000);
    assert_eq!(begun(&witness), last.len());

    let (keyring, root) = (fleet.path("keyring.json"), fleet.trust.root_fingerprint().to_string());
    let signed = fleet.trust.signed(&fleet.trust.keyring(1, &fleet.api.trust().dispatch, &[]));
    fs::write(&keyring, signed.to_json()).unwrap();
    let (keyring, folder) = (keyring.display().to_string(), evidence.display().to_string());
    let verify = ["verify", "evidence", &folder, "--complete", "--keyring", &keyring, "--root", &root];
    orderly(&fleet, &["invocation", "evidence", &id, "--dir", &folder]);
    let verified = orderly(&fleet, &verify);
    assert!(verified.contains(&format!("verified: {0} of {0} run(s)", last.len())), "{verified}");
}

#[test]
fn what_is_due_at_one_time_runs_then_and_is_over() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let seconds = format!("@{}", now_ms() / 1000 + 15);
    let date = Command::new("date").args(["-u", "-d", &seconds, "+%Y-%m-%d %H:%M:%S UTC"]).output().unwrap();
    let at = String::from_utf8(date.stdout).unwrap().trim().to_owned();
    let id = scheduled(&fleet, &agent.id, &["--at", &at], "echo now");
    let task = fleet.api.wait_end(&id, &agent.id, PERIOD);
    assert_eq!(task.view.status, "Success", "{:?}", task.view);
    let runs = runs(&fleet, &id);
    assert_eq!(runs.len(), 1);
    assert!(runs[0].task.started_ms.is_some_and(|started| started >= runs[0].due_ms), "{runs:?}");
}
