//! What documents promise is there: folders, released plugin interfaces, a test for every hostile guest.
//!
//! Owns the digests of released WIT folders. Documents are read as text; nothing is rendered.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::source::{self, root};

/// Documents that every clone has.
const DOCUMENTS: &[&str] =
    &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE", "deny.toml"];

/// Released plugin interfaces with SHA-256 over their files: these never change again.
const FROZEN_WIT: &[(&str, &str)] = &[];

/// Plugin interfaces that may still change.
const DRAFT_WIT: &[&str] = &["orderly-plugin-0.1.0"];

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_document_is_there_and_says_something() {
    for name in DOCUMENTS {
        assert!(read(name).len() > 200, "{name} is next to empty");
    }
    assert!(read("LICENSE").contains("Apache License"), "LICENSE is not the Apache licence");
}

/// Paths between backquotes that look like ones of this repository.
fn named_paths(text: &str) -> BTreeSet<String> {
    let tops = [
        "signing", "model", "wire", "wit", "host", "plugins", "agent", "server", "cli", "console", "tests", "xtask",
        ".ci", ".config",
    ];
    let clean = |piece: &str| !piece.contains([' ', '*', '<', '>', '{', '}', '…', '$', '\n']) && piece.contains('/');
    let ours = |piece: &&str| tops.contains(&piece.split('/').next().unwrap_or_default());
    // Odd pieces are the ones between backquotes.
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|piece| clean(piece))
        .filter(ours)
        .map(|piece| piece.trim_end_matches('/').to_owned())
        .collect()
}

#[test]
fn paths_named_in_documents_exist() {
    let mut faults = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"] {
        // Blocks between fences hold commands and output, not paths.
        let text: String = read(document).split("```").step_by(2).collect();
        let paths = named_paths(&text);
        for path in paths {
            // What building makes need not be there.
            let built = path.split('/').any(|part| part == "target");
            if !built && !root().join(&path).exists() {
                faults.push(format!("{document} names `{path}`"));
            }
        }
    }
    assert!(faults.is_empty(), "these do not exist:\n{}", faults.join("\n"));
}

#[test]
fn the_folder_map_names_every_folder() {
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = read(document);
        for folder in [
            "signing", "model", "wire", "wit", "host", "plugins", "agent", "server", "cli", "console", "tests", "xtask",
        ] {
            assert!(root().join(folder).is_dir(), "`{folder}/` is not there");
            assert!(text.contains(&format!("`{folder}/`")), "{document} does not name `{folder}/`");
        }
    }
}

fn folder_digest(folder: &Path) -> String {
    let mut files: Vec<_> = fs::read_dir(folder).expect("a WIT folder").flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        assert!(file.is_file(), "{} is no file", file.display());
        let content = fs::read(&file).expect("a WIT file");
        hash.update(file.file_name().expect("a name").as_encoded_bytes());
        hash.update([0]);
        hash.update((content.len() as u64).to_be_bytes());
        hash.update(&content);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn released_plugin_interfaces_never_change() {
    let known: BTreeSet<&str> = FROZEN_WIT.iter().map(|(name, _)| *name).chain(DRAFT_WIT.iter().copied()).collect();
    for entry in fs::read_dir(root().join("wit")).expect("wit").flatten().filter(|entry| entry.path().is_dir()) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let digest = folder_digest(&entry.path());
        assert!(known.contains(name.as_str()), "wit/{name} is neither released nor a draft (its digest is {digest})");
        if let Some((_, frozen)) = FROZEN_WIT.iter().find(|(frozen, _)| *frozen == name) {
            assert_eq!(digest, *frozen, "wit/{name} is released and must not change: make a new folder");
        }
    }
    for name in known {
        assert!(root().join("wit").join(name).is_dir(), "wit/{name} is gone");
    }
}

#[test]
fn every_hostile_guest_has_a_test_of_its_name() {
    let mut tests = BTreeSet::new();
    for file in source::below("tests/tests") {
        let tokens = source::tokens(&file.text);
        for pair in tokens.windows(2) {
            if let [first, source::Token::Name(name, _)] = pair
                && first.is("fn")
            {
                tests.insert(name.clone());
            }
        }
    }
    let guests: Vec<String> = fs::read_dir(root().join("plugins/hostile"))
        .expect("plugins/hostile")
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().replace('-', "_"))
        .collect();
    assert!(!guests.is_empty(), "there is no hostile guest");
    let missing: Vec<&String> =
        guests.iter().filter(|guest| !tests.iter().any(|test| test.starts_with(guest.as_str()))).collect();
    assert!(missing.is_empty(), "no test begins with the name of {missing:?}");
}
