//! What is to be run: the request's words, checked all at once, as an order's action.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::StatusCode;
use orderly_model::limits::{
    CONTENT_MAX_BYTES, ENVIRONMENT_MAX, OUTPUT_KEPT_DEFAULT_BYTES, OUTPUT_KEPT_MAX_BYTES, TIMEOUT_DEFAULT_S,
    TIMEOUT_MAX_S, TIMEOUT_MIN_S,
};
use orderly_model::name::{AbsolutePath, EnvName, PluginVersion, UserName};
use orderly_model::parameter;
use orderly_model::plugin::Manifest;
use orderly_signing::digest::Digest;
use orderly_signing::keyring::Tier;
use orderly_signing::order::{Action, ScriptAction, ScriptKind};
use orderly_wire::http::invocation::{Run, RunPlugin, RunScript};
use orderly_wire::http::problem::Fault;

use super::Api;
use super::problem::ApiError;
use crate::store::row::{PluginDocuments, PluginRow};

mod command;
mod moving;
mod options;

/// Characters of a summary.
const SUMMARY_CHARS: usize = 80;

/// What is to be run, checked.
#[derive(Debug)]
pub(super) struct Checked {
    /// As an order says it.
    pub(super) action: Action,
    /// The tiers that it can have, the usual one first; which it has depends on the instance.
    pub(super) tiers: &'static [Tier],
    /// `script`, `plugin`, `file` or `collect`.
    pub(super) kind: &'static str,
    /// One line for lists.
    pub(super) summary: String,
    /// The script.
    pub(super) content: Option<Bytes>,
    /// The plugin.
    pub(super) plugin: Option<(PluginRow, PluginDocuments)>,
    /// The blob that it needs.
    pub(super) blob: Option<Digest>,
    /// The command that is kept, where it is one, and in which version.
    pub(super) command: Option<(String, i32)>,
}

/// Checks what a request runs.
pub(super) async fn check(api: &Api, run: Run, signed: bool) -> Result<Checked, ApiError> {
    match run {
        Run::Script(script) => self::script(script),
        Run::Plugin(plugin) => self::plugin(api, plugin, signed).await,
        Run::Command(command) => command::check(api, command, signed).await,
        Run::File(file) => moving::file(api, file).await,
        Run::Collect(collect) => moving::collect(collect),
    }
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(Fault { field: format!("run.{field}"), message: message.into() });
    }

    fn within(&mut self, field: &str, value: u32, least: u32, most: u32) {
        if !(least..=most).contains(&value) {
            self.add(field, format!("is {value}, it must be {least} to {most}"));
        }
    }

    fn limits(&mut self, timeout_s: u32, output_bytes: u32) {
        self.within("timeout_s", timeout_s, TIMEOUT_MIN_S, TIMEOUT_MAX_S);
        self.within("output_bytes", output_bytes, 0, OUTPUT_KEPT_MAX_BYTES);
    }

    fn end(self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::faults(self.0)) }
    }
}

fn script(script: RunScript) -> Result<Checked, ApiError> {
    if script.content.len() > CONTENT_MAX_BYTES {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "script-too-large",
            format!("the script has {} bytes, at most {CONTENT_MAX_BYTES} are allowed", script.content.len()),
        )
        .hint("let a short script fetch what is large"));
    }
    let mut faults = Faults::default();
    let interpreter = match script.interpreter.as_str() {
        "shell" => ScriptKind::Shell,
        "powershell" | "power-shell" => ScriptKind::PowerShell,
        "bat" => ScriptKind::Bat,
        other => {
            faults.add(
                "interpreter",
                format!("is `{}`, it must be `shell`, `powershell` or `bat`", other.escape_debug()),
            );
            ScriptKind::Shell
        }
    };
    if script.content.is_empty() {
        faults.add("content", "is empty: there is nothing to run");
    }
    if let Some(Err(error)) = script.user.as_deref().map(str::parse::<UserName>) {
        faults.add("user", error.to_string());
    }
    // A path of another system is that instance's to judge.
    if interpreter == ScriptKind::Shell
        && let Some(Err(error)) = script.cwd.as_deref().map(str::parse::<AbsolutePath>)
    {
        faults.add("cwd", error.to_string());
    }
    environment(&script.environment, &mut faults);
    options::check(&script.options, &script.content, &mut faults);
    let timeout_s = script.timeout_s.unwrap_or(TIMEOUT_DEFAULT_S);
    let output_bytes = script.output_bytes.unwrap_or(OUTPUT_KEPT_DEFAULT_BYTES);
    faults.limits(timeout_s, output_bytes);
    faults.end()?;
    let action = script.options.of(ScriptAction {
        interpreter,
        user: script.user.clone(),
        cwd: script.cwd,
        timeout_s,
        environment: script.environment,
        output_bytes,
        ..ScriptAction::new(&script.content)
    });
    Ok(Checked {
        tiers: tiers(&action),
        action: Action::Script(action),
        kind: "script",
        summary: first_line(&script.content),
        content: Some(Bytes::from(script.content)),
        plugin: None,
        blob: None,
        command: None,
    })
}

/// The tiers that a script can have. One that may restart an instance, or that a container's runtime starts, counts as root's,
/// whoever it runs as.
fn tiers(action: &ScriptAction) -> &'static [Tier] {
    match action.user.as_deref() {
        _ if action.exit_effects || action.container.is_some() => &[Tier::NativeRoot],
        // As the agent's own, which is the instance's to know.
        None => &[Tier::NativeRoot, Tier::NativeUser],
        Some("root") => &[Tier::NativeRoot],
        Some(_) => &[Tier::NativeUser],
    }
}

fn environment(environment: &BTreeMap<String, String>, faults: &mut Faults) {
    if environment.len() > ENVIRONMENT_MAX {
        faults
            .add("environment", format!("has {} variables, at most {ENVIRONMENT_MAX} are allowed", environment.len()));
    }
    for (name, value) in environment {
        if let Err(error) = name.parse::<EnvName>() {
            faults.add(&format!("environment.{}", name.escape_debug()), error.to_string());
        }
        if value.contains('\0') {
            faults.add(&format!("environment.{}", name.escape_debug()), "holds a zero byte");
        }
    }
}

/// The first line of a script that says something, for lists.
fn first_line(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().find(|line| !line.starts_with('#')).or_else(|| lines().next()).unwrap_or("");
    let mut short: String = line.chars().filter(|c| !c.is_control()).take(SUMMARY_CHARS).collect();
    if line.chars().count() > SUMMARY_CHARS {
        short.push('…');
    }
    short
}

async fn plugin(api: &Api, plugin: RunPlugin, signed: bool) -> Result<Checked, ApiError> {
    let (row, documents) = version(api, &plugin, signed).await?;
    if row.approval_revision.is_none() {
        return Err(ApiError::conflict(
            "plugin-not-approved",
            "this version has no approval, so every instance would refuse it",
        )
        .detail(format!("`{}` {}", row.name, row.version))
        .hint(format!("the security team approves it with `orderly plugin approve {}@{}`", row.name, row.version)));
    }
    let manifest = std::str::from_utf8(&documents.manifest).ok().and_then(|text| Manifest::parse(text).ok());
    let mut faults = Faults::default();
    let mut parameters = plugin.parameters;
    if let Some(specs) = manifest.as_ref().and_then(|manifest| manifest.parameters.as_ref()) {
        match parameter::resolve(specs, &parameters) {
            // What the caller signed is left as it is; the defaults are the instance's to fill in then.
            Ok(values) if !signed => parameters = values,
            Ok(_) => {}
            Err(wrong) => {
                for fault in wrong {
                    faults.add(&format!("parameters.{}", fault.name.escape_debug()), fault.problem.to_string());
                }
            }
        }
    }
    let limits = manifest.map(|manifest| manifest.limits).unwrap_or_default();
    let timeout_s = plugin.timeout_s.unwrap_or(limits.timeout_s);
    let output_bytes = plugin.output_bytes.unwrap_or(limits.output_kb.saturating_mul(1024));
    faults.limits(timeout_s, output_bytes);
    faults.end()?;
    let tier = Tier::ALL.iter().find(|tier| tier.as_str() == row.tier).unwrap_or(&Tier::PluginProcess);
    Ok(Checked {
        tiers: std::slice::from_ref(tier),
        kind: "plugin",
        summary: format!("{} {}", row.name, row.version),
        content: None,
        action: Action::Plugin {
            name: row.name.clone(),
            version: row.version.clone(),
            component: row.component,
            manifest: row.manifest_digest,
            parameters,
            timeout_s,
            output_bytes,
        },
        plugin: Some((row, documents)),
        blob: None,
        command: None,
    })
}

/// The version that is asked for, or the newest that is approved.
async fn version(api: &Api, plugin: &RunPlugin, signed: bool) -> Result<(PluginRow, PluginDocuments), ApiError> {
    if let Some(version) = &plugin.version {
        return super::plugins::find(api, &plugin.name, version).await;
    }
    if signed {
        return Err(ApiError::unprocessable(
            "plugin-version",
            "a signed order names the plugin's version, so must the request",
        ));
    }
    let versions = api.store.plugins(Some(&plugin.name)).await?;
    if versions.is_empty() {
        return Err(ApiError::unknown("plugin", plugin.name.escape_debug()));
    }
    let approved = versions.into_iter().filter(|row| row.approval_revision.is_some());
    let newest = approved.max_by_key(|row| row.version.parse::<PluginVersion>().ok()).ok_or_else(|| {
        ApiError::conflict("plugin-not-approved", "no version of this plugin has an approval")
            .detail(format!("`{}`", plugin.name))
            .hint(format!("the security team approves one with `orderly plugin approve {}@VERSION`", plugin.name))
    })?;
    super::plugins::find(api, &newest.name, &newest.version).await
}
