//! An invocation's status: what its tasks' statuses come to. Owns the rule; the counts, which say
//! more, are always shown beside it.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{ParseError, serde_by_text};
use crate::task::TaskStatus;

/// The status of an invocation, as Cloud Assistant has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InvocationStatus {
    /// A task waits to be delivered.
    Pending,
    /// A task waits for its time, none is Pending.
    Scheduled,
    /// A task runs, none is Pending or Scheduled.
    Running,
    /// A task is being stopped, none is Pending, Scheduled or Running.
    Stopping,
    /// All tasks ended with Success.
    Success,
    /// All tasks ended, none with Success, and not all by being stopped.
    Failed,
    /// All tasks ended by being stopped.
    Stopped,
    /// All tasks ended, some with Success and some otherwise.
    PartialFailed,
}

impl InvocationStatus {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Scheduled,
        Self::Running,
        Self::Stopping,
        Self::Success,
        Self::Failed,
        Self::Stopped,
        Self::PartialFailed,
    ];

    /// The name, as Cloud Assistant has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Scheduled => "Scheduled",
            Self::Running => "Running",
            Self::Stopping => "Stopping",
            Self::Success => "Success",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
            Self::PartialFailed => "PartialFailed",
        }
    }

    /// Whether all tasks have ended.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Stopped | Self::PartialFailed)
    }
}

impl FromStr for InvocationStatus {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let known = Self::ALL.into_iter().find(|status| status.as_str() == text);
        known.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            ParseError::new("invocation status", text, format!("write one of {all}"))
        })
    }
}

impl fmt::Display for InvocationStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

serde_by_text!(InvocationStatus);

/// How many tasks have each status. By serde a map of names to numbers, without zeros.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatusCounts([u64; TaskStatus::ALL.len()]);

impl StatusCounts {
    /// None of any.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds so many tasks of a status.
    pub fn add(&mut self, status: TaskStatus, count: u64) {
        if let Some(place) = self.0.get_mut(index(status)) {
            *place = place.saturating_add(count);
        }
    }

    /// How many tasks have this status.
    pub fn get(&self, status: TaskStatus) -> u64 {
        self.0.get(index(status)).copied().unwrap_or_default()
    }

    /// How many tasks there are.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |total, count| total.saturating_add(*count))
    }

    /// How many tasks have ended.
    pub fn ended(&self) -> u64 {
        self.iter().filter(|(status, _)| status.is_final()).fold(0, |total, (_, count)| total.saturating_add(count))
    }

    /// The statuses that some task has, with how many.
    pub fn iter(&self) -> impl Iterator<Item = (TaskStatus, u64)> + '_ {
        TaskStatus::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

/// The place of a status in `TaskStatus::ALL`.
fn index(status: TaskStatus) -> usize {
    TaskStatus::ALL.iter().position(|other| *other == status).unwrap_or(usize::MAX)
}

impl FromIterator<TaskStatus> for StatusCounts {
    fn from_iter<I: IntoIterator<Item = TaskStatus>>(statuses: I) -> Self {
        let mut counts = Self::new();
        for status in statuses {
            counts.add(status, 1);
        }
        counts
    }
}

impl Serialize for StatusCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for StatusCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counts;

        impl<'de> Visitor<'de> for Counts {
            type Value = StatusCounts;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a map of task statuses to numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StatusCounts, A::Error> {
                let mut counts = StatusCounts::new();
                while let Some((status, count)) = map.next_entry::<TaskStatus, u64>()? {
                    if counts.get(status) > 0 {
                        return Err(A::Error::custom(format!("the status {status} is there twice")));
                    }
                    counts.add(status, count);
                }
                Ok(counts)
            }
        }

        deserializer.deserialize_map(Counts)
    }
}

/// What the tasks' statuses come to.
///
/// While any is Pending, Scheduled, Running or Stopping, the first of these in this order. All
/// ended: all Success → Success; no Success and only Cancelled, Terminated and Stopped →
/// Stopped; no Success otherwise → Failed; Success mixed with anything else → PartialFailed.
/// No task at all → Pending: nothing is known yet.
pub fn aggregate(counts: &StatusCounts) -> InvocationStatus {
    let any = |status| counts.get(status) > 0;
    if any(TaskStatus::Pending) || counts.total() == 0 {
        InvocationStatus::Pending
    } else if any(TaskStatus::Scheduled) {
        InvocationStatus::Scheduled
    } else if any(TaskStatus::Running) {
        InvocationStatus::Running
    } else if any(TaskStatus::Stopping) {
        InvocationStatus::Stopping
    } else if any(TaskStatus::Success) {
        let only = counts.iter().all(|(status, _)| status == TaskStatus::Success);
        if only { InvocationStatus::Success } else { InvocationStatus::PartialFailed }
    } else {
        let stopped = |status| matches!(status, TaskStatus::Cancelled | TaskStatus::Terminated | TaskStatus::Stopped);
        let only = counts.iter().all(|(status, _)| stopped(status));
        if only { InvocationStatus::Stopped } else { InvocationStatus::Failed }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// The rule again, over the list of tasks itself and in other words.
    fn naive(tasks: &[TaskStatus]) -> InvocationStatus {
        let open = [
            (TaskStatus::Pending, InvocationStatus::Pending),
            (TaskStatus::Scheduled, InvocationStatus::Scheduled),
            (TaskStatus::Running, InvocationStatus::Running),
            (TaskStatus::Stopping, InvocationStatus::Stopping),
        ];
        for (task, invocation) in open {
            if tasks.contains(&task) {
                return invocation;
            }
        }
        let good = tasks.iter().filter(|task| **task == TaskStatus::Success).count();
        let stopped =
            tasks.iter().filter(|task| ["Cancelled", "Terminated", "Stopped"].contains(&task.as_str())).count();
        match (good, stopped) {
            (good, _) if good == tasks.len() => InvocationStatus::Success,
            (0, stopped) if stopped == tasks.len() => InvocationStatus::Stopped,
            (0, _) => InvocationStatus::Failed,
            _ => InvocationStatus::PartialFailed,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_rule(
            wild in proptest::collection::vec(proptest::sample::select(TaskStatus::ALL.to_vec()), 1..12),
            ended in proptest::collection::vec(proptest::sample::select(TaskStatus::ALL.into_iter().filter(|s| s.is_final()).collect::<Vec<_>>()), 1..4),
        ) {
            for tasks in [wild, ended] {
                let counts: StatusCounts = tasks.iter().copied().collect();
                prop_assert_eq!(aggregate(&counts), naive(&tasks));
                prop_assert_eq!(counts.total(), tasks.len() as u64);
                prop_assert_eq!(aggregate(&counts).is_final(), tasks.iter().all(|task| task.is_final()));
                prop_assert_eq!(aggregate(&counts).is_final(), counts.ended() == counts.total());
                let json = serde_json::to_string(&counts).unwrap();
                prop_assert_eq!(serde_json::from_str::<StatusCounts>(&json).unwrap(), counts);
            }
        }

        #[test]
        fn numbers_do_not_matter_only_presence(status in proptest::sample::select(TaskStatus::ALL.to_vec()), other in proptest::sample::select(TaskStatus::ALL.to_vec()), count in 1..u64::MAX) {
            let mut few = StatusCounts::new();
            few.add(status, 1);
            few.add(other, 1);
            let mut many = few;
            many.add(status, count);
            prop_assert_eq!(aggregate(&few), aggregate(&many));
        }
    }

    #[test]
    fn edges() {
        assert_eq!(aggregate(&StatusCounts::new()), InvocationStatus::Pending);
        let mut counts = StatusCounts::new();
        counts.add(TaskStatus::Success, u64::MAX);
        counts.add(TaskStatus::Success, 1);
        counts.add(TaskStatus::Timeout, 1);
        assert_eq!(counts.total(), u64::MAX);
        assert_eq!(aggregate(&counts), InvocationStatus::PartialFailed);
        for bad in [r#"{"Done":1}"#, r#"{"Success":1,"Success":2}"#, r#"{"Success":-1}"#] {
            assert!(serde_json::from_str::<StatusCounts>(bad).is_err(), "{bad}");
        }
        assert_eq!("PartialFailed".parse::<InvocationStatus>().unwrap(), InvocationStatus::PartialFailed);
        assert!("partialfailed".parse::<InvocationStatus>().is_err());
    }
}
