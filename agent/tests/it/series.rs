//! Series on a real agent: runs without a server, over crashes, and what nobody may make of them.

use std::collections::BTreeSet;

use orderly_signing::digest::Digest;
use orderly_signing::order::{Due, Misfire, Order, Overlap, Repeat, Series};
use orderly_signing::receipt::Receipt;
use orderly_signing::verify::{Verified, check_receipt_follows, verify_receipt};
use orderly_wire::to_agent::{KeyringUpdate, ToAgent};
use orderly_wire::to_server::{EndOfSeries, Report, ReportEvent};

use crate::fleet::{Fleet, now_ms, script};

const EACH_MS: i64 = 1000;

/// Due each second.
fn each_second(revision: u32) -> Repeat {
    let due = Due::Frequency("* * * * * ? UTC".to_owned());
    Repeat::Series(Series { revision, due, until_ms: None, misfire: Misfire::Skip, overlap: Overlap::Skip })
}

/// Offers an order of the series `t-series`.
fn offer(fleet: &Fleet, text: &str, revision: u32) -> Digest {
    let order = fleet.order(script(text.as_bytes()));
    let order = Order { invocation: "t-series".to_owned(), repeat: each_second(revision), ..order };
    fleet.offer(&order, Some(text.as_bytes()))
}

/// What was told, each report once.
fn told(fleet: &Fleet) -> Vec<Report> {
    let mut reports = fleet.server.with(|state| state.reports.clone());
    reports.sort_by_key(|report| report.seq);
    reports.dedup_by_key(|report| report.seq);
    reports
}

/// The receipts of all runs, verified.
fn runs(fleet: &Fleet) -> Vec<Verified<Receipt>> {
    let key = fleet.server.with(|state| state.enrolled.clone()).unwrap();
    let receipt = |report: Report| match report.event {
        ReportEvent::Finished(finished) => Some(verify_receipt(&finished.receipt, &key).unwrap()),
        _ => None,
    };
    told(fleet).into_iter().filter_map(receipt).filter(|receipt| receipt.series.is_some()).collect()
}

async fn runs_of(fleet: &Fleet, count: usize) -> Vec<Verified<Receipt>> {
    fleet
        .server
        .until("runs", |state| {
            let finished = |report: &&Report| matches!(report.event, ReportEvent::Finished(_));
            let all: BTreeSet<_> = state.reports.iter().filter(finished).map(|report| report.seq).collect();
            (all.len() >= count).then_some(())
        })
        .await;
    runs(fleet)
}

async fn series_ended(fleet: &Fleet) -> EndOfSeries {
    fleet
        .server
        .until("the end of the series", |state| {
            state.reports.iter().find_map(|report| match report.event {
                ReportEvent::SeriesEnded { end, .. } => Some(end),
                _ => None,
            })
        })
        .await
}

/// Waits for a time of the clock, by which a series goes.
async fn until(at_ms: i64) {
    while now_ms() < at_ms {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_without_a_server_no_run_is_missed_or_doubled_and_each_one_left_out_is_told() {
    let mut fleet = Fleet::linked().await;
    let witness = fleet.dir.path().join("witness");
    let order = offer(&fleet, &format!("echo run >> {}", witness.display()), 1);
    fleet.accepted(order).await;
    runs_of(&fleet, 1).await;
    fleet.server.with(|state| state.mute = true);
    let cut_ms = now_ms();
    until(cut_ms + 2 * EACH_MS).await;
    fleet.kill().await;
    until(cut_ms + 4 * EACH_MS).await;
    fleet.server.with(|state| state.mute = false);
    fleet.run().await;
    let back_ms = now_ms();
    until(back_ms + EACH_MS).await;
    fleet.stop(order, "t-series");
    assert_eq!(series_ended(&fleet).await, EndOfSeries::Stopped);
    let runs = runs(&fleet);
    check_receipt_follows(&runs[0], None).unwrap();
    for pair in runs.windows(2) {
        check_receipt_follows(&pair[1], Some(&pair[0])).unwrap();
    }
    let due: Vec<_> = runs.iter().map(|run| run.series.unwrap().scheduled_ms).collect();
    assert!(due.windows(2).all(|pair| pair[0] < pair[1]), "none is doubled: {due:?}");
    let skipped: Vec<_> = told(&fleet)
        .into_iter()
        .filter_map(|report| match report.event {
            ReportEvent::Skipped(skipped) => Some(skipped),
            _ => None,
        })
        .collect();
    assert!(skipped.iter().all(|skipped| skipped.exact), "{skipped:?}");
    let left_out: u64 = skipped.iter().map(|skipped| skipped.count).sum();
    assert!(left_out > 0, "the agent was away for two seconds");
    let first = skipped.iter().map(|skipped| skipped.first_ms).min().unwrap().min(due[0]);
    let last = skipped.iter().map(|skipped| skipped.last_ms).max().unwrap().max(*due.last().unwrap());
    let all = u64::try_from((last - first) / EACH_MS + 1).unwrap();
    assert_eq!(runs.len() as u64 + left_out, all, "none is missed: {due:?} {skipped:?}");
    let ran = std::fs::read_to_string(&witness).unwrap().lines().count();
    let good = runs.iter().filter(|run| run.status == "Success").count();
    assert!((good..=good + 1).contains(&ran), "{ran} of {good}: one may have been under way when the agent was killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn series_revision_rolled_back_is_refused_and_a_stopped_series_does_not_come_back() {
    let mut fleet = Fleet::linked().await;
    let first = offer(&fleet, "echo first", 1);
    fleet.accepted(first).await;
    let third = offer(&fleet, "echo third", 3);
    fleet.accepted(third).await;
    for revision in [1, 2, 3] {
        let done = fleet.ended(offer(&fleet, "echo older", revision)).await;
        assert_eq!((done.status(), done.check()), ("Invalid", "replay"), "{revision}: {}", done.reason());
    }
    let good = |run: &Verified<Receipt>| run.status == "Success" && run.order == third;
    fleet
        .server
        .until("a run of the newest order", |state| {
            state
                .reports
                .iter()
                .any(|report| {
                    report.order == third && report.generation > 0 && matches!(report.event, ReportEvent::Finished(_))
                })
                .then_some(())
        })
        .await;
    assert!(runs(&fleet).iter().any(good));
    fleet.stop(third, "t-series");
    assert_eq!(series_ended(&fleet).await, EndOfSeries::Stopped);
    let before = runs(&fleet).len();
    fleet.kill().await;
    fleet.run().await;
    let done = fleet.ended(offer(&fleet, "echo again", 9)).await;
    assert_eq!((done.status(), done.check()), ("Invalid", "replay"), "{}", done.reason());
    let over_ms = now_ms() + 2 * EACH_MS;
    until(over_ms).await;
    assert_eq!(runs(&fleet).len(), before, "nothing runs any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_content_is_not_run_and_a_key_that_was_revoked_starts_no_run() {
    let fleet = Fleet::linked().await;
    let witness = fleet.dir.path().join("owned");
    let text = "echo honest";
    let order = offer(&fleet, text, 1);
    fleet.accepted(order).await;
    runs_of(&fleet, 1).await;
    let kept = fleet.data().join("series").join(Digest::of(text.as_bytes()).hex());
    std::fs::write(&kept, format!("touch {}", witness.display())).unwrap();
    let linked = &fleet;
    let refused = |check: &'static str| async move {
        loop {
            let count = runs(linked).len();
            let all = runs_of(linked, count + 1).await;
            if let Some(run) = all.iter().find(|run| run.check.as_deref() == Some(check)) {
                return run.status.clone();
            }
        }
    };
    assert_eq!(refused("content").await, "Invalid");
    assert!(!witness.exists());
    std::fs::write(&kept, text).unwrap();
    let other = orderly_signing::key::SecretKey::from_seed([9; 32]);
    fleet.server.send(ToAgent::Keyring(KeyringUpdate { keyring: fleet.keyring(2, &other) }));
    assert_eq!(refused("signature").await, "Invalid");
    assert_eq!(runs(&fleet).last().unwrap().check.as_deref(), Some("signature"));
}
