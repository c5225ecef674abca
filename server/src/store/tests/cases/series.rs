//! Series: runs and skips in rows, on both databases.

use orderly_signing::order::{Due, Misfire, Overlap, Series};
use orderly_wire::to_server::EndOfSeries;

use super::*;
use crate::store::fact::RECEIPT_REFUSED;
use crate::store::fact::series::{RUN_LOST, RunEnd, SERIES_LOST, SeriesFact};
use crate::store::row::Skip;

fn ran(number: u32, previous: Option<Digest>) -> What {
    let What::Ended(end) = ended(TaskStatus::Failed) else { panic!("an end") };
    let end = Ended { generation: number, ..*end };
    let digest = Digest::of(&number.to_le_bytes());
    What::Series(SeriesFact::RunEnded(Box::new(RunEnd { end, due_ms: 190, digest, previous })))
}

fn over(end: EndOfSeries) -> What {
    What::Series(SeriesFact::Over { end, at_ms: 1, received_ms: 400 })
}

fn began(generation: i32) -> What {
    let late = Some("agent-down".to_owned());
    What::Series(SeriesFact::Began { generation, due_ms: 190, late, at_ms: 200, received_ms: 350 })
}

fn series() -> SeriesRow {
    let due = Due::Frequency("rate(5m)".to_owned());
    let series = Series { revision: 1, due, until_ms: None, misfire: Misfire::Skip, overlap: Overlap::Skip };
    SeriesRow { series, issued_ms: 100 }
}

/// Digest of the receipt of a run that [`ran`] tells.
fn proof(number: u32) -> Option<Digest> {
    Some(Digest::of(&number.to_le_bytes()))
}

pub(in crate::store::tests) async fn runs_and_skips(store: Store) {
    let all = instances(&store, 60).await;
    let series = series();
    let new = NewInvocation { series: Some(series.clone()), ..invocation(1, &all) };
    let key = store.create(new.clone()).await.unwrap().unwrap().invocation;
    let row = store.invocation("t-1").await.unwrap().unwrap();
    assert_eq!(row.series.as_deref(), Some(&series));
    let of_all = |what: What| all.iter().map(|(key, _)| fact(&new, *key, what.clone())).collect::<Vec<_>>();
    store.record(of_all(What::Accepted)).await.unwrap();
    // One batch and another: an end in the batch of its beginning, and one in the next.
    let first = [began(1), ran(1, None), began(2)];
    store.record(first.into_iter().flat_map(of_all).collect()).await.unwrap();
    let row = store.invocation("t-1").await.unwrap().unwrap();
    assert_eq!(row.counts.get(TaskStatus::Running), 60);
    let (reason, last_ms) = ("overlap".to_owned(), 7);
    let skip = Skip { reason, first_ms: 5, last_ms, count: 2, exact: true, told_ms: 9 };
    let skip = What::Series(SeriesFact::Skipped(skip));
    let second = [ran(2, Some(Digest::of(&1_u32.to_le_bytes()))), skip.clone(), skip.clone()];
    store.record(second.into_iter().flat_map(of_all).collect()).await.unwrap();
    store.record(of_all(skip)).await.unwrap();
    let page = store.runs(key, None, i64::MAX, 100).await.unwrap();
    let rest = store.runs(key, None, page.last().unwrap().key, 100).await.unwrap();
    assert_eq!((page.len(), rest.len()), (100, 20));
    let one = all[0].0;
    let runs = store.runs(key, Some(one), i64::from(i32::MAX), 10).await.unwrap();
    let told: Vec<_> = runs.iter().map(|run| (run.task.generation, run.task.status, run.late.as_deref())).collect();
    assert_eq!(told, [(2, TaskStatus::Failed, Some("agent-down")), (1, TaskStatus::Failed, Some("agent-down"))]);
    let (_, result) = store.run(key, one, 2).await.unwrap().unwrap();
    assert_eq!(result.unwrap().receipt, b"receipt");
    assert_eq!(store.run(key, one, 3).await.unwrap(), None);
    let skips = store.skips(key, 0, 2).await.unwrap();
    assert_eq!(
        skips.iter().map(|skip| skip.skip.count).collect::<Vec<_>>(),
        [2, 2],
        "told three times, and counted once"
    );
    store.record(of_all(over(EndOfSeries::Completed))).await.unwrap();
    let row = store.invocation("t-1").await.unwrap().unwrap();
    assert_eq!((row.counts.get(TaskStatus::Failed), row.finished_ms), (60, Some(400)));
}

/// One instance with a series that it took.
struct One {
    store: Store,
    new: NewInvocation,
    invocation: InvocationKey,
    instance: InstanceKey,
}

/// Number, status and code of a task, or of a run.
type Told = (i32, TaskStatus, Option<&'static str>);

impl One {
    async fn of(store: &Store, number: u32, all: &[(InstanceKey, InstanceId)]) -> Self {
        let new = NewInvocation { series: Some(series()), ..invocation(number, all) };
        let invocation = store.create(new.clone()).await.unwrap().unwrap().invocation;
        let one = Self { store: store.clone(), new, invocation, instance: all[0].0 };
        one.hear([What::Accepted]).await;
        one
    }

    /// Facts of one batch.
    async fn hear(&self, what: impl IntoIterator<Item = What>) {
        let facts = what.into_iter().map(|what| fact(&self.new, self.instance, what)).collect();
        self.store.record(facts).await.unwrap();
    }

    /// The task and its runs, the newest first.
    async fn assert(&self, task: Told, runs: &[Told]) {
        let tell = |row: &TaskRow| (row.generation, row.status, row.code.clone());
        let own = |told: &Told| (told.0, told.1, told.2.map(str::to_owned));
        let row = self.store.tasks_of(self.invocation, &[self.instance]).await.unwrap().swap_remove(0);
        assert_eq!(tell(&row), own(&task));
        let rows = self.store.runs(self.invocation, Some(self.instance), i64::MAX, 100).await.unwrap();
        let rows: Vec<_> = rows.iter().map(|run| tell(&run.task)).collect();
        assert_eq!(rows, runs.iter().map(own).collect::<Vec<_>>());
    }
}

pub(in crate::store::tests) async fn a_rogue_instance_rewrites_a_proven_run(store: Store) {
    use TaskStatus::{Error, Failed, Running, Scheduled};
    let all = instances(&store, 1).await;
    let one = One::of(&store, 1, &all).await;
    one.hear([began(5)]).await;
    one.hear([ran(6, proof(5))]).await;
    one.assert((6, Scheduled, None), &[(6, Failed, None), (5, Error, Some(RUN_LOST))]).await;
    one.hear([ran(5, proof(4))]).await;
    let proven = [(6, Failed, None), (5, Failed, None)];
    one.assert((6, Scheduled, None), &proven).await;
    for number in [6, 5] {
        one.hear([began(number)]).await;
        one.hear([What::Unproven { generation: number, at_ms: 380 }]).await;
        one.assert((6, Scheduled, None), &proven).await;
        let (_, result) = one.store.run(one.invocation, one.instance, number).await.unwrap().unwrap();
        assert_eq!(result.unwrap().receipt, b"receipt");
    }
    one.hear([began(7), ran(6, proof(5)), ran(4, proof(3))]).await;
    one.assert((7, Running, None), &[(7, Running, None), proven[0], proven[1]]).await;
    // The first run follows none, and every other one does.
    let other = One::of(&store, 2, &all).await;
    other.hear([ran(1, proof(9)), ran(2, None)]).await;
    other.assert((0, Scheduled, None), &[]).await;
}

pub(in crate::store::tests) async fn no_run_is_told_as_what_it_is_not(store: Store) {
    use TaskStatus::{Error, Failed, Running, Scheduled, Stopped};
    let all = instances(&store, 1).await;
    // The end of a series is that of its runs, which then had none that is known.
    let ends = [
        (EndOfSeries::Lost, (1, Error, Some(SERIES_LOST))),
        (EndOfSeries::Completed, (1, Error, Some(RUN_LOST))),
        (EndOfSeries::Stopped, (1, Stopped, None)),
    ];
    for ((end, task), number) in ends.into_iter().zip(1..) {
        let one = One::of(&store, number, &all).await;
        one.hear([began(1)]).await;
        one.hear([over(end)]).await;
        one.assert(task, &[(1, Error, Some(RUN_LOST))]).await;
    }
    // A receipt that was refused may be followed by one that holds.
    let one = One::of(&store, 4, &all).await;
    one.hear([began(1)]).await;
    one.hear([What::Unproven { generation: 1, at_ms: 360 }]).await;
    one.assert((1, Scheduled, Some(RECEIPT_REFUSED)), &[(1, Error, Some(RECEIPT_REFUSED))]).await;
    one.hear([ran(1, None)]).await;
    one.assert((1, Scheduled, None), &[(1, Failed, None)]).await;
    // It is of the run that it is about, not of the one under way.
    one.hear([began(2), What::Unproven { generation: 1, at_ms: 370 }]).await;
    one.assert((2, Running, None), &[(2, Running, None), (1, Failed, None)]).await;
}
