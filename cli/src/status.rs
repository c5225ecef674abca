//! Statuses of tasks as the terminal shows them, and the exit code that follows from them.
//!
//! Owns colours, one-line explanations and counts in words. What a status means is the model's. How a rollout goes is in a file of
//! its own.

mod rollout;

use std::collections::BTreeMap;

use orderly_model::task::TaskStatus;
use orderly_wire::http::task::TaskView;

use crate::error::Exit;
use crate::output::{Tone, bytes};

pub(crate) use rollout::{HALTED, next, place, policy, rollout, span};

/// Whether a task of this status has ended. A status that this version does not know has not.
pub(crate) fn is_final(status: &str) -> bool {
    status.parse::<TaskStatus>().is_ok_and(|status| status.is_final())
}

/// How a status is meant.
pub(crate) fn tone(status: &str) -> Tone {
    match status {
        "Success" => Tone::Good,
        "Pending" | "Scheduled" | "Running" => Tone::Plain,
        "Stopping" | "Stopped" | "Cancelled" | "Terminated" | "PartialFailed" => Tone::Attention,
        _ => Tone::Bad,
    }
}

/// Counts in words, such as `3 Success, 1 Failed`.
pub(crate) fn counts(counts: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> =
        counts.iter().filter(|(_, count)| **count > 0).map(|(status, count)| format!("{count} {status}")).collect();
    parts.join(", ")
}

/// The exit code of a finished invocation.
pub(crate) fn exit(counts: &BTreeMap<String, u64>) -> Exit {
    let all: u64 = counts.values().sum();
    match counts.get("Success").copied().unwrap_or(0) {
        success if success == all && all > 0 => Exit::Success,
        0 => Exit::TaskFailed,
        _ => Exit::Partial,
    }
}

/// Why a task ended as it did, in one line.
pub(crate) fn explanation(task: &TaskView) -> String {
    let mut parts = Vec::new();
    if let Some(check) = &task.check {
        parts.push(format!("refused by the check `{check}`"));
    }
    if let Some(code) = &task.code {
        parts.push(code.clone());
    }
    if let Some(exit_code) = task.exit_code {
        parts.push(format!("exit code {exit_code}"));
    }
    if let Some(reason) = &task.reason {
        parts.push(reason.clone());
    }
    parts.join(", ")
}

/// The columns of [`row`].
pub(crate) const HEADER: [&str; 5] = ["instance", "status", "took", "output", "why"];

/// The kind of an invocation that collects a file: its bytes are counted where those of output are.
pub(crate) const COLLECT: &str = "collect";

/// What came of a task in an invocation of this kind: output, or the file that it collected.
pub(crate) fn output(task: &TaskView, kind: &str) -> String {
    match (kind, task.dropped_bytes) {
        (COLLECT, _) if task.status == "Success" => format!("collected, {}", bytes(task.output_bytes)),
        (COLLECT, _) => "-".to_owned(),
        (_, 0) => bytes(task.output_bytes),
        (_, dropped) => format!("{} ({} not kept)", bytes(task.output_bytes), bytes(dropped)),
    }
}

/// A task of an invocation of this kind as a row of a table.
pub(crate) fn row(task: &TaskView, kind: &str) -> Vec<(String, Tone)> {
    vec![
        (task.instance_name.clone(), Tone::Plain),
        (task.status.clone(), tone(&task.status)),
        (took(task.started_ms, task.finished_ms), Tone::Plain),
        (output(task, kind), Tone::Plain),
        (explanation(task), Tone::Plain),
    ]
}

/// How long a task took, in words.
pub(crate) fn took(started_ms: Option<i64>, finished_ms: Option<i64>) -> String {
    match (started_ms, finished_ms) {
        (Some(started), Some(finished)) => {
            let ms = finished.saturating_sub(started).max(0);
            if ms < 10_000 { format!("{ms} ms") } else { format!("{} s", ms / 1000) }
        }
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_signing::{InstanceId, SecretKey};

    use super::*;

    fn of(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        pairs.iter().map(|(status, count)| ((*status).to_owned(), *count)).collect()
    }

    #[test]
    fn exit_codes_follow_the_counts() {
        assert_eq!(exit(&of(&[("Success", 3)])), Exit::Success);
        assert_eq!(exit(&of(&[("Success", 3), ("Failed", 1)])), Exit::Partial);
        assert_eq!(exit(&of(&[("Aborted", 1)])), Exit::TaskFailed);
        assert_eq!(exit(&of(&[])), Exit::TaskFailed);
    }

    #[test]
    fn a_collected_file_is_no_output_that_was_not_kept() {
        let task = |status: &str| -> TaskView {
            serde_json::from_value(serde_json::json!({
                "invocation": "t-1", "instance": InstanceId::of(SecretKey::from_seed([1; 32]).public()),
                "instance_name": "web", "generation": 1, "status": status, "output_bytes": 300, "dropped_bytes": 300,
            }))
            .unwrap()
        };
        assert!(output(&task("Success"), COLLECT).starts_with("collected, 300"));
        assert_eq!(output(&task("Failed"), COLLECT), "-");
        assert!(output(&task("Success"), "script").ends_with("not kept)"));
    }

    #[test]
    fn an_unknown_status_has_not_ended() {
        assert!(is_final("Success") && is_final("Invalid"));
        assert!(!is_final("Running") && !is_final("Whatever"));
    }
}
