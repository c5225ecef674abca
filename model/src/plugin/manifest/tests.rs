//! Manifests: good ones read whole, bad ones told with place and remedy.

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
    assert_snapshot!(manifest.capabilities.to_canonical_json(), @r#"
    {"clock":true,"environment":["LANG"],"facts":true,"files":{"read":["/etc/passwd","/etc/ssh/**"]},"http":[{"host":"*.example.com","methods":["GET"],"port":443,"scheme":"https"}],"process":[{"arguments":["-u"],"executable":"/usr/bin/id"}]}
    "#);
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
    assert_snapshot!(faults(&text), @r#"
    plugin.toml:3:8: `plugin.name`: `OS Audit` is no plugin name
      hint: write 1-64 of a-z, 0-9 and `-`, a letter first
    plugin.toml:4:11: `plugin.version`: `1.0` is no plugin version
      hint: write `major.minor.patch`, as `1.4.0` or `1.4.0-rc.1`, without leading zeros and `+`
    plugin.toml:8:12: `plugin.homepage`: it is not an `https://` address of at most 500 bytes
      hint: write the address of the plugin's page
    plugin.toml:11:13: `limits.memory_mb`: 1024 is out of range
      hint: write a number from 1 to 512
    plugin.toml:20:24: `capabilities.files.read[1]`: path pattern `/etc/*.conf`: the only wildcard is `/**` at the end, for a directory and all beneath it
    plugin.toml:20:39: `capabilities.files.read[2]`: path pattern `/**`: the whole file system cannot be granted: name directories
    plugin.toml:25:8: `capabilities.http[0].host`: host `*.com`: a wildcard needs a domain of two labels or more, as `*.example.com`
    plugin.toml:30:13: `capabilities.process[0].arguments`: `...` repeats the entry before it: there is none
    plugin.toml:32:1: `parameters[0]`: parameter `warn-percent` declares the value "eighty", which must be a whole number from -2147483648 to 2147483647, without `+` and leading zeros
    "#);
}

#[test]
fn one_fault_of_shape_in_each_table() {
    let text = with("clock = true", "clock = \"yes\"")
        .replace("memory_mb = 32", "memory = 32")
        .replace("license =", "licence =")
        .replace("kind = \"integer\"", "kind = \"number\"")
        + "\n[extra]\n";
    assert_snapshot!(faults(&text), @r#"
    plugin.toml:7:1: `plugin`: unknown field `licence`, expected one of `name`, `version`, `summary`, `wit`, `license`, `homepage`
    plugin.toml:11:1: `limits`: unknown field `memory`, expected one of `memory_mb`, `timeout_s`, `output_kb`
    plugin.toml:14:9: `capabilities`: invalid type: string "yes", expected a boolean
    plugin.toml:34:8: `parameters[0]`: unknown variant `number`, expected one of `text`, `integer`, `boolean`
    plugin.toml:37:2: `extra`: unknown table or field
      hint: a manifest has [plugin], [limits], [capabilities] and [[parameters]]
    "#);
}

#[test]
fn lists_do_not_pass_for_tables() {
    let text = "limits = [1]\nparameters = [3]\n[capabilities]\nfiles = [false, [\"/etc/**\"]]\nhttp = [[\"a.example.com\"]]\n";
    assert_snapshot!(faults(text), @r#"
    plugin.toml:1:1: `plugin`: the table [plugin] is missing
      hint: add it with name, version, summary and wit
    plugin.toml:1:10: `limits`: it is not a table but array
    plugin.toml:2:15: `parameters[0]`: it is not a table but integer
    plugin.toml:4:9: `capabilities.files`: it is not a table
    plugin.toml:5:9: `capabilities.http`: it is not a table
    "#);
}

#[test]
fn missing_things_are_named() {
    assert_snapshot!(faults(""), @r#"
    plugin.toml:1:1: `plugin`: the table [plugin] is missing
      hint: add it with name, version, summary and wit
    "#);
    assert_snapshot!(faults("[plugin]\nname = \"a\"\n"), @r#"
    plugin.toml:1:1: `plugin`: missing field `version`
    "#);
    assert_snapshot!(faults(&with("arguments = [\"-u\"]", "")), @r#"
    plugin.toml:28:1: `capabilities`: missing field `arguments`
    "#);
    assert_snapshot!(faults("parameters = 3"), @r#"
    plugin.toml:1:1: `plugin`: the table [plugin] is missing
      hint: add it with name, version, summary and wit
    plugin.toml:1:14: `parameters`: it is not a list of tables
      hint: start each parameter with `[[parameters]]`
    "#);
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    assert_snapshot!(faults("[plugin]\nname = a\nversion = \"1.0.0\"\nversion = \"2.0.0\"\n"), @r#"
    plugin.toml:2:8: string values must be quoted, expected literal string
    plugin.toml:4:1: duplicate key
    "#);
    assert_snapshot!(faults(&" ".repeat(70_000)), @r#"
    plugin.toml: the manifest has 70000 bytes; at most 65536 are allowed
    "#);
}

#[test]
fn faults_of_parameters_are_told_together() {
    let text = GOOD.to_owned()
        + "[[parameters]]\nname = \"warn-percent\"\n\n[[parameters]]\nname = \"x\"\nallowed = [\"a\"]\ndefault = \"b\"\n";
    assert_snapshot!(faults(&text), @r#"
    plugin.toml:36:1: `parameters[1]`: parameter `warn-percent` is declared twice; capitals make no difference
    plugin.toml:39:1: `parameters[2]`: parameter `x` declares the value "b", which must be one of `a`
    "#);
}

#[test]
fn a_plugin_takes_no_secret() {
    let text = GOOD.to_owned() + "[[parameters]]\nname = \"token\"\nsecret = true\n";
    assert_snapshot!(faults(&text), @r#"
    plugin.toml:38:10: `parameters[1].secret`: parameter `token` is secret, but plugins get their parameters in the clear
      hint: let the plugin read a file that holds the secret
    "#);
}

#[test]
fn columns_count_characters() {
    assert_snapshot!(faults(&with("environment = [\"LANG\"]", "environment = [\"Ä\", \"A=B\"]")), @r#"
    plugin.toml:16:16: `capabilities.environment[0]`: environment variable `Ä`: write 1-128 of A-Z, a-z, 0-9 and `_`, no digit first
    plugin.toml:16:21: `capabilities.environment[1]`: environment variable `A=B`: write 1-128 of A-Z, a-z, 0-9 and `_`, no digit first
    "#);
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
