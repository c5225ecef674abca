//! What an order can say of a script besides what it is, and that the agent does just that.

use orderly_signing::order::{Action, Order, Resources, ScriptAction};

use crate::fleet::{Fleet, root, user};

/// Changes what an order says of its script.
pub(crate) fn says(order: &mut Order, change: impl FnOnce(&mut ScriptAction)) {
    let Action::Script(action) = &mut order.action else { panic!() };
    change(action);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_reads_the_orders_input_and_then_its_end() {
    let fleet = Fleet::linked().await;
    let input = format!("first $(id)\n{}last", "x".repeat(60 * 1024));
    let done =
        fleet.outcome("cat | wc -c; cat", |order| says(order, |script| script.stdin = Some(input.clone()))).await;
    assert_eq!((done.status(), done.stdout().trim()), ("Success", input.len().to_string().as_str()));
    let done = fleet
        .outcome("cat; echo x 2>/dev/null >&0 || echo sealed", |order| {
            says(order, |script| script.stdin = Some("a\n'b\"".to_owned()));
        })
        .await;
    assert_eq!((done.status(), done.stdout().as_str()), ("Success", "a\n'b\"sealed\n"));
    let done = fleet.outcome("wc -c", |order| says(order, |script| script.stdin = Some(String::new()))).await;
    assert_eq!(done.stdout().trim(), "0");
    if root("input of another user") {
        let done = fleet
            .outcome("id -un; cat; cat /proc/self/fd/0", |order| {
                says(order, |script| script.stdin = Some("read".to_owned()));
                user(order, "nobody");
            })
            .await;
        assert!(done.stdout().starts_with("nobody\nread"), "{}", done.stdout());
    }
}

/// A stand-in for the programs that power off and restart: it writes down that it was called.
fn stand_in(fleet: &Fleet, more: &str) -> (String, std::path::PathBuf) {
    let witness = fleet.dir.path().join("effects");
    let line = |word: &str| format!("[\"/bin/sh\", \"-c\", \"echo $0 >> {}; {more}\", \"{word}\"]", witness.display());
    (format!("[effects]\npower_off = {}\nrestart = {}\n", line("off"), line("on")), witness)
}

/// Waits until the stand-in was called as often.
async fn called(witness: &std::path::Path, times: usize) -> String {
    until("calls of the stand-in", || {
        let text = std::fs::read_to_string(witness).unwrap_or_default();
        (text.lines().count() >= times).then_some(text)
    })
    .await
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(std::time::Instant::now() < limit, "waited too long for {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_power_off_and_restart_only_where_the_order_says_so() {
    let mut fleet = Fleet::new().await;
    fleet.enrol().await;
    let (toml, witness) = stand_in(&fleet, "true");
    fleet.configure(&toml);
    fleet.run().await;
    for code in [193, 194] {
        let done = fleet.outcome(&format!("exit {code}"), |_| {}).await;
        assert_eq!((done.status(), done.receipt.exit_code, done.reason()), ("Failed", Some(code), ""));
    }
    let lets = |order: &mut Order| says(order, |script| script.exit_effects = true);
    for text in ["exit 0", "exit 192", "exit 195", "kill -9 $$"] {
        fleet.outcome(text, lets).await;
    }
    let done = fleet.outcome("exit 194", lets).await;
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Failed", Some("ExitCodeNonzero")));
    assert!(done.reason().contains("restarted"), "{}", done.reason());
    assert_eq!(called(&witness, 1).await, "on\n");
    fleet.outcome("exit 193", lets).await;
    assert_eq!(called(&witness, 2).await, "on\noff\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_result_of_a_script_that_restarts_its_instance_is_told_after_the_restart() {
    let mut fleet = Fleet::new().await;
    fleet.enrol().await;
    // As a power cut at the worst moment: the agent dies with the effect, before anybody has acknowledged anything.
    let (toml, witness) = stand_in(&fleet, "kill -9 $PPID");
    fleet.configure(&toml);
    fleet.server.with(|state| state.mute = true);
    fleet.run().await;
    let order = fleet.script("echo done; exit 194", |order| says(order, |script| script.exit_effects = true));
    assert_eq!(called(&witness, 1).await, "on\n");
    fleet.kill().await;
    fleet.server.with(|state| {
        state.reports.clear();
        state.mute = false;
    });
    fleet.run().await;
    let done = fleet.ended(order).await;
    assert_eq!((done.receipt.exit_code, done.stdout().as_str()), (Some(194), "done\n"));
    fleet.outcome("true", |_| {}).await;
    assert_eq!(called(&witness, 1).await, "on\n", "carried out once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_may_restart_is_refused_where_the_owner_or_the_instance_cannot() {
    let mut fleet = Fleet::new().await;
    fleet.enrol().await;
    fleet.configure("[effects]\nenabled = false\n");
    fleet.run().await;
    let lets = |order: &mut Order| says(order, |script| script.exit_effects = true);
    let done = fleet.outcome("exit 194", lets).await;
    assert_eq!((done.status(), done.check()), ("Invalid", "local-policy"));
    assert!(done.reason().contains("effects.enabled"), "{}", done.reason());
    fleet.end().await;
    fleet.configure("[effects]\nrestart = [\"/no/such/program\"]\npower_off = [\"/bin/true\"]\n");
    fleet.run().await;
    let done = fleet.outcome("exit 194", lets).await;
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some("CommandNotApplicable")));
    assert!(done.reason().contains("/no/such/program"), "{}", done.reason());
}

/// Whether limits can be tried here; says so where they cannot, having shown that they are refused then.
async fn limited(fleet: &Fleet, test: &str) -> bool {
    let tiny = Resources { cpu_percent: Some(100), memory_mib: Some(64), processes: Some(20) };
    let done = fleet.outcome("true", |order| says(order, |script| script.resources = Some(tiny))).await;
    if done.status() == "Success" {
        return true;
    }
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some("CommandNotApplicable")));
    println!("{test}: skipped, limits are refused here: {}", done.reason());
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_needs_more_memory_than_the_order_gives_is_ended_and_that_is_said() {
    let fleet = Fleet::linked().await;
    if !limited(&fleet, "memory").await {
        return;
    }
    let memory = |order: &mut Order| {
        says(order, |script| script.resources = Some(Resources { memory_mib: Some(32), ..Resources::default() }));
    };
    // `tail` keeps one endless line in memory.
    let done = fleet.outcome("echo before; head -c 200M /dev/zero | tail", memory).await;
    assert_eq!(done.receipt.code.as_deref(), Some("MemoryLimit"), "{} {}", done.status(), done.reason());
    assert_eq!((done.status(), done.stdout().as_str()), ("Error", "before\n"));
    assert!(done.reason().contains("32 MiB"), "{}", done.reason());
    let done = fleet.outcome("head -c 4M /dev/zero | tail | wc -c", memory).await;
    assert_eq!((done.status(), done.stdout().trim()), ("Success", "4194304"));
    let done = fleet.outcome("head -c 200M /dev/zero | tail | wc -c", |_| {}).await;
    assert_eq!((done.status(), done.stdout().trim()), ("Success", "209715200"), "without a limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_starts_more_processes_than_the_order_gives_cannot() {
    let fleet = Fleet::linked().await;
    if !limited(&fleet, "processes").await {
        return;
    }
    let text = "for i in 1 2 3 4 5 6 7 8; do sleep 60 & done; echo never";
    let done = fleet
        .outcome(text, |order| {
            says(order, |script| script.resources = Some(Resources { processes: Some(4), ..Resources::default() }));
        })
        .await;
    assert_eq!((done.status(), done.stdout().as_str()), ("Failed", ""));
    assert!(done.reason().contains("4 at a time"), "{}", done.reason());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_gets_no_more_processor_time_than_the_order_gives() {
    let fleet = Fleet::linked().await;
    if !limited(&fleet, "processor").await {
        return;
    }
    // Two processes that would take two processors; what they get is what they themselves count.
    let text = "for i in 1 2; do timeout 2 sh -c 'while :; do :; done' & done; wait; times | tail -1";
    let done = fleet
        .outcome(text, |order| {
            says(order, |script| script.resources = Some(Resources { cpu_percent: Some(10), ..Resources::default() }));
        })
        .await;
    let spent = done.stdout();
    let seconds = |word: &str| -> f64 {
        let (minutes, seconds) = word.trim_end_matches('s').split_once('m').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
    };
    let spent: f64 = spent.split_whitespace().map(seconds).sum();
    assert!(spent < 1.0, "{spent} s of processor time in 2 s at a tenth of one processor");
}
