//! Series: runs and skips in rows, on both databases.

use orderly_signing::order::{Due, Misfire, Overlap, Series};
use orderly_wire::to_server::EndOfSeries;

use super::*;
use crate::store::fact::series::{RunEnd, SeriesFact};
use crate::store::row::Skip;

fn ran(number: u32, previous: Option<Digest>) -> What {
    let What::Ended(end) = ended(TaskStatus::Failed) else { panic!("an end") };
    let end = Ended { generation: number, ..*end };
    let digest = Digest::of(&number.to_le_bytes());
    What::Series(SeriesFact::RunEnded(Box::new(RunEnd { end, due_ms: 190, digest, previous })))
}

pub(in crate::store::tests) async fn runs_and_skips(store: Store) {
    let all = instances(&store, 60).await;
    let due = Due::Frequency("rate(5m)".to_owned());
    let series = Series { revision: 1, due, until_ms: None, misfire: Misfire::Skip, overlap: Overlap::Skip };
    let series = SeriesRow { series, issued_ms: 100 };
    let new = NewInvocation { series: Some(series.clone()), ..invocation(1, &all) };
    let key = store.create(new.clone()).await.unwrap().unwrap().invocation;
    let row = store.invocation("t-1").await.unwrap().unwrap();
    assert_eq!(row.series.as_deref(), Some(&series));
    let of_all = |what: What| all.iter().map(|(key, _)| fact(&new, *key, what.clone())).collect::<Vec<_>>();
    let began = |generation| {
        let late = Some("agent-down".to_owned());
        What::Series(SeriesFact::Began { generation, due_ms: 190, late, at_ms: 200, received_ms: 350 })
    };
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
    store.record(of_all(What::Series(SeriesFact::Over { end: EndOfSeries::Completed, at_ms: 400 }))).await.unwrap();
    let row = store.invocation("t-1").await.unwrap().unwrap();
    assert_eq!((row.counts.get(TaskStatus::Failed), row.finished_ms), (60, Some(400)));
}
