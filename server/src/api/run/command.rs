//! Running a command that is kept: a version of it and the request's values, as an order's action.

use axum::body::Bytes;
use orderly_model::command::{CommandBody, CommandDraft, ContentLimits, ContentUse, ScriptSpec, StoredCommand};
use orderly_model::limits::{OUTPUT_KEPT_DEFAULT_BYTES, OUTPUT_KEPT_MAX_BYTES};
use orderly_model::parameter::Values;
use orderly_signing::order::Action;
use orderly_wire::http::command::RunCommand;
use orderly_wire::http::invocation::RunPlugin;

use super::super::problem::ApiError;
use super::super::{Api, commands};
use super::{Checked, Faults};

pub(super) async fn check(api: &Api, run: RunCommand, signed: bool) -> Result<Checked, ApiError> {
    if signed && run.version.is_none() {
        return Err(ApiError::unprocessable(
            "command-version",
            "a signed order is made from a version of the command, so the request must name it",
        ));
    }
    let (row, draft) = commands::read(api, &run.id, run.version).await?;
    let mut faults = Faults::default();
    let output_bytes = run.output_bytes.unwrap_or(OUTPUT_KEPT_DEFAULT_BYTES);
    faults.within("output_bytes", output_bytes, 0, OUTPUT_KEPT_MAX_BYTES);
    let stored = commands::stored(&row, &overridden(draft, &run, &mut faults))?;
    let tied = Some((row.uid, row.version.version));
    let checked = match &stored.command.body {
        CommandBody::Plugin { name, version, timeout_s } => {
            faults.end()?;
            let plugin = RunPlugin {
                name: name.to_string(),
                version: version.as_ref().map(ToString::to_string),
                parameters: run.parameters,
                timeout_s: *timeout_s,
                output_bytes: run.output_bytes,
            };
            super::plugin(api, plugin, signed).await?
        }
        CommandBody::Script(script) => self::script(&stored, script, &run, output_bytes, faults)?,
    };
    Ok(Checked { command: tied, ..checked })
}

/// The draft with what the request says otherwise. What cannot stand there is told as the request's fault, never as the command's.
fn overridden(draft: CommandDraft, run: &RunCommand, faults: &mut Faults) -> CommandDraft {
    let asked = CommandDraft {
        user: run.user.clone().or_else(|| draft.user.clone()),
        working_dir: run.cwd.clone().or_else(|| draft.working_dir.clone()),
        timeout_s: run.timeout_s.or(draft.timeout_s),
        ..draft.clone()
    };
    match asked.check(&ContentLimits::MOST, ContentUse::Stored) {
        Ok(_) => asked,
        Err(wrong) => {
            for fault in wrong {
                let field = if fault.field == "working_dir" { "cwd" } else { &fault.field };
                faults.add(field, fault.problem.clone());
            }
            draft
        }
    }
}

fn script(
    stored: &StoredCommand,
    script: &ScriptSpec,
    run: &RunCommand,
    output_bytes: u32,
    mut faults: Faults,
) -> Result<Checked, ApiError> {
    let values = Values::resolve(&script.parameters, &run.parameters).unwrap_or_else(|wrong| {
        for fault in wrong {
            faults.add(&format!("parameters.{}", fault.name.escape_debug()), fault.problem.to_string());
        }
        Values::default()
    });
    faults.end()?;
    let action = script.action(Some(stored.id), &values, output_bytes);
    Ok(Checked {
        tiers: super::tiers(&action),
        action: Action::Script(action),
        kind: "script",
        summary: stored.command.name.to_string(),
        content: Some(Bytes::from(script.content.clone())),
        plugin: None,
        blob: None,
        command: None,
    })
}
