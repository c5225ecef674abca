//! Which crate may depend on which, and which libraries it must never see.
//!
//! Owns the table of crates that ARCHITECTURE.md describes. Cargo keeps crates acyclic; this keeps them apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use crate::source::root;

struct Rule {
    folder: &'static str,
    package: &'static str,
    /// Crates of this workspace that it may depend on.
    may: &'static [&'static str],
    /// Packages that must not be anywhere below it, however deep.
    never: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        folder: "signing",
        package: "orderly-signing",
        may: &[],
        never: &["tokio", "hyper", "axum", "sqlx", "wasmtime", "reqwest"],
    },
    Rule {
        folder: "model",
        package: "orderly-model",
        may: &["orderly-signing"],
        never: &["tokio", "hyper", "axum", "sqlx", "wasmtime", "reqwest"],
    },
    Rule {
        folder: "wire",
        package: "orderly-wire",
        may: &["orderly-model", "orderly-signing"],
        never: &["tokio", "axum", "sqlx", "wasmtime", "reqwest"],
    },
    Rule {
        folder: "host",
        package: "orderly-host",
        may: &["orderly-model", "orderly-signing"],
        never: &["axum", "sqlx", "reqwest", "orderly-wire"],
    },
    Rule {
        folder: "agent",
        package: "orderly-agent",
        may: &["orderly-host", "orderly-wire", "orderly-model", "orderly-signing"],
        never: &["axum", "sqlx", "reqwest", "orderly-server", "orderly"],
    },
    Rule {
        folder: "server",
        package: "orderly-server",
        may: &["orderly-wire", "orderly-model", "orderly-signing"],
        never: &["wasmtime", "wasmtime-wasi", "orderly-host", "orderly-agent", "orderly"],
    },
    Rule {
        folder: "cli",
        package: "orderly",
        may: &["orderly-wire", "orderly-model", "orderly-signing", "orderly-host"],
        never: &["sqlx", "orderly-server", "orderly-agent"],
    },
    Rule {
        folder: "tests",
        package: "orderly-tests",
        may: &["orderly-host", "orderly-wire", "orderly-model", "orderly-signing"],
        never: &[],
    },
    Rule {
        folder: "xtask",
        package: "xtask",
        may: &["orderly-tests", "orderly-wire", "orderly-model", "orderly-signing"],
        never: &["wasmtime", "sqlx"],
    },
];

/// Libraries that exactly one crate names: what it wraps, others reach through it.
const OWNED: &[(&str, &str)] = &[
    ("wasmtime", "host"),
    ("wasmtime-wasi", "host"),
    ("wasmtime-wasi-http", "host"),
    ("landlock", "host"),
    ("seccompiler", "host"),
    ("ed25519-dalek", "signing"),
    ("sqlx", "server"),
    ("axum", "server"),
];

fn manifest(folder: &str) -> toml::Table {
    let path = root().join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dependencies(manifest: &toml::Table, sections: &[&str]) -> BTreeSet<String> {
    let names =
        |section: &&str| manifest.get(*section).and_then(toml::Value::as_table).map(|table| table.keys().cloned());
    let mut found: BTreeSet<String> = sections.iter().filter_map(names).flatten().collect();
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        for target in targets.values().filter_map(toml::Value::as_table) {
            found.extend(dependencies(target, sections));
        }
    }
    found
}

#[test]
fn the_table_names_every_member_of_the_workspace() {
    let top: toml::Table = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml").parse().expect("TOML");
    let members: BTreeSet<&str> =
        top["workspace"]["members"].as_array().expect("members").iter().filter_map(toml::Value::as_str).collect();
    assert_eq!(members, RULES.iter().map(|rule| rule.folder).collect::<BTreeSet<_>>());
    for rule in RULES {
        assert_eq!(manifest(rule.folder)["package"]["name"].as_str(), Some(rule.package));
    }
}

#[test]
fn a_crate_depends_only_on_the_crates_below_it() {
    let mut faults = Vec::new();
    for rule in RULES {
        for name in dependencies(&manifest(rule.folder), &["dependencies", "dev-dependencies", "build-dependencies"]) {
            let ours = RULES.iter().any(|other| other.package == name);
            if ours && !rule.may.contains(&name.as_str()) {
                faults.push(format!("{} depends on {name}", rule.folder));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_library_that_one_crate_owns_is_named_by_no_other() {
    let mut faults = Vec::new();
    for rule in RULES {
        let names = dependencies(&manifest(rule.folder), &["dependencies", "build-dependencies"]);
        for (library, owner) in OWNED {
            if rule.folder != *owner && names.contains(*library) {
                faults.push(format!("{} names {library}, which {owner} owns", rule.folder));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The lock file with all that a package could ever pull in, optional and for tests or not.
#[test]
fn what_a_crate_must_never_see_is_nowhere_below_it() {
    let lock: toml::Table = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock").parse().expect("TOML");
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock["package"].as_array().expect("packages") {
        let below = package.get("dependencies").and_then(toml::Value::as_array).into_iter().flatten();
        let first = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        let names = below.filter_map(toml::Value::as_str).map(first);
        graph.entry(package["name"].as_str().expect("name").to_owned()).or_default().extend(names);
    }
    let mut faults = Vec::new();
    for rule in RULES {
        let tests_only = dependencies(&manifest(rule.folder), &["dev-dependencies"]);
        let own = dependencies(&manifest(rule.folder), &["dependencies", "build-dependencies"]);
        let (mut seen, mut open) = (BTreeSet::new(), Vec::from_iter(own));
        while let Some(name) = open.pop() {
            if seen.insert(name.clone()) {
                open.extend(graph.get(&name).into_iter().flatten().cloned());
            }
        }
        for never in rule.never {
            if seen.contains(*never) || tests_only.contains(*never) && never.starts_with("orderly") {
                faults.push(format!("{} has {never} below it", rule.folder));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The resident agent must stay small, and it must not be able to make native code.
#[test]
fn no_compiler_is_linked_into_agent_server_or_cli() {
    for package in ["orderly-agent", "orderly-server", "orderly"] {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let output = Command::new(cargo)
            .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--package", package])
            .current_dir(root())
            .output()
            .expect("cargo runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
        assert!(text.starts_with(package), "cargo tree says nothing of {package}");
        assert!(!text.lines().any(|line| line.starts_with("cranelift-codegen ")), "{package} links a compiler");
    }
}

#[test]
fn plugins_see_only_their_own_workspace() {
    let mut faults = Vec::new();
    for entry in walk_manifests(&root().join("plugins")) {
        let text = fs::read_to_string(&entry).expect("a manifest");
        let found = text
            .lines()
            .filter(|line| line.contains("path = "))
            .any(|line| line.contains("../../..") || line.contains("orderly-signing"));
        if found
            || ["orderly-signing", "orderly-model", "orderly-wire", "orderly-host"]
                .iter()
                .any(|name| text.contains(name))
        {
            faults.push(entry.display().to_string());
        }
    }
    assert!(faults.is_empty(), "these plugins reach into the other workspace: {faults:?}");
}

fn walk_manifests(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            found.extend(walk_manifests(&path));
        } else if path.file_name().is_some_and(|name| name == "Cargo.toml") {
            found.push(path);
        }
    }
    found
}
