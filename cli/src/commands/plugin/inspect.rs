//! `orderly plugin inspect`: what a plugin imports, asks for, and says of itself.
//!
//! Owns how that is shown, and whether the three agree. The plugin is asked in the sandbox, with nothing granted.

use std::path::PathBuf;

use clap::Args;
use orderly_host::Description;
use orderly_model::plugin::{ImportClass, Manifest, classify, missing_for};
use orderly_signing::Digest;
use serde::Serialize;

use super::run::{PlaceArgs, spec};
use crate::catalogue::capability_lines;
use crate::component;
use crate::context::Context;
use crate::error::{Exit, Failure, OrFail as _, Outcome};
use crate::output::{Printer, Row, Tone, bytes};
use crate::source::Source;

/// Options of `plugin inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The plugin: its folder, its component, or a package
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    plugin: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
    /// Do not ask the plugin itself; nothing of it is then compiled or run
    #[arg(long)]
    static_only: bool,
}

#[derive(Debug, Serialize)]
struct View {
    name: String,
    version: String,
    summary: String,
    component: Digest,
    component_bytes: u64,
    manifest: Digest,
    tier: String,
    capabilities: Vec<String>,
    imports: Vec<Import>,
    description: Option<Description>,
    faults: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Import {
    name: String,
    linked: String,
    missing: bool,
}

impl Inspect {
    /// Shows the plugin; fails where it could not run as it is.
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let source = Source::read(&self.plugin, self.place.manifest.as_deref())?;
        let names = component::imports(&source.component).or_usage(|| "the component cannot be read".to_owned())?;
        let manifest = &source.manifest;
        let missing = missing_for(names.iter().map(String::as_str), &manifest.capabilities);
        let mut faults: Vec<String> = missing.iter().map(ToString::to_string).collect();
        if !manifest.wit.is_supported() {
            faults.push(format!("the manifest's `wit = \"{}\"` is not supported by this release", manifest.wit));
        }
        let description = if self.static_only || !missing.iter().all(|missing| is_granted_later(&missing.import)) {
            None
        } else {
            let description = self.place.open(context, &source).await?.describe().await?;
            faults.extend(disagreements(manifest, &description));
            Some(description)
        };
        let imports = names.into_iter().map(|name| Import {
            linked: match classify(&name) {
                ImportClass::Inert => "always".to_owned(),
                ImportClass::Strict(kind) => format!("where `{kind}` is granted"),
                ImportClass::Unknown => "never".to_owned(),
            },
            missing: missing.iter().any(|missing| missing.import == name),
            name,
        });
        let view = View {
            name: manifest.name.to_string(),
            version: manifest.version.to_string(),
            summary: manifest.summary.clone(),
            component: Digest::of(&source.component),
            component_bytes: source.component.len() as u64,
            manifest: Digest::of(&source.manifest_bytes),
            tier: manifest.capabilities.tier().to_string(),
            capabilities: capability_lines(&manifest.capabilities),
            imports: imports.collect(),
            description,
            faults,
        };
        context.printer.one(&view, |printer| show(printer, &view));
        if view.faults.is_empty() {
            return Ok(Exit::Success);
        }
        let lines: Vec<String> = view.faults.iter().map(|fault| format!("\n  {fault}")).collect();
        Err(Failure::usage(format!("the plugin could not run as it is:{}", lines.concat())))
    }
}

/// Whether an import could be linked with some grant; one that never is keeps even `describe` from being asked.
fn is_granted_later(import: &str) -> bool {
    !matches!(classify(import), ImportClass::Unknown)
}

/// Where the manifest says otherwise than the plugin.
fn disagreements(manifest: &Manifest, description: &Description) -> Vec<String> {
    let mut faults = Vec::new();
    for (what, said, written) in [
        ("name", description.name.as_str(), manifest.name.as_str()),
        ("version", description.version.as_str(), manifest.version.as_str()),
    ] {
        if said != written {
            faults.push(format!("the plugin says the {what} `{said}`, its manifest `{written}`"));
        }
    }
    let described: Vec<_> = description.parameters.iter().map(spec).collect();
    for fault in described.iter().filter_map(|spec| spec.as_ref().err()) {
        faults.push(fault.to_string());
    }
    let described: Vec<_> = described.into_iter().filter_map(Result::ok).collect();
    if manifest.parameters.as_ref().is_some_and(|written| *written != described) {
        faults.push("the manifest's `[[parameters]]` are not those that the plugin describes".to_owned());
    }
    faults
}

fn show(printer: &Printer, view: &View) {
    let rows = [
        ("plugin", format!("{} {}", view.name, view.version)),
        ("what it does", view.summary.clone()),
        ("component", format!("{} ({})", view.component, bytes(view.component_bytes))),
        ("manifest", view.manifest.to_string()),
        ("tier", view.tier.clone()),
        ("it may", view.capabilities.join("\n")),
    ];
    printer.table(
        &["", ""],
        rows.into_iter().map(|(key, value)| vec![(key.to_owned(), Tone::Dim), (value, Tone::Plain)]).collect(),
    );
    let rows = view.imports.iter().map(|import| -> Row {
        let tone = if import.missing { Tone::Bad } else { Tone::Plain };
        vec![(import.name.clone(), tone), (import.linked.clone(), tone)]
    });
    printer.table(&["import", "linked"], rows.collect());
    let Some(description) = &view.description else {
        printer.line("the plugin itself was not asked");
        return;
    };
    let rows = description.parameters.iter().map(|parameter| -> Row {
        let default = parameter.default.clone().unwrap_or_else(|| "(required)".to_owned());
        let mut rule = parameter.pattern.clone().unwrap_or_default();
        if !parameter.allowed.is_empty() {
            rule = parameter.allowed.join(" | ");
        }
        [parameter.name.clone(), parameter.kind.clone(), default, rule, parameter.description.clone()]
            .into_iter()
            .map(|cell| (cell, Tone::Plain))
            .collect()
    });
    printer.table(&["parameter", "kind", "default", "must be", "what it is"], rows.collect());
}
