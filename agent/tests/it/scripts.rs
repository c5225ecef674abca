//! Scripts: how they are handed over, as whom they run, what is kept of them and how they end.

use orderly_signing::order::{Action, ScriptAction, Termination};
use orderly_wire::to_server::{Stream, ToServer};

use crate::fleet::{Fleet, processes, root, timeout, user};

/// A number that no other process of this machine has on its command line.
fn mark(salt: u32) -> String {
    format!("{}.{salt}", 700_000 + std::process::id())
}

#[tokio::test(flavor = "multi_thread")]
async fn output_exit_codes_and_the_receipt_say_what_happened() {
    let fleet = Fleet::linked().await;
    let done = fleet.outcome("echo out; echo err >&2; exit 7", |_| {}).await;
    assert_eq!((done.status(), done.receipt.exit_code), ("Failed", Some(7)));
    assert_eq!(done.receipt.code.as_deref(), Some("ExitCodeNonzero"));
    assert_eq!((done.stdout().as_str(), done.text(Stream::Stderr).as_str()), ("out\n", "err\n"));
    let output = done.receipt.output;
    assert_eq!((output.bytes, output.stdout_bytes, output.stderr_bytes), (8, 4, 4));
    let killed = fleet.outcome("kill -9 $$", |_| {}).await;
    assert_eq!((killed.status(), killed.receipt.exit_code), ("Failed", Some(137)));
    let live = fleet.server.with(|state| {
        let segments = state.live.iter().filter_map(|frame| match frame {
            ToServer::Output(output) => Some(&output.segments),
            _ => None,
        });
        segments.flatten().any(|segment| segment.stream == Stream::Stdout && segment.data == b"out\n")
    });
    assert!(live, "live output was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shebang_is_honoured_and_the_script_is_no_file_that_others_can_read() {
    let fleet = Fleet::linked().await;
    let done = fleet.outcome("#!/bin/sh -e\nfalse\necho not reached\n", |_| {}).await;
    assert_eq!((done.status(), done.stdout().as_str()), ("Failed", ""));
    let done = fleet.outcome("#!/usr/bin/env sh\nreadlink $0; stat -Lc %a $0; ls /proc/self/fd | wc -l", |_| {}).await;
    let lines: Vec<_> = done.stdout().lines().map(str::to_owned).collect();
    assert!(lines[0].starts_with("/memfd:orderly-script"), "{lines:?}");
    assert_eq!(lines[1], "500");
    // 0, 1, 2, the script, what `ls` itself opened, and dash's own copy of the script.
    assert!(lines[2].parse::<u32>().unwrap() <= 6, "{lines:?}");
    let done = fleet.outcome("#!/no/such/interpreter\n", |_| {}).await;
    assert_eq!(done.status(), "Error");
    assert!(done.reason().contains("/no/such/interpreter"), "{}", done.reason());
    let done = fleet.outcome("#!/bin/sh\r\necho\r\n", |_| {}).await;
    assert!(done.reason().contains("CR LF"), "{}", done.reason());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_clean_and_the_directory_is_the_one_asked_for() {
    let fleet = Fleet::linked().await;
    let done = fleet
        .outcome("pwd; env | cut -d= -f1 | sort | tr '\\n' ' '; cat; echo \"$GREETING\"", |order| {
            let Action::Script(ScriptAction { environment, cwd, .. }) = &mut order.action else { panic!() };
            environment.insert("GREETING".to_owned(), "$(id) 'quoted' \"\n".to_owned());
            *cwd = Some("/usr".to_owned());
        })
        .await;
    let output = done.stdout();
    assert!(output.starts_with("/usr\n"), "{output}");
    assert!(output.contains("GREETING HOME LANG LOGNAME PATH PWD SHELL USER "), "{output}");
    assert!(output.ends_with("$(id) 'quoted' \"\n\n"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_user_or_a_missing_directory_is_refused_with_its_name() {
    let fleet = Fleet::linked().await;
    let done = fleet.outcome("true", |order| user(order, "nobody-here")).await;
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some("AccountNotExists")));
    assert!(done.reason().contains("nobody-here"), "{}", done.reason());
    let done = fleet
        .outcome("true", |order| {
            let Action::Script(ScriptAction { cwd, .. }) = &mut order.action else { panic!() };
            *cwd = Some("/no/such/directory".to_owned());
        })
        .await;
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some("DirectoryNotExists")));
    assert!(done.reason().contains("/no/such/directory"), "{}", done.reason());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_runs_as_the_user_that_was_asked_for_with_nothing_of_root_left() {
    if !root("a_script_runs_as_the_user_that_was_asked_for_with_nothing_of_root_left") {
        return;
    }
    let fleet = Fleet::linked().await;
    let done =
        fleet.outcome("id -un; id -G; echo $HOME $USER $LOGNAME; wc -c <$0", |order| user(order, "nobody")).await;
    let expected = std::process::Command::new("id").args(["-G", "nobody"]).output().unwrap().stdout;
    let expected = String::from_utf8(expected).unwrap();
    assert!(done.stdout().starts_with(&format!("nobody\n{expected}")), "{} {}", done.stdout(), done.reason());
    assert!(done.stdout().contains("nobody nobody\n"), "{}", done.stdout());
    let done = fleet.outcome("cat /etc/shadow", |order| user(order, "nobody")).await;
    assert_eq!(done.status(), "Failed");
    let done = fleet.outcome("id -un", |order| user(order, "root")).await;
    assert_eq!(done.stdout(), "root\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_timeout_nothing_of_the_tree_is_alive() {
    let fleet = Fleet::linked().await;
    let (child, grandchild) = (mark(1), mark(2));
    let text = format!("(setsid sh -c 'trap \"\" TERM; exec sleep {grandchild}' &) ; trap '' TERM; sleep {child}");
    let done = fleet.outcome(&text, |order| timeout(order, 1)).await;
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Timeout", Some("ExecutionTimeout")));
    assert_eq!((processes(&child), processes(&grandchild)), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_nothing_of_the_tree_is_alive_and_what_it_said_is_kept() {
    let fleet = Fleet::linked().await;
    let grandchild = mark(3);
    let text = format!(
        "trap 'echo cleaning; exit 0' TERM; (setsid sleep {grandchild} &); echo ready; while :; do sleep 0.05; done"
    );
    let order = fleet.script(&text, |_| {});
    fleet
        .server
        .until("live output", |state| {
            state
                .live
                .iter()
                .any(|frame| matches!(frame, ToServer::Output(output) if output.order == order))
                .then_some(())
        })
        .await;
    fleet.stop(order, "t-1");
    let done = fleet.ended(order).await;
    assert_eq!(done.status(), "Terminated");
    assert_eq!(done.stdout(), "ready\ncleaning\n");
    assert_eq!(processes(&grandchild), Vec::<u32>::new());
    let stopping = fleet.server.with(|state| {
        state.reports.iter().any(|report| matches!(report.event, orderly_wire::to_server::ReportEvent::Stopping { .. }))
    });
    assert!(stopping);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_keeps_head_tail_and_counts_and_costs_no_memory() {
    let fleet = Fleet::linked().await;
    let megabytes = 200_u64;
    let text = format!("echo first; head -c {} /dev/zero; echo last", megabytes << 20);
    let done = fleet.outcome(&text, |_| {}).await;
    assert_eq!(done.status(), "Success", "{}", done.reason());
    assert_eq!(done.receipt.output.bytes, (megabytes << 20) + 11);
    let kept: u64 = done.output.head.iter().chain(&done.output.tail).map(|segment| segment.data.len() as u64).sum();
    assert_eq!(kept + done.output.dropped_bytes, done.receipt.output.bytes);
    assert!(kept <= 24 * 1024);
    assert!(done.stdout().starts_with("first\n") && done.stdout().ends_with("last\n"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", fleet.agent_pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    // A debug build is mapped generously; the release build's bound is measured by `cargo xtask bench`.
    assert!(kilobytes < 64 * 1024, "{kilobytes} kB");
}

/// Orders that only the script's own process is ended with it.
fn alone(order: &mut orderly_signing::order::Order) {
    let Action::Script(ScriptAction { termination, .. }) = &mut order.action else { panic!() };
    *termination = Termination::Process;
}

fn kill(pids: &[u32]) {
    for pid in pids {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_script_leaves_behind_ends_with_it_where_the_order_says_tree() {
    let fleet = Fleet::linked().await;
    let left = mark(4);
    let done = fleet.outcome(&format!("(setsid sleep {left} &); echo started"), |_| {}).await;
    assert_eq!((done.status(), done.stdout().as_str()), ("Success", "started\n"));
    assert_eq!(processes(&left), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_script_leaves_behind_lives_on_where_the_order_says_process() {
    let fleet = Fleet::linked().await;
    let left = mark(5);
    let done = fleet.outcome(&format!("sleep {left} & echo started"), alone).await;
    assert_eq!((done.status(), done.stdout().as_str()), ("Success", "started\n"));
    assert!(done.reason().contains("let live"), "{}", done.reason());
    assert_eq!(fleet.outcome("true", alone).await.reason(), "", "nothing was left");
    let alive = processes(&left);
    assert_eq!(alive.len(), 1, "a service that was started on purpose");
    kill(&alive);
    let (left, own) = (mark(6), mark(7));
    let text = format!("sleep {left} & exec sleep {own}");
    let done = fleet
        .outcome(&text, |order| {
            alone(order);
            timeout(order, 1);
        })
        .await;
    assert_eq!(done.status(), "Timeout");
    assert_eq!(processes(&own), Vec::<u32>::new());
    let alive = processes(&left);
    assert_eq!(alive.len(), 1);
    kill(&alive);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_too_large_for_an_offer_is_fetched_by_its_digest() {
    let fleet = Fleet::linked().await;
    let text = format!("# {}\necho fetched", "x".repeat(100 * 1024));
    let order = fleet.order(crate::fleet::script(text.as_bytes()));
    let Action::Script(ScriptAction { content, .. }) = &order.action else { panic!() };
    fleet.server.with(|state| state.blobs.insert(content.to_string(), text.clone().into_bytes()));
    let done = fleet.ended(fleet.offer(&order, None)).await;
    assert_eq!((done.status(), done.stdout().as_str()), ("Success", "fetched\n"));
    let order = fleet.order(crate::fleet::script(b"# never uploaded"));
    let done = fleet.ended(fleet.offer(&order, None)).await;
    assert_eq!((done.status(), done.check()), ("Invalid", "content"));
}
