//! The task machine: its whole table, and random walks.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn events() -> Vec<TaskEvent> {
    let plain = [
        TaskEvent::Accepted,
        TaskEvent::Armed,
        TaskEvent::RunStarted,
        TaskEvent::RunEnded,
        TaskEvent::Refused,
        TaskEvent::DeliveryTimeout,
        TaskEvent::InstanceReleased,
        TaskEvent::StopRequested,
        TaskEvent::Withdrawn,
    ];
    plain.into_iter().chain(FinalStatus::ALL.map(TaskEvent::Finished)).collect()
}

#[test]
fn the_whole_table() {
    use TaskStatus::{Aborted, Cancelled, Error, Invalid, Pending, Running, Scheduled, Stopping};
    // Rows: Accepted, Armed, RunStarted, RunEnded, Refused, DeliveryTimeout, InstanceReleased, StopRequested, Withdrawn.
    let table = [
        (
            Pending,
            [
                Some(Running),
                Some(Scheduled),
                Some(Running),
                None,
                Some(Invalid),
                Some(Aborted),
                Some(Aborted),
                Some(Stopping),
                Some(Cancelled),
            ],
        ),
        (
            Scheduled,
            [
                None,
                Some(Scheduled),
                Some(Running),
                Some(Scheduled),
                Some(Invalid),
                None,
                Some(Error),
                Some(Stopping),
                None,
            ],
        ),
        (
            Running,
            [
                Some(Running),
                None,
                Some(Running),
                Some(Scheduled),
                Some(Invalid),
                None,
                Some(Error),
                Some(Stopping),
                None,
            ],
        ),
        (
            Stopping,
            [
                Some(Stopping),
                Some(Stopping),
                Some(Stopping),
                Some(Stopping),
                Some(Invalid),
                Some(Aborted),
                Some(Error),
                Some(Stopping),
                None,
            ],
        ),
    ];
    for (from, row) in table {
        for (event, to) in events().into_iter().zip(row) {
            assert_eq!(from.apply(event).ok(), to, "{from} and {event:?}");
        }
        for status in FinalStatus::ALL {
            assert_eq!(from.apply(TaskEvent::Finished(status)), Ok(status.into()));
        }
    }
}

#[test]
fn nothing_leaves_a_final_status() {
    for status in TaskStatus::ALL.into_iter().filter(|status| status.is_final()) {
        for event in events() {
            assert_eq!(status.apply(event), Err(Illegal { from: status, event }));
        }
    }
}

#[test]
fn codes_and_names_never_change() {
    let stored: Vec<(i64, &str)> = TaskStatus::ALL.iter().map(|status| (status.code(), status.as_str())).collect();
    assert_eq!(
        stored,
        [
            (0, "Pending"),
            (1, "Scheduled"),
            (2, "Running"),
            (3, "Stopping"),
            (10, "Success"),
            (11, "Failed"),
            (12, "Error"),
            (13, "Timeout"),
            (14, "Invalid"),
            (15, "Aborted"),
            (16, "Cancelled"),
            (17, "Stopped"),
            (18, "Terminated"),
        ]
    );
    for status in TaskStatus::ALL {
        assert_eq!(TaskStatus::from_code(status.code()), Some(status));
        assert_eq!(status.as_str().parse(), Ok(status));
        assert_eq!(FinalStatus::try_from(status).is_ok(), status.is_final());
        assert_eq!(status.as_str().parse::<FinalStatus>().is_ok(), status.is_final());
    }
    assert_eq!(TaskStatus::from_code(4), None);
    assert_eq!(TaskStatus::from_code(-1), None);
    assert!("running".parse::<TaskStatus>().is_err());
}

proptest! {
    #[test]
    fn every_walk_ends_at_most_once_and_can_always_end(walk in proptest::collection::vec(proptest::sample::select(events()), 0..30)) {
        let mut status = TaskStatus::Pending;
        let mut ended = None;
        for event in walk {
            let before = status;
            match status.apply(event) {
                Ok(next) => status = next,
                Err(illegal) => prop_assert_eq!(illegal, Illegal { from: before, event }),
            }
            if let Some(ended) = ended {
                prop_assert_eq!(status, ended);
            } else if status.is_final() {
                ended = Some(status);
            }
        }
        let over = status.apply(TaskEvent::Finished(FinalStatus::Error));
        prop_assert_eq!(over.is_ok(), ended.is_none());
    }

    #[test]
    fn a_report_that_comes_again_changes_nothing(walk in proptest::collection::vec(proptest::sample::select(events()), 0..10), event in proptest::sample::select(events())) {
        let status = walk.into_iter().fold(TaskStatus::Pending, |status, event| status.apply(event).unwrap_or(status));
        if let Ok(once) = status.apply(event) {
            prop_assert_eq!(once.apply(event).unwrap_or(once), once);
        }
    }
}
