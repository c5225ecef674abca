//! Tables in `docs/` that name tests: each named test is there, and no row is left out.
//!
//! A test is written as `file::name` between backquotes. Its name is looked for as a name in the file's code, since rows of a table
//! are often made by a macro.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::source::{Token, below, root, tokens};

/// A row of a table, by its cells.
pub fn rows(document: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"));
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    text.lines().filter(|line| line.starts_with("| ") && line.ends_with('|')).map(cells).collect()
}

/// The tests that a text names: file and name.
fn named(text: &str) -> Vec<(String, String)> {
    // Odd pieces are the ones between backquotes.
    let pieces = text.split('`').skip(1).step_by(2);
    let test = |piece: &str| piece.split_once(".rs::").map(|(file, name)| (format!("{file}.rs"), name.to_owned()));
    pieces.filter_map(test).collect()
}

/// Those tests of a document that are not in the tree.
fn missing(document: &str) -> Vec<String> {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut gone = Vec::new();
    for (file, name) in rows(document).iter().flatten().flat_map(|cell| named(cell)) {
        let names = files.entry(file.clone()).or_insert_with(|| {
            let text = fs::read_to_string(root().join(&file)).unwrap_or_default();
            let name = |token| if let Token::Name(name, _) = token { Some(name) } else { None };
            tokens(&text).into_iter().filter_map(name).collect()
        });
        if !names.contains(&name) {
            gone.push(format!("{document}: {file}::{name}"));
        }
    }
    gone
}

#[test]
fn every_defect_has_a_test_that_is_there_or_a_reason() {
    let rows = rows("docs/defects.md");
    let numbers: Vec<String> = rows.iter().filter_map(|row| row.first().cloned()).filter(|cell| cell != "#").collect();
    assert_eq!(numbers, (1..=22).map(|number| number.to_string()).collect::<Vec<_>>());
    for row in rows.iter().skip(1) {
        let told = row.join(" | ");
        assert!(!named(&told).is_empty() || told.contains("does not apply"), "neither test nor reason: {told}");
    }
    assert_eq!(missing("docs/defects.md"), Vec::<String>::new());
}

#[test]
fn every_test_of_a_defect_is_in_the_table() {
    let file = "tests/tests/it/defects.rs";
    let text = fs::read_to_string(root().join(file)).unwrap();
    let listed: BTreeSet<String> =
        rows("docs/defects.md").iter().flatten().flat_map(|cell| named(cell)).map(|(_, name)| name).collect();
    for token in tokens(&text) {
        if let Token::Name(name, line) = token
            && name.starts_with("defect_")
        {
            assert!(listed.contains(&name), "{file}:{line}: `{name}` is not in docs/defects.md");
        }
    }
}

#[test]
fn every_row_of_cloud_assistants_tables_has_a_test_that_is_there_or_is_a_difference() {
    let document = "docs/cloud-assistant.md";
    for row in rows(document) {
        let told = row.join(" | ");
        let head = row.first().is_some_and(|cell| cell == "row");
        assert!(
            head || !named(&told).is_empty() || told.contains("difference:"),
            "neither test nor difference: {told}"
        );
    }
    assert_eq!(missing(document), Vec::<String>::new());
}

#[test]
fn every_test_that_is_named_after_a_row_is_in_the_tables() {
    let document = "docs/cloud-assistant.md";
    let listed: BTreeSet<String> =
        rows(document).iter().flatten().flat_map(|cell| named(cell)).map(|(_, name)| name).collect();
    for source in below("model/tests/cloud_assistant") {
        for token in tokens(&source.text) {
            if let Token::Name(name, line) = token
                && ["row_5_2_", "row_5_3_", "row_5_4_", "row_5_6_", "row_5_7_", "row_5_8_", "row_8_"]
                    .iter()
                    .any(|table| name.starts_with(table))
            {
                assert!(listed.contains(&name), "{}:{line}: `{name}` is not in {document}", source.path);
            }
        }
    }
}
