//! `orderly invocation export`: all results of an invocation, for spreadsheets and programs.
//!
//! Owns the columns and the quoting (RFC 4180). A text of others is never a formula: spreadsheets execute cells that begin with one
//! of a few characters, so those get an apostrophe before them. It never steers a terminal either. Results are read and written page
//! by page, so that their number does not matter.

use clap::{Args, ValueEnum};
use orderly_model::report::FindingVerdict;
use orderly_wire::http::task::TaskDetail;
use orderly_wire::to_server::{KeptOutput, Stream};

use super::get;
use crate::args::Format;
use crate::client::encode;
use crate::context::Context;
use crate::error::{Exit, Outcome};
use crate::output::{Printer, printable};

/// The columns, in their order.
const COLUMNS: [&str; 17] = [
    "invocation",
    "instance",
    "name",
    "status",
    "exit_code",
    "code",
    "check",
    "reason",
    "started",
    "finished",
    "output_bytes",
    "dropped_bytes",
    "output_sha256",
    "stdout",
    "stderr",
    "failed_findings",
    "report",
];

/// Write all results to standard output
///
/// CSV is for spreadsheets: control characters are shown as \u{…}, and texts that would be formulas have an apostrophe before them. JSON
/// has everything as it is kept, receipts too; with `--output jsonl` one result a line.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The invocation, t-…
    id: String,
    /// The format; CSV, or JSON where `--output` says so
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<As>,
}

/// A format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum As {
    /// Comma-separated values with a header
    Csv,
    /// One JSON list
    Json,
}

impl Export {
    /// Reads and writes page by page.
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (client, printer) = (context.client()?, &context.printer);
        let format = self.format.unwrap_or(if printer.is_table() { As::Csv } else { As::Json });
        let lines = printer.format() == Format::Jsonl;
        // Refused before anything is written.
        get(&client, &self.id).await?;
        let list = format == As::Json && !lines;
        let begin = match format {
            As::Csv => record(COLUMNS.iter().map(|name| quoted(name))),
            As::Json => String::new(),
        };
        printer.raw(begin.as_bytes());
        let mut first = true;
        let mut pages = client.pages::<TaskDetail>(&format!("/v1/invocations/{}/results", encode(&self.id)));
        // What nobody gets is not asked for.
        while !printer.is_cut_off()
            && let Some(tasks) = pages.next().await?
        {
            for task in tasks {
                if list {
                    printer.raw(if std::mem::take(&mut first) { b"[\n" } else { b"," });
                }
                write(printer, format, &task);
            }
        }
        if list {
            printer.raw(if first { b"[]\n" } else { b"]\n" });
        }
        Ok(Exit::Success)
    }
}

fn write(printer: &Printer, format: As, task: &TaskDetail) {
    match format {
        As::Csv => printer.raw(row(task).as_bytes()),
        As::Json => printer.json(task, false),
    }
}

/// A task as a line of CSV.
fn row(task: &TaskDetail) -> String {
    let view = &task.view;
    let report = task.report.as_ref();
    let failed = report.map(|report| {
        let failed = report.findings.iter().filter(|finding| finding.verdict == FindingVerdict::Fail);
        failed.map(|finding| finding.id.as_str()).collect::<Vec<_>>().join(" ")
    });
    let number = |number: Option<i32>| number.map(|number| number.to_string()).unwrap_or_default();
    let time = |ms: Option<i64>| {
        let time = ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        time.map(|time| time.to_string()).unwrap_or_default()
    };
    let stream = |stream| task.output.as_ref().map(|output| text(output, stream)).unwrap_or_default();
    record([
        cell(&view.invocation),
        cell(view.instance.as_str()),
        cell(&view.instance_name),
        cell(&view.status),
        number(view.exit_code),
        cell(view.code.as_deref().unwrap_or_default()),
        cell(view.check.as_deref().unwrap_or_default()),
        cell(view.reason.as_deref().unwrap_or_default()),
        time(view.started_ms),
        time(view.finished_ms),
        view.output_bytes.to_string(),
        view.dropped_bytes.to_string(),
        view.output_digest.map(|digest| digest.hex()).unwrap_or_default(),
        cell(&stream(Stream::Stdout)),
        cell(&stream(Stream::Stderr)),
        cell(&failed.unwrap_or_default()),
        cell(&report.and_then(|report| serde_json::to_string(report).ok()).unwrap_or_default()),
    ])
}

fn record(cells: impl IntoIterator<Item = String>) -> String {
    format!("{}\r\n", cells.into_iter().collect::<Vec<_>>().join(","))
}

/// A text of others: no formula, no command for a terminal.
fn cell(text: &str) -> String {
    let text = printable(text);
    // Spreadsheets pass over blanks before a formula, and take the wide forms of the characters for the same.
    let begins = text.trim_start().chars().next();
    let formula = text.starts_with('\t')
        || begins.is_some_and(|c| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠'));
    quoted(&if formula { format!("'{text}") } else { text })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// What was kept of one stream, with a line where something was dropped.
fn text(output: &KeptOutput, only: Stream) -> String {
    let mut bytes = Vec::new();
    for segment in output.head.iter().filter(|segment| segment.stream == only) {
        bytes.extend_from_slice(&segment.data);
    }
    if output.dropped_bytes > 0 {
        bytes.extend_from_slice(format!("\n[… {} bytes were not kept …]\n", output.dropped_bytes).as_bytes());
    }
    for segment in output.tail.iter().filter(|segment| segment.stream == only) {
        bytes.extend_from_slice(&segment.data);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_signing::{InstanceId, SecretKey};
    use orderly_wire::http::task::TaskView;
    use orderly_wire::to_server::Segment;

    use super::*;

    #[test]
    fn output_of_an_instance_is_no_formula_of_a_spreadsheet() {
        for attack in
            ["=cmd|' /C calc'!A0", "+1", "-2", "@SUM(A1)", "\t=1", " =1", "\n=1", "\r=1", "＝1", "＋1", "－1", "＠1"]
        {
            let shown = cell(attack);
            let inner = shown.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
            let executed = inner.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
            assert!(!executed && !inner.starts_with(['\t', '\r']), "{attack:?}: {shown:?}");
        }
        assert_eq!(cell("all = well"), "\"all = well\"");
    }

    #[test]
    fn a_cell_cannot_begin_another_and_no_terminal_is_steered() {
        assert_eq!(cell("a\",\"=1\r\n"), "\"a\"\",\"\"=1\\u{d}\n\"");
        assert_eq!(cell("\u{1b}[2J"), "\"\\u{1b}[2J\"");
    }

    #[test]
    fn a_row_has_a_cell_for_each_column_and_says_what_was_dropped() {
        let view: TaskView = serde_json::from_value(serde_json::json!({
            "invocation": "t-1", "instance": InstanceId::of(SecretKey::from_seed([1; 32]).public()),
            "instance_name": "web", "generation": 1, "status": "Failed", "exit_code": -1, "started_ms": 0,
            "output_bytes": 300, "dropped_bytes": 298,
        }))
        .unwrap();
        let segment = |stream, text: &str| Segment { stream, data: text.as_bytes().to_vec() };
        let output = KeptOutput {
            head: vec![segment(Stream::Stdout, "a")],
            dropped_bytes: 298,
            tail: vec![segment(Stream::Stderr, "z")],
        };
        let shown = row(&TaskDetail { view, output: Some(output), report: None, receipt: None });
        assert_eq!(shown.matches(',').count(), COLUMNS.len() - 1, "{shown}");
        assert!(shown.contains("\"Failed\",-1,") && shown.contains("1970-01-01T00:00:00Z"), "{shown}");
        assert!(shown.contains("\"a\n[… 298 bytes were not kept …]\n\""), "{shown}");
    }
}
