//! Random histories: whatever comes in whatever order, the counters are those of the rows, and a proven end stays.

use std::collections::BTreeMap;

use orderly_model::invocation::StatusCounts;
use orderly_model::task::TaskStatus;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::cases::{ended, fact, instances, invocation};
use crate::store::Store;
use crate::store::fact::{TaskNow, What};
use crate::store::row::{NewStop, OrderKind};

#[derive(Debug, Clone)]
enum Step {
    Report(usize, Said),
    Expire,
    Stop(Option<usize>),
}

#[derive(Debug, Clone, Copy)]
enum Said {
    Accepted,
    Stopping,
    Ended(TaskStatus),
    Unproven,
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        Just(Said::Accepted),
        Just(Said::Stopping),
        prop::sample::select(vec![
            TaskStatus::Success,
            TaskStatus::Failed,
            TaskStatus::Invalid,
            TaskStatus::Terminated
        ])
        .prop_map(Said::Ended),
        Just(Said::Unproven),
    ]
}

fn what(said: Said) -> What {
    match said {
        Said::Accepted => What::Accepted,
        Said::Stopping => What::Stopping,
        Said::Ended(status) => ended(status),
        Said::Unproven => What::Unproven { generation: 1, at_ms: 9 },
    }
}

/// How many instances take part.
const INSTANCES: usize = 5;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..INSTANCES, said()).prop_map(|(instance, said)| Step::Report(instance, said)),
        1 => Just(Step::Expire),
        1 => prop::option::of(0..INSTANCES).prop_map(Step::Stop),
    ]
}

pub(super) async fn counters_agree_with_rows(store: Store) {
    let all = instances(&store, INSTANCES).await;
    let mut runner = TestRunner::deterministic();
    for number in 1..=25 {
        let new = invocation(number, &all);
        let key = store.create(new.clone()).await.unwrap().unwrap().invocation;
        let steps = prop::collection::vec(step(), 1..20).new_tree(&mut runner).unwrap().current();
        let mut proven: BTreeMap<usize, TaskStatus> = BTreeMap::new();
        for (index, step) in steps.iter().enumerate() {
            match step {
                Step::Report(instance, said) => {
                    if let Said::Ended(status) = said {
                        proven.entry(*instance).or_insert(*status);
                    }
                    store.record(vec![fact(&new, all[*instance].0, what(*said))]).await.unwrap();
                }
                Step::Expire => drop(store.expire(key, 2000).await.unwrap()),
                Step::Stop(only) => {
                    let stop = NewStop {
                        invocation: key,
                        digest: orderly_signing::digest::Digest::of(format!("{number} {index}").as_bytes()),
                        envelope: b"stop".to_vec(),
                        expires_ms: 9000,
                        now_ms: 3,
                        targets: only.map(|instance| vec![all[instance].clone()]),
                        series: false,
                    };
                    store.stop(stop).await.unwrap();
                }
            }
        }
        let row = store.invocation(&new.uid).await.unwrap().unwrap();
        let tasks = store.tasks(key, None, 0, 100).await.unwrap();
        let counted: StatusCounts = tasks.iter().map(|task| task.status).collect();
        assert_eq!(row.counts, counted, "{steps:?}");
        assert_eq!(row.finished_ms.is_some(), tasks.iter().all(|task| task.status.is_final()), "{steps:?}");
        for (instance, status) in proven {
            assert_eq!(tasks[instance].status, status, "a proven end stays: {steps:?}");
        }
        for task in tasks.iter().filter(|task| task.status != TaskStatus::Pending) {
            let waiting = store.deliveries_to(task.instance, 0, 1000).await.unwrap();
            let runs = waiting.iter().filter(|head| head.invocation == key && head.kind == OrderKind::Run);
            assert_eq!(runs.count(), 0, "only what waits is sent: {steps:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_history_ends_in_the_first_proven_end_and_stays_there(history in prop::collection::vec(said(), 0..12)) {
        let mut now = TaskNow {
            status: TaskStatus::Pending,
            proven: false,
            exit_code: None,
            code: None,
            started_ms: None,
            finished_ms: None,
            output_bytes: 0,
            dropped_bytes: 0,
            output_digest: None,
        };
        let mut first = None;
        for said in history {
            if let Said::Ended(status) = said {
                first.get_or_insert(status);
            }
            if let Some(after) = now.after(&what(said)) {
                prop_assert!(!now.proven);
                now = after;
            }
            prop_assert_eq!(now.finished_ms.is_some(), now.status.is_final());
        }
        if let Some(first) = first {
            prop_assert_eq!(now.status, first);
            prop_assert!(now.proven);
        }
    }
}
