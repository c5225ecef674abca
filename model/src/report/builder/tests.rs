//! Reports: caps at their edges, and forged reports.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::report::{FindingVerdict, Severity, Verdict};

fn finding(id: &str) -> Finding {
    Finding {
        id: id.to_owned(),
        title: "Root may not log in".to_owned(),
        severity: Severity::High,
        verdict: FindingVerdict::Fail,
        evidence: "/etc/ssh/sshd_config:3: PermitRootLogin yes".to_owned(),
        remedy: String::new(),
    }
}

fn table(rows: usize, cell: &str) -> Table {
    Table { name: "t".to_owned(), columns: vec!["a".to_owned()], rows: vec![vec![cell.to_owned()]; rows] }
}

#[test]
fn a_report_round_trips() {
    let mut builder = ReportBuilder::new();
    builder.finding(finding("ssh.root")).unwrap();
    builder.fact("kernel", "5").unwrap();
    builder.fact("kernel", "6").unwrap();
    builder.table(table(1, "x")).unwrap();
    builder.table(table(2, "y")).unwrap();
    let outcome = Outcome { verdict: Verdict::Attention, summary: "1 of 1 rules fails".to_owned() };
    let report = builder.finish(Some(outcome)).unwrap();
    assert_eq!(report.facts, [Fact { key: "kernel".to_owned(), value: "6".to_owned() }]);
    assert_eq!(report.tables[0].rows.len(), 3);
    assert_eq!(Report::parse(&report.to_json()).unwrap(), report);
    assert!(report.to_json().starts_with(br#"{"findings":[{"id":"ssh.root""#));
    assert!(ReportBuilder::new().finish(None).unwrap().is_empty());
}

#[test]
fn a_refused_part_leaves_the_report_as_it_was() {
    let mut builder = ReportBuilder::new();
    for bad in ["", "a b", "é", &"x".repeat(65)] {
        assert!(matches!(builder.finding(finding(bad)), Err(ReportError::Invalid(_))), "{bad}");
    }
    assert!(builder.finding(Finding { title: "a\nb".to_owned(), ..finding("a") }).is_err());
    assert!(builder.finding(Finding { evidence: "x".repeat(4097), ..finding("a") }).is_err());
    assert!(builder.fact("", "x").is_err());
    assert!(builder.table(Table { columns: vec![], ..table(0, "") }).is_err());
    assert!(builder.table(Table { columns: vec!["c".to_owned(); 65], ..table(0, "") }).is_err());
    assert!(builder.table(Table { rows: vec![vec![]], ..table(0, "") }).is_err());
    builder.table(table(1, "x")).unwrap();
    assert!(builder.table(Table { columns: vec!["b".to_owned()], ..table(1, "x") }).is_err());
    let report = builder.finish(None).unwrap();
    assert_eq!((report.findings.len(), report.facts.len(), report.tables[0].rows.len()), (0, 0, 1));
}

#[test]
fn full_is_full_in_every_measure() {
    let mut builder = ReportBuilder::new();
    for _ in 0..REPORT_FINDINGS_MAX {
        let small = Finding { title: "t".to_owned(), evidence: String::new(), ..finding("a") };
        if builder.finding(small).is_err() {
            break;
        }
    }
    assert_eq!(builder.finding(finding("a")), Err(ReportError::Full));

    let mut builder = ReportBuilder::new();
    for index in 0..REPORT_FACTS_MAX {
        builder.fact(&index.to_string(), "").unwrap();
    }
    assert_eq!(builder.fact("one more", ""), Err(ReportError::Full));
    builder.fact("7", "replaced").unwrap();

    let mut builder = ReportBuilder::new();
    builder.table(table(REPORT_ROWS_MAX, "")).unwrap();
    assert_eq!(builder.table(table(1, "")), Err(ReportError::Full));
    builder.table(table(0, "")).unwrap();
}

#[test]
fn what_json_escapes_counts_as_json() {
    let mut builder = ReportBuilder::new();
    let evidence = "\u{1}".repeat(FINDING_TEXT_MAX_BYTES);
    let mut added = 0;
    while builder.finding(Finding { evidence: evidence.clone(), ..finding("a") }).is_ok() {
        added += 1;
    }
    // 4 KiB of control characters are 24 KiB of JSON.
    assert!((40..44).contains(&added), "{added}");
    let summary = "\"".repeat(OUTCOME_SUMMARY_MAX_BYTES);
    let report = builder.finish(Some(Outcome { verdict: Verdict::Pass, summary })).unwrap();
    assert!(report.to_json().len() <= REPORT_MAX_BYTES);
    assert!(Report::parse(&report.to_json()).is_ok());
}

#[test]
fn forged_reports_are_refused() {
    for bad in [
        r#"{"findings":[],"score":1}"#,
        r#"{"facts":[{"key":"a","value":"1"},{"key":"a","value":"2"}]}"#,
        r#"{"tables":[{"name":"t","columns":["a"],"rows":[["1","2"]]}]}"#,
        r#"{"tables":[{"name":"t","columns":["a"],"rows":[]},{"name":"t","columns":["a"],"rows":[]}]}"#,
        r#"{"outcome":{"verdict":"pass","summary":"two\nlines"}}"#,
        r#"{"outcome":{"verdict":"great","summary":""}}"#,
    ] {
        assert!(Report::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(Report::parse(&vec![b' '; REPORT_MAX_BYTES + 1]).is_err());
}

proptest! {
    #[test]
    fn the_json_is_never_larger_than_was_counted(
        parts in proptest::collection::vec((0..3u8, "[a-c]", ".{0,40}"), 0..60),
    ) {
        let mut builder = ReportBuilder::new();
        for (kind, key, value) in parts {
            let added = match kind {
                0 => builder.finding(Finding { evidence: value, ..finding(&key) }),
                1 => builder.fact(&key, &value),
                _ => builder.table(Table { name: key, columns: vec!["c".to_owned()], rows: vec![vec![value]] }),
            };
            prop_assert_eq!(added, Ok(()));
        }
        let counted = builder.bytes;
        let report = builder.finish(None).unwrap();
        prop_assert!(report.to_json().len() <= counted + 64);
        prop_assert_eq!(Report::parse(&report.to_json()).unwrap(), report);
    }
}
