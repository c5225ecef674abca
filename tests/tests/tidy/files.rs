//! What every file of Rust keeps to: its size, its documentation, its name, and no way to panic.
//!
//! Owns the limits. Test code may be as blunt as it likes, but not as long.

use std::path::Path;

use crate::source::{self, Source, Token};

/// Lines after which a file ought to be split: printed, not refused.
const GUIDELINE_LINES: usize = 400;

/// Lines that no file may exceed.
const LIMIT_LINES: usize = 500;

/// Names that say nothing about what a module is.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "core", "misc", "mod"];

const CRATES: &[&str] = &["signing", "model", "wire", "host", "agent", "server", "cli", "xtask", "tests", "plugins"];

fn sources() -> Vec<Source> {
    let all: Vec<Source> = CRATES.iter().flat_map(|folder| source::below(folder)).collect();
    assert!(all.len() > 50, "the walk found only {} files", all.len());
    all
}

#[test]
fn no_file_is_longer_than_the_limit() {
    let mut faults = Vec::new();
    for file in sources() {
        let lines = file.lines();
        if lines > LIMIT_LINES {
            faults.push(format!("{}: {lines} lines", file.path));
        } else if lines > GUIDELINE_LINES {
            println!("{}: {lines} lines, more than the guideline of {GUIDELINE_LINES}", file.path);
        }
    }
    assert!(faults.is_empty(), "over {LIMIT_LINES} lines, split by noun or phase:\n{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_owns() {
    let documented = |file: &Source| {
        let mut lines = file
            .text
            .lines()
            .map(str::trim)
            .skip_while(|line| line.is_empty() || line.starts_with("#![") || line.starts_with("// "));
        lines.next().is_some_and(|line| line.starts_with("//!"))
    };
    let faults: Vec<String> = sources()
        .into_iter()
        .filter(|file| !(file.path.ends_with("/tests.rs") || file.path.contains("/examples/")))
        .filter(|file| !documented(file))
        .map(|file| file.path)
        .collect();
    assert!(faults.is_empty(), "without `//!` at their head:\n{}", faults.join("\n"));
}

#[test]
fn no_module_has_an_empty_name() {
    let stem = |file: &Source| Path::new(&file.path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let faults: Vec<String> = sources()
        .into_iter()
        .filter(|file| stem(file).is_some_and(|stem| EMPTY_NAMES.contains(&stem.as_str())))
        .map(|file| file.path)
        .collect();
    assert!(faults.is_empty(), "name these after what they are:\n{}", faults.join("\n"));
}

#[test]
fn nothing_outside_tests_can_panic_by_intent() {
    let mut faults = Vec::new();
    for file in sources() {
        // The harness is test code in a library; the tasks of the repository are run by people who read the trace.
        if file.is_test() || file.path.starts_with("tests/") || file.path.contains("/examples/") {
            continue;
        }
        let code = file.code();
        for (at, token) in code.iter().enumerate() {
            let Token::Name(name, line) = token else { continue };
            let after = |mark| code.get(at + 1).is_some_and(|next| next.is_mark(mark));
            let method = at > 0 && code[at - 1].is_mark('.') && after('(');
            let is_macro = after('!') && !code.get(at + 2).is_some_and(|next| next.is_mark('='));
            let fault = match name.as_str() {
                "unwrap" | "expect" | "unwrap_err" | "expect_err" => method,
                "panic" | "todo" | "unimplemented" | "dbg" => is_macro,
                _ => false,
            };
            // A plugin may end itself on purpose: that is what the hostile ones are for.
            if fault && !file.path.starts_with("plugins/hostile") {
                faults.push(format!("{}:{line}: `{name}`", file.path));
            }
        }
    }
    assert!(faults.is_empty(), "return an error instead:\n{}", faults.join("\n"));
}

#[test]
fn no_test_sleeps_or_is_left_out() {
    // Pauses before a reconnect, and the random moments of the kill tests. Loops that wait for a predicate are called so.
    let may_sleep = ["tests/src/simulated.rs", "tests/src/rogue.rs", "tests/tests/it/killed.rs"];
    let waits = |before: &[Token]| {
        let function = before.windows(2).rev().find(|pair| pair[0].is("fn"));
        function.is_some_and(|pair| pair[1].is("until") || pair[1].is("within"))
    };
    let mut faults = Vec::new();
    for file in sources() {
        let tokens = source::tokens(&file.text);
        for (at, token) in tokens.iter().enumerate() {
            let Token::Name(name, line) = token else { continue };
            let opens = at >= 2 && tokens[at - 1].is_mark('[') && tokens[at - 2].is_mark('#');
            if name == "ignore" && opens {
                faults.push(format!("{}:{line}: an ignored test", file.path));
            }
            let called = tokens.get(at + 1).is_some_and(|next| next.is_mark('('));
            let in_tests = file.is_test() || file.path.starts_with("tests/");
            if name == "sleep"
                && called
                && in_tests
                && !may_sleep.contains(&file.path.as_str())
                && !waits(&tokens[..at])
            {
                faults.push(format!("{}:{line}: a sleep; wait for a predicate with a limit", file.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
