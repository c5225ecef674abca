//! Inside a crate a module imports only modules to its left in the crate's layer list.
//!
//! Owns that list for every crate (ARCHITECTURE.md shows the same one, and a test keeps them equal) and the search for
//! what a module names. A crate's root, its programs and its test code may see everything.

use std::collections::BTreeSet;
use std::fs;

use crate::source::{self, Token, root};

/// The modules of each crate, left to right. A new module is added here and in ARCHITECTURE.md, at its place.
pub const LAYERS: &[(&str, &[&str])] = &[
    (
        "signing",
        &[
            "error",
            "digest",
            "key",
            "instance",
            "envelope",
            "document",
            "merkle",
            "keyring",
            "order",
            "statement",
            "approval",
            "receipt",
            "sign",
            "verify",
            "proof",
        ],
    ),
    (
        "model",
        &[
            "error",
            "id",
            "limits",
            "name",
            "schedule",
            "pattern",
            "instance",
            "feature",
            "effect",
            "selector",
            "capability",
            "parameter",
            "template",
            "command",
            "file",
            "plugin",
            "policy",
            "grant",
            "report",
            "task",
            "invocation",
            "target",
            "rollout",
        ],
    ),
    ("wire", &["version", "frame", "package", "to_agent", "to_server", "http"]),
    (
        "host",
        &[
            "error",
            "limits",
            "output",
            "platform",
            "epoch",
            "engine",
            "compile",
            "cache",
            "frame",
            "line",
            "capability",
            "broker",
            "state",
            "abi",
            "component",
            "child",
            "invoke",
        ],
    ),
    (
        "agent",
        &[
            "config",
            "telemetry",
            "shutdown",
            "platform",
            "clock",
            "directory",
            "transport",
            "identity",
            "facts",
            "journal",
            "artifacts",
            "transfer",
            "exec",
            "policy",
            "desk",
            "link",
            "enrol",
            "app",
            "cli",
        ],
    ),
    (
        "server",
        &[
            "config",
            "telemetry",
            "shutdown",
            "clock",
            "keys",
            "store",
            "trust",
            "view",
            "live",
            "intake",
            "offer",
            "link",
            "dispatch",
            "blobs",
            "retention",
            "catalogue",
            "api",
            "gateway",
            "app",
        ],
    ),
    (
        "cli",
        &[
            "error",
            "env",
            "args",
            "settings",
            "output",
            "keystore",
            "order",
            "component",
            "source",
            "client",
            "transfer",
            "trust",
            "catalogue",
            "fleet",
            "live",
            "report",
            "status",
            "context",
            "follow",
            "evidence",
            "commands",
        ],
    ),
    ("xtask", &["step", "programs", "interrupt", "process", "guests", "check", "demo", "bench", "test"]),
];

/// The top-level modules of a crate that a file names, with the line of each.
pub fn named(tokens: &[Token], depth: usize) -> BTreeSet<(String, usize)> {
    let (mut out, mut inline, mut braces) = (BTreeSet::new(), Vec::new(), 0_usize);
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            Token::Mark('{') => {
                braces += 1;
                let opens_module = at >= 2 && tokens[at - 2].is("mod");
                if opens_module {
                    inline.push(braces);
                }
            }
            Token::Mark('}') => {
                if inline.last() == Some(&braces) {
                    inline.pop();
                }
                braces = braces.saturating_sub(1);
            }
            Token::Name(name, _) if name == "crate" => at = path(tokens, at + 1, 0, &mut out) - 1,
            Token::Name(name, _) if name == "super" => {
                at = path(tokens, at + 1, levels(depth + inline.len()), &mut out) - 1;
            }
            _ => {}
        }
        at += 1;
    }
    out
}

/// How far above a module of this depth its parent is below the crate's root.
fn levels(depth: usize) -> isize {
    isize::try_from(depth).expect("modules are not that deep") - 1
}

/// Follows a path behind `crate` or `super`, `up` levels below the crate's root, and notes the module that it enters.
fn path(tokens: &[Token], mut at: usize, mut up: isize, out: &mut BTreeSet<(String, usize)>) -> usize {
    let separator = |at: usize| {
        tokens.get(at).is_some_and(|t| t.is_mark(':')) && tokens.get(at + 1).is_some_and(|t| t.is_mark(':'))
    };
    while separator(at) && tokens.get(at + 2).is_some_and(|t| t.is("super")) {
        up -= 1;
        at += 3;
    }
    if !separator(at) || up != 0 {
        return at;
    }
    at += 2;
    match tokens.get(at) {
        Some(Token::Name(name, line)) => {
            out.insert((name.clone(), *line));
            at + 1
        }
        Some(Token::Mark('{')) => {
            let end = source::closing(tokens, at);
            let (mut depth, mut first) = (0, true);
            for token in &tokens[at..end] {
                match token {
                    Token::Mark('{') => (depth, first) = (depth + 1, depth == 0),
                    Token::Mark('}') => depth -= 1,
                    Token::Mark(',') if depth == 1 => first = true,
                    Token::Name(name, line) if depth == 1 && first => {
                        out.insert((name.clone(), *line));
                        first = false;
                    }
                    _ => {}
                }
            }
            end
        }
        _ => at,
    }
}

#[test]
fn a_module_imports_only_modules_to_its_left() {
    let mut faults = Vec::new();
    for (folder, layers) in LAYERS {
        let place = |module: &str| layers.iter().position(|layer| *layer == module);
        for file in source::below(&format!("{folder}/src")) {
            let inside = file.path.trim_start_matches(&format!("{folder}/src/")).trim_end_matches(".rs").to_owned();
            let mut parts: Vec<&str> = inside.split('/').collect();
            if matches!(parts[0], "lib" | "main" | "bin") || file.is_test() {
                continue;
            }
            let module = parts.remove(0);
            let Some(own) = place(module) else {
                faults.push(format!("{}: `{module}` is not in the layer list of `{folder}`", file.path));
                continue;
            };
            for (name, line) in named(&file.code(), parts.len() + 1) {
                if name != module && place(&name).is_some_and(|other| other > own) {
                    faults.push(format!("{}:{line}: `{module}` imports `{name}`, which is to its right", file.path));
                }
            }
        }
    }
    faults.dedup();
    assert!(faults.is_empty(), "layers are broken; see ARCHITECTURE.md:\n{}", faults.join("\n"));
}

#[test]
fn every_module_of_the_list_is_there() {
    let mut faults = Vec::new();
    for (folder, layers) in LAYERS {
        let missing = layers.iter().filter(|module| !root().join(format!("{folder}/src/{module}.rs")).is_file());
        faults.extend(missing.map(|module| format!("{folder}: {module}")));
    }
    assert!(faults.is_empty(), "in the layer lists, but not there: {faults:?}");
}

#[test]
fn the_architecture_document_shows_these_layers() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    for (folder, layers) in LAYERS {
        let line = format!("- `{folder}`: {}", layers.join(" · "));
        assert!(text.lines().any(|found| found == line), "ARCHITECTURE.md lacks the line\n{line}");
    }
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let code = source::tokens(
        "use crate::a::B; use crate::{c::{d, e}, f, g as h}; fn x() { crate::i::j(); super::k::l(); super::super::m::n(); }
         mod inline { use super::o; use super::super::super::p; }",
    );
    let names = |depth| named(&code, depth).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(1), ["a", "c", "f", "g", "i", "k"], "in a top-level module");
    assert_eq!(names(2), ["a", "c", "f", "g", "i", "m", "p"], "in a module one level down");
}
