#![allow(clippy::unwrap_used)]

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::capability::{CapabilityKind, RunAs};

const GOOD: &str = r#"
[plugin]
name = "os-audit"
version = "0.1.0"
summary = "Checks the settings of this instance"
wit = "orderly:plugin@0.1.0"
license = "Apache-2.0"
homepage = "https://example.com/os-audit"

[limits]
memory_mb = 32

[capabilities]
clock = true
facts = true
environment = ["LANG"]
user = "unprivileged"

[capabilities.files]
read = ["/etc/ssh/**", "/etc/passwd"]
write = []
privileged = false

[[capabilities.http]]
host = "*.example.com"
methods = ["GET"]

[[capabilities.process]]
executable = "/usr/bin/id"
arguments = ["-u"]

[[parameters]]
name = "warn-percent"
kind = "integer"
default = "80"
"#;

fn faults(text: &str) -> String {
    Manifest::parse(text).unwrap_err().to_string()
}

/// The good manifest with one line replaced.
fn with(line: &str, other: &str) -> String {
    assert!(GOOD.contains(line), "{line}");
    GOOD.replace(line, other)
}

#[test]
fn a_good_manifest_is_read_whole() {
    let manifest = Manifest::parse(GOOD).unwrap();
    assert_eq!(manifest.name.as_str(), "os-audit");
    assert_eq!(manifest.limits, ManifestLimits { memory_mb: 32, timeout_s: 60, output_kb: 24 });
    assert!(manifest.wit.is_supported());
    assert_eq!(manifest.capabilities.user, RunAs::Unprivileged);
    assert!(manifest.capabilities.has(CapabilityKind::Http) && manifest.capabilities.has(CapabilityKind::Process));
    assert_eq!(manifest.parameters.unwrap()[0].name.as_str(), "warn-percent");
    assert_snapshot!(manifest.capabilities.to_canonical_json(), @"");
}

#[test]
fn little_is_needed() {
    let text = "plugin = { name = \"a\", version = \"1.0.0\", summary = \"x\", wit = \"orderly:plugin@0.1.0\" }";
    let manifest = Manifest::parse(text).unwrap();
    assert_eq!(manifest.capabilities, Capabilities::none());
    assert_eq!(manifest.limits, ManifestLimits::default());
    assert_eq!(manifest.parameters, None);
}

#[test]
fn all_wrong_values_are_told_with_their_places() {
    let text = with("name = \"os-audit\"", "name = \"OS Audit\"")
        .replace("version = \"0.1.0\"", "version = \"1.0\"")
        .replace("https://example.com", "http://example.com")
        .replace("memory_mb = 32", "memory_mb = 1024")
        .replace("\"/etc/passwd\"", "\"/etc/*.conf\", \"/**\"")
        .replace("*.example.com", "*.com")
        .replace("[\"-u\"]", "[\"...\"]")
        .replace("default = \"80\"", "default = \"eighty\"");
    assert_snapshot!(faults(&text), @"");
}

#[test]
fn one_fault_of_shape_in_each_table() {
    let text = with("clock = true", "clock = \"yes\"")
        .replace("memory_mb = 32", "memory = 32")
        .replace("license =", "licence =")
        .replace("kind = \"integer\"", "kind = \"number\"")
        + "\n[extra]\n";
    assert_snapshot!(faults(&text), @"");
}

#[test]
fn missing_things_are_named() {
    assert_snapshot!(faults(""), @"");
    assert_snapshot!(faults("[plugin]\nname = \"a\"\n"), @"");
    assert_snapshot!(faults(&with("arguments = [\"-u\"]", "")), @"");
    assert_snapshot!(faults("parameters = 3"), @"");
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    assert_snapshot!(faults("[plugin]\nname = a\nversion = \"1.0.0\"\nversion = \"2.0.0\"\n"), @"");
    assert_snapshot!(faults(&" ".repeat(70_000)), @"");
}

#[test]
fn faults_of_parameters_are_told_together() {
    let text = GOOD.to_owned() + "[[parameters]]\nname = \"warn-percent\"\n\n[[parameters]]\nname = \"x\"\nallowed = [\"a\"]\ndefault = \"b\"\n";
    assert_snapshot!(faults(&text), @"");
}

#[test]
fn columns_count_characters() {
    assert_snapshot!(faults(&with("environment = [\"LANG\"]", "environment = [\"Ä\", \"A=B\"]")), @"");
}

proptest! {
    #[test]
    fn parsing_is_total(at in 0..GOOD.len(), cut in 0..6usize, put in "[\\[\\]\"=a-z0-9.\n{}é]{0,6}") {
        let mut text = GOOD.to_owned();
        let end = (at + cut).min(text.len());
        if text.is_char_boundary(at) && text.is_char_boundary(end) {
            text.replace_range(at..end, &put);
        }
        if let Err(errors) = Manifest::parse(&text) {
            prop_assert!(!errors.faults().is_empty());
            let lines = text.lines().count() + 1;
            prop_assert!(errors.faults().iter().all(|fault| fault.line >= 1 && fault.line <= lines && fault.column >= 1));
        }
    }
}
