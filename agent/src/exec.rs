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
pub(crate) mod effect;
pub(crate) mod file;
pub(crate) mod live;
pub(crate) mod plugin;
pub(crate) mod script;
mod shebang;

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
