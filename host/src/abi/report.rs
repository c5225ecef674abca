//! `orderly:plugin/report`: findings, facts, tables, progress. Everybody has it; the model's builder holds the caps.

use orderly_model::report as model;

use super::bindings::orderly::plugin::report::{Error, Finding, Host, Severity, Table, Verdict};
use crate::frame::Up;
use crate::state::State;

/// Most bytes of a progress message.
const PROGRESS_MAX_BYTES: usize = 200;

type Answer = wasmtime::Result<Result<(), Error>>;

impl Host for State {
    fn add_finding(&mut self, finding: Finding) -> Answer {
        let severity = match finding.severity {
            Severity::Info => model::Severity::Info,
            Severity::Low => model::Severity::Low,
            Severity::Medium => model::Severity::Medium,
            Severity::High => model::Severity::High,
            Severity::Critical => model::Severity::Critical,
        };
        let verdict = match finding.verdict {
            Verdict::Pass => model::FindingVerdict::Pass,
            Verdict::Fail => model::FindingVerdict::Fail,
            Verdict::NotApplicable => model::FindingVerdict::NotApplicable,
        };
        let Finding { id, title, evidence, remedy, .. } = finding;
        answer(self.report.finding(model::Finding { id, title, severity, verdict, evidence, remedy }))
    }

    fn add_fact(&mut self, key: String, value: String) -> Answer {
        answer(self.report.fact(&key, &value))
    }

    fn add_table(&mut self, table: Table) -> Answer {
        let Table { name, columns, rows } = table;
        answer(self.report.table(model::Table { name, columns, rows }))
    }

    fn progress(&mut self, done: u32, total: u32, message: String) -> wasmtime::Result<()> {
        let cut = message.get(..message.floor_char_boundary(PROGRESS_MAX_BYTES)).unwrap_or_default();
        let message = cut.replace(char::is_control, " ");
        // Lossy, as the WIT says.
        let _ = self.line.tell(&Up::Progress { done, total, message });
        Ok(())
    }
}

fn answer(added: Result<(), model::ReportError>) -> Answer {
    Ok(added.map_err(|error| match error {
        model::ReportError::Full => Error::Full,
        model::ReportError::Invalid(reason) => Error::Invalid(reason),
    }))
}
