//! What a kept command says, all of it, and the digest over that.
//!
//! Owns that `show` leaves nothing out that `run` would sign, and what a pin holds fast. All of it is read from the command itself, by
//! the rules that orders have; what the server says beside it is for people.

use orderly_model::command::{
    CommandBody, CommandDraft, ContentEncoding, ContentLimits, ContentUse, ScriptSpec, StoredCommand,
};
use orderly_model::limits::OUTPUT_KEPT_DEFAULT_BYTES;
use orderly_model::parameter::{ParameterKind, ParameterSpec, Values};
use orderly_signing::Digest;
use orderly_signing::order::{Action, ScriptAction};
use orderly_wire::http::command::CommandDetail;
use serde::Serialize;

use crate::commands::verify::words;
use crate::error::Failure;
use crate::output::{Printer, Tone, time, time_or_dash};

/// A command as JSON shows it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    detail: &'a CommandDetail,
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<Digest>,
}

/// All that a script brings into orders: what it does where a run says nothing else, and the parameters with their defaults, which the
/// values of a run are made of.
#[derive(Debug, Serialize)]
struct Whole<'a> {
    action: ScriptAction,
    parameters: &'a [ParameterSpec],
}

/// What a command is by the rules of orders, as it was fetched or with what a run changes.
///
/// # Errors
/// It breaks one of the rules, or its id is none.
pub(super) fn read(found: &CommandDetail, draft: &CommandDraft) -> Result<StoredCommand, Failure> {
    let id = found.view.id.as_str();
    let command = draft.check(&ContentLimits::MOST, ContentUse::Stored).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Failure::usage(format!("`{id}` cannot be run like this: {}", faults.join("; ")))
    })?;
    let parsed =
        id.parse().map_err(|error| Failure::server(format!("the server shows the command `{id}`")).because(error))?;
    Ok(StoredCommand { id: parsed, version: found.view.shown.version, command })
}

/// What an order says of a script with no values.
fn action(stored: &StoredCommand, script: &ScriptSpec) -> ScriptAction {
    script.action(Some(stored.id), &Values::default(), OUTPUT_KEPT_DEFAULT_BYTES)
}

/// The digest over all of a command that gets signed, whatever a run says; nothing for a plugin, which has an approval.
///
/// # Errors
/// It cannot be written as JSON.
pub(super) fn pin(stored: &StoredCommand) -> Result<Option<Digest>, Failure> {
    let CommandBody::Script(script) = &stored.command.body else {
        return Ok(None);
    };
    let whole = Whole { action: action(stored, script), parameters: &script.parameters };
    // By way of a value, whose keys are sorted: in which order a version of this program has its fields is no part of the digest.
    let json = serde_json::to_value(&whole)
        .map_err(|error| Failure::usage(format!("`{}` cannot be pinned", stored.id)).because(error))?;
    Ok(Some(Digest::of(json.to_string().as_bytes())))
}

/// Shows a command with its script.
///
/// # Errors
/// As [`pin`].
pub(super) fn show(printer: &Printer, found: &CommandDetail) -> Result<(), Failure> {
    let stored = read(found, &found.command);
    let pin = stored.as_ref().map_or(Ok(None), pin)?;
    printer.one(&Shown { detail: found, pin }, |printer| {
        let content = content(&found.command);
        let mut rows = rows(found);
        let digest = content.as_ref().map(|content| Digest::of(content).to_string());
        rows.push(("content", digest.unwrap_or_else(|| "-".to_owned())));
        match &stored {
            Ok(stored) => {
                if let CommandBody::Script(script) = &stored.command.body {
                    rows.push(("does", words::action(&Action::Script(action(stored, script)))));
                }
            }
            Err(failure) => rows.push(("does", failure.to_string())),
        }
        rows.extend(pin.map(|pin| ("all of it", pin.to_string())));
        let rows = rows.into_iter().map(|(key, value)| vec![(key.to_owned(), Tone::Dim), (value, Tone::Plain)]);
        printer.table(&["", ""], rows.collect());
        if let Some(content) = content {
            printer.line("");
            printer.line(String::from_utf8_lossy(&content).trim_end_matches('\n'));
        }
    });
    Ok(())
}

fn rows(found: &CommandDetail) -> Vec<(&'static str, String)> {
    let (view, command) = (&found.view, &found.command);
    let dash = |text: Option<&String>| text.cloned().unwrap_or_else(|| "-".to_owned());
    let tags = view.tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ");
    vec![
        ("id", view.id.clone()),
        ("name", view.shown.name.clone()),
        ("description", view.shown.description.clone()),
        ("type", command.kind.clone()),
        ("version", format!("{} of {}", view.shown.version, view.newest)),
        ("made (UTC)", format!("{} by {}", time(view.created_ms), view.created_by)),
        ("changed (UTC)", format!("{} by {}", time(view.shown.changed_ms), view.shown.changed_by)),
        ("run last (UTC)", time_or_dash(view.used_ms)),
        ("user", dash(command.user.as_ref())),
        ("directory", dash(command.working_dir.as_ref())),
        ("time-out", command.timeout_s.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds} s"))),
        ("parameters", command.parameters.iter().map(parameter).collect::<Vec<_>>().join("; ")),
        ("tags", tags),
    ]
}

/// A parameter with all that it asks of a value: in brackets where it may be left out.
fn parameter(spec: &ParameterSpec) -> String {
    let ParameterSpec { name, kind, description: _, default, pattern, allowed, required, secret } = spec;
    let mut text = match (default, required) {
        (Some(default), _) => format!("{name}={}", words::shown(default)),
        (None, true) => name.to_string(),
        (None, false) => format!("[{name}]"),
    };
    match kind {
        ParameterKind::Text => {}
        ParameterKind::Integer => text.push_str(", a whole number"),
        ParameterKind::Boolean => text.push_str(", true or false"),
    }
    if let Some(pattern) = pattern {
        text.push_str(&format!(", like `{}`", pattern.as_str()));
    }
    if !allowed.is_empty() {
        text.push_str(&format!(", one of {}", allowed.join(", ")));
    }
    if *secret {
        text.push_str(", secret");
    }
    text
}

/// The script's bytes, whatever way they are written; the text itself where it is not what it says.
fn content(draft: &CommandDraft) -> Option<Vec<u8>> {
    let text = draft.content.as_ref()?;
    let encoding = draft.encoding.as_deref().map_or(Ok(ContentEncoding::PlainText), str::parse);
    let bytes = encoding.and_then(|encoding| encoding.decode(text));
    Some(bytes.unwrap_or_else(|_| text.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_script_that_is_written_as_base64_is_shown_as_what_it_is() {
        let draft = |encoding: Option<&str>, text: &str| CommandDraft {
            encoding: encoding.map(str::to_owned),
            content: Some(text.to_owned()),
            ..CommandDraft::default()
        };
        assert_eq!(content(&draft(Some("Base64"), "cm0gLXJmIC8=")).unwrap(), b"rm -rf /");
        assert_eq!(content(&draft(None, "cm0gLXJmIC8=")).unwrap(), b"cm0gLXJmIC8=");
        assert_eq!(content(&draft(Some("Base64"), "%")).unwrap(), b"%");
    }
}
