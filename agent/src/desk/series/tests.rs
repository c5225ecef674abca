//! Series on a desk: what goes to the disk, what is told, and what an earlier agent left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use orderly_host::platform::{ProcessIdentity, TreeIdentity};
use orderly_model::schedule::Cause;
use orderly_signing::Envelope;
use orderly_signing::order::{self, Due, Misfire, Overlap, Repeat};
use orderly_signing::receipt::Receipt;
use tokio::task::LocalSet;

use super::*;
use crate::desk::stop::STOP_KEPT_MS;
use crate::desk::tests::{Owned, owned, script};
use crate::journal::record::Began;

/// Due each five minutes, counted from `issued_ms`.
async fn arm(owned: &Owned, revision: u32, overlap: Overlap, issued_ms: i64) -> Digest {
    let due = Due::Frequency("rate(5m)".to_owned());
    let series = order::Series { revision, due, until_ms: None, misfire: Misfire::Skip, overlap };
    let offer = owned.signed(&format!("o-{revision}"), script(), Repeat::Series(series), issued_ms);
    let order = Envelope::parse(&offer.order).unwrap().digest();
    owned.takes_in(offer).await;
    assert_eq!(owned.desk.state.borrow().journal.series("t-1").unwrap().order, order);
    order
}

/// Lets the clock of the series show so many seconds more, as in another start of the instance.
fn passes(owned: &Owned, seconds: u64) {
    let tick = |machine: &mut Series, now: &Reading, zone: &TimeZone| {
        let wall = now.wall() + Duration::from_secs(seconds);
        machine.apply(Event::Tick, &Reading::new(wall, 1, 1, format!("start-{seconds}").parse().unwrap()), zone)
    };
    owned.desk.advance("t-1", Step::default(), tick).unwrap();
}

/// What stands on the disk.
fn state_of(owned: &Owned) -> serde_json::Value {
    serde_json::to_value(&owned.desk.state.borrow().journal.series("t-1").unwrap().state).unwrap()
}

/// Waits until the series has something to do.
async fn until(owned: &Owned) {
    let wake = || owned.desk.state.borrow().series["t-1"].machine.next_wake(&TimeZone::UTC).unwrap();
    while wake() > Timestamp::now() {
        tokio::time::sleep(LEAST_TIME).await;
    }
}

fn count(owned: &Owned, wanted: impl Fn(&ReportEvent) -> bool) -> usize {
    owned.told().iter().filter(|report| wanted(&report.event)).count()
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_not_tried_each_millisecond() {
    let test = async {
        let owned = owned();
        arm(&owned, 1, Overlap::Skip, local_ms() - 299_900).await;
        until(&owned).await;
        owned.desk.state.borrow_mut().journal.refuse_writes(true);
        assert_eq!(owned.desk.tick_series(), Some(RETRY_TIME));
        owned.desk.state.borrow_mut().journal.refuse_writes(false);
        assert!(owned.desk.tick_series().unwrap() > RETRY_TIME);
        assert_eq!(state_of(&owned)["number"], 1);
    };
    Box::pin(LocalSet::new().run_until(test)).await;
}

#[tokio::test]
async fn an_occurrence_that_waits_is_on_the_disk() {
    let test = async {
        let owned = owned();
        arm(&owned, 1, Overlap::Queue, local_ms()).await;
        passes(&owned, 300);
        assert_eq!((&state_of(&owned)["number"], state_of(&owned)["waiting"].is_null()), (&1.into(), true));
        passes(&owned, 600);
        assert!(
            !state_of(&owned)["waiting"].is_null(),
            "after a crash it would be found again as missed, or not at all"
        );
    };
    Box::pin(LocalSet::new().run_until(test)).await;
}

/// A run of the first order has begun in this tree, a second order has changed the series, and the agent is another one.
async fn left_behind(owned: &Owned, tree: TreeIdentity) -> Digest {
    let first = arm(owned, 1, Overlap::Skip, local_ms()).await;
    passes(owned, 300);
    let began = Began { invocation: "t-1".to_owned(), order: first, number: 1, tree: Some(tree) };
    owned.desk.state.borrow_mut().journal.append(&[Record::Began(began)]).unwrap();
    arm(owned, 2, Overlap::Skip, local_ms()).await;
    owned.desk.state.borrow_mut().series.clear();
    first
}

const FINISHED: fn(&ReportEvent) -> bool = |event| matches!(event, ReportEvent::Finished(_));

#[tokio::test]
async fn what_cannot_be_ended_is_not_told_as_ended_and_its_receipt_names_the_order_whose_run_it_was() {
    let test = async {
        let owned = owned();
        let file = owned.dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        // A path beneath a file cannot be opened, which is not the same as a cgroup that is gone.
        let first = left_behind(&owned, TreeIdentity::Cgroup { path: file.join("tree") }).await;
        owned.desk.restore_series().await;
        assert_eq!((count(&owned, FINISHED), owned.desk.state.borrow().series.len()), (0, 0));
        assert_eq!(owned.desk.tick_series(), Some(LOOK_TIME), "it is tried again");
        std::fs::remove_file(&file).unwrap();
        owned.desk.restore_series().await;
        assert_eq!(owned.desk.state.borrow().series.len(), 1);
        let told = owned.told().into_iter().find_map(|report| match report.event {
            ReportEvent::Finished(finished) => Some((report.order, finished)),
            _ => None,
        });
        let (order, finished) = told.unwrap();
        let payload = Envelope::parse(&finished.receipt).unwrap().payload;
        let receipt: Receipt = serde_json::from_slice(&payload).unwrap();
        assert_eq!((order, receipt.order), (first, first));
    };
    Box::pin(LocalSet::new().run_until(test)).await;
}

#[tokio::test]
async fn a_series_that_is_stopped_while_what_is_left_of_it_is_ended_stays_stopped() {
    let test = async {
        let owned = owned();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = ProcessIdentity::of(child.id().cast_signed()).unwrap();
        left_behind(&owned, TreeIdentity::Supervisors { processes: vec![process] }).await;
        let meanwhile = async {
            owned.desk.end_series("t-1", EndOfSeries::Stopped, None).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        };
        tokio::join!(biased; owned.desk.restore_series(), meanwhile);
        assert_eq!(owned.desk.state.borrow().series.len(), 0);
        assert!(
            matches!(owned.told().last().unwrap().event, ReportEvent::SeriesEnded { .. }),
            "nothing comes after it"
        );
    };
    Box::pin(LocalSet::new().run_until(test)).await;
}

#[tokio::test]
async fn a_stop_is_told_once_and_outlasts_every_order_that_was_signed_before_it() {
    let test = async {
        let owned = owned();
        let target = arm(&owned, 1, Overlap::Skip, local_ms()).await;
        passes(&owned, 300);
        let mut newest = 0;
        for name in ["o-stop", "o-stop-again"] {
            let stop = order::Action::Stop { order: target, invocation: "t-1".to_owned() };
            let offer = owned.signed(name, stop, Repeat::Once, local_ms());
            let stop: order::Order = serde_json::from_slice(&Envelope::parse(&offer.order).unwrap().payload).unwrap();
            newest = stop.expires_ms + STOP_KEPT_MS;
            owned.takes_in(offer).await;
        }
        assert_eq!(count(&owned, |event| matches!(event, ReportEvent::Stopping { .. })), 1);
        assert_eq!(owned.desk.state.borrow().journal.series("t-1").unwrap().expires_ms, newest);
    };
    Box::pin(LocalSet::new().run_until(test)).await;
}

#[test]
fn what_is_left_out_while_nobody_listens_is_one_report_for_each_reason() {
    let mut untold = Vec::new();
    let at = |ms| Timestamp::from_millisecond(ms).unwrap();
    for number in 1..=10_000 {
        let missed = Missed { first: at(number * 10), last: at(number * 10), count: 1, exact: true };
        fold(&mut untold, missed, Reason::Overlap);
        if number % 1000 == 0 {
            fold(&mut untold, Missed { count: 5, exact: false, ..missed }, Reason::Missed(Cause::Suspended));
        }
    }
    let told: Vec<_> =
        untold.iter().map(|skipped| (skipped.count, skipped.exact, skipped.first_ms, skipped.last_ms)).collect();
    assert_eq!(told, [(10_000, true, 10, 100_000), (50, false, 10_000, 100_000)]);
}
