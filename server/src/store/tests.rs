//! The one body of SQL on both databases, use case by use case.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub(crate) mod cases;
mod machine;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::{Store, StoreError};
use crate::shutdown::Phase;
use crate::tests::postgres::{Cluster, installed};

/// The reads of a store, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<&'static str>>>);

impl Seen {
    /// Notes a read by the text of its call.
    pub(crate) fn note(&self, call: &'static str) {
        let name = call.trim_start_matches("reader").trim_start().trim_start_matches('.');
        self.0.lock().unwrap().push(name.split('(').next().unwrap_or(name).trim());
    }

    /// The reads since the last time, each with how often it was done.
    pub(crate) fn take(&self) -> std::collections::BTreeMap<&'static str, usize> {
        let mut counted = std::collections::BTreeMap::new();
        for read in std::mem::take(&mut *self.0.lock().unwrap()) {
            *counted.entry(read).or_default() += 1;
        }
        counted
    }
}

/// Runs every case on a store of its own.
async fn every_case(mut open: impl AsyncFnMut(&str) -> Store) {
    cases::people::people(open("people").await).await;
    cases::people::enrolment(open("enrolment").await).await;
    cases::people::plugins(open("plugins").await).await;
    cases::people::groups(open("groups").await).await;
    cases::commands::versions_lists_and_filters(open("commands").await).await;
    cases::commands::a_command_stays_while_it_runs(open("running").await).await;
    cases::tasks::creation_and_paging(open("creation").await).await;
    cases::tasks::reports_are_idempotent(open("reports").await).await;
    cases::tasks::a_batch_over_many_invocations(open("batch").await).await;
    cases::tasks::the_instance_overrules_the_deadline(open("deadline").await).await;
    cases::alike::groups_are_made_by_the_database(open("alike").await).await;
    cases::retention::only_what_has_ended_and_is_not_referred_to_goes(open("retention").await).await;
    cases::retention::a_pass_that_was_killed_is_finished_by_the_next(open("killed").await).await;
    cases::retention::keys_are_never_given_away_again(open("keys").await).await;
    cases::retention::what_an_instance_may_still_prove_is_kept_for_a_week(open("week").await).await;
    cases::retention::the_clock_of_one_instance_removes_the_evidence_of_all(open("clock").await).await;
    cases::tasks::stop(open("stop").await).await;
    cases::series::runs_and_skips(open("series").await).await;
    cases::series::a_rogue_instance_rewrites_a_proven_run(open("rogue").await).await;
    cases::series::no_run_is_told_as_what_it_is_not(open("told").await).await;
    cases::tasks::a_file_comes_only_while_its_task_is_open(open("files").await).await;
    cases::rollouts::waves_halts_and_the_rest(open("waves").await).await;
    cases::rollouts::who_never_answers_holds_nothing_up(open("silence").await).await;
    cases::rollouts::the_word_of_an_instance_that_was_never_released_counts_nothing(open("unasked").await).await;
    cases::rollouts::a_server_that_was_away_gives_up_nothing_before_it_could_be_accepted(open("away").await).await;
    cases::rollouts::an_error_that_was_taken_back_is_not_forgiven_again(open("forgiven").await).await;
    cases::rollouts::what_opens_again_below_the_floor_is_still_counted(open("floor").await).await;
    cases::rollouts::what_is_held_back_is_cancelled_with_the_reason(open("held").await).await;
    cases::a_failing_change_harms_no_other(open("failing").await).await;
    machine::counters_agree_with_rows(open("counters").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    let mut directories = Vec::new();
    let phase = Phase::new("test");
    every_case(async |_| {
        let directory = TempDir::new().unwrap();
        let store = Store::open_lite(directory.path(), &phase).await.unwrap();
        directories.push(directory);
        store
    })
    .await;
    phase.end().await;
}

/// Where PostgreSQL's programs are; `None` where it is not installed, which only a developer's machine may be without.
fn postgresql_here() -> Option<PathBuf> {
    match installed() {
        Ok(bin) => Some(bin),
        Err(why) if std::env::var_os("CI").is_some() => panic!("PostgreSQL must be tested here: {why}"),
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql() {
    let Some(bin) = postgresql_here() else { return };
    let cluster = Cluster::start(&bin).await;
    let phase = Phase::new("test");
    every_case(async |name| {
        let url = cluster.database(name).await;
        Store::open_postgres(&url, &phase).await.unwrap()
    })
    .await;
    phase.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_on_one_database_no_order_is_passed_over() {
    let Some(bin) = postgresql_here() else { return };
    let cluster = Cluster::start(&bin).await;
    let phase = Phase::new("test");
    let url = cluster.database("two").await;
    let (one, other) =
        (Store::open_postgres(&url, &phase).await.unwrap(), Store::open_postgres(&url, &phase).await.unwrap());
    let all = cases::instances(&one, 1).await;
    let create = async |store: &Store, numbers: std::ops::Range<u32>| {
        for number in numbers {
            store.create(cases::invocation(number, &all)).await.unwrap().unwrap();
        }
    };
    // As a dispatcher does: what lies before the last that it saw is not looked at again.
    let look = async {
        let (mut after, mut seen) = ((0, 0), 0);
        while seen < 400 {
            let page = crate::tests::until("the next order", async || {
                Some(other.deliveries(after, 1000).await.unwrap()).filter(|page| !page.is_empty())
            });
            let page = page.await;
            seen += page.len();
            after = page.last().map(|last| (last.order.key, last.instance)).unwrap();
        }
    };
    tokio::join!(create(&one, 0..200), create(&other, 200..400), look);
    phase.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_database_together_release_no_more_than_may_be_open() {
    let Some(bin) = postgresql_here() else { return };
    let cluster = Cluster::start(&bin).await;
    let phase = Phase::new("test");
    let url = cluster.database("two").await;
    let (one, other) =
        (Store::open_postgres(&url, &phase).await.unwrap(), Store::open_postgres(&url, &phase).await.unwrap());
    let key = cases::rollouts::ten_at_a_time(&one, 60).await;
    let released = async |store: &Store| {
        let mut released = 0;
        for _ in 0..20 {
            released += store.roll(key, cases::rollouts::at(0)).await.unwrap().unwrap().released.len();
        }
        released
    };
    let (by_one, by_other) = tokio::join!(released(&one), released(&other));
    assert_eq!(by_one + by_other, 10);
    phase.end().await;
}

#[tokio::test]
async fn a_second_server_is_kept_out_and_what_was_committed_is_there_again() {
    let directory = TempDir::new().unwrap();
    let phase = Phase::new("first");
    let store = Store::open_lite(directory.path(), &phase).await.unwrap();
    store.add_token(cases::token("k-1", 1)).await.unwrap();
    let second = Store::open_lite(directory.path(), &Phase::new("second")).await;
    assert!(matches!(second, Err(StoreError::Locked { .. })));
    phase.end().await;
    assert!(matches!(store.add_token(cases::token("k-2", 2)).await, Err(StoreError::Closed)));
    drop(store);
    let store = Store::open_lite(directory.path(), &Phase::new("third")).await.unwrap();
    assert_eq!(store.tokens().await.unwrap(), vec![cases::token("k-1", 1)]);
}

#[tokio::test]
async fn a_file_with_flipped_bytes_is_refused_at_the_start() {
    use sqlx::Connection as _;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store.sqlite3");
    let phase = Phase::new("first");
    let store = Store::open_lite(directory.path(), &phase).await.unwrap();
    store.add_token(cases::token("k-1", 1)).await.unwrap();
    phase.end().await;
    drop(store);
    // So that the log does not mend what is flipped in the file.
    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    for byte in bytes.iter_mut().skip(8192) {
        *byte ^= 0xff;
    }
    std::fs::write(&path, bytes).unwrap();
    let opened = Store::open_lite(directory.path(), &Phase::new("second")).await;
    let Err(error @ StoreError::Damaged { .. }) = opened else { panic!("{opened:?}") };
    assert!(error.to_string().contains("is damaged") && error.to_string().contains(".recover"), "{error}");
}
