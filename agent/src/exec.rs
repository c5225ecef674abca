//! Doing what was accepted: scripts, plugins, and moving files.
//!
//! Owns the start, the watch and the end of one task's run, and how that end is called. Nothing gets here that did not
//! pass all checks and is not in the journal. A run ends by itself, at its deadline, or when its stop token is
//! cancelled; the words "Timeout" and "Terminated" are said only when nothing of its tree is alive.

use orderly_host::output::Kept;
use orderly_model::report::Report;
use orderly_model::task::{ResultCode, TaskStatus};
use orderly_signing::error::Check;
use orderly_signing::receipt::Use;

pub(crate) mod account;
pub(crate) mod collect;
pub(crate) mod container;
pub(crate) mod effect;
pub(crate) mod file;
pub(crate) mod handed;
pub(crate) mod live;
pub(crate) mod plugin;
pub(crate) mod script;
mod shebang;
pub(crate) mod start;
pub(crate) mod trial;
pub(crate) mod values;

/// How a task came out. All that a receipt says of it, before it is signed.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// A final status.
    pub status: TaskStatus,
    /// What went wrong, in a word.
    pub code: Option<ResultCode>,
    /// What went wrong, in a sentence.
    pub reason: Option<String>,
    /// The check that refused, where one did after all.
    pub check: Option<Check>,
    /// The exit code, where there was one; 128 and the signal's number for a program that a signal ended.
    pub exit_code: Option<i32>,
    /// The output; nothing for a run that never began.
    pub output: Option<Kept>,
    /// What a plugin reported.
    pub report: Option<Report>,
    /// What a plugin used.
    pub used: Vec<Use>,
    /// When it began.
    pub started_ms: Option<i64>,
}

impl Outcome {
    /// The end of a task that never ran, or of which nothing is known but this.
    pub(crate) fn without_run(status: TaskStatus, code: Option<ResultCode>, reason: impl Into<String>) -> Self {
        Self {
            status,
            code,
            reason: Some(reason.into()),
            check: None,
            exit_code: None,
            output: None,
            report: None,
            used: Vec::new(),
            started_ms: None,
        }
    }

    /// The same end with nothing of what was written, all of which then counts as dropped. The receipt still says the
    /// digest of all output.
    pub(crate) fn without_output(&self) -> Self {
        let sentence = "its output and its report were too large to be recorded";
        let output = self.output.as_ref().map(|kept| Kept {
            head: Vec::new(),
            tail: Vec::new(),
            dropped_bytes: kept.total_bytes,
            sha256: kept.sha256,
            ..*kept
        });
        let reason = self.reason.as_ref().map_or(sentence.to_owned(), |reason| format!("{reason}; {sentence}"));
        Self {
            status: self.status,
            code: self.code,
            reason: Some(reason),
            check: self.check,
            exit_code: self.exit_code,
            output,
            report: None,
            used: self.used.clone(),
            started_ms: self.started_ms,
        }
    }
}

/// An error with all its causes, in one line for a receipt.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some libraries' errors show their cause themselves.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use orderly_host::output::{Segment, Stream};

    use super::*;
    use crate::journal::{Expect, Journal};

    #[test]
    fn an_end_that_no_journal_entry_can_hold_is_told_without_its_output() {
        let text = vec![b'x'; 12 * 1024 * 1024];
        let (bytes, sha256) = (text.len() as u64, orderly_signing::digest::Digest::of(&text));
        let head = vec![Segment { stream: Stream::Stdout, bytes: text }];
        let kept = Kept {
            head,
            tail: Vec::new(),
            dropped_bytes: 0,
            total_bytes: bytes,
            stdout_bytes: bytes,
            stderr_bytes: 0,
            sha256,
        };
        let outcome = Outcome {
            output: Some(kept),
            exit_code: Some(3),
            ..Outcome::without_run(TaskStatus::Failed, Some(ResultCode::ExitCodeNonzero), "it failed")
        };
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(directory.path(), Expect::Fresh, 1).unwrap();
        let mut append = |outcome: &Outcome| {
            let head = outcome.output.iter().flat_map(|kept| &kept.head);
            let text: Vec<u8> = head.flat_map(|segment| segment.bytes.clone()).collect();
            let record = crate::journal::record::seen(
                orderly_signing::digest::Digest::ZERO,
                None,
                Some(String::from_utf8(text).unwrap()),
                1,
                1,
            );
            journal.append(&[record])
        };
        assert!(append(&outcome).unwrap_err().is_about_the_record());
        let short = outcome.without_output();
        append(&short).unwrap();
        let (told, whole) = (short.output.unwrap(), outcome.output.unwrap());
        assert_eq!((told.head.len(), told.tail.len(), told.dropped_bytes), (0, 0, bytes));
        assert_eq!((told.total_bytes, told.sha256), (whole.total_bytes, whole.sha256), "what the receipt signs stays");
        assert_eq!((short.status, short.exit_code), (TaskStatus::Failed, Some(3)));
        assert!(short.reason.unwrap().starts_with("it failed; "));
    }
}
