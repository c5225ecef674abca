//! Results that are alike.

use orderly_model::task::TaskStatus;
use orderly_signing::digest::Digest;

use super::{ended, fact, instances, invocation};
use crate::store::Store;
use crate::store::fact::{Ended, What};
use crate::store::row::*;

fn end(status: TaskStatus, exit_code: i32, output: &str, report: Option<&str>) -> What {
    match ended(status) {
        What::Ended(end) => What::Ended(Box::new(Ended {
            exit_code: Some(exit_code),
            output_digest: Digest::of(output.as_bytes()),
            report: report.map(|text| text.as_bytes().to_vec()),
            ..*end
        })),
        other => other,
    }
}

pub(in crate::store::tests) async fn groups_are_made_by_the_database(store: Store) {
    let all = instances(&store, 7).await;
    let new = invocation(1, &all);
    let key = store.create(new.clone()).await.unwrap().unwrap().invocation;
    store.create(invocation(2, &all)).await.unwrap().unwrap();
    let facts = [
        (0, end(TaskStatus::Success, 0, "a", None)),
        (1, end(TaskStatus::Success, 0, "b", Some("{}"))),
        (2, end(TaskStatus::Success, 0, "b", None)),
        (3, end(TaskStatus::Success, 0, "b", Some("{}"))),
        (4, end(TaskStatus::Failed, 1, "b", None)),
        // Two of seven are still waiting.
    ];
    store.record(facts.into_iter().map(|(at, what)| fact(&new, all[at].0, what)).collect()).await.unwrap();
    let told = |rows: Vec<AlikeRow>| -> Vec<_> {
        rows.into_iter().map(|row| (row.group, row.count, row.instance, row.status.as_str(), row.groups)).collect()
    };
    let by_output = told(store.alike(key, Likeness::Output, 2, 10).await.unwrap());
    assert_eq!(
        by_output,
        [
            (1, 3, all[1].0, "Success", 4),
            (1, 3, all[2].0, "Success", 4),
            (2, 2, all[5].0, "Pending", 4),
            (2, 2, all[6].0, "Pending", 4),
            (3, 1, all[0].0, "Success", 4),
            (4, 1, all[4].0, "Failed", 4),
        ]
    );
    assert_eq!(told(store.alike(key, Likeness::Output, 2, 1).await.unwrap()), by_output[..2]);
    let by_exit = store.alike(key, Likeness::Exit, 1, 10).await.unwrap();
    let codes: Vec<_> = by_exit.iter().map(|row| (row.count, row.exit_code)).collect();
    assert_eq!(codes, [(4, Some(0)), (2, None), (1, Some(1))]);
    let task = store.tasks_of(key, &[all[1].0]).await.unwrap().pop().unwrap();
    assert_eq!(task.output_digest, Some(Digest::of(b"b")));

    let reports = store.reports(key, 0, 1).await.unwrap();
    assert_eq!((reports.len(), reports[0].instance, &reports[0].report[..]), (1, all[1].0, &b"{}"[..]));
    assert_eq!(store.reports(key, all[1].0, 10).await.unwrap()[0].instance, all[3].0);
    assert!(store.reports(key, all[3].0, 10).await.unwrap().is_empty());

    let results = store.results(key, all[1].0..=all[3].0).await.unwrap();
    let told: Vec<_> = results.iter().map(|(instance, result)| (*instance, result.report.is_some())).collect();
    assert_eq!(told, [(all[1].0, true), (all[2].0, false), (all[3].0, true)]);
    assert!(store.results(key, all[5].0..=all[6].0).await.unwrap().is_empty(), "they are waiting");
    assert_eq!(store.output(key, all[1].0).await.unwrap().as_ref(), Some(&results[0].1.output));
    assert_eq!(store.output(key, all[5].0).await.unwrap(), None);
}
