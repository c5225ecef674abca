//! `--grant` and `--deny` of `orderly plugin run`: other capabilities than the manifest asks for, to try things out.
//!
//! Owns their spelling. What results goes through the model's own checks, as a manifest would.

use orderly_model::capability::{Capabilities, CapabilityKind, CapabilityTable};
use orderly_model::grant::{Grants, grants};
use orderly_model::policy::LocalPolicy;
use serde_json::{Map, Value, json};

use crate::error::{Failure, OrFail as _};

/// One `--grant` or `--deny`: a kind, and a value where the kind takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    kind: CapabilityKind,
    value: Option<String>,
}

/// Reads `KIND` or `KIND=VALUE`.
pub(super) fn change(text: &str) -> Result<Change, String> {
    let (kind, value) = match text.split_once('=') {
        Some((kind, value)) => (kind, Some(value.to_owned())),
        None => (text, None),
    };
    kind.parse().map(|kind| Change { kind, value }).map_err(|error| error.to_string())
}

/// What the manifest asks for, with the changes, as grants.
///
/// # Errors
/// A change cannot be made, or what results is not as a manifest may say it.
pub(super) fn apply(asked: &Capabilities, granted: &[Change], denied: &[Change]) -> Result<Grants, Failure> {
    let failed = || "the capabilities cannot be changed so".to_owned();
    let mut table: Map<String, Value> = serde_json::from_str(&asked.to_canonical_json()).or_usage(failed)?;
    for change in granted {
        grant(&mut table, change)?;
    }
    for change in denied {
        deny(&mut table, change);
    }
    let table: CapabilityTable = serde_json::from_value(Value::Object(table)).or_usage(failed)?;
    let capabilities = table.check().map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        Failure::usage(format!("the capabilities are not right:{}", lines.concat()))
    })?;
    // The author is owner, security team and publisher at once here.
    grants(&capabilities, &capabilities, &LocalPolicy::default()).map_err(|denials| {
        let lines: Vec<String> = denials.iter().map(|denied| format!("\n  {denied}")).collect();
        Failure::usage(format!("the capabilities are denied:{}", lines.concat()))
    })
}

/// The table and the key in it that hold a kind.
fn place(kind: CapabilityKind) -> (Option<&'static str>, &'static str) {
    match kind.as_str().split_once('.') {
        Some((_, key)) => (Some("files"), key),
        None => (None, kind.as_str()),
    }
}

fn grant(table: &mut Map<String, Value>, change: &Change) -> Result<(), Failure> {
    let (outer, key) = place(change.kind);
    let table = match outer {
        Some(outer) => match table.entry(outer).or_insert_with(|| json!({})) {
            Value::Object(inner) => inner,
            _ => return Err(Failure::usage("the manifest's `files` is no table")),
        },
        None => table,
    };
    let kind = change.kind;
    match (kind, &change.value) {
        (CapabilityKind::FilesRead | CapabilityKind::FilesWrite | CapabilityKind::Environment, Some(value)) => {
            match table.entry(key).or_insert_with(|| json!([])) {
                Value::Array(list) => list.push(Value::from(value.as_str())),
                other => *other = json!([value]),
            }
        }
        (CapabilityKind::User, Some(value)) => drop(table.insert(key.to_owned(), Value::from(value.as_str()))),
        (CapabilityKind::Http | CapabilityKind::Process, _) => {
            return Err(Failure::usage(format!("`--grant {kind}` is too much for one option"))
                .hint("write it into the manifest: `plugin run` grants what the manifest asks for"));
        }
        (
            CapabilityKind::FilesRead | CapabilityKind::FilesWrite | CapabilityKind::Environment | CapabilityKind::User,
            None,
        ) => {
            return Err(
                Failure::usage(format!("`--grant {kind}` needs a value")).hint(format!("such as `--grant {kind}=…`"))
            );
        }
        (_, Some(_)) => return Err(Failure::usage(format!("`{kind}` takes no value"))),
        (_, None) => drop(table.insert(key.to_owned(), Value::Bool(true))),
    }
    Ok(())
}

fn deny(table: &mut Map<String, Value>, change: &Change) {
    let (outer, key) = place(change.kind);
    let table = match outer {
        Some(outer) => match table.get_mut(outer) {
            Some(Value::Object(inner)) => inner,
            _ => return,
        },
        None => table,
    };
    match (&change.value, table.get_mut(key)) {
        (Some(value), Some(Value::Array(list))) => list.retain(|item| item.as_str() != Some(value)),
        _ => drop(table.remove(key)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn asked() -> Capabilities {
        let json = r#"{"facts":true,"files":{"read":["/etc/passwd","/etc/ssh/**"]}}"#;
        Capabilities::from_canonical_json(json).unwrap()
    }

    fn text(granted: &[&str], denied: &[&str]) -> String {
        let changes = |texts: &[&str]| texts.iter().map(|text| change(text).unwrap()).collect::<Vec<_>>();
        apply(&asked(), &changes(granted), &changes(denied)).unwrap().to_json()
    }

    #[test]
    fn without_changes_the_manifest_is_granted() {
        assert_eq!(text(&[], &[]), asked().to_canonical_json());
    }

    #[test]
    fn kinds_and_values_come_and_go() {
        assert_eq!(text(&[], &["files.read"]), r#"{"facts":true}"#);
        assert_eq!(text(&[], &["files.read=/etc/passwd", "facts"]), r#"{"files":{"read":["/etc/ssh/**"]}}"#);
        let more = text(&["clock", "environment=LANG", "files.read=/proc/mounts"], &[]);
        assert!(more.contains("\"clock\":true") && more.contains("LANG") && more.contains("/proc/mounts"), "{more}");
    }

    #[test]
    fn what_no_manifest_may_say_cannot_be_granted() {
        let grant = |text: &str| apply(&asked(), &[change(text).unwrap()], &[]);
        for bad in ["files.read=/**", "files.read", "files.read=relative", "http=x", "clock=yes"] {
            assert!(grant(bad).is_err(), "{bad}");
        }
        assert!(change("sockets").is_err());
    }
}
