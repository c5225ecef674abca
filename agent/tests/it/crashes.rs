//! The agent killed at any moment: no task runs twice, none is lost, each ends with a truthful status.

use std::time::Duration;

use orderly_wire::to_server::ReportEvent;

use crate::fleet::{Fleet, processes};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_agent_left_is_ended_before_it_is_reported() {
    let mut fleet = Fleet::linked().await;
    let mark = format!("{}.5", 700_000 + std::process::id());
    let order = fleet.script(&format!("(setsid sleep {mark} &); sleep {mark}"), |_| {});
    fleet.accepted(order).await;
    while processes(&mark).len() < 2 {
        tokio::task::yield_now().await;
    }
    fleet.kill().await;
    fleet.start();
    let done = fleet.ended(order).await;
    assert_eq!(processes(&mark), Vec::<u32>::new());
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Error", Some("ExecutionInterrupted")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_told_to_stop_ends_its_tasks_and_the_next_one_tells() {
    let mut fleet = Fleet::linked().await;
    let mark = format!("{}.6", 700_000 + std::process::id());
    let order = fleet.script(&format!("sleep {mark}"), |_| {});
    fleet.accepted(order).await;
    fleet.server.with(|state| state.mute = true);
    fleet.end().await;
    assert_eq!(processes(&mark), Vec::<u32>::new());
    fleet.server.with(|state| {
        state.reports.clear();
        state.mute = false;
    });
    fleet.start();
    let done = fleet.ended(order).await;
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Error", Some("ExecutionInterrupted")));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_no_task_runs_twice_and_none_is_lost() {
    let mut fleet = Fleet::linked().await;
    let witness = fleet.dir.path().join("witness");
    for round in 0..40_u64 {
        let text = format!("echo {round} >> {}", witness.display());
        let order = fleet.order(crate::fleet::script(text.as_bytes()));
        let digest = fleet.offer(&order, Some(text.as_bytes()));
        // From before the order is read to after its end has been told, the moment moves on with the rounds.
        let end = fleet.server.until("an end", |state| {
            let finished = |event: &ReportEvent| matches!(event, ReportEvent::Finished(_));
            state.reports.iter().any(|report| report.order == digest && finished(&report.event)).then_some(())
        });
        let _ = tokio::time::timeout(Duration::from_micros(round * 600), end).await;
        fleet.kill().await;
        fleet.run().await;
        let known = fleet.server.with(|state| state.reports.iter().any(|report| report.order == digest));
        if !known {
            // As the dispatcher does for an order that no report is about.
            fleet.offer(&order, Some(text.as_bytes()));
        }
        let done = fleet.ended(digest).await;
        let runs = std::fs::read_to_string(&witness).unwrap_or_default();
        let runs = runs.lines().filter(|line| *line == round.to_string()).count();
        match done.status() {
            "Success" => assert_eq!(runs, 1, "round {round}"),
            "Error" => assert!(runs <= 1, "round {round}: {runs}"),
            other => panic!("round {round}: {other} {}", done.reason()),
        }
        let receipts: Vec<_> = fleet.ends(digest).into_iter().map(|finished| finished.receipt).collect();
        assert!(receipts.windows(2).all(|pair| pair[0] == pair[1]), "round {round}: one end, however often it is told");
    }
    let accepted = fleet.server.with(|state| {
        let accepted = state.reports.iter().filter(|report| matches!(report.event, ReportEvent::Accepted { .. }));
        accepted.count()
    });
    assert!(accepted > 0);
}
