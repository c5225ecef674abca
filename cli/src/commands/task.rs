//! `orderly task`: one instance's part of an invocation.
//!
//! Owns showing its result and its output.

use clap::{Subcommand, ValueEnum};
use orderly_wire::http::invocation::InvocationView;
use orderly_wire::http::task::TaskDetail;
use orderly_wire::to_server::{Segment, Stream};

use crate::client::{Client, encode};
use crate::context::Context;
use crate::error::{Exit, Failure, Outcome};
use crate::fleet;
use crate::output::{Printer, Tone, time_or_dash};
use crate::report;
use crate::status;

/// Show the result of a task
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Show a task: status, times, and what a plugin found
    Show {
        /// The invocation, t-…
        invocation: String,
        /// The instance, by id or name
        instance: String,
    },
    /// Print what was kept of a task's output
    Output {
        /// The invocation, t-…
        invocation: String,
        /// The instance, by id or name
        instance: String,
        /// Only one of the two streams
        #[arg(long, value_enum)]
        stream: Option<Only>,
    },
}

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    /// Standard output
    Stdout,
    /// Standard error
    Stderr,
}

impl Task {
    /// Runs the sub-command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::Show { invocation, instance } => {
                let detail = get(&client, &invocation, &instance).await?;
                let kind = kind(&client, &invocation).await?;
                context.printer.one(&detail, |printer| show(printer, &detail, &kind));
            }
            Self::Output { invocation, instance, stream } => {
                let detail = get(&client, &invocation, &instance).await?;
                if kind(&client, &invocation).await? == status::COLLECT {
                    let collected = status::output(&detail.view, status::COLLECT);
                    context.printer.one(&detail.output, |printer| printer.remark(&collected));
                } else {
                    context.printer.one(&detail.output, |printer| output(printer, &detail, stream));
                }
            }
        }
        Ok(Exit::Success)
    }
}

async fn get(client: &Client, invocation: &str, instance: &str) -> Result<TaskDetail, Failure> {
    let id = fleet::one(client, instance).await?.id;
    client.get(&format!("/v1/invocations/{}/tasks/{id}", encode(invocation))).await
}

/// What the invocation does, in a word.
async fn kind(client: &Client, invocation: &str) -> Result<String, Failure> {
    let view: InvocationView = client.get(&format!("/v1/invocations/{}", encode(invocation))).await?;
    Ok(view.kind)
}

fn show(printer: &Printer, detail: &TaskDetail, kind: &str) {
    let view = &detail.view;
    let rows = [
        ("instance", format!("{} {}", view.instance_name, view.instance)),
        ("started (UTC)", time_or_dash(view.started_ms)),
        ("ended (UTC)", time_or_dash(view.finished_ms)),
        ("took", status::took(view.started_ms, view.finished_ms)),
        ("output", status::output(view, kind)),
        ("receipt", if detail.receipt.is_some() { "signed by the instance" } else { "none" }.to_owned()),
    ];
    let mut rows: Vec<_> =
        rows.into_iter().map(|(key, value)| vec![(key.to_owned(), Tone::Dim), (value, Tone::Plain)]).collect();
    rows.insert(1, vec![("status".to_owned(), Tone::Dim), (view.status.clone(), status::tone(&view.status))]);
    let why = status::explanation(view);
    if !why.is_empty() {
        rows.insert(2, vec![("why".to_owned(), Tone::Dim), (why, Tone::Plain)]);
    }
    printer.table(&["", ""], rows);
    if let Some(found) = &detail.report {
        report::show(printer, found);
    }
}

fn output(printer: &Printer, detail: &TaskDetail, only: Option<Only>) {
    let Some(kept) = &detail.output else {
        printer.remark("there is no output yet: the task has not ended");
        return;
    };
    let print = |segments: &[Segment]| {
        for segment in segments {
            match (segment.stream, only) {
                (Stream::Stdout, None | Some(Only::Stdout)) => printer.raw(&segment.data),
                // Asked for alone it is the result; beside standard output it goes where it came from.
                (Stream::Stderr, Some(Only::Stderr)) => printer.raw(&segment.data),
                (Stream::Stderr, None) => printer.raw_error(&segment.data),
                (Stream::Stdout, Some(Only::Stderr)) | (Stream::Stderr, Some(Only::Stdout)) => {}
            }
        }
    };
    print(&kept.head);
    if kept.dropped_bytes > 0 {
        printer.remark(&format!("… {} bytes were not kept …", kept.dropped_bytes));
    }
    print(&kept.tail);
}
