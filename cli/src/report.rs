//! What a plugin reported, as tables.
//!
//! Owns how findings, facts and tables look on a terminal: what needs attention first, the rest counted. Never decides
//! what a finding means.

use orderly_model::report::{Finding, FindingVerdict, Report, Severity, Table, Verdict};

use crate::output::{Printer, Row, Tone};

/// Rows of one table that a terminal shows; all of them are in `--output json`.
const ROWS_SHOWN: usize = 40;

/// Shows a report.
pub(crate) fn show(printer: &Printer, report: &Report) {
    if !report.findings.is_empty() {
        findings(printer, &report.findings);
    }
    if !report.facts.is_empty() {
        let rows =
            report.facts.iter().map(|fact| vec![(fact.key.clone(), Tone::Dim), (fact.value.clone(), Tone::Plain)]);
        printer.table(&["fact", "value"], rows.collect());
    }
    for table in &report.tables {
        show_table(printer, table);
    }
    if let Some(outcome) = &report.outcome {
        let word = match outcome.verdict {
            Verdict::Pass => "pass",
            Verdict::Attention => "needs attention",
        };
        printer.line(&format!("{word}: {}", outcome.summary));
    }
}

/// Failed findings, the worst first; the others are counted.
fn findings(printer: &Printer, findings: &[Finding]) {
    let mut failed: Vec<&Finding> = of(findings, FindingVerdict::Fail).collect();
    failed.sort_by(|one, other| other.severity.cmp(&one.severity).then_with(|| one.id.cmp(&other.id)));
    let rows: Vec<Row> = failed
        .iter()
        .map(|finding| {
            vec![
                (finding.severity.as_str().to_owned(), tone(finding.severity)),
                (finding.id.clone(), Tone::Plain),
                (finding.title.clone(), Tone::Plain),
                (finding.evidence.clone(), Tone::Plain),
                (finding.remedy.clone(), Tone::Plain),
            ]
        })
        .collect();
    if !rows.is_empty() {
        printer.table(&["severity", "rule", "finding", "evidence", "remedy"], rows);
    }
    let not_applicable: Vec<&Finding> = of(findings, FindingVerdict::NotApplicable).collect();
    printer.line(&format!(
        "{} rule(s): {} failed, {} passed, {} not applicable",
        findings.len(),
        failed.len(),
        of(findings, FindingVerdict::Pass).count(),
        not_applicable.len()
    ));
    for finding in not_applicable {
        printer.line(&format!("  not applicable: {} ({})", finding.id, finding.evidence));
    }
}

fn of(findings: &[Finding], verdict: FindingVerdict) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(move |finding| finding.verdict == verdict)
}

const fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Info => Tone::Dim,
        Severity::Low => Tone::Plain,
        Severity::Medium => Tone::Attention,
        Severity::High | Severity::Critical => Tone::Bad,
    }
}

fn show_table(printer: &Printer, table: &Table) {
    printer.line(&table.name);
    let header: Vec<&str> = table.columns.iter().map(String::as_str).collect();
    let shown = table.rows.iter().take(ROWS_SHOWN);
    printer.table(&header, shown.map(|row| row.iter().map(|cell| (cell.clone(), Tone::Plain)).collect()).collect());
    if table.rows.len() > ROWS_SHOWN {
        printer.line(&format!("… and {} more row(s); `--output json` has them all", table.rows.len() - ROWS_SHOWN));
    }
}
